# SPDX-License-Identifier: MIT
"""The client for programs without an event loop of their own."""
from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
import weakref
from concurrent.futures import Future
from types import TracebackType
from typing import (TYPE_CHECKING, Any, Callable, Coroutine, Dict, Iterator, List, Mapping, Optional,
                    Sequence, Tuple, Type, TypeVar)

from .aio import AsyncClient
from .body import Body
from .errors import ConnectionLost
from .execution import AsyncExecution
from .reply import AsyncReply, Reply
from .results import Entry, ExecResult

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    _P = ParamSpec("_P")

_T = TypeVar("_T")


def _waiting(method: Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]]
             ) -> Callable[Concatenate[Client, _P], _T]:
    """A method of AsyncClient as one of Client, that waits for its result."""

    @functools.wraps(method)
    def wait(self: Client, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._wait(method(self._client, *args, **kwargs))

    return wait


class Client:
    """One connection to a server, for any number of threads and of requests at once.

        with Client("tcp://127.0.0.1:8080") as client:
            reply = client.call("upper", body=b"hello")

    It is an AsyncClient on an event loop in a thread of its own, because somebody has to read while
    others wait: so the two are one client, and differ in nothing but the waiting. The options are
    those of AsyncClient, and so are the methods and their manual; what there is beside them is said
    here. It does not survive a fork: make one in each process.
    """

    def __init__(self, url: Optional[str] = None, *, timeout: Optional[float] = None,
                 grace: float = 5.0, connect_timeout: float = 10.0, retries: int = 3,
                 retry_delay: float = 0.2, max_in_flight: int = 256,
                 resume_bytes: int = 16 * 1024 * 1024) -> None:
        self._client = client = AsyncClient(
            url, timeout=timeout, grace=grace, connect_timeout=connect_timeout, retries=retries,
            retry_delay=retry_delay, max_in_flight=max_in_flight, resume_bytes=resume_bytes)
        started: Future[Tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=_run, args=(client, started), name="cleave",
                                        daemon=True)
        self._thread.start()
        self._loop, stop = started.result()
        # Also where nobody closes it.
        self._stop = weakref.finalize(self, self._loop.call_soon_threadsafe, stop.set)
        self._lock = threading.Lock()  # nothing is given to a loop that stops
        self._process = os.getpid()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. What is in flight ends with ConnectionLost."""
        with self._lock:
            self._stop()
        self._thread.join()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        if self._process == os.getpid():
            with self._lock:
                if self._stop.alive:
                    return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise ConnectionLost("the client was closed, or belongs to the process before a fork")

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = self._submit(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ConnectionLost("the client was closed") from None
        finally:
            future.cancel()  # where the waiting ended first, as by Ctrl-C

    call = _waiting(AsyncClient.call)
    ping = _waiting(AsyncClient.ping)
    help = _waiting(AsyncClient.help)
    limits = _waiting(AsyncClient.limits)
    stats = _waiting(AsyncClient.stats)
    echo = _waiting(AsyncClient.echo)
    upper = _waiting(AsyncClient.upper)
    stat = _waiting(AsyncClient.stat)
    delete = _waiting(AsyncClient.delete)
    move = _waiting(AsyncClient.move)
    verify = _waiting(AsyncClient.verify)
    put_file = _waiting(AsyncClient.put_file)
    get_file = _waiting(AsyncClient.get_file)
    exec = _waiting(AsyncClient.exec)

    def submit(self, cmd: str, members: Optional[Mapping[str, Any]] = None, body: Body = b"", *,
               timeout: Optional[float] = None, limit: int = 64 * 1024 * 1024) -> Future[Reply]:
        """As call(), without waiting: any number may be under way. Cancelling the future cancels
        the request at the server."""
        return self._submit(self._client.call(cmd, members, body, timeout=timeout, limit=limit))

    def stream(self, cmd: str, members: Optional[Mapping[str, Any]] = None, body: Body = b"", *,
               timeout: Optional[float] = None) -> StreamedReply:
        """As AsyncClient.stream(), for `with` and `for`."""
        return StreamedReply(self, self._client.stream(cmd, members, body, timeout=timeout))

    def start(self, argv: Optional[Sequence[str]] = None, *, shell: Optional[str] = None,
              name: Optional[str] = None, args: Optional[Mapping[str, Any]] = None,
              cwd: Optional[str] = None, env: Optional[Mapping[str, str]] = None, body: Body = b"",
              timeout: Optional[float] = None) -> Execution:
        """As AsyncClient.start(), for `with` and `for`."""
        return Execution(self, self._client.start(argv, shell=shell, name=name, args=args, cwd=cwd,
                                                  env=env, body=body, timeout=timeout))

    def list(self, directory: str = "", *, timeout: Optional[float] = None) -> Iterator[Entry]:
        """As AsyncClient.list()."""
        pages = self._client.pages(directory, timeout)

        async def page() -> Optional[List[Entry]]:
            async for entries in pages:
                return entries
            return None

        while True:
            entries = self._wait(page())
            if entries is None:
                return
            yield from entries


def _run(client: AsyncClient,
         started: Future[Tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    async def serve() -> None:
        async with client:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    serving = serve()
    try:
        asyncio.run(serving)
    except OSError as error:  # there is no loop, as without descriptors
        serving.close()
        started.set_exception(error)


class StreamedReply:
    """A reply as it comes: an AsyncReply for `with` and `for`."""

    def __init__(self, client: Client, reply: AsyncReply) -> None:
        self._client = client
        self._reply = reply

    def __enter__(self: _Stream) -> _Stream:
        self._client._wait(self._reply.__aenter__())
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._client._wait(self._reply.__aexit__(kind, error, trace))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    @property
    def members(self) -> Dict[str, Any]:
        return self._reply.members

    def read(self) -> bytes:
        """The next piece; empty at the end of a reply that is ok. Raises the error of others."""
        return self._client._wait(self._reply.read())

    def cancel(self) -> None:
        """Asks the server to end the request, as AsyncReply.cancel()."""
        self._client._loop.call_soon_threadsafe(self._reply.cancel)


class Execution(StreamedReply):
    """What a running program writes: an AsyncExecution for `with` and `for`."""

    _reply: AsyncExecution

    def __iter__(self) -> Iterator[Tuple[str, bytes]]:  # type: ignore[override]
        while True:
            part = self._client._wait(self._reply.part())
            if part is None:
                return
            yield part

    @property
    def result(self) -> ExecResult:
        return self._reply.result


_Stream = TypeVar("_Stream", bound=StreamedReply)
