# SPDX-License-Identifier: MIT
"""The daemon as a stranger's client meets it: one written from protocol/README.md alone."""
import fcntl
import hashlib
import json
import os
import struct
import termios
import threading
import unittest

from process_facts import descriptors, eventually, memory
from python_client import Client, Closed, frame
from support import Daemon

LONG = os.environ.get("CLEAVE_LONG_TESTS") == "1"
# A sanitizer keeps freed memory for itself; it finds leaks in its own way.
SANITIZED = bool(os.environ.get("CLEAVE_SANITIZE"))
MIB = 1024 * 1024
HEADER_LIMIT = 65_536


class DaemonTest(unittest.TestCase):
    """A daemon of its own for every test, so that its memory tells of this test alone."""

    def setUp(self):
        self.daemon = Daemon("--exec", "shell").__enter__()
        self.addCleanup(self.daemon.__exit__)
        self.pid = self.daemon.process.pid
        self.addCleanup(lambda: self.assertEqual(self.daemon.stop(), 0))

    def connect(self, **options):
        client = Client("127.0.0.1", self.daemon.port, **options)
        self.addCleanup(client.close)
        return client

    def assert_ok(self, header):
        self.assertEqual(header.get("status"), "ok", header)

    def assert_error(self, header, code):
        self.assertEqual((header.get("status"), header.get("code")), ("error", code), header)
        self.assertTrue(header["message"])

    def assert_small(self):
        """The most memory that the daemon ever had is little; a sanitizer has its own of that."""
        if not SANITIZED:
            self.assertLess(memory(self.pid, "VmHWM"), 32 * MIB)

    def assert_echoes(self, client):
        header, body = client.request({"cmd": "echo"}, b"still here")
        self.assert_ok(header)
        self.assertEqual(body, b"still here")


class Messages(DaemonTest):
    def test_a_thousand_echoes_in_one_write_come_back_in_order(self):
        client = self.connect()
        bodies = [f"message {n}".encode() for n in range(1000)]
        client.send_bytes(b"".join(frame({"cmd": "echo"}, body) for body in bodies))
        for expected in bodies:
            header, body = client.recv_frame()
            self.assert_ok(header)
            self.assertEqual(body, expected)

    def test_a_body_dribbled_a_byte_at_a_time_arrives_whole(self):
        client = self.connect()
        body = bytes(range(256))
        for byte in frame({"cmd": "echo"}, body):
            client.send_bytes(bytes([byte]))
        self.assertEqual(client.recv_frame()[1], body)

    def test_upper_changes_ascii_letters_alone(self):
        text = "grüß dich, 粘包 az{`".encode()
        header, body = self.connect().request({"cmd": "upper"}, text + b"\xff\x00")
        self.assert_ok(header)
        self.assertEqual(body, "GRüß DICH, 粘包 AZ{`".encode() + b"\xff\x00")

    def test_64_requests_run_at_once_and_none_waits_for_a_slow_exec(self):
        client = self.connect()
        # cat goes on until its input ends, and it ends when everything else has been answered.
        client.send_frame({"cmd": "exec", "id": 0, "argv": ["cat"], "more": True}, b"slow ")
        for n in range(1, 64):
            client.send_frame({"cmd": "echo", "id": n}, b"%d" % n)
        answers = {}
        output = []
        while len(answers) < 63:
            header, body = client.recv_frame()
            if header["id"] == 0:
                self.assertNotIn("status", header)
                output.append(body)
            else:
                self.assert_ok(header)
                answers[header["id"]] = body
        self.assertEqual(answers, {n: b"%d" % n for n in range(1, 64)})
        client.send_frame({"id": 0}, b"exec")
        header, body = client.reply(0)
        self.assert_ok(header)
        self.assertEqual(header["exit_code"], 0)
        self.assertEqual(b"".join(output) + body, b"slow exec")

    def test_200_connections_are_served_at_once(self):
        clients = [self.connect() for _ in range(200)]
        for n, client in enumerate(clients):
            client.send_frame({"cmd": "echo"}, b"connection %d" % n)
        for n, client in enumerate(clients):
            self.assertEqual(client.recv_frame()[1], b"connection %d" % n)

    def test_requests_before_a_half_close_are_answered_and_then_the_server_closes(self):
        client = self.connect()
        for n in range(10):
            client.send_frame({"cmd": "echo"}, b"%d" % n)
        client.half_close()
        for n in range(10):
            self.assertEqual(client.recv_frame()[1], b"%d" % n)
        self.assertTrue(client.at_end())

    def test_a_request_with_an_id_outlives_a_half_close_and_says_so(self):
        client = self.connect()
        client.send_frame({"cmd": "exec", "id": 7, "shell": "sleep 2.5; echo done"})
        client.half_close()
        empty_frames = 0
        output = b""
        while True:
            header, body = client.recv_frame()
            self.assertEqual(header["id"], 7)
            output += body
            if "status" in header:
                break
            empty_frames += not body
        self.assert_ok(header)
        self.assertEqual(output, b"done\n")
        self.assertGreaterEqual(empty_frames, 2)
        self.assertTrue(client.at_end())

    def test_a_cancelled_request_answers_cancelled_and_the_connection_goes_on(self):
        client = self.connect()
        client.send_frame({"cmd": "exec", "id": 1, "argv": ["sleep", "100"]})
        client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
        last = {}
        while len(last) < 2:
            header, _ = client.recv_frame()
            if not header.get("more"):
                last[header["id"]] = header
        self.assert_error(last[1], "cancelled")
        self.assert_ok(last[2])
        self.assert_echoes(client)

    def test_a_deadline_ends_a_request(self):
        client = self.connect()
        header, _ = client.request(
            {"cmd": "exec", "id": 1, "argv": ["sleep", "100"], "timeout_ms": 100})
        self.assert_error(header, "deadline_exceeded")
        self.assert_echoes(client)


class Memory(DaemonTest):
    def test_echo_to_a_client_that_does_not_read_takes_no_memory_and_comes_when_it_reads(self):
        size = 1024 * MIB if LONG else 64 * MIB
        block = os.urandom(MIB)
        client = self.connect(timeout=60)
        sent = [0]

        def send():
            client.send_frame({"cmd": "echo", "data_size": size})
            for _ in range(size // MIB):
                client.send_bytes(block)
                sent[0] += MIB

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        # The sender stands still as soon as every buffer on the way is full.
        seen = [-1, 0]

        def stands_still():
            seen[1] = seen[1] + 1 if sent[0] == seen[0] else 0
            seen[0] = sent[0]
            return seen[1] >= 50 and sent[0] > 0

        self.assertTrue(eventually(stands_still, 30))
        self.assertLess(sent[0], size)
        self.assert_small()
        header = client.recv_head()
        self.assertEqual(header["data_size"], size)
        for _ in range(size // MIB):
            self.assertEqual(client.recv_bytes(MIB), block)
        sender.join()
        self.assert_small()
        self.assert_echoes(client)

    def test_files_of_every_size_go_there_and_back(self):
        client = self.connect()
        for size in (0, 1, 5 * MIB):
            data = os.urandom(size)
            digest = hashlib.sha256(data).hexdigest()
            name = f"sizes/{size}.bin"
            header, _ = client.request(
                {"cmd": "put", "filename": name, "sha256": digest, "data_size": size}, data)
            self.assert_ok(header)
            self.assertEqual(header["file_size"], size)
            self.assertEqual((self.daemon.root / name).read_bytes(), data)
            header, body = client.request({"cmd": "get", "filename": name})
            self.assert_ok(header)
            self.assertEqual(header["file_size"], size)
            self.assertEqual(body, data)
        self.assert_small()

    @unittest.skipUnless(LONG, "writes 5 GiB; set CLEAVE_LONG_TESTS=1")
    def test_a_file_of_5_gib_goes_there_and_back_in_constant_memory(self):
        count = 5 * 1024
        block = os.urandom(MIB)

        def piece(n):  # every piece differs, so that none can stand in for another
            return struct.pack("<Q", n) + block[8:]

        client = self.connect(timeout=600)
        client.send_frame({"cmd": "put", "filename": "large", "data_size": count * MIB})
        for n in range(count):
            client.send_bytes(piece(n))
        header, _ = client.recv_frame()
        self.assert_ok(header)
        self.assertEqual(header["file_size"], count * MIB)
        client.send_frame({"cmd": "get", "filename": "large"})
        header = client.recv_head()
        self.assertEqual(header["data_size"], count * MIB)
        for n in range(count):
            self.assertEqual(client.recv_bytes(MIB), piece(n))
        self.assert_small()


def raw(text):
    """A frame around header bytes as they are."""
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(data)) + data


def padded_echo(size):
    """A frame whose header has exactly `size` bytes."""
    text = json.dumps({"cmd": "echo", "pad": ""})
    return raw(text[:-2] + "x" * (size - len(text)) + text[-2:])


# Input after which the place in the stream is lost: one protocol_error, and the end.
FATAL = {
    "length 0": struct.pack("<I", 0) + b"abcd",
    "length 1": struct.pack("<I", 1) + b"{",
    "length limit+1": struct.pack("<I", HEADER_LIMIT + 1) + b"{" * 100,
    "length 0x7fffffff": struct.pack("<I", 0x7FFFFFFF) + b"abcd",
    "length 0x80000000": struct.pack("<I", 0x80000000) + b"abcd",
    "length 0xffffffff": struct.pack("<I", 0xFFFFFFFF) + b"abcd",
    "big-endian length": struct.pack(">I", 14) + b'{"cmd":"echo"}',
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(100),
    "no JSON": raw("hello world"),
    "an array": raw("[1,2]"),
    "a number": raw("12"),
    "nothing but blanks": raw("    "),
    "bytes behind the object": raw('{"cmd":"echo"} x'),
    "a trailing comma": raw('{"cmd":"echo",}'),
    "a comment": raw('{"cmd":"echo"/**/}'),
    "NaN": raw('{"cmd":"echo","a":NaN}'),
    "a byte order mark": raw(b'\xef\xbb\xbf{"cmd":"echo"}'),
    "an embedded NUL": raw(b'{"cmd":"echo"\x00}'),
    "U+0000 in a name": raw('{"cmd":"echo","a\\u0000b":1}'),
    "a duplicate cmd": raw('{"cmd":"echo","cmd":"upper"}'),
    "an escaped duplicate cmd": raw('{"cmd":"echo","\\u0063md":"upper"}'),
    "invalid UTF-8": raw(b'{"cmd":"echo","a":"\xff\xfe"}'),
    "overlong UTF-8": raw(b'{"cmd":"echo","a":"\xc0\xaf"}'),
    "a lone surrogate": raw('{"cmd":"echo","a":"\\ud800"}'),
    "a depth bomb": raw('{"cmd":"echo","a":' + "[" * 60_000),
    "depth 17": raw('{"cmd":"echo","a":' + "[" * 17 + "]" * 17 + "}"),
    "too many values": raw('{"cmd":"echo","a":[' + ",".join("1" * 1_100) + "]}"),
    "a long name": raw(json.dumps({"cmd": "echo", "k" * 65: 1})),
    "more without an id": raw('{"cmd":"echo","more":true}'),
    **{f"data_size {value}": raw(f'{{"cmd":"echo","data_size":{value}}}')
       for value in ("-1", "-0", "1.0", "1.5", "1e3", '"5"', "null", "true", str(2**63), str(2**64))},
    **{f"id {value}": raw(f'{{"cmd":"echo","id":{value}}}')
       for value in ("-1", "1.0", '"x"', "null", str(2**53))},
}

# Requests that are refused while the connection goes on, and their codes.
REFUSED = {
    "the number that crashes RapidJSON": (raw('{"a":0.00000000000001e-2147483639}'),
                                          "invalid_argument"),
    "no cmd": (raw("{}"), "invalid_argument"),
    "a cmd that is a number": (raw('{"cmd":5}'), "invalid_argument"),
    "an empty cmd": (raw('{"cmd":""}'), "invalid_argument"),
    "a long cmd": (raw(json.dumps({"cmd": "c" * 65})), "invalid_argument"),
    "an unknown cmd with a body": (frame({"cmd": "nothing"}, b"b" * 1000), "unknown_command"),
    "get without a filename": (raw('{"cmd":"get"}'), "invalid_argument"),
    **{f"put to {name!r}": (frame({"cmd": "put", "filename": name}, b"evil"), "invalid_argument")
       for name in ("../x", "/etc/x", "a/../../x", "a//b", ".", "..", "", "a\\b", "a\nb", "a\0b",
                    "x" * 256, "/".join(["y" * 200] * 6), ".cleave/x")},
    "get of what leaves the root": (frame({"cmd": "get", "filename": "../log"}),
                                    "invalid_argument"),
}


class BadInput(DaemonTest):
    def splits(self, data):
        """The bytes at once, after the first byte, in the middle."""
        yield [data]
        yield [data[:1], data[1:]]
        yield [data[:len(data) // 2], data[len(data) // 2:]]

    def send_apart(self, client, parts):
        for part in parts:
            try:
                client.send_bytes(part)
            except (BrokenPipeError, ConnectionResetError):
                return  # refused already
            eventually(lambda: self.unacknowledged(client) == 0, 1)

    @staticmethod
    def unacknowledged(client):
        return struct.unpack("i", fcntl.ioctl(client.socket, termios.TIOCOUTQ, bytes(4)))[0]

    def every_case(self, cases):
        """Runs `check(client, name)` of every case at every split, and sees what is left."""
        for name, (data, check) in cases.items():
            for number, parts in enumerate(self.splits(data)):
                with self.subTest(case=name, split=number):
                    with Client("127.0.0.1", self.daemon.port) as client:
                        self.send_apart(client, parts)
                        check(client)
                    with Client("127.0.0.1", self.daemon.port) as fresh:
                        self.assert_echoes(fresh)
        self.assertTrue(eventually(lambda: descriptors(self.pid) <= self.before),
                        f"{descriptors(self.pid)} descriptors, {self.before} before")

    def run_all(self):
        self.every_case({name: (data, self.check_fatal) for name, data in FATAL.items()})
        self.every_case({name: (data, lambda client, code=code: self.check_refused(client, code))
                         for name, (data, code) in REFUSED.items()})
        self.every_case({
            "a header of exactly the limit": (padded_echo(HEADER_LIMIT), self.check_ok),
            "a body cut by the end of input": (
                frame({"cmd": "put", "filename": "cut", "data_size": 100}) + b"half",
                self.check_cut),
            "a header cut by the end of input": (struct.pack("<I", 14) + b'{"cmd"', self.check_cut),
            "a body cut by a reset": (
                frame({"cmd": "put", "filename": "cut", "data_size": 100}) + b"half",
                Client.reset),
            "a live id used again": (
                frame({"cmd": "exec", "id": 1, "argv": ["cat"], "more": True}) +
                frame({"cmd": "echo", "id": 1}), self.check_fatal_at_last),
        })
        self.assertFalse((self.daemon.root / "cut").exists())

    def check_fatal(self, client):
        header, _ = client.recv_frame()
        self.assert_error(header, "protocol_error")
        self.assertTrue(client.at_end())

    def check_fatal_at_last(self, client):
        header = None
        try:
            while True:
                header, _ = client.recv_frame()
        except Closed:
            self.assert_error(header, "protocol_error")

    def check_refused(self, client, code):
        header, _ = client.recv_frame()
        self.assert_error(header, code)
        self.assert_echoes(client)

    def check_ok(self, client):
        self.assert_ok(client.recv_frame()[0])
        self.assert_echoes(client)

    def check_cut(self, client):
        client.half_close()
        self.assertTrue(client.at_end())

    def test_bad_input_gets_its_answer_and_leaves_nothing_behind(self):
        with self.connect() as client:
            self.assert_echoes(client)
        self.before = descriptors(self.pid)
        # The connection above may not have been let go of yet.
        eventually(lambda: descriptors(self.pid) < self.before, 0.5)
        self.before = descriptors(self.pid)
        self.run_all()
        if SANITIZED:
            return
        # What leaks grows with every run; what is kept for the next time may still grow with the
        # one run in which more of it was wanted at the same moment.
        growth = []
        for _ in range(4):
            first = memory(self.pid, "VmRSS")
            self.run_all()
            growth.append(memory(self.pid, "VmRSS") - first)
            if growth[-1] <= 64 * 1024:
                return
        self.fail(f"every run took more memory: {growth}")

    def test_foreign_protocols_are_called_by_their_names(self):
        for name, word in (("HTTP", "HTTP"), ("TLS", "TLS"), ("big-endian length", "endian")):
            with self.subTest(name), self.connect() as client:
                client.send_bytes(FATAL[name])
                self.assertIn(word, client.recv_frame()[0]["message"])

    def test_requests_before_a_fatal_one_are_answered(self):
        client = self.connect()
        client.send_bytes(frame({"cmd": "echo"}, b"good") + FATAL["length 0"] +
                          frame({"cmd": "echo"}, b"never"))
        self.assertEqual(client.recv_frame()[1], b"good")
        self.check_fatal(client)


if __name__ == "__main__":
    unittest.main()
