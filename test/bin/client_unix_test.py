# SPDX-License-Identifier: MIT
"""cleave over Unix sockets: on every wire, against others' servers and against cleaved."""
import json
import os
import unittest

from client_case import ClientTest
from support import Daemon
from tutorial_servers import ExecHeader, ExecPrefix, ExecReady, Put, UpperLoop, UpperOnce

MIB = 1024 * 1024


class AgainstOthers(ClientTest):
    def serve(self, server, *arguments):
        path = self.folder / server.__name__
        served = self.enterContext(server(*arguments, path=path))
        self.url = served.url

    def test_text_and_lines_for_the_shell(self):
        for server in (UpperOnce, UpperLoop):
            self.serve(server)
            self.assertEqual(self.output("upper", "grüß"), "GRüß\n".encode())
            self.assertEqual(self.cleave(stdin=b"upper a\nupper b\n").stdout, b"A\nB\n")
        for server in (ExecReady, ExecPrefix, ExecHeader):
            self.serve(server)
            done = self.cleave("exec", "--shell", f"head -c {MIB} /dev/zero", status=255)
            self.assertEqual(done.stdout, bytes(MIB))

    def test_a_one_way_put(self):
        self.serve(Put, self.folder)
        data = os.urandom(3 * MIB)
        (self.folder / "a").write_bytes(data)
        self.assertEqual(self.output("put", "--one-way", "a", "stored"), b"")
        self.assertEqual((self.folder / "stored").read_bytes(), data)

    def test_nobody_there_is_5(self):
        self.url = f"unix:{self.folder}/absent"
        self.assertIn("unavailable", self.sentence("ping", status=5))
        self.url += "?wire=raw"
        self.assertIn("unavailable", self.sentence("upper", "x", status=5))


class AgainstCleaved(ClientTest):
    def setUp(self):
        super().setUp()
        path = self.folder / "socket"
        self.daemon = self.enterContext(Daemon("--exec", "shell", listen=[f"unix:{path}"]))
        self.url = self.daemon.url

    def test_every_kind_of_command(self):
        self.assertEqual(json.loads(self.output("ping"))["protocol"], 1)
        self.assertEqual(self.output("echo", "粘包"), "粘包\n".encode())
        self.assertEqual(self.output("exec", "cat", stdin=b"input"), b"input")
        self.cleave("exec", "--shell", "exit 7", status=7)
        data = os.urandom(3 * MIB)
        (self.folder / "a").write_bytes(data)
        self.cleave("put", "a", "stored")
        self.assertEqual((self.daemon.root / "stored").read_bytes(), data)
        self.cleave("put", "--one-way", "a", "one-way")
        self.assertEqual(self.output("get", "one-way", "-"), data)

    def test_a_deadline_is_124(self):
        self.cleave("--timeout", "0.2", "exec", "sleep", "100", status=124)


if __name__ == "__main__":
    unittest.main()
