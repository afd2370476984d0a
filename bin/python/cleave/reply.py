# SPDX-License-Identifier: MIT
"""Replies: whole, and as they come."""
from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Awaitable, Callable, Deque, Dict, Optional, Tuple, Type, TypeVar

from .body import Body, pieces
from .connection import Connection
from .errors import CleaveError, ConnectionLost, DeadlineExceeded
from .in_flight import Request

# Pieces that wait for their reader. Beyond this the connection is not read.
_HELD_BYTES = 1024 * 1024
# What a piece costs beside its bytes, so that a server cannot make small ones expensive.
_PIECE_BYTES = 256

_Self = TypeVar("_Self", bound="AsyncReply")


@dataclass(frozen=True)
class Reply:
    """A whole reply: its members (without those of the wire) and its body."""

    members: Dict[str, Any]
    body: bytes = b""


class AsyncReply:
    """A reply as it comes.

        async with client.stream("get", {"filename": "a"}) as reply:
            async for piece in reply:
                ...
        print(reply.members["file_size"])

    Whoever does not ask for the next piece slows the server down, and nobody else: what is streamed
    has a connection of its own. Leaving the `with` before the end cancels the request.
    """

    def __init__(self, begin: Callable[[AsyncReply], Awaitable[None]]) -> None:
        self._begin = begin
        # What has come of the results: those of the first frame, and at the end those of the last.
        self.members: Dict[str, Any] = {}
        self._connection: Optional[Connection] = None
        self._request: Optional[Request] = None
        self._alone = False  # the connection is ours
        self._pieces: Deque[Tuple[str, bytes]] = deque()  # each with exec's `stream`
        self._held = 0
        self._stream = ""
        self._begun = False  # its first frame has come
        self._ended = False
        self._error: Optional[BaseException] = None
        self._waiter: Optional[asyncio.Future[None]] = None
        self._sending: Optional[asyncio.Task[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None

    async def __aenter__(self: _Self) -> _Self:
        await self._begin(self)
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]],
                        error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._give_up(None)

    def __aiter__(self: _Self) -> _Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        """The next piece; empty at the end of a reply that is ok. Raises the error of others."""
        part = await self._next()
        return part[1] if part else b""

    async def _next(self) -> Optional[Tuple[str, bytes]]:
        while not self._pieces:
            if self._error:
                raise self._error
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        # All that is there, up to another stream: asking costs more than joining.
        stream = self._pieces[0][0]
        parts = []
        while self._pieces and self._pieces[0][0] == stream:
            parts.append(self._pieces.popleft()[1])
            self._held -= len(parts[-1]) + _PIECE_BYTES
        if self._connection and self._held <= _HELD_BYTES // 2:
            self._connection.resume()
        return stream, b"".join(parts)

    def cancel(self) -> None:
        """Asks the server to end the request. It is answered all the same: usually the rest of the
        reply ends with Cancelled, and its members say how far it came."""
        if not self._ended and self._connection and self._request:
            self._stop_sending()
            self._connection.write(self._connection.in_flight.cancel(self._request))

    # ---- The request

    def _start(self, connection: Connection, request: Request, alone: bool,
               expires: Optional[float]) -> None:
        """It is on its way; `expires` is when its reply is not waited for any longer."""
        self._connection, self._request, self._alone = connection, request, alone
        if expires is not None:
            error = DeadlineExceeded("no reply came within the time given")
            self._timer = asyncio.get_running_loop().call_at(expires, self._give_up, error)

    def _send(self, body: Body) -> None:
        self._sending = asyncio.ensure_future(self._send_pieces(body))

    async def _send_pieces(self, body: Body) -> None:
        connection, request = self._connection, self._request
        assert connection and request
        source = pieces(body)
        try:
            async for piece in source:
                await connection.room()
                connection.write(connection.in_flight.go_on(request, piece))
            connection.write(connection.in_flight.finish(request))
        except BaseException as error:
            if self._sending:  # we were not stopped: it is the body's own, or the connection's end
                self._sending = None
                self._give_up(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            await source.aclose()

    def _stop_sending(self) -> None:
        sending, self._sending = self._sending, None
        if sending:
            sending.cancel()

    # ---- Its end

    def _give_up(self, error: Optional[BaseException]) -> None:
        """Ends it here. What the server still says of it is dropped."""
        if not self._ended:
            if not self._alone:
                self.cancel()
            if self._request:
                self._request.receiver = None
            self._end(error)

    def _end(self, error: Optional[BaseException]) -> None:
        self._ended, self._error = True, error
        self._stop_sending()
        if self._timer:
            self._timer.cancel()
        if self._alone and self._connection:
            self._connection.end(ConnectionLost("it has served its purpose"))
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- Receiver

    def on_frame(self, members: Dict[str, Any]) -> None:
        if not self._begun and members.get("status") != "error":
            self.members = members
        self._begun = True
        stream = members.get("stream", "")
        self._stream = stream if isinstance(stream, str) else ""

    def on_body(self, piece: bytes) -> None:
        self._pieces.append((self._stream, piece))
        self._held += len(piece) + _PIECE_BYTES
        if self._held > _HELD_BYTES and self._connection:
            self._connection.pause()
        self._wake()

    def on_end(self, members: Dict[str, Any], error: Optional[CleaveError]) -> None:
        self.members = members
        self._end(error)
