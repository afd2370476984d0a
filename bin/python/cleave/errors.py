# SPDX-License-Identifier: MIT
"""What can go wrong, by what a caller can do about it.

    CleaveError
    ├── Refused              change the request; `code` says more
    │   ├── TooLarge         send less, or ask for less
    │   ├── Denied           not for you, or not on this server
    │   ├── NotFound
    │   ├── AlreadyExists
    │   ├── ChecksumMismatch the bytes are not the announced ones
    │   ├── OffsetMismatch   go on from the member `offset`
    │   └── NoSpace          the disk is full, or the allowance used up
    ├── Temporary            the same again may succeed
    │   ├── Busy             too much at once
    │   ├── Unavailable      the server is stopping
    │   └── ConnectionLost   (also a ConnectionError) nobody knows whether the request was done
    ├── DeadlineExceeded     (also a TimeoutError) the time given ran out
    ├── Cancelled            somebody asked for the end of it
    ├── ServerFault          the server or its operating system failed
    └── ProtocolError        what came is not the wire, or the server says so of what it got
"""
from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple, Type


class CleaveError(Exception):
    """The base of all. `code` is one of the wire's, `message` a sentence, and `members` are the
    other members of the reply; there are none where the error arose here."""

    codes: Tuple[str, ...] = ("internal",)  # of the wire, that are said by this class

    def __init__(self, message: str, *, code: Optional[str] = None,
                 members: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.codes[0]
        self.members: Dict[str, Any] = dict(members or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Refused(CleaveError):
    """The request has to be another one."""

    codes = ("invalid_argument", "unknown_command", "failed_precondition")


class TooLarge(Refused):
    """The message names the limit."""

    codes = ("too_large",)


class Denied(Refused):
    """Not for you, or not on this server."""

    codes = ("permission_denied", "unauthenticated")


class NotFound(Refused):
    """There is no such thing."""

    codes = ("not_found",)


class AlreadyExists(Refused):
    """There is one, and it was not to be replaced."""

    codes = ("already_exists",)


class ChecksumMismatch(Refused):
    """The bytes are not the announced ones. Nothing was stored."""

    codes = ("checksum_mismatch",)


class OffsetMismatch(Refused):
    """The member `offset` is the one to go on from."""

    codes = ("offset_mismatch",)


class NoSpace(Refused):
    """The disk is full, or the allowance is used up."""

    codes = ("no_space", "quota_exceeded")


class Temporary(CleaveError):
    """The same request may succeed later. Commands without an effect were tried again already."""

    codes = ("unavailable",)


class Busy(Temporary):
    """Too much at once."""

    codes = ("busy", "overloaded")


class Unavailable(Temporary):
    """The server is stopping."""


class ConnectionLost(Temporary, ConnectionError):
    """There is no connection to be had, or it broke before the reply was complete. In the second
    case nobody knows whether the request was done."""


class DeadlineExceeded(CleaveError, TimeoutError):
    """The time given ran out."""

    codes = ("deadline_exceeded",)


class Cancelled(CleaveError):
    """The server ended the request because somebody asked for it."""

    codes = ("cancelled",)


class ServerFault(CleaveError):
    """The server failed, or says a code that is newer than this package."""

    codes = ("internal", "io_error")


class ProtocolError(CleaveError):
    """The stream cannot be trusted any more, and the connection has ended."""

    codes = ("protocol_error",)


_CLASSES = {code: kind for kind in (
    Refused, TooLarge, Denied, NotFound, AlreadyExists, ChecksumMismatch, OffsetMismatch, NoSpace,
    Busy, Unavailable, DeadlineExceeded, Cancelled, ServerFault, ProtocolError,
) for code in kind.codes}


def error_of(members: Mapping[str, Any]) -> CleaveError:
    """The error that a reply with the status `error` says."""
    code, message = members.get("code"), members.get("message")
    if not isinstance(code, str) or not isinstance(message, str):
        return ProtocolError("the server's error has no code and message")
    rest = {name: value for name, value in members.items()
            if name not in ("status", "code", "message")}
    kind: Type[CleaveError] = _CLASSES.get(code, ServerFault)
    return kind(message, code=code, members=rest)
