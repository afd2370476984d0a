#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example programs do what they say at their top."""

import os
import subprocess
import tempfile
import unittest

from support import BIN, Daemon, PATIENCE, Peer


class Example:
    """An example program that listens, until the `with` ends."""

    def __init__(self, name, *arguments):
        self.command = [str(BIN / f"example_{name}"), *arguments, "tcp://127.0.0.1:0"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        return Peer(line.split()[-1])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def whole_reply(peer):
    """The last header and the joined body of a reply with an id."""
    body = b""
    while True:
        header, part = peer.receive()
        body += part
        if "status" in header:
            return header, body


class ExamplesTest(unittest.TestCase):
    def test_hello_greets_and_wants_a_name(self):
        with Example("hello") as peer, peer:
            self.assertEqual(peer.call("greet", b"Ada")[1], b"hello Ada")
            self.assertEqual(peer.call("greet")[0]["code"], "invalid_argument")

    def test_upload_stores_a_body_of_any_size(self):
        body = os.urandom(5_000_000)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "stored")
            with Example("upload", path) as peer, peer:
                header, _ = peer.call("upload", body)
                self.assertEqual((header["status"], header["file_size"]), ("ok", len(body)))
            with open(path, "rb") as stored:
                self.assertEqual(stored.read(), body)

    def test_later_answers_the_shorter_wait_first(self):
        with Example("later") as peer, peer:
            peer.send({"cmd": "wait", "id": 1, "ms": 300, "data_size": 1}, b"a")
            peer.send({"cmd": "wait", "id": 2, "ms": 1, "data_size": 1}, b"b")
            self.assertEqual([peer.receive()[1], peer.receive()[1]], [b"b", b"a"])
            self.assertEqual(peer.call("wait", ms=60_001)[0]["code"], "invalid_argument")

    def test_exec_runs_a_program_on_the_body_and_kills_it_on_cancel(self):
        with Example("exec") as peer, peer:
            peer.send({"cmd": "run", "id": 1, "argv": ["sort"], "data_size": 4}, b"b\na\n")
            header, body = whole_reply(peer)
            self.assertEqual((header["exit_code"], body), (0, b"a\nb\n"))
            peer.send({"cmd": "run", "id": 2, "argv": ["sleep", "1000"]})
            peer.send({"cmd": "cancel", "id": 3, "target": 2})
            replies = {header["id"]: header for header, _ in (peer.receive(), peer.receive())}
            self.assertEqual(replies[3]["status"], "ok")
            self.assertEqual(replies[2]["code"], "cancelled")
            peer.send({"cmd": "run", "id": 4, "argv": ["no-such-program"]})
            self.assertEqual(whole_reply(peer)[0]["code"], "not_found")

    def test_proxy_passes_bodies_on_both_ways(self):
        body = os.urandom(1_000_000)  # what may be sent before reading
        with Daemon() as backend, Example("proxy", backend.url) as peer, peer:
            header, echoed = peer.call("echo", body)
            self.assertEqual((header["status"], echoed == body), ("ok", True))
            peer.send({"cmd": "echo", "id": 1, "data_size": len(body)}, body)
            header, echoed = whole_reply(peer)
            self.assertEqual((header["status"], echoed == body), ("ok", True))

    def test_proxy_says_when_its_backend_is_not_there(self):
        done = subprocess.run([str(BIN / "example_proxy"), "tcp://127.0.0.1:1", "tcp://127.0.0.1:0"],
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertIn("cannot connect", done.stderr)


if __name__ == "__main__":
    unittest.main()
