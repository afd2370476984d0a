# SPDX-License-Identifier: MIT
"""The body of a request, from whatever it is made of."""
from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import (Any, AsyncGenerator, AsyncIterable, AsyncIterator, BinaryIO, Callable, Generator,
                    Iterable, Iterator, Optional, Union)

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
    if isinstance(body, (bytes, bytearray, memoryview)):
        for view in _cut(body):
            yield view
        return
    source = _source(body)
    try:
        async for piece in source:
            for view in _cut(piece):
                yield view
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _cut(piece: Bytes) -> Iterator[memoryview]:
    view = memoryview(_checked(piece)).cast("B")
    for at in range(0, len(view), FRAME_BYTES):
        yield view[at:at + FRAME_BYTES]


def _checked(piece: Bytes) -> Bytes:
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f"a body is made of bytes, not of {type(piece).__name__}")
    return piece


def _source(body: Any) -> AsyncIterator[Bytes]:
    if hasattr(body, "__aiter__"):
        source: AsyncIterator[Bytes] = body.__aiter__()
        return source
    if hasattr(body, "read"):
        # read1() gives what is there, so that a pipe's bytes go on as they come.
        read: Callable[[int], bytes] = getattr(body, "read1", body.read)
        return _in_thread(iter(lambda: read(FRAME_BYTES), b""))
    if isinstance(body, str) or not hasattr(body, "__iter__"):
        raise TypeError(f"a body is bytes, a binary file or an iterable of bytes, not "
                        f"{type(body).__name__}")
    return _in_thread(body)


async def _in_thread(iterable: Iterable[Bytes]) -> AsyncGenerator[bytes, None]:
    """Runs an iterable in a thread of its own, ahead by no more than a frame and a piece. What it
    has made by the time it is asked goes together, so that small pieces are cheap and none waits.
    A thread of a pool would keep the process from ending while the iterable waits."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    changed = threading.Condition()
    made = bytearray()
    error: Optional[BaseException] = None
    ended = stopped = False

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(ready.set)

    def work() -> None:
        nonlocal ended, error
        try:
            for piece in iterable:
                with changed:
                    changed.wait_for(lambda: stopped or len(made) < FRAME_BYTES)
                    if stopped:
                        break
                    first = not made
                    made.extend(_checked(piece))
                if first:
                    wake()
            if isinstance(iterable, Generator):
                iterable.close()
        except BaseException as caught:
            error = caught
        ended = True
        wake()

    threading.Thread(target=work, name="cleave body", daemon=True).start()
    try:
        while not ended or made:
            await ready.wait()
            ready.clear()
            with changed:
                taken = bytes(made)
                made.clear()
                changed.notify()
            if taken:
                yield taken
        if error:
            raise error
    finally:
        with changed:
            stopped = True
            changed.notify()
