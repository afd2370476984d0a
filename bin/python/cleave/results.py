# SPDX-License-Identifier: MIT
"""What the helpers give back, made of what replies say. A reply that does not say it, or something
else, is a ProtocolError; nothing is guessed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from .errors import ProtocolError

@dataclass(frozen=True)
class Entry:
    """What the server has under a name. `type` is `file`, `directory` or `other`."""

    name: str
    type: str
    file_size: int
    mtime_ms: int
    xxh3: Optional[str] = None  # of a file whose digest is known; `list` does not say it

    @staticmethod
    def of(members: Mapping[str, Any], name: Optional[str] = None) -> Entry:
        return Entry(name if name is not None else member(members, "name", str),
                     member(members, "type", str), member(members, "file_size", int),
                     member(members, "mtime_ms", int), member(members, "xxh3", str, None))


@dataclass(frozen=True)
class Transferred:
    """A file that was stored or fetched: what is there now."""

    file_size: int
    sha256: str


@dataclass(frozen=True)
class ExecResult:
    """How a program ended: with an `exit_code`, or by a `signal`. One of them is None.

    `timed_out`, `truncated` (output was cut), `core` (it left a core dump) and `orphans` (what it
    left behind was killed) as the server says; `killed_by` why the server ended it, if it did.
    """

    exit_code: Optional[int]
    signal: Optional[int]
    duration_ms: int
    timed_out: bool = False
    truncated: bool = False
    core: bool = False
    orphans: bool = False
    killed_by: Optional[str] = None
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @staticmethod
    def of(members: Mapping[str, Any], stdout: bytes = b"", stderr: bytes = b"") -> ExecResult:
        exit_code = member(members, "exit_code", int, None)
        signal = member(members, "signal", int, None)
        if (exit_code is None) == (signal is None):
            raise ProtocolError("the reply does not say how the program ended")
        flags = {name: member(members, name, bool, False)
                 for name in ("timed_out", "truncated", "core", "orphans")}
        return ExecResult(exit_code, signal, member(members, "duration_ms", int), **flags,
                          killed_by=member(members, "killed_by", str, None),
                          stdout=stdout, stderr=stderr)


_MISSING: Any = object()


def member(members: Mapping[str, Any], name: str, kind: type, default: Any = _MISSING) -> Any:
    """A member of a reply that is to have a type; of integers only a time may be negative."""
    if name not in members and default is not _MISSING:
        return default
    value = members.get(name)
    negative = isinstance(value, int) and value < 0 and name != "mtime_ms"
    if type(value) is not kind or negative:
        raise ProtocolError(f"{name} is to be {kind.__name__}, and the reply says {value!r:.40}")
    return value


def object_of(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError("the reply's body is to be a JSON object")
    return value
