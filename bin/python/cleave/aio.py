# SPDX-License-Identifier: MIT
"""The client for asyncio."""
from __future__ import annotations

import asyncio
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import (Any, AsyncIterator, Awaitable, Dict, List, Mapping, Optional, Sequence, Set,
                    Type, TypeVar, Union)

from . import files
from .backoff import Backoff
from .body import Body, whole
from .connection import Connection
from .endpoint import parse
from .errors import (CleaveError, ConnectionLost, DeadlineExceeded, ProtocolError, Temporary,
                     TooLarge)
from .execution import AsyncExecution, exec_members
from .reply import AsyncReply, Reply
from .results import Entry, ExecResult, Transferred, member, object_of
from .wire import FRAME_BYTES, parse_json

_T = TypeVar("_T")

# Commands that leave everything as it is: they may be sent again when nobody knows whether they
# were done.
_IDEMPOTENT = frozenset(("ping", "help", "limits", "stats", "echo", "upper", "stat", "list", "get",
                         "verify"))


class AsyncClient:
    """A client of one server, for any number of requests at once.

        async with AsyncClient("tcp://127.0.0.1:8080") as client:
            reply = await client.call("upper", body=b"hello")

    Requests that fit a frame share a connection, which is made when it is first needed, and again
    when it has ended. What is streamed has one of its own while it lasts, so that a side that is
    slow holds up nobody else. A client belongs to the event loop in which it is used. Whatever
    fails raises a CleaveError.

    url               `tcp://HOST:PORT` or `unix:PATH`; without one the environment's CLEAVE_SERVER,
                      or else tcp://127.0.0.1:8080
    timeout           seconds for each call that is given none; None: no limit of ours
    grace             how much longer than its timeout the server's own answer to that is waited for
    connect_timeout   seconds for a connection to come about
    retries           how often a command without an effect is sent again after a Temporary error
    retry_delay       seconds before the first retry; then twice as long each time, less by chance
    max_in_flight     requests that share a connection before one of them is answered; others wait
                      here. Servers refuse more than 256 unless they are set to another limit
    resume_bytes      files of at least so many bytes are stored as uploads, which go on after a
                      break where they stopped

    Cancelling the task that waits for a reply cancels the request at the server.
    """

    def __init__(self, url: Optional[str] = None, *, timeout: Optional[float] = None,
                 grace: float = 5.0, connect_timeout: float = 10.0, retries: int = 3,
                 retry_delay: float = 0.2, max_in_flight: int = 256,
                 resume_bytes: int = 16 * 1024 * 1024) -> None:
        self._endpoint = parse(url)
        self._timeout = timeout
        self._grace = grace
        self._connect_timeout = connect_timeout
        self.retries = retries
        self.retry_delay = retry_delay
        self._max_in_flight = max_in_flight
        self.resume_bytes = resume_bytes
        self._connections: Set[Connection] = set()
        self._shared: Optional[asyncio.Task[Connection]] = None
        self._closed = False

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]],
                        error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. What is in flight ends with ConnectionLost."""
        self._closed = True
        for connection in tuple(self._connections):
            connection.end(ConnectionLost("the client was closed"))
            await connection.closed

    # ---- Any command

    async def call(self, cmd: str, members: Optional[Mapping[str, Any]] = None, body: Body = b"",
                   *, timeout: Optional[float] = None,
                   limit: int = 64 * 1024 * 1024) -> Reply:
        """Sends a request and gathers its reply.

        cmd, members  the command and its arguments, as the server's `help` tells
        body          bytes, a binary file, or an iterable of bytes, asynchronous or not. One that
                      is not bytes is sent as it is made, no faster than the server takes it, and
                      in a thread of its own unless it is asynchronous
        timeout       seconds until DeadlineExceeded; the server is told, and keeps it too
        limit         the longest body of a reply that is gathered; beyond that it is TooLarge, and
                      stream() is the way
        """
        deadline = self._deadline(timeout)
        replayable = cmd in _IDEMPOTENT and whole(body) is not None
        backoff = Backoff(self.retries if replayable else 0, self.retry_delay, deadline)
        while True:
            try:
                async with AsyncReply(lambda reply: self._begin(
                        reply, cmd, members or {}, body, deadline)) as reply:
                    return await _gather(reply, limit)
            except Temporary:
                if self._closed or not await backoff.again():
                    raise

    def stream(self, cmd: str, members: Optional[Mapping[str, Any]] = None, body: Body = b"", *,
               timeout: Optional[float] = None) -> AsyncReply:
        """Sends a request, in an `async with`, and gives its reply as it comes, in constant memory.
        It is sent once. The arguments are those of call()."""
        return AsyncReply(lambda reply: self._begin(reply, cmd, members or {}, body,
                                                    self._deadline(timeout), alone=True))

    async def _json(self, cmd: str, timeout: Optional[float]) -> Any:
        return parse_json((await self.call(cmd, timeout=timeout)).body)

    # ---- Text, and about the server

    async def ping(self, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """The server's `protocol`, `version` and `uptime_ms`."""
        return object_of(await self._json("ping", timeout))

    async def help(self, *, timeout: Optional[float] = None) -> List[Dict[str, Any]]:
        """The commands that the server offers."""
        commands: List[Dict[str, Any]] = member(object_of(await self._json("help", timeout)),
                                                "commands", list)
        return commands

    async def limits(self, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Every limit in force, by the names that messages use."""
        return object_of(await self._json("limits", timeout))

    async def stats(self, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Every counter of the server."""
        return object_of(await self._json("stats", timeout))

    async def echo(self, body: Body, *, timeout: Optional[float] = None) -> bytes:
        """The same bytes."""
        return (await self.call("echo", body=body, timeout=timeout)).body

    async def upper(self, body: Body, *, timeout: Optional[float] = None) -> bytes:
        """The bytes with ASCII a-z as A-Z."""
        return (await self.call("upper", body=body, timeout=timeout)).body

    # ---- Files

    async def stat(self, name: str, *, timeout: Optional[float] = None) -> Entry:
        """What is under a name; NotFound if nothing is."""
        return Entry.of((await self.call("stat", {"filename": name}, timeout=timeout)).members, name)

    async def list(self, directory: str = "", *,
                   timeout: Optional[float] = None) -> AsyncIterator[Entry]:
        """What is in a directory, sorted by the bytes of the names. The timeout is for each page
        that is asked for."""
        async for page in self.pages(directory, timeout):
            for entry in page:
                yield entry

    async def pages(self, directory: str,
                    timeout: Optional[float] = None) -> AsyncIterator[List[Entry]]:
        """The same, page by page as the server gives it."""
        members: Dict[str, Any] = {"filename": directory} if directory else {}
        while True:
            reply = await self.call("list", members, timeout=timeout)
            yield [Entry.of(object_of(parse_json(line))) for line in reply.body.splitlines()]
            after = member(reply.members, "next", str, None)
            if after is None:
                return
            if after == members.get("after"):
                raise ProtocolError("the server gives the same page of a list again")
            members["after"] = after

    async def delete(self, name: str, *, timeout: Optional[float] = None) -> None:
        """Deletes a file or an empty directory."""
        await self.call("delete", {"filename": name}, timeout=timeout)

    async def move(self, name: str, to: str, *, overwrite: bool = True,
                   timeout: Optional[float] = None) -> None:
        """Gives a file another name."""
        await self.call("move", {"filename": name, "to": to, "overwrite": overwrite},
                        timeout=timeout)

    async def verify(self, name: str, *, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Has the server read a file from its disk; ChecksumMismatch if that is not what was stored.
        Its size and digests."""
        return (await self.call("verify", {"filename": name}, timeout=timeout)).members

    async def put_file(self, path: Union[str, Path], name: str, *, overwrite: bool = True,
                       timeout: Optional[float] = None) -> Transferred:
        """Stores a file. The server compares the SHA-256 of what it got with that of the file, and
        its answer means that the file is on its disk. One of at least `resume_bytes` is an upload:
        after a break, and also in a later call, it goes on where the server's disk has got to. The
        timeout is for each request that this takes."""
        return await files.Put(self, Path(path), name, overwrite, timeout).run()

    async def get_file(self, name: str, path: Union[str, Path], *, overwrite: bool = True,
                       sha256: Optional[str] = None,
                       timeout: Optional[float] = None) -> Transferred:
        """Fetches a file. It is written beside `path` and renamed when it is whole: its size is the
        announced one and, if you give `sha256`, so is its digest. After a break it goes on where it
        was; what fails leaves nothing. The timeout is for each request that this takes."""
        return await files.Get(self, name, Path(path), overwrite, sha256, timeout).run()

    # ---- Programs

    async def exec(self, argv: Optional[Sequence[str]] = None, *, shell: Optional[str] = None,
                   name: Optional[str] = None, args: Optional[Mapping[str, Any]] = None,
                   cwd: Optional[str] = None, env: Optional[Mapping[str, str]] = None,
                   body: Body = b"", timeout: Optional[float] = None,
                   limit: int = 64 * 1024 * 1024) -> ExecResult:
        """Runs a program to its end and gathers its output.

        argv, or shell, or name   what: a program with its arguments, a line for a shell, or one of
                                  the server's own commands, with `args`
        cwd, env                  an absolute path; variables that are added to a clean environment
        body                      its standard input
        limit                     the most output; beyond that it is cancelled, and TooLarge

        That the program fails is no error; the result says it. It is an error if it did not start,
        or if nobody knows how it ended.
        """
        out = {"stdout": bytearray(), "stderr": bytearray()}
        members = exec_members(argv, shell, name, args, cwd, env)
        async with self._execution(members, body, timeout, False) as program:
            async for stream, piece in program:
                if len(out["stdout"]) + len(out["stderr"]) + len(piece) > limit:
                    raise TooLarge(f"the output is longer than the {limit} bytes that are gathered")
                out[stream] += piece
        return ExecResult.of(program.members, bytes(out["stdout"]), bytes(out["stderr"]))

    def start(self, argv: Optional[Sequence[str]] = None, *, shell: Optional[str] = None,
              name: Optional[str] = None, args: Optional[Mapping[str, Any]] = None,
              cwd: Optional[str] = None, env: Optional[Mapping[str, str]] = None, body: Body = b"",
              timeout: Optional[float] = None) -> AsyncExecution:
        """Runs a program, in an `async with`, and gives its output as it comes. The arguments are
        those of exec()."""
        return self._execution(exec_members(argv, shell, name, args, cwd, env), body, timeout, True)

    def _execution(self, members: Dict[str, Any], body: Body, timeout: Optional[float],
                   alone: bool) -> AsyncExecution:
        return AsyncExecution(lambda reply: self._begin(reply, "exec", members, body,
                                                        self._deadline(timeout), alone))

    # ---- The way of a request

    def _deadline(self, timeout: Optional[float]) -> Optional[float]:
        """When a call has to be done, in the loop's time."""
        timeout = self._timeout if timeout is None else timeout
        return None if timeout is None else asyncio.get_running_loop().time() + timeout

    async def _begin(self, reply: AsyncReply, cmd: str, members: Mapping[str, Any], body: Body,
                     deadline: Optional[float], alone: bool = False) -> None:
        data = whole(body)
        single = data is not None and len(data) <= FRAME_BYTES
        alone = alone or not single
        connection = await self._within(deadline, self._connect() if alone else self._place())
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        try:
            request, frame = connection.in_flight.begin(
                reply, cmd, members, None if left is None else max(1, ceil(left * 1000)),
                data if data is not None and single else b"", more=not single)
        except BaseException:
            if alone:
                connection.end(ConnectionLost("it was of no use"))
            else:
                connection.places.release()
            raise
        expires = None if deadline is None else deadline + self._grace
        reply._start(connection, request, alone, expires)
        connection.write(frame)
        if not single:
            reply._send(body)

    @staticmethod
    async def _within(deadline: Optional[float], waiting: Awaitable[_T]) -> _T:
        if deadline is None:
            return await waiting
        left = deadline - asyncio.get_running_loop().time()
        try:
            return await asyncio.wait_for(waiting, left)
        except asyncio.TimeoutError:
            raise DeadlineExceeded("the time given ran out before the request was sent") from None

    async def _place(self) -> Connection:
        """A connection on which one more request may be sent."""
        while True:
            connection = await self._connected()
            await connection.places.acquire()
            try:
                await connection.room()
                return connection
            except CleaveError:  # it has ended; nothing was sent, so another one will do
                connection.places.release()
            except BaseException:
                connection.places.release()
                raise

    async def _connected(self) -> Connection:
        """The connection that whole requests share."""
        shared = self._shared
        if not shared or (shared.done() and (shared.exception() or shared.result().error)):
            shared = self._shared = asyncio.ensure_future(self._connect())
        return await asyncio.shield(shared)

    async def _connect(self) -> Connection:
        if self._closed:
            raise ConnectionLost("the client was closed")
        loop, endpoint = asyncio.get_running_loop(), self._endpoint
        connection = Connection(self._max_in_flight)
        try:
            await asyncio.wait_for(
                loop.create_unix_connection(lambda: connection, endpoint.path) if endpoint.path
                else loop.create_connection(lambda: connection, endpoint.host, endpoint.port),
                self._connect_timeout)
        except asyncio.TimeoutError:
            raise ConnectionLost(f"{endpoint.url} does not take a connection") from None
        except OSError as error:
            raise ConnectionLost(f"cannot connect to {endpoint.url}: {error}") from error
        if self._closed:  # meanwhile
            connection.end(ConnectionLost("the client was closed"))
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        return connection


async def _gather(reply: AsyncReply, limit: int) -> Reply:
    body = bytearray()
    async for piece in reply:
        if len(body) + len(piece) > limit:
            raise TooLarge(f"the reply is longer than the {limit} bytes that are gathered")
        body += piece
    return Reply(reply.members, bytes(body))
