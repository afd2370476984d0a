# SPDX-License-Identifier: MIT
"""A proxy that stands between a client and a server and does what networks do.

    with Proxy(daemon.address, to_server=Fault(cut_at=100, cut="reset")) as proxy:
        client.connect(proxy.address)

Each direction has faults of its own. Ends of input and resets are passed on, so that a proxy without
faults is not noticed. It copies bytes and does not know what they mean.
"""

import asyncio
import contextlib
import dataclasses
import threading

from adversary.peer import reset_on_close

PIECE = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to the bytes of one direction, counted from the beginning of a connection."""

    delay: float = 0.0                   # seconds for which every byte is under way
    bytes_per_second: int | None = None  # no more than that
    stall_at: int | None = None          # behind so many bytes nothing goes on until release()
    cut_at: int | None = None            # behind so many bytes the direction ends
    cut: str = "fin"                     # with an end of input; or "reset": both ends are reset

    def __post_init__(self):
        assert self.cut in ("fin", "reset"), self.cut


class Proxy:
    """Listens on loopback while the `with` runs, for any number of connections to `target`."""

    def __init__(self, target, to_server=Fault(), to_client=Fault()):
        self._target = target
        self._faults = (to_server, to_client)
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._listening = threading.Event()
        self.stalled = threading.Event()  # a stall has begun
        self.was_cut = threading.Event()  # a cut has been made
        self.passed = [0, 0]              # bytes to the server and to the client, of all connections

    def __enter__(self):
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self):
        return "tcp://%s:%d" % self.address

    def release(self):
        """Ends all stalls, for good."""
        self._loop.call_soon_threadsafe(self._released.set)

    # ---- On the proxy's own thread

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        self._stop = asyncio.Event()
        tasks = set()

        def accepted(*streams):
            task = asyncio.ensure_future(self._connect(*streams))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accepted, "127.0.0.1", 0, limit=PIECE)
        self.address = server.sockets[0].getsockname()[:2]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connect(self, client_reader, client_writer):
        writers = [client_writer]
        try:
            if isinstance(self._target, str):
                reader, writer = await asyncio.open_unix_connection(self._target, limit=PIECE)
            else:
                reader, writer = await asyncio.open_connection(*self._target, limit=PIECE)
            writers.append(writer)
            for each in writers:
                each.transport.set_write_buffer_limits(0)
            await asyncio.gather(self._carry(client_reader, writer, 0),
                                 self._carry(reader, client_writer, 1))
            for each in writers:
                each.close()
        except OSError:  # a reset on either side, or nobody to connect to
            for each in writers:
                with contextlib.suppress(OSError):  # the one that was reset
                    reset_on_close(each.get_extra_info("socket"))
        finally:
            for each in writers:
                each.transport.abort()

    async def _carry(self, reader, writer, direction):
        """One direction of one connection, to its end."""
        fault = self._faults[direction]
        under_way = asyncio.Queue(256)

        async def receive():
            piece = b"x"
            while piece:
                try:
                    piece = await reader.read(PIECE)
                except OSError as error:
                    await under_way.put((self._loop.time(), error))
                    return
                await under_way.put((self._loop.time() + fault.delay, piece))

        receiving = asyncio.ensure_future(receive())
        try:
            passed = 0
            ended = await self._fault(fault, passed, writer)
            while True:
                due, piece = await under_way.get()
                if isinstance(piece, OSError):
                    raise piece
                if piece and ended:
                    continue  # dropped, as its direction has ended
                if due > self._loop.time():
                    await asyncio.sleep(due - self._loop.time())
                if not piece:
                    break
                while piece and not ended:
                    end = min([len(piece), *self._marks(fault, passed)])
                    passed += end
                    self.passed[direction] += end
                    writer.write(piece[:end])
                    await writer.drain()
                    piece = piece[end:]
                    if fault.bytes_per_second:
                        await asyncio.sleep(end / fault.bytes_per_second)
                    ended = await self._fault(fault, passed, writer)
            if not ended:
                writer.write_eof()
        finally:
            receiving.cancel()

    def _marks(self, fault, passed):
        """How many bytes may go on before something is to be done."""
        for at in (fault.stall_at, fault.cut_at):
            if at is not None and at > passed:
                yield at - passed
        if fault.bytes_per_second:
            yield max(1, fault.bytes_per_second // 50)

    async def _fault(self, fault, passed, writer):
        """What is due behind so many bytes; True if the direction has ended."""
        if passed == fault.stall_at:
            self.stalled.set()
            await self._released.wait()
        if passed != fault.cut_at:
            return False
        self.was_cut.set()
        if fault.cut == "reset":
            raise ConnectionResetError("cut")
        writer.write_eof()
        return True
