# SPDX-License-Identifier: MIT
"""The body of a request, from whatever it is made of."""
from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import (Any, AsyncGenerator, AsyncIterable, AsyncIterator, BinaryIO, Iterable, Iterator,
                    Optional, Union)

from .wire import FRAME_BYTES

Bytes = Union[bytes, bytearray, memoryview]
# Bytes are sent as they are. A binary file is read from where it stands to its end. Other
# iterables are asked for a piece when there is room for one; one that is not asynchronous, and a
# file, runs in a thread of its own, so that it may wait for something.
Body = Union[Bytes, BinaryIO, Iterable[Bytes], AsyncIterable[Bytes]]


def whole(body: Body) -> Optional[bytes]:
    """The body as bytes, if that is what it is."""
    return bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else None


async def pieces(body: Body) -> AsyncGenerator[memoryview, None]:
    """The body in pieces that fit a frame; none is empty."""
    source = _source(body)
    try:
        async for piece in source:
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise TypeError(f"a body is made of bytes, not of {type(piece).__name__}")
            view = memoryview(piece).cast("B")
            for at in range(0, len(view), FRAME_BYTES):
                yield view[at:at + FRAME_BYTES]
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _source(body: Any) -> AsyncIterator[Bytes]:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return _single(body)
    if hasattr(body, "__aiter__"):
        source: AsyncIterator[Bytes] = body.__aiter__()
        return source
    if hasattr(body, "read"):
        return _in_thread(_read(body))
    if isinstance(body, str) or not hasattr(body, "__iter__"):
        raise TypeError(f"a body is bytes, a binary file or an iterable of bytes, not "
                        f"{type(body).__name__}")
    return _in_thread(body)


async def _single(body: Bytes) -> AsyncIterator[Bytes]:
    yield body


def _read(file: BinaryIO) -> Iterator[bytes]:
    # read1() gives what is there, so that a pipe's bytes go on as they come.
    read = getattr(file, "read1", file.read)
    while True:
        piece = read(FRAME_BYTES)
        if not piece:
            return
        yield piece


async def _in_thread(iterable: Iterable[Bytes]) -> AsyncIterator[Bytes]:
    """Runs an iterable in a thread that works when it is asked for a piece. A thread of a pool
    would keep the process from ending while the iterable waits."""
    loop = asyncio.get_running_loop()
    asked: SimpleQueue[Optional[asyncio.Future[Any]]] = SimpleQueue()
    nothing = object()

    def settle(future: asyncio.Future[Any], piece: Any, error: Optional[BaseException]) -> None:
        if future.done():  # nobody waits any more
            return
        if error is None:
            future.set_result(piece)
        else:
            future.set_exception(error)

    def work() -> None:
        iterator: Optional[Iterator[Bytes]] = None
        while True:
            future = asked.get()
            if future is None:
                break
            piece, error = nothing, None
            try:
                iterator = iter(iterable) if iterator is None else iterator
                piece = next(iterator, nothing)
            except BaseException as caught:
                error = caught
            try:
                loop.call_soon_threadsafe(settle, future, piece, error)
            except RuntimeError:  # the loop has ended
                break
        close = getattr(iterator, "close", None)
        if close is not None:
            close()

    threading.Thread(target=work, name="cleave body", daemon=True).start()
    try:
        while True:
            future = loop.create_future()
            asked.put(future)
            piece = await future
            if piece is nothing:
                return
            yield piece
    finally:
        asked.put(None)
