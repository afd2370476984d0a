# SPDX-License-Identifier: MIT
"""What `cleave` makes of text in another encoding; and its commands that need no server, `sticky` and
`decode`."""
import json
import os
import struct
import subprocess
import unittest

from client_case import ClientTest
from python_client import frame
from support import CLEAVE, Daemon
from tutorial_servers import ExecPrefix, UpperLoop

TEXT = "粘包 C:\\> 数据\n"
GBK = TEXT.encode("gbk")


def printing(data):
    """A line for a shell that prints these bytes."""
    return "printf '%s'" % "".join(f"\\{byte:03o}" for byte in data)


class Encoding(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--exec", "shell"))

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url

    def test_output_of_a_server_on_chinese_windows_is_readable(self):
        for pieces in (None, 1, 3):
            with ExecPrefix(pieces=pieces) as server:
                self.url = server.url
                done = self.cleave("--encoding", "gbk", "exec", "--shell", printing(GBK), status=255)
                self.assertEqual(done.stdout.decode(), TEXT)
                done = self.cleave("--encoding", "gbk", "--raw", "exec", "--shell", printing(GBK), status=255)
                self.assertEqual(done.stdout, GBK)

    def test_a_program_that_dribbles_is_read_whole_on_both_its_outputs(self):
        dribble = "; ".join(f"{printing(bytes([byte]))}; {printing(bytes([byte]))} >&2; sleep 0.01" for byte in GBK)
        done = self.cleave("exec", "--encoding", "GBK", "--shell", dribble)
        self.assertEqual((done.stdout.decode(), done.stderr.decode()), (TEXT, TEXT))

    def test_bytes_that_are_none_are_replaced_and_nothing_else_is_lost(self):
        self.assertEqual(self.output("--encoding", "gbk", "exec", "--shell", printing(b"a\xff" + GBK + b"\xd6")).decode(),
                         "a\ufffd" + TEXT + "\ufffd")

    def test_much_of_it_comes_through_to_a_slow_reader(self):
        process = self.start("--encoding", "gbk", "exec", "--shell", f"yes \"$({printing(GBK)})\" | head -c 3000000",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        head = process.stdout.read(1)
        whole = head + process.stdout.read()
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual(whole.decode(), (GBK * (3000000 // len(GBK) + 1))[:3000000].decode("gbk", "replace"))

    def test_replies_of_text_and_bodies_are_converted_and_files_are_not(self):
        self.assertEqual(self.output("--encoding", "utf-16le", "call", "-q", "echo", "--body", "-",
                                     stdin=TEXT.encode("utf-16le")).decode(), TEXT)
        (self.daemon.root / "gbk").write_bytes(GBK)
        self.assertEqual(self.output("--encoding", "gbk", "get", "gbk", "-"), GBK)
        json.loads(self.output("--encoding", "utf-16", "ping"))
        with UpperLoop() as server:
            self.url = server.url
            # What is sent is UTF-8, and these letters come back as they went.
            self.assertEqual(self.output("--encoding", "utf-8", "echo", "粘包"), "粘包\n".encode())
            self.assertEqual(self.output("--encoding", "iso-8859-1", "echo", "ü"), "Ã¼\n".encode())

    def test_a_terminal_that_is_not_utf_8_is_no_reason_to_lose_text(self):
        for locale in ("C", "C.UTF-8"):
            done = subprocess.run(self.command("--encoding", "gbk", "exec", "--shell", printing(GBK)),
                                  env={**os.environ, "LC_ALL": locale}, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=60, check=True)
            self.assertEqual(done.stdout.decode(), TEXT)

    def test_an_encoding_that_nobody_knows_is_wrong_usage(self):
        for name in ("klingon", "", "gbk//IGNORE"):
            self.assertIn("knows no encoding", self.sentence("--encoding", name, "ping", status=2))
            self.assertIn("knows no encoding", self.sentence("ping", "--encoding", name, status=2))


class Sticky(ClientTest):
    def setUp(self):
        super().setUp()
        self.url = "tcp://127.0.0.1:1"  # where nobody is

    def events(self, *arguments):
        return [json.loads(line) for line in self.output("--json", "sticky", *arguments).splitlines()]

    def test_messages_stick_and_frames_do_not(self):
        events = self.events()
        told = [(each["part"], each["event"], each.get("asked"), each["text"]) for each in events
                if each["part"] != "framed"]
        self.assertEqual(told, [
            ("joined", "send", None, "hello"), ("joined", "send", None, "world"),
            ("joined", "read", 1024, "helloworld"), ("cut", "send", None, "hello world"),
            ("cut", "read", 2, "he"), ("cut", "read", 10, "llo world")])
        framed = [each for each in events if each["part"] == "framed"]
        sent, read = (b"".join(bytes.fromhex(each["hex"]) for each in framed if each["event"] == event)
                      for event in ("send", "read"))
        self.assertEqual(sent, b"".join(frame_of(text) for text in (b"hello", b"world")))
        self.assertEqual(read, sent)
        self.assertEqual([each["text"] for each in framed if each["event"] == "message"], ["hello", "world"])

    def test_whatever_the_reads_ask_for(self):
        texts = ["粘包", "a", "\x1b[31m"]
        for size in ("1", "3", "1024"):
            events = self.events("--read", size, *texts)
            self.assertEqual([each["text"] for each in events if each["event"] == "message"], texts)
            self.assertTrue(all(each["bytes"] <= int(size) for each in events
                                if each["event"] == "read" and each["part"] != "joined"))
        shown = self.output("sticky", "--read", "1", *texts)
        self.assertNotIn(b"\x1b", shown)
        self.assertIn(b"3 sent, 3 received", shown)

    def test_a_text_is_taken_as_it_is_typed(self):
        for texts in (["[a,b]", "c"], ["x" * 1024], ["a", "--read"]):
            events = self.events(*texts)
            self.assertEqual([each["text"] for each in events if each["event"] == "message"], texts)

    def test_no_server_is_asked_and_none_need_be_named_rightly(self):
        for words in (["sticky"], ["decode"]):
            for variables in ({"CLEAVE_SERVER": "bogus"}, {"CLEAVE_SERVER": "udp://127.0.0.1:1"}):
                done = subprocess.run([CLEAVE, *words], stdin=subprocess.DEVNULL, capture_output=True,
                                      timeout=60, env=os.environ | variables)
                self.assertEqual((done.returncode, done.stderr), (0, b""), (words, variables))
            page = self.output(*words, "--help").decode()
            self.assertIn("--json", page)
            for option in ("--timeout", "--retries", "--encoding", "--raw", "Server"):
                self.assertNotIn(option, page)
            # Those that stand before a command stand behind it too.
            self.output(*words, "--timeout", "1")

    def test_what_cannot_be_shown_is_wrong_usage(self):
        for words in ([""], ["x" * 1025], ["--read", "0"], ["--read", "9999"]):
            self.sentence("sticky", *words, status=2)


def frame_of(text):
    header = b'{"cmd":"echo","data_size":%d}' % len(text)
    return struct.pack("<I", len(header)) + header + text


class Decode(ClientTest):
    def setUp(self):
        super().setUp()
        self.url = "udp://127.0.0.1:1"

    def decode(self, data, *arguments, status=0):
        done = self.cleave("decode", *arguments, stdin=data, status=status)
        self.assertEqual(done.stderr.count(b"\n"), int(status != 0))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_requests_and_replies_are_lines(self):
        stream = frame_of(b"hello") + frame({"status": "ok", "id": 1})
        first, second = self.decode(stream, "--text")
        self.assertEqual(first, {"offset": 0, "header_bytes": 28, "header": {"cmd": "echo", "data_size": 5},
                                 "body_offset": 32, "body_bytes": 5, "text": "hello"})
        self.assertEqual((second["offset"], second["header"]), (37, {"status": "ok", "id": 1}))
        (self.folder / "capture").write_bytes(stream)
        self.assertEqual(self.decode(b"", "capture")[1], second)
        self.assertEqual(self.decode(b""), [])

    def test_a_fault_has_its_place_and_is_1(self):
        good = frame_of(b"hello")
        for rest, offset, missing in ((b"GET / HTTP/1.1\r\n\r\n", 37, None), (good[:-2], 72, 2), (good[:2], 39, 2),
                                      (struct.pack("<I", 9) + b'{"a":tru}', 49, None)):
            first, fault = self.decode(good + rest, status=1)
            self.assertEqual(first["offset"], 0)
            self.assertEqual((fault["offset"], fault["code"], fault.get("missing")), (offset, "protocol_error", missing))
        self.assertEqual(self.decode(good, "--header-bytes", "27", status=1)[0]["offset"], 0)

    def test_each_line_comes_when_its_frame_is_complete(self):
        process = self.start("decode", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(3):
            process.stdin.write(frame_of(b"hello"))
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["offset"], 37 * n)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), 0)
        process.stdin = None

    def test_a_capture_of_the_daemon_is_read(self):
        with Daemon() as daemon, daemon.connect() as peer:
            peer.send({"cmd": "ping", "id": 1})
            peer.send({"cmd": "nothing", "id": 2})
            peer.half_close()
            stream = b""
            while part := peer.socket.recv(65536):
                stream += part
        self.assertEqual([line["header"]["status"] for line in self.decode(stream)], ["ok", "error"])

    def test_what_cannot_be_read_is_an_error(self):
        self.sentence("decode", "absent", status=3)
        self.assertIn("directory", self.sentence("decode", str(self.folder), status=1))
        done = subprocess.run([CLEAVE], input=b"decode\n", capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
