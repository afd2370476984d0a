# SPDX-License-Identifier: MIT
"""What the tests of the daemon by a stranger's client share."""
import os
import pathlib
import tempfile
import unittest

from process_facts import eventually, memory
from python_client import Client
from support import Daemon

LONG = os.environ.get("CLEAVE_LONG_TESTS") == "1"
# What takes many minutes, and is done by hand.
VERY_LONG = os.environ.get("CLEAVE_VERY_LONG_TESTS") == "1"
# A sanitizer keeps freed memory for itself; it finds leaks in its own way.
SANITIZED = bool(os.environ.get("CLEAVE_SANITIZE"))
MIB = 1024 * 1024


class DaemonTest(unittest.TestCase):
    """A daemon of its own for every test, so that its memory tells of this test alone."""

    listen = "tcp://127.0.0.1:0"
    options = ("--exec", "shell")
    config = None

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cleave-")))
        self.serve(*self.options, config=self.config, listen=(self.listen.format(self.folder),))

    def serve(self, *options, **more):
        self.daemon = self.enterContext(Daemon(*options, **more))
        self.pid = self.daemon.process.pid
        self.addCleanup(self.ends_in_order, self.daemon)

    def ends_in_order(self, daemon):
        """Whatever has happened to it."""
        if daemon.stop() != 0:
            self.fail("\n".join(daemon.rest_of_log()))

    def connect(self, **options):
        return self.enterContext(Client(self.daemon.address, **options))

    def assert_ok(self, header):
        self.assertEqual(header.get("status"), "ok", header)

    def assert_error(self, header, code):
        self.assertEqual((header.get("status"), header.get("code")), ("error", code), header)
        self.assertTrue(header["message"])

    def assert_echoes(self, client):
        header, body = client.request({"cmd": "echo"}, b"still here")
        self.assert_ok(header)
        self.assertEqual(body, b"still here")

    def assert_small(self):
        """The most memory that the daemon ever had is little; a sanitizer has its own of that."""
        if not SANITIZED:
            self.assertLess(memory(self.pid, "VmHWM"), 32 * MIB)

    def assert_code(self, code, header, body=b""):
        """The request is answered with a code, on a connection of its own, which goes on."""
        with Client(self.daemon.address) as client:
            answer, _ = client.request(header, body)
            if code == "ok":
                self.assert_ok(answer)
            else:
                self.assert_error(answer, code)
            self.assert_echoes(client)

    def temporaries(self):
        folder = self.daemon.root / ".cleave" / "tmp"
        return sorted(folder.iterdir()) if folder.exists() else []

    def assert_nothing_stored(self, name):
        self.assertTrue(eventually(lambda: not self.temporaries()), self.temporaries())
        self.assertFalse((self.daemon.root / name).exists())
