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

_CLASSES: Dict[str, Type[CleaveError]] = {}


class CleaveError(Exception):
    """The base of all. `code` is one of the wire's, `message` a sentence, and `members` are the
    other members of the reply; there are none where the error arose here."""

    codes: Tuple[str, ...] = ("internal",)  # of the wire, that are said by this class

    def __init_subclass__(cls, codes: Tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        cls.codes = codes or cls.codes
        _CLASSES.update(dict.fromkeys(codes, cls))

    def __init__(self, message: str, *, code: Optional[str] = None,
                 members: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.codes[0]
        self.members: Dict[str, Any] = dict(members or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Refused(CleaveError,
              codes=("invalid_argument", "unknown_command", "failed_precondition")):
    """The request has to be another one."""


class TooLarge(Refused, codes=("too_large",)):
    """The message names the limit."""


class Denied(Refused, codes=("permission_denied", "unauthenticated")):
    """Not for you, or not on this server."""


class NotFound(Refused, codes=("not_found",)):
    """There is no such thing."""


class AlreadyExists(Refused, codes=("already_exists",)):
    """There is one, and it was not to be replaced."""


class ChecksumMismatch(Refused, codes=("checksum_mismatch",)):
    """The bytes are not the announced ones. Nothing was stored."""


class OffsetMismatch(Refused, codes=("offset_mismatch",)):
    """The member `offset` is the one to go on from."""


class NoSpace(Refused, codes=("no_space", "quota_exceeded")):
    """The disk is full, or the allowance is used up."""


class Temporary(CleaveError, codes=("unavailable",)):
    """The same request may succeed later. Commands without an effect were tried again already."""


class Busy(Temporary, codes=("busy", "overloaded")):
    """Too much at once."""


class Unavailable(Temporary, codes=("unavailable",)):
    """The server is stopping."""


class ConnectionLost(Temporary, ConnectionError):
    """There is no connection to be had, or it broke before the reply was complete. In the second
    case nobody knows whether the request was done."""


class DeadlineExceeded(CleaveError, TimeoutError, codes=("deadline_exceeded",)):
    """The time given ran out."""


class Cancelled(CleaveError, codes=("cancelled",)):
    """The server ended the request because somebody asked for it."""


class ServerFault(CleaveError, codes=("internal", "io_error")):
    """The server failed, or says a code that is newer than this package."""


class ProtocolError(CleaveError, codes=("protocol_error",)):
    """The stream cannot be trusted any more, and the connection has ended."""


def error_of(members: Mapping[str, Any]) -> CleaveError:
    """The error that a reply with the status `error` says."""
    code, message = members.get("code"), members.get("message")
    if not isinstance(code, str) or not isinstance(message, str):
        return ProtocolError("the server's error has no code and message")
    rest = {name: value for name, value in members.items()
            if name not in ("status", "code", "message")}
    return _CLASSES.get(code, ServerFault)(message, code=code, members=rest)
