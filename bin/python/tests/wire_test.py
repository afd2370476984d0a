# SPDX-License-Identifier: MIT
"""The bytes of the wire, without a server."""
import json
import pathlib
import re
import struct
import unittest

import server  # finds the package

from cleave import ConnectionLost, ProtocolError, Refused, TooLarge
from cleave.in_flight import InFlight
from cleave.wire import Decoder, End, Head, encode, parse_head

PAGE = pathlib.Path(__file__).resolve().parents[3] / "protocol" / "README.md"


def frames(data, cuts):
    """What a decoder makes of bytes that come cut at `cuts`: frames, and whether it raised."""
    decoder, found, body, head = Decoder(), [], b"", None
    try:
        for begin, end in zip([0, *cuts], [*cuts, len(data)]):
            for event in decoder.feed(data[begin:end]):
                if isinstance(event, Head):
                    head, body = event, b""
                elif isinstance(event, End):
                    found.append((head, body))
                else:
                    body += event
    except ProtocolError:
        return found, True
    return found, False


class GoldenVectorsTest(unittest.TestCase):
    def test_every_vector_decodes_to_what_the_page_says_at_every_split(self):
        block = re.search(r"```vectors\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
        vectors = [line.split(" | ") for line in block.splitlines()]
        self.assertGreater(len(vectors), 40)
        for name, text, expected in vectors:
            data, expected = bytes.fromhex(text), json.loads(expected)
            splits = [[], list(range(1, len(data)))] + [[at] for at in range(1, len(data))]
            for cuts in splits:
                with self.subTest(name, cuts=cuts):
                    found, raised = frames(data, cuts)
                    self.assertEqual(raised, "error" in expected)
                    self.assertEqual(len(found), len(expected["frames"]))
                    for (head, body), frame in zip(found, expected["frames"]):
                        self.assertEqual(body.hex(), frame["body"])
                        header = dict(frame["header"])
                        self.assertEqual(head.id, header.pop("id", None))
                        self.assertEqual(head.size, header.pop("data_size", 0))
                        self.assertEqual(head.more, header.pop("more", False))
                        self.assertEqual(head.members, header)


class HeaderTest(unittest.TestCase):
    def test_a_header_has_so_many_values_and_no_more(self):
        self.assertEqual(parse_head(json.dumps({"a": [0] * 1023}).encode()).members["a"], [0] * 1023)
        with self.assertRaises(ProtocolError):
            parse_head(json.dumps({"a": [0] * 1024}).encode())

    def test_no_header_makes_a_decoder_do_anything_but_refuse_it(self):
        for text in ("[" * 65_000, '{"a":' * 10_000, '{"data_size":1' + "0" * 60_000 + "}",
                     '{"a":1e999}', '{"a":-1e999}', '{"a":1' + "0" * 400 + "}", '{"a":Infinity}',
                     '{"data_size":true}', '{"id":null}', '{"id":1.5}', '{"more":null}', '"', ""):
            with self.subTest(text[:40]), self.assertRaises(ProtocolError):
                parse_head(text.encode())

    def test_a_request_that_would_cost_the_connection_is_not_sent(self):
        for members in ({"a": "\ud800"}, {"a": float("nan")}, {"a" * 65: 1}, {"a\0": 1},
                        {"a": [0] * 1024}, {"a": 10**400}):
            with self.subTest(str(members)[:40]), self.assertRaises(Refused):
                encode(members)
        with self.assertRaises(TooLarge):
            encode({"a": "b" * 65_536})

    def test_members_of_the_wire_are_not_for_callers(self):
        for name in ("cmd", "id", "data_size", "more", "timeout_ms", "status", "_future"):
            with self.subTest(name), self.assertRaises(ValueError):
                InFlight(lambda: None).begin(None, "echo", {name: 1})


class Recorder:
    """A receiver that notes what it sees."""

    def __init__(self):
        self.seen = []

    def on_frame(self, members):
        self.seen.append(dict(members))

    def on_body(self, piece):
        self.seen.append(piece)

    def on_end(self, members, error):
        self.seen.append((members, error and str(error)))

    @property
    def body(self):
        return b"".join(part for part in self.seen if isinstance(part, bytes))


def frame(header, body=b""):
    text = json.dumps({"data_size": len(body), **header}).encode()
    return struct.pack("<I", len(text)) + text + body


class InFlightTest(unittest.TestCase):
    def setUp(self):
        self.freed = 0
        self.in_flight = InFlight(self.free)

    def free(self):
        self.freed += 1

    def test_replies_find_their_requests_wherever_the_bytes_are_split(self):
        data = (frame({"id": 2, "more": True, "xxh3": "f0"}, b"ab")
                + frame({"id": 1, "status": "ok", "next": "n"}, b"one")
                + frame({"id": 2, "more": True})
                + frame({"id": 3, "status": "error", "code": "not_found", "message": "none"})
                + frame({"id": 2, "status": "ok", "file_size": 3}, b"c"))
        for cut in range(len(data) + 1):
            in_flight = InFlight(lambda: None)
            first, second, third = receivers = [Recorder(), Recorder(), Recorder()]
            for receiver in receivers:
                in_flight.begin(receiver, "get", {})
            in_flight.receive(data[:cut])
            in_flight.receive(data[cut:])
            self.assertEqual((first.body, first.seen[-1]), (b"one", ({"next": "n"}, None)))
            self.assertEqual((second.body, second.seen[-1]),
                             (b"abc", ({"xxh3": "f0", "file_size": 3}, None)))
            self.assertEqual(third.seen[-1][1], "not_found: none")

    def test_a_reply_that_is_none_of_ours_is_a_protocol_error(self):
        for header in ({"id": 2, "status": "ok"}, {"status": "ok"}, {"id": 1}, {"id": 1, "status": 1},
                       {"id": 1, "status": "fine"}, {"id": 1, "status": "ok", "more": True},
                       {"status": "error"}):
            with self.subTest(header), self.assertRaises(ProtocolError):
                self.in_flight = InFlight(self.free)
                self.in_flight.begin(Recorder(), "ping", {})
                self.in_flight.receive(frame(header))

    def test_a_request_is_over_when_it_is_sent_and_answered(self):
        request, _ = self.in_flight.begin(Recorder(), "echo", {}, more=True)
        self.in_flight.receive(frame({"id": 1, "status": "ok"}))
        self.assertEqual(self.freed, 0)
        with self.assertRaises(ProtocolError):
            self.in_flight.receive(frame({"id": 1, "status": "ok"}))
        self.in_flight.finish(request)
        self.assertEqual(self.freed, 1)

    def test_nothing_begins_on_a_connection_that_has_ended(self):
        receiver = Recorder()
        self.in_flight.begin(receiver, "ping", {})
        self.in_flight.fail(ConnectionLost("it broke"))
        self.assertEqual(receiver.seen, [({}, "unavailable: it broke")])
        with self.assertRaises(ConnectionLost):
            self.in_flight.begin(receiver, "ping", {})

    def test_a_cancel_comes_before_the_end_of_a_body_that_is_left_out(self):
        request, _ = self.in_flight.begin(Recorder(), "put", {}, more=True)
        heads = [head for head, _ in frames(self.in_flight.cancel(request), [])[0]]
        self.assertEqual([(head.id, head.more) for head in heads], [(2, False), (1, False)])
        self.assertEqual(heads[0].members, {"cmd": "cancel", "target": 1})
        self.in_flight.receive(frame({"id": 2, "status": "ok"}))
        self.assertEqual(self.freed, 0)  # a cancel takes no place
        self.in_flight.receive(
            frame({"id": 1, "status": "error", "code": "cancelled", "message": "so"}))
        self.assertEqual(self.freed, 1)
        self.assertEqual(request.receiver.seen[-1][1], "cancelled: so")


if __name__ == "__main__":
    unittest.main()
