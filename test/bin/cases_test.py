#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad input and faults, by their numbers in the table of cases in test/README.md.

The cases of bytes run over TCP and over a local socket, at three splits; after each of them a fresh
connection is served and the daemon has as many descriptors as before. test/core/cases_test.cc runs
them in memory, at every split."""

import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import typing
import unittest

from daemon_case import LONG, MIB, SANITIZED, VERY_LONG, DaemonTest
from process_facts import descriptors, eventually, is_gone, memory, processor_time
from python_client import Client, frame
from support import CLEAVE, CLEAVED, PATIENCE, Daemon, run

from adversary.peer import BytePeer, Closed, splits
from adversary.proxy import Fault, Proxy

ROOT = os.geteuid() == 0
FAKE_CLOCK = pathlib.Path("/usr/lib") / f"{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1"
NOBODY = 65534
HEADER_LIMIT = 65_536


def length(number):
    return struct.pack("<I", number)


def raw(text):
    """A frame around header bytes as they are."""
    data = text if isinstance(text, bytes) else text.encode()
    return length(len(data)) + data


def padded_echo(size):
    """A frame whose header has exactly `size` bytes."""
    text = json.dumps({"cmd": "echo", "pad": ""})
    return raw(text[:-2] + "x" * (size - len(text)) + text[-2:])


# ---- Cases of bytes ------------------------------------------------------------------------------
#
# What the daemon does is said by a function of the test and the client that has sent the bytes.


def fatal(word=""):
    """One protocol_error, with the word in its sentence, and the end."""
    def check(test, client):
        header, _ = client.recv_frame()
        test.assert_error(header, "protocol_error")
        test.assertIn(word, header["message"])
        test.assertTrue(client.at_end())
    return check


def refused(code):
    """An error, and the connection goes on."""
    def check(test, client):
        header, _ = client.recv_frame()
        test.assert_error(header, code)
        test.assert_echoes(client)
    return check


def served(*bodies):
    """Replies with these bodies, and the connection goes on."""
    def check(test, client):
        for body in bodies:
            header, got = client.recv_frame()
            test.assert_ok(header)
            test.assertEqual(got, body)
        test.assert_echoes(client)
    return check


def cut(test, client):
    """The input ends inside a frame: not a word, and the log knows."""
    client.half_close()
    test.assertTrue(client.at_end())
    test.daemon.wait_for_log("reason=truncated")
    test.assert_nothing_stored("cut")


def reset(test, client):
    # A local socket knows no reset.
    local = client.socket.family == socket.AF_UNIX
    client.reset()
    test.daemon.wait_for_log("reason=truncated" if local else "reason=reset")
    test.assert_nothing_stored("cut")


def stored(name, content):
    def check(test, client):
        test.assert_ok(client.recv_frame()[0])
        test.assertEqual((test.daemon.root / name).read_bytes(), content)
        test.assert_echoes(client)
    return check


def fatal_behind(*bodies):
    """Replies with these bodies, and then as fatal()."""
    def check(test, client):
        for body in bodies:
            test.assertEqual(client.recv_frame()[1], body)
        fatal()(test, client)
    return check


def fatal_at_last(test, client):
    """A request that runs is answered or cancelled before the protocol_error."""
    header = None
    with test.assertRaises(Closed):
        while True:
            header, _ = client.recv_frame()
    test.assert_error(header, "protocol_error")


@dataclasses.dataclass(frozen=True)
class Case:
    number: int
    name: str
    data: bytes
    check: typing.Callable


def cases_of(number, check, /, **named):
    return [Case(number, name.replace("_", " "), data, check) for name, data in named.items()]


ECHO = frame({"cmd": "echo"}, b"hi")
PUT = frame({"cmd": "put", "filename": "cut", "data_size": 100})
NAMES = {
    "a parent": "../x", "absolute": "/etc/x", "an empty part": "a//b", "a dot": ".", "dots": "..",
    "empty": "", "parents inside": "a/../../b", "a NUL": "a\0b", "256 bytes": "x" * 256,
    "4,096 bytes": "/".join(["y" * 200] * 21)[:4096], "a slash at the end": "a/", "a line": "a\nb",
    "a backslash": "a\\b", "a device": "/dev/null", "the store's own": ".cleave/x",
}
FRAMING = [
    Case(1, "a length of 0", length(0) + b"abcd", fatal("from 2 to 65536")),
    Case(2, "a length of 1", length(1) + b"{", fatal()),
    Case(3, "a header of exactly the limit", padded_echo(HEADER_LIMIT), served(b"")),
    Case(4, "a length over the limit and nothing behind it", length(HEADER_LIMIT + 1),
         fatal("header_bytes")),
    *cases_of(5, fatal(), most_positive=length(0x7FFFFFFF), most_negative=length(0x80000000),
              all_ones=length(0xFFFFFFFF)),
    Case(6, "a big-endian length", struct.pack(">I", 14) + b'{"cmd":"echo"}', fatal("endian")),
    Case(7, "HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", fatal("HTTP")),
    Case(7, "TLS", bytes.fromhex("16030100c8010000c40303") + bytes(100), fatal("TLS")),
    Case(7, "SSH", b"SSH-2.0-OpenSSH_9.2p1\r\n", fatal("SSH")),
    Case(7, "JSON", b'{"cmd":"echo"}', fatal("JSON")),
    Case(7, "a thousand zeros", bytes(1000), fatal()),
    Case(8, "three messages", ECHO + frame({"cmd": "upper"}, b"abc") + frame({"cmd": "echo"}),
         served(b"hi", b"ABC", b"")),
    Case(9, "64 messages in one write",
         b"".join(frame({"cmd": "echo"}, b"%d" % n) for n in range(64)),
         served(*(b"%d" % n for n in range(64)))),
    Case(11, "the end inside a length", length(14)[:3], cut),
    Case(11, "the end inside a header", length(14) + b'{"cmd"', cut),
]
HEADERS = [
    Case(15, "an empty object", raw("{}"), refused("invalid_argument")),
    *cases_of(16, fatal("one JSON object"), array=raw("[1,2]"), string=raw('"ab"'),
              number=raw("12"), null=raw("null"), blanks=raw("    ")),
    Case(17, "a cmd that is a number", raw('{"cmd":5}'), refused("invalid_argument")),
    Case(17, "an empty cmd", raw('{"cmd":""}'), refused("invalid_argument")),
    Case(17, "a long cmd", raw(json.dumps({"cmd": "c" * 65})), refused("invalid_argument")),
    Case(18, "an unknown cmd with 1 MiB", frame({"cmd": "nothing"}, bytes(MIB)),
         refused("unknown_command")),
    *cases_of(20, fatal(), cmd=raw('{"cmd":"echo","cmd":"upper"}'),
              data_size=raw('{"cmd":"echo","data_size":1,"data_size":2}'),
              escaped=raw('{"cmd":"echo","\\u0063md":"upper"}'),
              inside=raw('{"cmd":"echo","a":[{"b":1,"b":2}]}')),
    *cases_of(21, fatal(), NUL_and_garbage=raw(b'{"cmd":"echo"}\x00GARBAGE'),
              NUL_inside=raw(b'{"cmd":"echo"\x00}'), U0000_in_a_name=raw('{"a\\u0000b":1}'),
              bytes_behind_it=raw('{"cmd":"echo"} x')),
    Case(22, "65,530 brackets", raw('{"a":' + "[" * 65_530), fatal("header_depth")),
    Case(22, "objects instead", raw('{"a":' * 10_000), fatal("header_depth")),
    Case(22, "one level too many", raw('{"a":' + "[" * 16 + "]" * 16 + "}"), fatal("header_depth")),
    *[Case(23, f"the number {text[:30]} in a member that nobody reads",
           raw('{"cmd":"echo","a":' + text + "}"), served(b""))
      for text in ("0.00000000000001e-2147483639",
                   "128.74836467836484838364836483643636483648e-336", "9" * 300)],
    *[Case(23, f"the number {text[:30]} as a size",
           raw('{"cmd":"echo","data_size":' + text + "}"), fatal("data_size"))
      for text in ("0.00000000000001e-2147483639", "9" * 300)],
    Case(23, "a number of 60,000 digits", raw('{"cmd":"echo","a":' + "9" * 60_000 + "}"),
         fatal("too big")),
    *[Case(24, f"data_size {value}", raw(f'{{"cmd":"echo","data_size":{value}}}'), fatal())
      for value in ("-1", "-0", "1.0", "1.5", "1e3", '"5"', "null", "true", "01", "2.",
                    str(2**63), str(2**64 - 1), str(2**64))],
    *[Case(24, f"id {value}", raw(f'{{"cmd":"echo","id":{value}}}'), fatal())
      for value in ("-1", "1.0", '"x"', "null", str(2**53))],
    Case(24, "more without an id", raw('{"cmd":"echo","more":true}'), fatal()),
    *[Case(25, name, raw(b'{"cmd":"echo","a":"' + text + b'"}'), fatal())
      for name, text in {"ff fe": b"\xff\xfe", "overlong": b"\xc0\xaf", "F5": b"\xf5\x80\x80\x80",
                         "surrogate bytes": b"\xed\xa0\x80", "truncated": b"\xe7\xb2",
                         "a lone high surrogate": b"\\ud800",
                         "a lone low surrogate": b"\\udc00"}.items()],
    *cases_of(26, fatal(), control_character=raw('{"cmd":"echo","a":"\x01"}'),
              byte_order_mark=raw(b'\xef\xbb\xbf{"cmd":"echo"}'),
              comment=raw('{"cmd":"echo"/**/}'), comma=raw('{"cmd":"echo",}'),
              NaN=raw('{"cmd":"echo","a":NaN}'), no_JSON=raw("hello world")),
    Case(27, "1,025 values", raw('{"a":[' + ",".join("1" * 1_024) + "]}"), fatal("header_values")),
    Case(27, "a name of 65 bytes", raw(json.dumps({"cmd": "echo", "k" * 65: 1})),
         fatal("header_key_bytes")),
    Case(28, "members that nobody knows",
         frame({"cmd": "echo", "x": None, "_y": [{}], "粘": 1.5}, b"hi"), served(b"hi")),
    Case(29, "a cmd of control characters", raw(json.dumps({"cmd": "\n\x1b[2J\u202e"})),
         refused("unknown_command")),
]
BODIES = [
    Case(30, "a put of no bytes", frame({"cmd": "put", "filename": "empty", "data_size": 0}),
         stored("empty", b"")),
    Case(31, "the end inside a body", PUT + b"half", cut),
    Case(32, "a reset inside a body", PUT + b"half", reset),
    Case(33, "bytes behind a body", ECHO + b"garbage!", fatal_behind(b"hi")),
    Case(35, "a body beyond the disk", frame({"cmd": "put", "filename": "cut", "id": 1, "more": True,
                                              "file_size": 2**62}, b"x") + frame({"id": 1}),
         lambda test, client: test.check_too_large(client)),
    Case(38, "an upper of bytes that are no text", frame({"cmd": "upper"}, b"a\xff\xc3z\0"),
         served(b"A\xff\xc3Z\0")),
]
STORE = [
    *[Case(48, f"a put to {name}", frame({"cmd": "put", "filename": text}, b"evil"),
           refused("invalid_argument")) for name, text in NAMES.items()],
    *[Case(48, f"a get of {name}", frame({"cmd": "get", "filename": text}),
           refused("invalid_argument")) for name, text in NAMES.items()],
    Case(48, "a get without a name", raw('{"cmd":"get"}'), refused("invalid_argument")),
    Case(56, "a wrong digest", frame({"cmd": "put", "filename": "cut", "sha256": "0" * 64}, b"evil"),
         refused("checksum_mismatch")),
]
IDS = [
    Case(20, "an id that is in use", frame({"cmd": "exec", "id": 1, "argv": ["cat"], "more": True}) +
         frame({"cmd": "echo", "id": 1}), fatal_at_last),
]


class Bytes:
    """What is tried on every kind of connection."""

    def every_case(self, cases):
        """Runs every case at every split, and sees what is left of it."""
        for case in cases:
            for number, parts in enumerate(splits(case.data)):
                with self.subTest(f"{case.number}: {case.name}", split=number):
                    with Client(self.daemon.address) as client:
                        client.send_apart(parts)
                        case.check(self, client)
                    with Client(self.daemon.address) as fresh:
                        self.assert_echoes(fresh)
                        # The count at the start was of one connection as well.
                        self.assertTrue(eventually(lambda: descriptors(self.pid) <= self.before),
                                        f"{descriptors(self.pid)}, {self.before} before")

    def check_too_large(self, client):
        header, _ = client.recv_frame()
        self.assert_error(header, "no_space")
        self.assert_nothing_stored("cut")
        self.assert_echoes(client)

    def setUp(self):
        super().setUp()
        # Whatever it needs for its work, it has after some of it.
        client = self.connect()
        self.assert_ok(client.request({"cmd": "put", "filename": "first"}, b"x")[0])
        self.assert_ok(client.request({"cmd": "exec", "argv": ["true"]})[0])
        self.before = descriptors(self.pid)
        client.close()

    def test_what_cannot_be_framed_ends_its_connection_alone(self):
        self.every_case(FRAMING)

    def test_what_is_no_header_ends_its_connection_and_what_is_no_request_is_refused(self):
        self.every_case(HEADERS)

    def test_bodies_end_where_they_were_said_to_end(self):
        self.every_case(BODIES)
        self.assertEqual(sorted(each.name for each in self.daemon.root.iterdir()),
                         [".cleave", "empty", "first"])

    def test_no_name_leads_out_of_the_store(self):
        self.every_case(STORE)
        self.assertEqual(sorted(each.name for each in self.daemon.root.iterdir()),
                         [".cleave", "first"])

    def test_an_id_that_is_in_use_ends_its_connection(self):
        self.every_case(IDS)

    def test_8_a_stream_that_trickles_is_answered_as_any_other(self):
        client = self.connect()
        client.trickle(FRAMING[11].data)
        FRAMING[11].check(self, client)


class OverTcp(Bytes, DaemonTest):
    @unittest.skipIf(SANITIZED, "a sanitizer keeps freed memory, and finds leaks in its own way")
    def test_all_of_it_again_and_again_takes_no_memory(self):
        def run_all():
            self.every_case(FRAMING + HEADERS + BODIES + STORE)

        run_all()
        # What leaks grows with every run; what is kept for the next time may still grow with the
        # one run in which more of it was wanted at the same moment.
        growth = []
        for _ in range(4):
            first = memory(self.pid, "VmRSS")
            run_all()
            growth.append(memory(self.pid, "VmRSS") - first)
            if growth[-1] <= 64 * 1024:
                return
        self.fail(f"every run took more memory: {growth}")


class OverALocalSocket(Bytes, DaemonTest):
    listen = "unix:{0}/socket"


# ---- Cases of time -------------------------------------------------------------------------------


class Time(DaemonTest):
    """A limit is short where it is to be met, and far longer than the test where it is not."""

    def setUp(self):
        pass  # each has a daemon of its own

    def limited(self, name, milliseconds):
        self.serve("--exec", "shell", "--log-level", "debug",
                   config=f"[limits]\n{name} = {milliseconds}\n")

    def test_12_a_length_and_then_silence_is_a_protocol_error(self):
        self.limited("header_timeout_ms", 100)
        client = self.connect()
        client.send_bytes(length(14))
        fatal("header_timeout_ms")(self, client)
        self.assert_echoes(self.connect())

    def test_36_a_body_that_trickles_or_stops_is_too_slow(self):
        self.serve(config="[limits]\nbody_rate_bytes = 1_000\nbody_grace_ms = 300\n")
        clients = [self.connect(), self.connect()]
        for client in clients:
            client.send_frame({"cmd": "put", "filename": "slow", "data_size": 1_000_000})
        # Some twenty bytes a second, until there is a word.
        clients[0].socket.settimeout(0.05)
        while True:
            try:
                clients[0].socket.recv(1, socket.MSG_PEEK)
                break
            except socket.timeout:
                clients[0].send_bytes(b"x")
        clients[0].socket.settimeout(PATIENCE)
        for client in clients:
            fatal("body_rate_bytes")(self, client)
        self.assert_nothing_stored("slow")
        client = self.connect()
        self.assert_echoes(client)
        counters = json.loads(client.request({"cmd": "stats"})[1])
        self.assertEqual(counters["limits"], {"body_rate_bytes": 2})

    def test_13_a_header_that_trickles_is_late_all_the_same(self):
        self.limited("header_timeout_ms", 500)
        request = padded_echo(1000)
        # Something comes every 20 ms, and all of it would take 20 seconds.
        with Proxy(self.daemon.address, to_server=Fault(bytes_per_second=50)) as proxy:
            with Client(proxy.address) as client:
                client.send_bytes(request)
                fatal("header_timeout_ms")(self, client)
            self.assertLess(proxy.passed[0], len(request))

    def test_19_the_body_of_a_refused_request_is_not_waited_for_for_ever(self):
        self.limited("discard_timeout_ms", 100)
        client = self.connect()
        client.send_frame({"cmd": "nothing", "data_size": 1 << 40})
        header, _ = client.recv_frame()
        self.assert_error(header, "unknown_command")
        self.assertTrue(client.was_reset())
        self.daemon.wait_for_log("discard_timeout_ms")
        self.assert_echoes(self.connect())

    def test_37_a_peer_that_never_reads_its_echo_is_closed(self):
        self.limited("write_stall_timeout_ms", 300)
        stalled = self.connect(receive_buffer=4096)
        block = bytes(MIB)

        def send():
            stalled.send_frame({"cmd": "echo", "data_size": 1 << 30})
            try:
                while True:
                    stalled.send_bytes(block)
            except OSError:
                pass  # it was closed

        sender = threading.Thread(target=send)
        sender.start()
        self.daemon.wait_for_log("pause")
        self.assert_echoes(self.connect())
        self.daemon.wait_for_log("write_stall_timeout_ms")
        sender.join(PATIENCE)
        self.assertFalse(sender.is_alive())
        self.assert_small()

    def test_39_whoever_says_nothing_is_closed(self):
        self.limited("idle_timeout_ms", 100)
        self.assertTrue(self.connect().at_end())
        self.daemon.wait_for_log("idle_timeout_ms")


# ---- Cases of a connection's life ----------------------------------------------------------------


class Lives(DaemonTest):
    options = ("--exec", "shell", "--log-level", "debug")
    config = "[limits]\nmax_connections = 20\n"

    def test_10_replies_that_are_not_read_stop_the_reading_and_nothing_is_lost(self):
        client = self.connect(receive_buffer=4096)
        bodies = [os.urandom(64 * 1024) for _ in range(500)]

        def send():
            for body in bodies:
                client.send_frame({"cmd": "echo"}, body)

        sender = threading.Thread(target=send)
        sender.start()
        self.daemon.wait_for_log("pause")
        self.assert_echoes(self.connect())
        for body in bodies:
            self.assertEqual(client.recv_frame()[1], body)
        sender.join()
        self.assert_echoes(client)

    def test_40_a_half_close_is_answered_whole_and_then_closed(self):
        client = self.connect()
        body = os.urandom(5 * MIB)
        sender = threading.Thread(target=client.send_frame, args=({"cmd": "echo"}, body))
        sender.start()
        header = client.recv_head()
        got = client.recv_bytes(header["data_size"] - 1)
        sender.join()
        client.half_close()
        self.assertEqual(got + client.recv_bytes(1), body)
        self.assertTrue(client.at_end())

    def test_41_a_peer_that_goes_before_its_reply_cancels_it(self):
        for end in (BytePeer.reset, BytePeer.close):
            client = Client(self.daemon.address)
            client.send_frame({"cmd": "exec", "id": 1, "shell": "echo $$; exec sleep 1000"})
            while not (output := client.recv_frame()[1]):
                pass
            end(client)
            self.daemon.wait_for_log("reason=peer_gone")
            self.assertTrue(eventually(lambda pid=int(output): is_gone(pid)))

    def test_41_replies_to_peers_that_have_gone_harm_nobody(self):
        for _ in range(100):
            client = Client(self.daemon.address)
            try:
                client.send_bytes(frame({"cmd": "echo"}, bytes(100_000)) * 3)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the ones before it are still being noticed, and one more is too many
            client.reset()
        self.assertTrue(eventually(self.is_served, PATIENCE))

    def test_42_an_early_error_is_read_by_whoever_sends_all_of_a_large_body(self):
        client = self.connect()
        size = 64 * MIB
        client.send_frame({"cmd": "put", "filename": "../x", "data_size": size})
        for _ in range(size // MIB):
            client.send_bytes(bytes(MIB))
        refused("invalid_argument")(self, client)

    def test_42_a_last_error_is_read_by_whoever_goes_on_sending(self):
        client = self.connect()
        client.send_bytes(length(0))
        for _ in range(64):
            client.send_bytes(bytes(MIB))
        fatal()(self, client)

    def test_43_one_connection_too_many_is_told_busy_and_the_others_go_on(self):
        inside = [self.connect() for _ in range(20)]
        for client in inside:
            self.assert_echoes(client)
        for _ in range(5):
            with Client(self.daemon.address) as client:
                self.assert_error(client.recv_frame()[0], "busy")
                self.assertTrue(client.at_end())
                self.assertIn("max_connections", self.daemon.wait_for_log("shed"))
        for client in inside:
            self.assert_echoes(client)
        _, counters = inside[0].request({"cmd": "stats"})
        self.assertEqual(json.loads(counters)["connections"]["shed"],
                         {"busy": 5})
        inside.pop().close()
        self.assertTrue(eventually(self.is_served, PATIENCE))

    def test_44_one_connection_too_many_of_an_address_is_told_busy(self):
        self.serve(config="[limits]\nmax_connections_per_loopback_address = 3\n")
        inside = [self.connect(source="127.0.0.2") for _ in range(3)]
        for client in inside:
            self.assert_echoes(client)
        with Client(self.daemon.address, source="127.0.0.2") as client:
            header, _ = client.recv_frame()
            self.assert_error(header, "busy")
            self.assertIn("max_connections_per_loopback_address", header["message"])
            self.assertTrue(client.at_end())
        self.assert_echoes(self.connect(source="127.0.0.3"))
        inside.pop().close()
        self.assertTrue(eventually(self.is_served, PATIENCE))

    def is_served(self):
        with Client(self.daemon.address) as client:
            try:
                header, body = client.request({"cmd": "echo"}, b"in")
            except (Closed, BrokenPipeError):
                return False
            return body == b"in" and header["status"] == "ok"


# ---- Cases of a network --------------------------------------------------------------------------


class Networks(DaemonTest):
    def test_a_slow_and_far_network_changes_no_byte(self):
        data = os.urandom(300_000)
        slow = Fault(delay=0.02, bytes_per_second=3_000_000)
        with Proxy(self.daemon.address, slow, slow) as proxy, Client(proxy.address) as client:
            header, _ = client.request(
                {"cmd": "put", "filename": "far", "sha256": hashlib.sha256(data).hexdigest()}, data)
            self.assert_ok(header)
            self.assertEqual(client.request({"cmd": "get", "filename": "far"})[1], data)

    def test_31_and_32_an_upload_that_the_network_cuts_leaves_nothing_and_is_5(self):
        source = self.folder / "source"
        source.write_bytes(os.urandom(200_000))
        for end in ("fin", "reset"):
            for at in (0, 3, 50, 100_000, 199_999):
                with self.subTest(end=end, at=at):
                    with Proxy(self.daemon.address, to_server=Fault(cut_at=at, cut=end)) as proxy:
                        done = run(CLEAVE, "-s", proxy.url, "put", "--retries", "0", source, "cut")
                        self.assertEqual(done.returncode, 5, done)
                    self.assert_nothing_stored("cut")
        self.assert_echoes(self.connect())

    def test_a_download_that_the_network_cuts_is_no_file_and_is_5(self):
        self.assert_code("ok", {"cmd": "put", "filename": "large"}, os.urandom(200_000))
        for end in ("fin", "reset"):
            for at in (0, 3, 50, 100_000):
                with self.subTest(end=end, at=at):
                    with Proxy(self.daemon.address, to_client=Fault(cut_at=at, cut=end)) as proxy:
                        done = run(CLEAVE, "-s", proxy.url, "get", "--retries", "0", "large",
                                   self.folder / "got")
                        self.assertEqual(done.returncode, 5, done)
                    self.assertEqual(list(self.folder.iterdir()), [])
        self.assert_echoes(self.connect())

    def test_a_network_that_stalls_goes_on_where_it_stopped(self):
        data = os.urandom(500_000)
        with Proxy(self.daemon.address, to_server=Fault(stall_at=250_000)) as proxy:
            with Client(proxy.address) as client:
                sender = threading.Thread(
                    target=client.send_frame, args=({"cmd": "put", "filename": "late"}, data))
                sender.start()
                self.assertTrue(proxy.stalled.wait(PATIENCE))
                self.assert_echoes(self.connect())
                self.assertFalse((self.daemon.root / "late").exists())
                proxy.release()
                self.assert_ok(client.recv_frame()[0])
                sender.join()
        self.assertEqual((self.daemon.root / "late").read_bytes(), data)


# ---- Cases of the store --------------------------------------------------------------------------


class Store(DaemonTest):
    def setUp(self):
        super().setUp()
        self.root = self.daemon.root
        (self.folder / "secret").write_bytes(b"outside")

    def test_49_no_symbolic_link_is_followed(self):
        (self.root / "file").symlink_to(self.folder / "secret")
        (self.root / "dir").symlink_to(self.folder)
        for name in ("file", "dir/secret"):
            for cmd in ("get", "put", "delete", "stat", "move", "verify"):
                with self.subTest(name, cmd=cmd), Client(self.daemon.address) as client:
                    header, body = client.request(
                        {"cmd": cmd, "filename": name, "to": "away"}, b"in" if cmd == "put" else b"")
                    # What is said of a link itself, and what is done to it, stays inside.
                    inside = name == "file" and cmd in ("delete", "stat", "move")
                    self.assertTrue(inside or header.get("code") == "permission_denied", header)
                    self.assertNotIn(b"outside", body)
                    if inside and cmd != "stat":
                        (self.root / "away").unlink(missing_ok=True)
                        (self.root / "file").symlink_to(self.folder / "secret")
        self.assert_code("permission_denied", {"cmd": "put", "filename": "dir/new"}, b"in")
        self.assert_code("permission_denied", {"cmd": "list", "filename": "dir"})
        self.assertEqual([each.name for each in self.folder.iterdir()], ["secret"])
        self.assertEqual((self.folder / "secret").read_bytes(), b"outside")

    def test_50_a_directory_that_becomes_a_link_again_and_again_never_leads_out(self):
        (self.root / "real").mkdir()
        (self.root / "real" / "secret").write_bytes(b"inside")
        (self.root / "link").symlink_to(self.folder)
        stop = threading.Event()

        def swap():
            while not stop.is_set():
                for name in ("real", "link"):
                    (self.root / name).rename(self.root / "d")
                    (self.root / "d").rename(self.root / name)

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            client = self.connect()
            seen = {"ok": 0}
            count = 0
            while count < (100_000 if LONG else 2_000) or seen["ok"] == 0:
                count += 1
                header, body = client.request({"cmd": "get", "filename": "d/secret"})
                outcome = header.get("code", "ok")
                seen[outcome] = seen.get(outcome, 0) + 1
                if outcome == "ok":
                    self.assertEqual(body, b"inside")
            self.assertLessEqual(set(seen), {"ok", "not_found", "permission_denied"})
        finally:
            stop.set()
            swapper.join()

    def test_51_what_is_no_file_is_refused_without_waiting(self):
        os.mkfifo(self.root / "fifo")
        (self.root / "dir").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.root / "socket"))
            for name in ("fifo", "dir", "socket"):
                for cmd, body in (("get", b""), ("put", b"x"), ("verify", b"")):
                    with self.subTest(name, cmd=cmd):
                        self.assert_code("failed_precondition", {"cmd": cmd, "filename": name}, body)

    def test_52_of_two_puts_of_a_name_a_reader_sees_one_or_the_other_whole(self):
        contents = [bytes([n]) * (MIB + n) for n in range(4)]
        self.assert_code("ok", {"cmd": "put", "filename": "f"}, contents[0])
        stop = threading.Event()
        failures = []

        def put(content):
            with Client(self.daemon.address) as client:
                while not stop.is_set():
                    header, _ = client.request({"cmd": "put", "filename": "f"}, content)
                    if header.get("status") != "ok":
                        failures.append(header)

        writers = [threading.Thread(target=put, args=(content,)) for content in contents[1:]]
        for writer in writers:
            writer.start()
        try:
            client = self.connect()
            seen = set()
            for _ in range(100):
                header, body = client.request({"cmd": "get", "filename": "f"})
                self.assert_ok(header)
                self.assertIn(body, contents)
                seen.add(body[0])
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(seen), 1)
        self.assertIn((self.root / "f").read_bytes(), contents)

    def test_53_a_get_under_way_is_whole_though_its_file_is_replaced_and_deleted(self):
        old = os.urandom(8 * MIB)
        self.assert_code("ok", {"cmd": "put", "filename": "f"}, old)
        readers = [self.connect(receive_buffer=4096) for _ in range(2)]
        heads = []
        for client in readers:
            client.send_frame({"cmd": "get", "filename": "f"})
            heads.append(client.recv_head())  # the reply has begun, and cannot all be on its way
        self.assert_code("ok", {"cmd": "put", "filename": "f"}, b"new")
        self.assert_code("ok", {"cmd": "delete", "filename": "f"})
        for client, head in zip(readers, heads):
            self.assertEqual(client.recv_bytes(head["data_size"]), old)

    def test_55_a_name_that_no_request_can_say_is_not_listed_and_breaks_nothing(self):
        for name in (b"bad\xff", b"two\nlines"):
            (self.root / os.fsdecode(name)).write_bytes(b"x")
        (self.root / "good").write_bytes(b"x")
        header, body = self.connect().request({"cmd": "list"})
        self.assert_ok(header)
        names = [json.loads(line)["name"] for line in body.splitlines()]
        self.assertEqual(names, ["good"])

    @unittest.skipUnless(ROOT, "mounts a file system")
    def test_79_a_full_disk_is_no_space_and_the_old_file_stays(self):
        small = ("unshare", "--mount", "--propagation", "private", "sh", "-c",
                 'mkdir -p "$0" && mount -t tmpfs -o size=1m none "$0" && exec "$@"')
        full = Daemon(config="[limits]\nstore_free_bytes = 0\nstore_free_files = 0\n")
        full.command = [*small, str(full.root), *full.command]
        with full, Client(full.address) as client:
            old = os.urandom(400_000)
            self.assert_ok(client.request({"cmd": "put", "filename": "f"}, old)[0])
            for request in ({"cmd": "put", "filename": "f"},
                            {"cmd": "put", "filename": "f", "id": 1, "more": True}):
                client.send_frame(request, bytes(2 * MIB))
                if "id" in request:
                    client.send_frame({"id": 1})
                self.assert_error(client.recv_frame()[0], "no_space")
                header, body = client.request({"cmd": "get", "filename": "f"})
                self.assertEqual((header["status"], body), ("ok", old))
            # Nothing of them is left on the disk.
            self.assert_ok(client.request({"cmd": "put", "filename": "g"}, bytes(500_000))[0])
            self.assertEqual(full.stop(), 0)

    @unittest.skipUnless(shutil.which("strace") and not SANITIZED, "needs strace")
    def test_79_a_disk_that_fails_to_sync_is_io_error_and_the_old_file_stays(self):
        self.assert_ok(self.connect().request({"cmd": "put", "filename": "f"}, b"old")[0])
        failing = Daemon(root=self.daemon.root,
                         prefix=("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync",
                                 "-e", "inject=fsync:error=EIO"))
        with failing, Client(failing.address) as client:
            self.assert_error(client.request({"cmd": "put", "filename": "f"}, b"new")[0], "io_error")
            self.assert_error(client.request({"cmd": "put", "filename": "g"}, b"new")[0], "io_error")
            header, body = client.request({"cmd": "get", "filename": "f"})
            self.assertEqual((header["status"], body), ("ok", b"old"))
            self.assert_nothing_stored("g")
            self.assertEqual(failing.stop(), 0)

    def test_84_a_daemon_that_is_killed_in_the_middle_of_puts_keeps_what_it_acknowledged(self):
        size = 3_000_000
        head = len(frame({"cmd": "put", "filename": "f", "data_size": size}))
        acknowledged = 0
        for kill in range(200 if VERY_LONG else 12):
            content = bytes([kill + 1 & 0xFF]) * size
            client = Client(self.daemon.address)
            # From the first byte of the head to behind the last byte of the body.
            cut_at = (head + size) * kill // (199 if VERY_LONG else 11)
            request = frame({"cmd": "put", "filename": "f"}, content)
            client.send_bytes(request[:cut_at])
            if kill % 2:
                client.until_read()
            if cut_at == len(request):
                self.assert_ok(client.recv_frame()[0])
                acknowledged = kill + 1 & 0xFF
            self.daemon.kill(signal.SIGKILL)
            self.daemon.wait()
            client.close()
            self.daemon.process.stdout.close()
            self.daemon.__enter__()
            self.assertEqual(self.temporaries(), [])
            if acknowledged:
                self.assertEqual((self.root / "f").read_bytes(), bytes([acknowledged]) * size)
            else:
                self.assertFalse((self.root / "f").exists())
        self.assertNotEqual(acknowledged, 0)


# ---- Cases of programs ---------------------------------------------------------------------------


class Programs(DaemonTest):
    def test_57_exec_that_is_off_is_denied(self):
        with Daemon() as daemon, Client(daemon.address) as client:
            for request in ({"shell": "true"}, {"argv": ["true"]}, {"name": "backup"}):
                header, _ = client.request({"cmd": "exec", **request})
                self.assert_error(header, "permission_denied")
            self.assert_echoes(client)

    def test_58_arguments_are_not_read_by_a_shell(self):
        hostile = ["; echo out", "$(echo out)", "`echo out`", "a\nb", "-rf", "*"]
        _, body = self.connect().request({"cmd": "exec", "argv": ["printf", "%s\\0", *hostile]})
        self.assertEqual(body, b"".join(each.encode() + b"\0" for each in hostile))
        self.assert_code("invalid_argument", {"cmd": "exec", "argv": ["echo", "a\0b"]})

    def test_62_a_program_has_its_three_descriptors_alone(self):
        others = [self.connect() for _ in range(5)]
        _, body = self.connect().request({"cmd": "exec", "argv": ["ls", "/proc/self/fd"]})
        # The fourth is the folder that ls reads.
        self.assertEqual(body.split(), [b"0", b"1", b"2", b"3"])
        for client in others:
            self.assert_echoes(client)

    @unittest.skipUnless(ROOT, "becomes another user, who can be kept from making processes")
    def test_63_a_program_that_cannot_be_forked_is_an_error_and_the_next_one_runs(self):
        # A user of its own, whose processes and threads are those of this daemon alone.
        user = 54_321
        daemon = Daemon("--exec", "shell", user=user, group=user, preexec_fn=lambda:
                        resource.setrlimit(resource.RLIMIT_NPROC, (20, 20)))
        os.chown(daemon.folder, user, user)
        with daemon, Client(daemon.address) as client:
            # What is started here waits for the end of its input.
            answers = {}
            for number in range(20):
                client.send_frame({"cmd": "exec", "id": number, "argv": ["cat"], "more": True})
            # Nobody has ended, so the first one to be answered could not be started.
            header, _ = client.recv_frame()
            answers[header["id"]] = header
            for number in range(20):
                client.send_frame({"id": number})
            while len(answers) < 20:
                header, _ = client.recv_frame()
                if "status" in header:
                    answers[header["id"]] = header
            failed = [each for each in answers.values() if each["status"] == "error"]
            self.assertGreater(len(failed), 0)
            self.assertLess(len(failed), 20)
            for each in failed:
                self.assertNotIn("exit_code", each)
                self.assertIn("Resource temporarily unavailable", each["message"])
            self.assert_ok(client.request({"cmd": "exec", "argv": ["true"]})[0])
            self.assertEqual(daemon.stop(), 0)

    def test_63_a_program_that_is_not_there_is_not_found(self):
        for argv, code in ((["/nonexistent"], "not_found"), (["/etc/passwd"], "permission_denied")):
            self.assert_code(code, {"cmd": "exec", "argv": argv})


# ---- Cases of resources and of the process -------------------------------------------------------


class Resources(DaemonTest):
    def test_75_where_descriptors_are_few_the_surplus_is_told_busy_and_nothing_spins(self):
        few = Daemon("--exec", "shell", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64)))
        with few:
            few.wait_for_log("max_connections_lowered")
            first = Client(few.address)
            self.assert_echoes(first)
            clients = [Client(few.address) for _ in range(199)]
            inside, outside = [first], 0
            for client in clients:
                # Whoever is outside has been told so, and is at its end.
                try:
                    client.send_frame({"cmd": "echo"}, b"in")
                    header, body = client.recv_frame()
                except (Closed, BrokenPipeError):
                    # Closed on what was sent: a reset may overtake the word.
                    outside += 1
                    continue
                if header["status"] == "ok":
                    self.assertEqual(body, b"in")
                    inside.append(client)
                else:
                    self.assert_error(header, "busy")
                    outside += 1
            self.assertGreaterEqual(len(inside), 16)
            self.assertEqual(len(inside) + outside, 200)
            # While a program sleeps for a second, there is nothing to do.
            before = processor_time(few.process.pid)
            header, _ = first.request({"cmd": "exec", "argv": ["sleep", "1"]})
            self.assert_ok(header)
            self.assertLess(processor_time(few.process.pid) - before, 0.1)
            for client in inside:
                self.assert_echoes(client)
            for client in clients:
                client.close()
            first.close()
            self.assertTrue(eventually(lambda: self.all_served(few, len(inside))))
            self.assertEqual(few.stop(), 0)

    def test_78_peers_that_do_not_read_meet_the_budget_of_memory_and_others_are_served(self):
        self.serve("--exec", "shell", config="[limits]\nmemory_bytes = 16_777_216\n"
                                             "overload_timeout_ms = 500\n")
        other = self.connect()
        hoarders = []
        for _ in range(40):
            client = self.connect(receive_buffer=4_096)
            client.socket.settimeout(0.05)
            hoarders.append(client)
            try:
                client.send_frame({"cmd": "echo", "data_size": 8 * MIB})
                for _ in range(8):
                    client.send_bytes(bytes(MIB))
            except (socket.timeout, Closed, OSError):
                pass  # it is not read, or was ended
        self.assertTrue(eventually(lambda: self.stats(other)["limits"].get("memory_bytes", 0) > 0))
        self.assertLess(self.stats(other)["memory"]["most"], 18 * MIB)
        if not SANITIZED:
            self.assertLess(memory(self.pid, "VmHWM"), 64 * MIB)
        # At no time was the server out of order for those who hold nothing.
        self.assertTrue(eventually(lambda: other.request({"cmd": "echo"})[0]["status"] == "ok"))
        for client in hoarders:
            client.reset()
        self.assertTrue(eventually(lambda: self.stats(other)["memory"]["held"] == 0))

    def stats(self, client):
        return json.loads(client.request({"cmd": "stats"})[1])

    @unittest.skipIf(SANITIZED, "a sanitizer has its own way with memory")
    def test_77_where_the_system_has_no_more_memory_the_end_comes_with_a_sentence(self):
        # What a program does not read of its input is held, up to the window.
        small = Daemon("--exec", "shell", config="[limits]\nmemory_bytes = 1_099_511_627_776\n"
                                                 "window_bytes = 1_073_741_824\n",
                       preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_AS, (1_000 * MIB, 1_000 * MIB)))
        with small:
            with Client(small.address) as client:
                client.send_frame({"cmd": "exec", "argv": ["sleep", "100"], "data_size": 1 << 30})
                try:
                    for _ in range(1 << 10):
                        client.send_bytes(bytes(MIB))
                except OSError:
                    pass  # it has ended
                self.assertEqual(small.wait(), 1)
            self.assertIn("no more memory", small.rest_of_log()[-1])

    @unittest.skipUnless(FAKE_CLOCK.exists() and not SANITIZED, "needs libfaketime, and to be first")
    def test_81_a_wall_clock_that_jumps_meets_no_time_limit(self):
        now = self.folder / "now"
        now.write_text("+0")
        self.serve("--exec", "shell", config="[limits]\nidle_timeout_ms = 60_000\n", env=os.environ | {
            "LD_PRELOAD": str(FAKE_CLOCK), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(now)})
        idle, busy = self.connect(), self.connect()
        self.assert_echoes(idle)
        for jump in ("+3600", "-3600", "+86400", "+0"):
            now.write_text(jump)
            # Its clock has jumped: what it runs sees the same one.
            header, body = busy.request({"cmd": "exec", "shell": "sleep 0.6; echo done"})
            self.assertEqual((header["status"], body), ("ok", b"done\n"))
            self.assert_echoes(idle)
        self.assertEqual(self.stats(idle)["limits"], {})

    def all_served(self, daemon, count):
        clients = []
        try:
            for _ in range(count):
                clients.append(Client(daemon.address))
                header, _ = clients[-1].request({"cmd": "echo"}, b"in")
                if header["status"] != "ok":
                    return False
            return True
        except (Closed, BrokenPipeError):
            return False
        finally:
            for client in clients:
                client.close()

    @unittest.skipUnless(ROOT, "becomes another user")
    def test_73_another_user_cannot_connect_to_a_local_socket(self):
        path = self.folder / "socket"
        os.chmod(self.folder, 0o755)
        connect = ("import socket, sys\n"
                   "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
                   "except PermissionError: sys.exit(13)")
        for mode, status in (("", 13), ("?mode=0666", 0)):
            with Daemon(listen=(f"unix:{path}{mode}",)):
                done = run("/usr/bin/python3", "-c", connect, path, user=NOBODY, group=NOBODY,
                           cwd="/")
                self.assertEqual(done.returncode, status, done)

    def test_86_a_log_that_cannot_be_written_stops_nothing(self):
        with open("/dev/full", "wb") as full, Daemon("--log-level", "debug", stderr=full) as daemon:
            with Client(daemon.address) as client:
                for _ in range(100):
                    self.assert_echoes(client)
            self.assertEqual(daemon.stop(), 0)

    def test_87_a_second_daemon_on_the_same_address_is_1_with_a_sentence(self):
        url = "tcp://127.0.0.1:%d" % self.daemon.port
        done = run(CLEAVED, "--root", self.folder / "root", "--listen", url)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Acleaved: [^\n]*in use[^\n]*\n\Z")
        self.assert_echoes(self.connect())

    def test_88_with_all_standard_descriptors_closed_it_serves(self):
        path = str(self.folder / "socket")

        def close():
            for number in range(3):
                os.close(number)

        def listens():  # the socket has its name a moment before
            try:
                Client(path).close()
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

        command = [CLEAVED, "--root", self.folder / "root", "--listen", f"unix:{path}"]
        with subprocess.Popen(command, preexec_fn=close) as daemon:
            try:
                self.assertTrue(eventually(listens, PATIENCE))
                with Client(path) as client:
                    self.assert_echoes(client)
                    header, body = client.request({"cmd": "put", "filename": "f"}, b"not a log")
                    self.assert_ok(header)
                self.assertEqual((self.folder / "root" / "f").read_bytes(), b"not a log")
                for number in range(3):
                    self.assertEqual(os.readlink(f"/proc/{daemon.pid}/fd/{number}"), "/dev/null")
                daemon.send_signal(signal.SIGTERM)
                self.assertEqual(daemon.wait(PATIENCE), 0)
            finally:
                daemon.kill()


if __name__ == "__main__":
    unittest.main()
