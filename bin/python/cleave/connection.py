# SPDX-License-Identifier: MIT
"""One connection of the event loop: moves bytes between a socket and the requests in flight, no
faster than either side takes them."""
from __future__ import annotations

import asyncio
import socket
import struct
from copy import copy
from typing import List, Optional, cast

from .errors import CleaveError, ConnectionLost
from .in_flight import InFlight


class Connection(asyncio.Protocol):
    def __init__(self, max_in_flight: int) -> None:
        self.error: Optional[CleaveError] = None  # why it has ended
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.places = asyncio.Semaphore(max_in_flight)  # one is taken before a request begins
        self.in_flight = InFlight(on_free=self.places.release)
        self._transport: Optional[asyncio.Transport] = None
        self._full = False  # the system takes no more just now
        self._writers: List[asyncio.Future[None]] = []  # wait for that to change

    def write(self, data: bytes) -> None:
        """Sends whole frames; without waiting, so whoever has many waits for room() before each."""
        if self._transport and not self.error:
            self._transport.write(data)

    async def room(self) -> None:
        """Waits until the system takes more. Raises the connection's end."""
        while self._full and not self.error:
            waiter = asyncio.get_running_loop().create_future()
            self._writers.append(waiter)
            await waiter
        if self.error:
            raise copy(self.error)

    def pause(self) -> None:
        """Reads nothing until resume()."""
        if self._transport:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport:
            self._transport.resume_reading()

    def end(self, error: CleaveError) -> None:
        """Ends the connection, if it has not ended; all in flight ends with the error."""
        if self.error:
            return
        self.error = error
        if self._transport:
            end = self._transport.get_extra_info("socket")
            if self.in_flight and end is not None:
                # By a reset, so that the server knows at once that nobody waits any more.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self.in_flight.fail(error)
        self._wake_writers()

    def _wake_writers(self) -> None:
        for waiter in self._writers:
            if not waiter.done():
                waiter.set_result(None)
        self._writers.clear()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        end = self._transport.get_extra_info("socket")
        if end is not None:  # a server that has lost its power is noticed some day
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        try:
            self.in_flight.receive(data)
        except CleaveError as error:
            self.end(error)

    def eof_received(self) -> Optional[bool]:
        self.end(ConnectionLost("the server closed the connection"))
        return None

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.end(ConnectionLost(f"the connection broke: {exc}"))
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake_writers()
