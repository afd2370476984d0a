#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The daemon over datagrams: a client of raw messages, and one of frames."""

import json
import os
import socket
import struct
import unittest

from python_client import frame
from support import PATIENCE, Daemon, address_of

LONG = os.environ.get("CLEAVE_LONG_TESTS") == "1"
LONGEST = 65_507
RAW = "udp://127.0.0.1:{}?wire=raw&cmd=upper"


def is_free(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
        return True


def some_free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Client:
    """A socket of datagrams, as a plain client uses it."""

    def __init__(self, url=None):
        self.server = address_of(url) if url else None
        family = socket.AF_INET6 if url and ":" in self.server[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendto(data, self.server)

    def receive(self):
        data, sender = self.socket.recvfrom(1 << 16)
        assert sender[:2] == self.server, sender
        return data

    def ask(self, data):
        self.send(data)
        return self.receive()

    def waiting(self):
        """What has been answered already."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        finally:
            self.socket.settimeout(PATIENCE)

    def call(self, cmd, body=b"", **members):
        """A request in a frame, and the header and the body of its reply."""
        return split(self.ask(frame({"cmd": cmd, **members}, body)))


def split(datagram):
    """The header and the body of a datagram that is one frame."""
    (size,) = struct.unpack_from("<I", datagram)
    header = json.loads(datagram[4 : 4 + size])
    body = datagram[4 + size :]
    assert len(body) == header.get("data_size", 0), datagram
    return header, body


class Raw(unittest.TestCase):
    """The client sends a short text to its server, receives at most 1,024 bytes, and prints them."""

    def upper(self, url, text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.sendto(text.encode(), address_of(url))
            data, server = client.recvfrom(1024)
            self.assertEqual(server, address_of(url))
            return data.decode()

    def test_a_text_comes_back_in_upper_case(self):
        usual = ("127.0.0.1", 9000)
        for port in (0, 9000) if is_free(usual) else (0,):
            with Daemon(listen=(RAW.format(port),)) as daemon:
                self.assertEqual(self.upper(daemon.url, "hello"), "HELLO")
                for text in ("粘包", "naïve — 粘包 zz", "ß", "\0", "1\n2"):
                    ascii_only = "".join(c.upper() if c.isascii() else c for c in text)
                    self.assertEqual(self.upper(daemon.url, text), ascii_only)
                self.assertEqual(daemon.stop(), 0)

    def test_an_empty_datagram_is_answered_with_an_empty_one(self):
        with Daemon(listen=(RAW.format(0),)) as daemon, Client(daemon.url) as client:
            self.assertEqual(client.ask(b""), b"")
            self.assertEqual(client.ask(b"x"), b"X")

    def test_a_client_may_start_before_the_server(self):
        port = some_free_port()
        with Client() as client:
            client.server = ("127.0.0.1", port)
            client.send(b"too early")
            with Daemon(listen=(RAW.format(port),)):
                self.assertEqual(client.ask(b"in time"), b"IN TIME")
                self.assertIsNone(client.waiting())

    def test_a_datagram_may_be_as_long_as_it_can_be(self):
        with Daemon(listen=(RAW.format(0),)) as daemon, Client(daemon.url) as client:
            for size in (1, 1023, 1024, 1025, 4096, LONGEST - 1, LONGEST):
                self.assertEqual(client.ask(b"x" * size), b"X" * size)

    def test_several_clients_take_turns(self):
        with Daemon(listen=(RAW.format(0),)) as daemon:
            clients = [Client(daemon.url) for _ in range(20)]
            for number, client in enumerate(clients):
                client.send(b"from %d" % number)
            for number, client in enumerate(clients):
                self.assertEqual(client.receive(), b"FROM %d" % number)
                client.socket.close()

    def test_a_client_that_has_gone_disturbs_nobody(self):
        with Daemon(listen=(RAW.format(0),)) as daemon, Client(daemon.url) as client:
            for _ in range(50):
                with Client(daemon.url) as leaver:
                    leaver.send(b"gone")
            self.assertEqual(client.ask(b"here"), b"HERE")
            self.assertEqual(daemon.stop(), 0)

    @unittest.skipUnless(has_ipv6(), "this machine has no ::1")
    def test_ipv6(self):
        with Daemon(listen=("udp://[::1]:0?wire=raw&cmd=upper",)) as daemon:
            with Client(daemon.url) as client:
                self.assertEqual(client.ask("six 粘".encode()), "SIX 粘".encode())


class Frames(unittest.TestCase):
    def setUp(self):
        # exec and a store are there, and not for datagrams.
        urls = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
        self.daemon = self.enterContext(Daemon("--exec", "shell", listen=urls))
        self.client = self.enterContext(Client(self.daemon.urls[0]))

    def dropped(self):
        """How many datagrams were dropped, by their reasons."""
        with self.daemon.connect(1) as peer:
            return json.loads(peer.call("stats")[1])["datagrams_dropped"]

    def test_echo_upper_and_ping(self):
        text = "stuck 粘包".encode()
        self.assertEqual(
            self.client.call("echo", text), ({"data_size": len(text), "status": "ok"}, text)
        )
        self.assertEqual(
            self.client.call("upper", text, id=7),
            ({"id": 7, "data_size": len(text), "status": "ok"}, "STUCK 粘包".encode()),
        )
        header, body = self.client.call("ping", pad=" " * 40)
        self.assertEqual((header["status"], json.loads(body)["protocol"]), ("ok", 1))

    def test_nothing_that_has_an_effect_is_offered(self):
        padding = " " * 100
        for cmd in ("exec", "put", "get", "list", "delete", "help", "limits", "stats", "cancel", "x"):
            header, _ = self.client.call(cmd, pad=padding, id=1, shell="echo hi", filename="a")
            self.assertEqual((header["code"], header["id"]), ("unknown_command", 1), header)

    def test_a_reply_is_at_most_three_times_its_request(self):
        for pad in range(0, 60):
            request = frame({"cmd": "ping", "pad": " " * pad})
            reply = self.client.ask(request)
            self.assertLessEqual(len(reply), 3 * len(request))
            header, _ = split(reply)
            if header["status"] == "error":
                self.assertEqual(header["code"], "too_large")
                self.assertTrue(
                    header["message"].startswith("pad the request"[: len(header["message"])])
                )
        self.assertEqual(header["status"], "ok")

    def test_the_longest_frame_comes_back(self):
        head = len(frame({"cmd": "echo", "data_size": 65_000}))
        body = b"x" * (LONGEST - head)
        header, echoed = self.client.call("echo", body)
        self.assertEqual((header["status"], echoed), ("ok", body))

    def test_what_is_no_request_gets_no_answer_and_disturbs_nobody(self):
        reply = self.client.ask(frame({"cmd": "echo"}, b"hello"))
        error = self.client.ask(frame({"cmd": "nothing", "pad": " " * 40}))
        whole = frame({"cmd": "echo"}, b"hi")
        kinds = {
            "malformed": [
                b"",
                b"\0",
                b"no frame at all",
                whole + b"x",
                whole[:-1],
                whole * 2,
                os.urandom(64),
                b"\xff" * 1024,
                frame({"cmd": "echo", "id": 1, "more": True}),
            ],
            "not_request": [reply, error, frame({}), frame({"id": 5})],
        }
        sent = dict.fromkeys(kinds, 0)
        with self.daemon.connect(1) as peer:
            for turn in range(20):
                # Fewer than the system holds for the daemon, so that each one is seen by it.
                for kind, datagrams in kinds.items():
                    for datagram in datagrams * 8:
                        self.client.send(datagram)
                        sent[kind] += 1
                peer.send({"cmd": "echo", "data_size": 4}, b"over")
                self.client.send(frame({"cmd": "echo"}, b"turn %d" % turn))
                self.assertEqual(peer.receive()[1], b"over")
                # The first answer since the last good one is that of the next good one.
                self.assertEqual(split(self.client.receive())[1], b"turn %d" % turn)
        self.assertIsNone(self.client.waiting())
        self.assertEqual(self.dropped(), sent)

    def test_a_flood_does_not_hold_up_a_connection(self):
        reply = self.client.ask(frame({"cmd": "echo"}, b"hello"))
        with self.daemon.connect(1) as peer:
            for turn in range(50):
                # More than the daemon takes in a turn; the system may drop some before it does.
                for _ in range(200):
                    self.client.send(b"no frame")
                    self.client.send(reply)
                self.assertEqual(peer.call("echo", b"turn %d" % turn)[1], b"turn %d" % turn)
            # As many turns as it takes until there is room for a good one again.
            for _ in range(20):
                peer.call("echo")
        self.assertEqual(split(self.client.ask(frame({"cmd": "echo"}, b"still")))[1], b"still")
        self.assertIsNone(self.client.waiting())
        self.assertEqual(set(self.dropped()), {"malformed", "not_request"})

    def test_a_drop_can_be_seen_in_the_log(self):
        with Daemon("--log-level", "debug", listen=("udp://127.0.0.1:0",)) as daemon:
            with Client(daemon.url) as client:
                client.send(b"no frame")
                host, port = client.socket.getsockname()
                line = daemon.wait_for_log("datagram_dropped")
                self.assertIn(f"peer=127.0.0.1:{port} reason=malformed", line)
                self.assertEqual(host, "0.0.0.0")


class Many(unittest.TestCase):
    COUNT = 100_000 if LONG else 5_000
    WINDOW = 32

    def exchange(self, client, request, reply):
        """Keeps a window of requests under way until all are answered; each exactly once."""
        missing = set()
        sent = 0
        for _ in range(self.COUNT):
            while sent < self.COUNT and len(missing) < self.WINDOW:
                client.send(request(sent))
                missing.add(reply(sent))
                sent += 1
            answer = client.receive()  # gives up after a minute without any
            self.assertIn(answer, missing)
            missing.remove(answer)
        self.assertEqual(missing, set())
        self.assertIsNone(client.waiting())

    def test_no_message_is_lost(self):
        with Daemon(listen=(RAW.format(0),)) as daemon, Client(daemon.url) as client:
            self.exchange(client, b"message %d".__mod__, b"MESSAGE %d".__mod__)
            self.assertEqual(daemon.stop(), 0)

    def test_no_frame_is_lost(self):
        def request(number):
            return frame({"cmd": "echo", "id": number}, b"body")

        def reply(number):
            header = b'{"id":%d,"data_size":4,"status":"ok"}' % number
            return struct.pack("<I", len(header)) + header + b"body"

        with Daemon(listen=("udp://127.0.0.1:0",)) as daemon, Client(daemon.url) as client:
            self.exchange(client, request, reply)
            self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
