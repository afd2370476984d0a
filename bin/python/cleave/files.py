# SPDX-License-Identifier: MIT
"""Files, there and back: whole or not at all, and on from where a break left them."""
from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Dict, Optional, Tuple

from .backoff import Backoff
from .errors import ChecksumMismatch, NotFound, OffsetMismatch, ProtocolError, Refused, Temporary
from .results import Transferred, member
from .wire import FRAME_BYTES

if TYPE_CHECKING:
    from .aio import AsyncClient

# How often in a row a server may name another offset, or have another file, than a moment ago.
_CHANGES = 3


class Put:
    """Stores one file. Its digest is taken first, so that the server can check it. An upload is
    named by what is stored where, so that whoever stores the same goes on with it."""

    def __init__(self, client: AsyncClient, path: Path, name: str, overwrite: bool,
                 timeout: Optional[float]) -> None:
        self._client = client
        self._path = path
        self._name = name
        self._overwrite = overwrite
        self._timeout = timeout
        self._members: Dict[str, Any] = {}
        self._upload: Dict[str, Any] = {}  # the member that names it; empty: there is none
        self._sent = False  # something of it, by us
        self._went_on = False  # behind bytes that were there
        self._begun_anew = False

    async def run(self) -> Transferred:
        size, mtime_ms, sha256 = await asyncio.to_thread(_look_at, self._path)
        self._members = {"filename": self._name, "file_size": size, "sha256": sha256,
                         "overwrite": self._overwrite}
        if mtime_ms >= 0:
            self._members["mtime_ms"] = mtime_ms
        if size >= self._client.resume_bytes:
            identity = f"{self._name}\0{sha256}\0{self._overwrite}"
            self._upload = {"upload": hashlib.sha256(identity.encode()).hexdigest()}
        # A file that is not to be replaced would be in the way of itself after a lost reply; of an
        # upload the server knows that it is complete.
        repeatable = self._overwrite or bool(self._upload)
        backoff = Backoff(self._client.retries if repeatable else 0, self._client.retry_delay)
        while True:
            try:
                return await self._attempt()
            except ChecksumMismatch:
                # What was there before may be other bytes than ours: all of them are sent, once.
                if not self._went_on or self._begun_anew:
                    raise
                self._begun_anew = True
                await self._drop()
            except Temporary:
                if not await backoff.again():
                    raise

    async def _attempt(self) -> Transferred:
        offset = 0
        if self._upload:
            known = await self._known()
            if member(known, "complete", bool, False):
                if self._sent:  # only its reply was lost
                    return self._check(known)
                await self._drop()  # stored before us, and the file may have gone meanwhile
            else:
                offset = member(known, "offset", int, 0)
        for _ in range(_CHANGES):
            try:
                return self._check(await self._send(offset))
            except OffsetMismatch as error:
                offset = member(error.members, "offset", int)
        return self._check(await self._send(offset))

    async def _send(self, offset: int) -> Dict[str, Any]:
        if offset > self._members["file_size"]:
            raise ProtocolError(f"the server says that it has {offset} bytes of a file of "
                                f"{self._members['file_size']}")
        members = dict(self._members)
        if self._upload:
            members.update(self._upload, offset=offset)
        self._sent = True
        self._went_on = offset > 0
        with open(self._path, "rb") as file:
            file.seek(offset)
            return (await self._client.call("put", members, file, timeout=self._timeout)).members

    def _check(self, stored: Dict[str, Any]) -> Transferred:
        ours = self._members["file_size"], self._members["sha256"]
        theirs = stored.get("file_size"), stored.get("sha256")
        if theirs != ours:
            raise ChecksumMismatch(f"the server has stored {theirs} as size and sha256, and the file "
                                   f"had {ours}")
        return Transferred(*ours)

    async def _known(self) -> Dict[str, Any]:
        with suppress(NotFound):
            return (await self._client.call("stat", self._upload, timeout=self._timeout)).members
        return {}

    async def _drop(self) -> None:
        with suppress(NotFound):
            await self._client.call("delete", self._upload, timeout=self._timeout)


class Get:
    """Fetches one file to a temporary one beside its place."""

    def __init__(self, client: AsyncClient, name: str, path: Path, overwrite: bool,
                 sha256: Optional[str], timeout: Optional[float]) -> None:
        self._client = client
        self._name = name
        self._path = path
        self._overwrite = overwrite
        self._sha256 = sha256
        self._timeout = timeout
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._received = 0
        self._digest = hashlib.sha256()
        self._state: Optional[Tuple[int, int, Optional[str]]] = None  # of the server's file

    async def run(self) -> Transferred:
        part = self._path.with_name(f".cleave-{secrets.token_hex(4)}.part")
        try:
            with open(part, "xb") as file:
                fetched = await self._fetch(file)
                await asyncio.to_thread(self._finish, file)
            self._publish(part)
            return fetched
        finally:
            part.unlink(missing_ok=True)

    async def _fetch(self, file: BinaryIO) -> Transferred:
        backoff = Backoff(self._client.retries, self._client.retry_delay)
        changes = 0
        while True:
            try:
                await self._attempt(file)
                break
            except _Changed:
                changes += 1
                if changes == _CHANGES:
                    raise Refused("the file changes on the server while it is fetched",
                                  code="failed_precondition") from None
                self._begin_anew()
                file.seek(0)
                file.truncate()
            except Temporary:
                if not await backoff.again():
                    raise
        assert self._state
        if self._received != self._state[0]:
            raise ProtocolError(f"the file has {self._state[0]} bytes, {self._received} have come")
        sha256 = self._digest.hexdigest()
        if self._sha256 is not None and sha256 != self._sha256.lower():
            raise ChecksumMismatch(f"sha256 is to be {self._sha256}, and of what came it is {sha256}")
        return Transferred(self._received, sha256)

    async def _attempt(self, file: BinaryIO) -> None:
        members: Dict[str, Any] = {"filename": self._name}
        if self._received:
            members["offset"] = self._received
        try:
            async with self._client.stream("get", members, timeout=self._timeout) as reply:
                async for piece in reply:
                    self._expect(reply.members)
                    await asyncio.to_thread(self._keep, file, piece)
            self._expect(reply.members)
        except Refused as error:
            # An offset that is none is one behind the end: the file has become shorter.
            if self._received and error.code == "invalid_argument":
                raise _Changed from None
            raise

    def _expect(self, members: Dict[str, Any]) -> None:
        state = (member(members, "file_size", int), member(members, "mtime_ms", int),
                 member(members, "xxh3", str, None))
        if self._state not in (None, state):
            raise _Changed
        self._state = state

    def _keep(self, file: BinaryIO, piece: bytes) -> None:
        assert self._state
        if self._received + len(piece) > self._state[0]:
            raise ProtocolError(f"the file has {self._state[0]} bytes, and more have come")
        file.write(piece)
        self._digest.update(piece)
        self._received += len(piece)

    def _finish(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        if self._state:
            time = self._state[1] * 1_000_000
            os.utime(file.fileno(), ns=(time, time))

    def _publish(self, part: Path) -> None:
        if self._overwrite:
            os.replace(part, self._path)
        else:
            os.link(part, self._path)  # unlike a new name it never takes the place of a file


class _Changed(Exception):
    """The server's file is another one now, so what has come is of no use."""


def _look_at(path: Path) -> Tuple[int, int, str]:
    """The size, the time of modification and the digest of a file."""
    digest = hashlib.sha256()
    size = 0
    with open(path, "rb") as file:
        mtime_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
        while True:
            piece = file.read(FRAME_BYTES)
            if not piece:
                return size, mtime_ms, digest.hexdigest()
            digest.update(piece)
            size += len(piece)
