# SPDX-License-Identifier: MIT
"""Servers that lie, break off, say nothing, or cannot just now."""
import struct
import threading
import tracemalloc
import unittest

from server import ServerTest

import cleave


def head(text):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(text)) + text


NONSENSE = {
    "no header": struct.pack("<I", 0),
    "a header of 4 GiB": b"\xff\xff\xff\xff",
    "a header longer than its limit": struct.pack("<I", 65_537) + b"{" * 100,
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "big-endian": b"\0\0\0\x1c" + b'{"id":1,"status":"ok"}',
    "no JSON": head("{'id':1}"),
    "no object": head("[1]"),
    "two objects": head('{"id":1,"status":"ok"}{}'),
    "no UTF-8": head(b'{"id":1,"status":"ok","a":"\xff"}'),
    "half a surrogate pair": head(r'{"id":1,"status":"ok","a":"\ud800"}'),
    "a member twice": head('{"id":1,"id":1,"status":"ok"}'),
    "a member twice inside": head('{"id":1,"status":"ok","a":{"b":1,"b":2}}'),
    "NaN": head('{"id":1,"status":"ok","a":NaN}'),
    "brackets without an end": head('{"a":' + "[" * 60_000),
    "a size that is a fraction": head('{"id":1,"status":"ok","data_size":1.0}'),
    "a size that is negative": head('{"id":1,"status":"ok","data_size":-1}'),
    "a size that is true": head('{"id":1,"status":"ok","data_size":true}'),
    "a size of 2^63": head('{"id":1,"status":"ok","data_size":9223372036854775808}'),
    "an id that is a string": head('{"id":"1","status":"ok"}'),
    "an id of nobody": head('{"id":2,"status":"ok"}'),
    "no id": head('{"status":"ok"}'),
    "no status": head('{"id":1}'),
    "a status that is none": head('{"id":1,"status":"maybe"}'),
    "a status before the end": head('{"id":1,"status":"ok","more":true}'),
    "more that is a number": head('{"id":1,"more":1}'),
    "an error without a code": head('{"id":1,"status":"error","message":"why"}'),
    "an error whose message is a number": head('{"id":1,"status":"error","code":"busy","message":1}'),
    "a body that is no JSON": head('{"id":1,"status":"ok","data_size":1}') + b"{",
    "a body that is no object": head('{"id":1,"status":"ok","data_size":2}') + b"[]",
}


class HostileTest(ServerTest):
    def client(self, talk, **options):
        self.server = self.scripted(talk)
        client = cleave.Client(self.server.url, **{"retry_delay": 0, **options})
        self.addCleanup(client.close)
        return client

    def test_nonsense_is_a_protocol_error(self):
        for name, answer in NONSENSE.items():
            def talk(peer, answer=answer):
                peer.receive()
                peer.socket.sendall(answer)
                peer.receive()

            with self.subTest(name), self.assertRaises(cleave.ProtocolError):
                self.client(talk).ping()

    def test_a_reply_that_breaks_off_is_a_lost_connection_wherever_it_does(self):
        answer = head('{"id":1,"status":"ok","data_size":2}') + b"{}"
        for size in range(len(answer)):
            def talk(peer, size=size):
                peer.receive()
                peer.socket.sendall(answer[:size])

            with self.subTest(size=size), self.assertRaises(cleave.ConnectionLost):
                self.client(talk, retries=0).ping()

    def test_nothing_is_allocated_by_what_is_announced(self):
        def talk(peer):
            peer.receive()
            peer.socket.sendall(head('{"id":1,"status":"ok","data_size":%d}' % (2**63 - 1)) + b"a")

        client = self.client(talk, retries=0)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with self.assertRaises(cleave.ConnectionLost):
            client.echo(b"a")
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 * 1024 * 1024)

    def test_a_body_without_an_end_is_gathered_to_the_limit_and_cancelled(self):
        cancelled = threading.Event()

        def talk(peer):
            request, _ = peer.request()

            def hear():
                if peer.receive()[0]["target"] == request["id"]:
                    cancelled.set()

            hearing = threading.Thread(target=hear)
            hearing.start()
            while not cancelled.is_set():
                peer.send({"id": request["id"], "more": True}, bytes(10_000))
            hearing.join()

        with self.assertRaises(cleave.TooLarge):
            self.client(talk).call("echo", limit=1_000_000)
        self.assertTrue(cancelled.wait(60))

    def test_a_stream_that_is_left_is_reset_so_that_the_server_knows_at_once(self):
        ends = []

        def talk(peer):
            peer.send({"id": peer.request()[0]["id"], "more": True}, b"piece")
            try:
                ends.append(peer.receive())
            except OSError as error:
                ends.append(type(error))

        with self.client(talk).stream("get") as reply:
            self.assertEqual(reply.read(), b"piece")
        self.server.join()
        self.assertEqual(ends, [ConnectionResetError])

    def test_a_command_without_an_effect_is_tried_again_and_no_other(self):
        def talk(peer):
            peer.receive()

        for cmd, body, tries in (("stat", b"", 4), ("echo", b"x", 4), ("delete", b"", 1),
                                 ("exec", b"", 1), ("put", b"", 1), ("echo", iter([b"x"]), 1)):
            with self.subTest(cmd, body=body):
                with self.assertRaises(cleave.ConnectionLost):
                    self.client(talk, retries=3).call(cmd, {"filename": "a"}, body)
                self.assertEqual(self.server.connections, tries)

    def test_what_cannot_be_done_just_now_is_tried_again_until_it_can(self):
        codes = ["busy", "overloaded", "unavailable"]

        def talk(peer):
            while True:
                request, body = peer.request()
                if codes:
                    peer.refuse(request, codes.pop(0))
                else:
                    peer.answer(request, body)

        client = self.client(talk, retries=3)
        self.assertEqual(client.echo(b"at last"), b"at last")
        codes.append("busy")
        with self.assertRaises(cleave.Busy):
            client.call("delete", {"filename": "a"})
        self.assertEqual(self.server.connections, 1)

    def test_what_a_server_says_before_it_closes_is_what_ends_its_requests(self):
        def talk(peer):
            peer.receive()
            peer.receive()
            peer.send({"status": "error", "code": "protocol_error", "message": "no more of that"})

        client = self.client(talk)
        for future in [client.submit("delete"), client.submit("delete")]:
            with self.assertRaisesRegex(cleave.ProtocolError, "no more of that"):
                future.result()

    def test_a_code_that_is_not_known_is_a_fault_of_the_server(self):
        with self.assertRaises(cleave.ServerFault) as caught:
            self.client(lambda peer: peer.refuse(peer.request()[0], "of_the_future", detail=5)).ping()
        self.assertEqual(caught.exception.code, "of_the_future")
        self.assertEqual(caught.exception.members, {"detail": 5})

    def test_a_server_that_says_nothing_is_not_waited_for_beyond_the_deadline(self):
        heard = []

        def talk(peer):
            request, _ = peer.request()
            heard.append((request["timeout_ms"], peer.request()[0]["target"] == request["id"]))
            peer.receive()

        client = self.client(talk, grace=0)
        with self.assertRaisesRegex(cleave.DeadlineExceeded, "no reply came"):
            client.ping(timeout=0.05)
        client.close()
        self.server.join()
        self.assertEqual(len(heard), 1)
        self.assertTrue(0 < heard[0][0] <= 50 and heard[0][1])

    def test_a_list_that_goes_round_in_circles_ends(self):
        def talk(peer):
            while True:
                peer.answer(peer.request()[0], next="a")

        with self.assertRaises(cleave.ProtocolError):
            list(self.client(talk).list())

    def test_an_end_of_a_program_is_never_guessed(self):
        for members in ({}, {"exit_code": 0, "signal": 9}, {"exit_code": "0"}, {"exit_code": True},
                        {"exit_code": -1}, {"exit_code": 0.0}, {"signal": None}):
            def talk(peer, members=members):
                peer.answer(peer.request()[0], duration_ms=1, **members)
                peer.receive()

            with self.subTest(members), self.assertRaises(cleave.ProtocolError):
                self.client(talk).exec(["true"])

    def test_output_that_is_neither_is_not_taken_for_one(self):
        def talk(peer):
            request, _ = peer.request()
            peer.send({"id": request["id"], "more": True, "stream": "stdlog"}, b"x")
            peer.answer(request, exit_code=0, duration_ms=1)
            peer.receive()

        with self.assertRaises(cleave.ProtocolError):
            self.client(talk).exec(["true"])


if __name__ == "__main__":
    unittest.main()
