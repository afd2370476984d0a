#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example programs do what they say at their top, and more."""

import hashlib
import json
import os
import pathlib
import re
import select
import struct
import subprocess
import tempfile
import unittest

from snippets import ROOT, Console
from support import BIN, Daemon, PATIENCE, Peer, reset_on_close

# Those of clients have tests of their own, client_examples_test.py.
EXAMPLES = sorted(path for path in (ROOT / "bin/examples").glob("*.cc")
                  if path.stem not in ("ask", "poll"))


class Example:
    """An example program that listens, until the `with` ends."""

    def __init__(self, name, *arguments):
        self.command = [str(BIN / f"example_{name}"), *arguments, "tcp://127.0.0.1:0"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        peer = Peer(line.split()[-1])
        peer.url = line.split()[-1]
        return peer

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def frame(header):
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text


def whole_reply(peer):
    """The last header and the joined body of a reply with an id."""
    body = b""
    while True:
        header, part = peer.receive()
        body += part
        if "status" in header:
            return header, body


class ExamplesTest(unittest.TestCase):
    def test_each_is_short_and_does_what_it_says_at_its_top(self):
        for path in EXAMPLES:
            with self.subTest(path.name), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                (folder / "build").mkdir()
                (folder / "build" / "bin").symlink_to(BIN)
                source = path.read_text(encoding="utf-8")
                self.assertLess(source.count("\n"), 100)
                transcript = "".join(re.findall(r"^//     (.*\n)", source, re.MULTILINE))
                self.assertGreaterEqual(transcript.count("$ "), 2)
                Console(self, folder, {f"example_{path.stem}": ["tcp://127.0.0.1:0"]}).run(transcript)

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

    def test_proxy_holds_its_sender_up_where_nobody_reads(self):
        with Daemon() as backend, Example("proxy", backend.url) as peer, peer:
            peer.send({"cmd": "echo", "id": 1, "data_size": 1 << 40})
            peer.socket.setblocking(False)
            sent, piece = 0, b"x" * (1 << 20)
            while select.select([], [peer.socket], [], 1)[1]:
                sent += peer.socket.send(piece)
                self.assertLess(sent, 200 << 20)
            self.assertGreater(sent, 1 << 20)

    def test_checksum_is_that_of_others_whatever_the_size(self):
        body = os.urandom(5_000_000)
        with Example("checksum") as peer, peer:
            for kind in ("sha256", "md5"):
                for size in (0, 1, len(body)):
                    header, _ = peer.call("checksum", body[:size], kind=kind)
                    self.assertEqual((header["bytes"], header[kind]),
                                     (size, hashlib.new(kind, body[:size]).hexdigest()))
            self.assertEqual(peer.call("checksum", b"", kind="crc")[0]["code"], "invalid_argument")
            peer.send({"cmd": "checksum", "id": 1, "data_size": 10, "more": True}, b"0123456789")
            peer.send({"cmd": "cancel", "id": 2, "target": 1})
            replies = {header["id"]: header for header, _ in (peer.receive(), peer.receive())}
            self.assertEqual(replies[1]["code"], "cancelled")

    def test_kv_keeps_values_until_their_time_is_over(self):
        with Example("kv") as peer, peer:
            self.assertEqual(peer.call("set", b"one", key="a")[0]["status"], "ok")
            self.assertEqual(peer.call("set", b"two", key="b", ttl_ms=1)[0]["status"], "ok")
            self.assertEqual(peer.call("get", key="a")[1], b"one")
            while peer.call("get", key="b")[0]["status"] == "ok":
                pass
            self.assertEqual(peer.call("get", key="b")[0]["code"], "not_found")
            # What is set anew forgets its earlier time.
            peer.call("set", b"1", key="c", ttl_ms=1)
            peer.call("set", b"2", key="c")
            peer.call("set", b"3", key="d", ttl_ms=2)
            while peer.call("get", key="d")[0]["status"] == "ok":
                pass
            self.assertEqual(peer.call("get", key="c")[1], b"2")
            self.assertIs(peer.call("unset", key="a")[0]["removed"], True)
            self.assertIs(peer.call("unset", key="a")[0]["removed"], False)
            self.assertEqual(peer.call("set", b"x", key="")[0]["code"], "invalid_argument")

    def test_kv_has_a_limit(self):
        value = b"x" * 1_000_000
        with Example("kv") as peer, peer:
            for n in range(67):
                self.assertEqual(peer.call("set", value, key=str(n))[0]["status"], "ok")
            self.assertEqual(peer.call("set", value, key="more")[0]["code"], "quota_exceeded")
            self.assertEqual(peer.call("set", value, key="3")[0]["status"], "ok")
            self.assertEqual(peer.call("get", key="66")[1], value)

    def test_chat_reaches_all_who_listen(self):
        def say(word):
            return ada.call("say", word, **{"from": "Ada"})[0]["heard_by"]

        with Example("chat") as ada, ada, Peer(ada.url) as bob, Peer(ada.url) as eve:
            for peer in (bob, eve):
                peer.send({"cmd": "listen", "id": 7})
            while say(b"anybody?") < 2:
                pass
            self.assertEqual(say(b"hello"), 2)
            for peer in (bob, eve):
                word = b""
                while word != b"hello":
                    header, word = peer.receive()
                    self.assertEqual((header["id"], header["from"], header["more"]), (7, "Ada", True))
            reset_on_close(eve.socket)
            eve.socket.close()
            while say(b"gone?") == 2:
                pass
            self.assertEqual(bob.receive()[1], b"gone?")
            bob.send({"cmd": "cancel", "id": 8, "target": 7})
            while say(b"you too?") == 1:
                pass
            self.assertEqual(ada.call("listen")[0]["code"], "invalid_argument")

    def test_chat_lets_go_of_who_does_not_read(self):
        with Example("chat") as ada, ada, Peer(ada.url) as bob:
            bob.send({"cmd": "listen", "id": 1})
            while ada.call("say", b"?", **{"from": "Ada"})[0]["heard_by"] == 0:
                pass
            said = 0
            while ada.call("say", b"x" * 4096, **{"from": "Ada"})[0]["heard_by"] == 1:
                said += 1
                self.assertLess(said, 10_000)
            header = {}
            while "status" not in header:
                header, _ = bob.receive()
            self.assertEqual(header["code"], "overloaded")

    def test_jobs_answers_each_when_it_is_done_and_stops_those_that_nobody_wants(self):
        prime = 9_007_199_254_740_881
        with Example("jobs") as peer, peer:
            self.assertEqual(peer.call("factor", n=360)[1], b"2 2 2 3 3 5")
            self.assertEqual(peer.call("factor", n=1)[0]["code"], "invalid_argument")
            # All at once, so that none is done before the last has come.
            peer.send_bytes(b"".join(frame({"cmd": "factor", "id": n, "n": prime}) for n in range(100)))
            for n in range(100):
                peer.send({"cmd": "cancel", "id": 1_000 + n, "target": n})
            codes = {}
            while len(codes) < 200:
                header, _ = peer.receive()
                codes[header["id"]] = header.get("code", "ok")
            jobs = [codes[n] for n in range(100)]
            self.assertEqual(jobs.count("busy"), 100 - 64 - 2)
            self.assertEqual(jobs.count("cancelled") + jobs.count("ok"), 66)
            self.assertGreaterEqual(jobs.count("cancelled"), 60)
            self.assertEqual(peer.call("factor", n=97)[1], b"97")


if __name__ == "__main__":
    unittest.main()
