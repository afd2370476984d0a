# SPDX-License-Identifier: MIT
"""The client for asyncio, where it is not the same as the other one."""
import asyncio
import unittest

from server import ServerTest

import cleave
from cleave.connection import Connection
from cleave.reply import AsyncReply
from cleave.wire import encode


class AsyncClientTest(ServerTest, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # it would time every step
        self.server = self.serve()
        self.client = cleave.AsyncClient(self.server.url)

    async def asyncTearDown(self):
        await self.client.close()

    async def test_a_thousand_requests_are_in_flight_at_once(self):
        bodies = [b"%d" % i for i in range(1000)]
        self.assertEqual(await asyncio.gather(*map(self.client.echo, bodies)), bodies)

    async def test_a_long_stream_of_each_direction_passes_beside_short_requests(self):
        async def pieces():
            for _ in range(64):
                yield bytes(256 * 1024)

        size = 0
        async with self.client.stream("echo", body=pieces()) as reply:
            async for piece in reply:
                size += len(piece)
                self.assertEqual(await self.client.echo(b"short"), b"short")
        self.assertEqual(size, 64 * 256 * 1024)

    async def test_a_task_that_is_cancelled_cancels_its_request(self):
        seen = asyncio.get_running_loop().create_future()

        def talk(peer):
            request, _ = peer.request()
            self.loop.call_soon_threadsafe(task.cancel)
            cancel, _ = peer.request()
            peer.answer(cancel)
            peer.refuse(request, "cancelled")
            self.loop.call_soon_threadsafe(seen.set_result, (request, cancel))
            peer.receive()

        self.loop = asyncio.get_running_loop()
        async with cleave.AsyncClient(self.scripted(talk).url) as client:
            task = asyncio.ensure_future(client.call("wait"))
            with self.assertRaises(asyncio.CancelledError):
                await task
            request, cancel = await seen
            self.assertEqual((cancel["cmd"], cancel["target"]), ("cancel", request["id"]))

    async def test_a_list_is_iterated_over(self):
        await self.client.call("put", {"filename": "d/a"}, b"x")
        await self.client.call("put", {"filename": "d/b/c"}, b"x")
        entries = [(entry.name, entry.type) async for entry in self.client.list("d")]
        self.assertEqual(entries, [("a", "file"), ("b", "directory")])
        await self.client.move("d/a", "e")
        await self.client.verify("e")
        await self.client.delete("e")
        with self.assertRaises(cleave.NotFound):
            await self.client.stat("e")

    async def test_an_asynchronous_body_that_fails_is_its_callers_failure(self):
        async def failing():
            yield b"some"
            raise KeyError("as it happens")

        with self.assertRaisesRegex(KeyError, "as it happens"):
            await self.client.echo(failing())
        self.assertEqual(await self.client.echo(b"still here"), b"still here")

    async def test_a_client_that_is_closed_while_it_waits_ends_all_of_it(self):
        calls = [asyncio.ensure_future(self.client.exec(["sleep", "1000"])) for _ in range(3)]
        await self.client.ping()
        await self.client.close()
        for call in calls:
            with self.assertRaises(cleave.ConnectionLost):
                await call


class Transport(asyncio.Transport):
    """In the place of a socket, whose other end takes four writes and then no more for now."""

    def __init__(self, connection):
        super().__init__()
        self.reads = True
        self.written = 0
        self.connection = connection
        connection.connection_made(self)

    def write(self, data):
        self.written += 1
        if self.written % 4 == 0:
            self.connection.pause_writing()

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True


class BackPressureTest(unittest.IsolatedAsyncioTestCase):
    def begin(self, more):
        connection, reply = Connection(1), AsyncReply(None)
        transport = Transport(connection)
        request, _ = connection.in_flight.begin(reply, "echo", {}, more=more)
        reply._start(connection, request, False, None)
        return transport, connection, reply

    async def test_pieces_that_nobody_reads_stop_the_reading_also_if_they_are_tiny(self):
        for size, count in ((200_000, 6), (1, 5000)):
            with self.subTest(size=size):
                transport, connection, reply = self.begin(more=False)
                # A frame without a body costs nothing.
                connection.data_received(encode({"id": 1, "more": True}) * 5000)
                self.assertTrue(transport.reads)
                connection.data_received(encode({"id": 1, "more": True}, bytes(size)) * count)
                self.assertFalse(transport.reads)
                self.assertEqual(len(await reply.read()), size * count)
                self.assertTrue(transport.reads)

    async def test_a_body_is_asked_for_no_more_than_is_taken(self):
        made = 0

        async def pieces():
            nonlocal made
            while made < 10:
                made += 1
                yield b"piece"

        transport, connection, reply = self.begin(more=True)
        reply._send(pieces())
        for taken in (4, 8):
            for _ in range(100):
                await asyncio.sleep(0)
            self.assertEqual((transport.written, made), (taken, taken + 1))
            connection.resume_writing()
        await reply._sending
        self.assertEqual((transport.written, made), (11, 10))


if __name__ == "__main__":
    unittest.main()
