# SPDX-License-Identifier: MIT
"""The bytes of the wire: a length, a JSON header, a body. No I/O.

    +--------+------------------+-----------------------+
    | H, LE  | header: JSON obj | body: data_size bytes |
    +--------+------------------+-----------------------+
"""
from __future__ import annotations

import json
import struct
from math import isinf
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Union

from .errors import ProtocolError, Refused, TooLarge

HEADER_BYTES = 65_536  # of a header, in both directions
FRAME_BYTES = 256 * 1024  # of body in a frame that is sent, so that short messages pass between
_LARGEST_ID = 2**53 - 1
_LARGEST_SIZE = 2**63 - 1
_DEPTH, _VALUES, _NAME_BYTES = 16, 1024, 64


class Head(NamedTuple):
    """The header of a frame: what belongs to the frame, and all other members."""

    id: Optional[int]
    size: int
    more: bool
    members: Dict[str, Any]


class End:
    """The end of a frame."""


Event = Union[Head, bytes, End]


def encode(header: Mapping[str, Any], body: Union[bytes, memoryview] = b"") -> bytes:
    """The bytes of a frame. A header that the wire does not allow is refused here, because it would
    cost the connection and everything that runs on it."""
    try:
        text = json.dumps({**header, "data_size": len(body)}, ensure_ascii=False, allow_nan=False,
                          separators=(",", ":")).encode()
        if len(text) <= HEADER_BYTES:
            parse_head(text)
    except (ValueError, RecursionError, ProtocolError) as error:
        raise Refused(f"these members cannot be sent: {error}") from None
    if len(text) > HEADER_BYTES:
        raise TooLarge(f"a header of {len(text)} bytes is longer than {HEADER_BYTES}")
    return b"".join((struct.pack("<I", len(text)), text, body))


class Decoder:
    """Cuts a stream of bytes, however it is split, into frames. Keeps no more than one header that
    is not complete; a body passes through in the pieces in which it comes."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._header_size: Optional[int] = None  # None: the next bytes are its length
        self._body_left = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """For each frame its Head, its body in pieces, and an End. Raises ProtocolError where the
        place in the stream is lost; nothing can be read behind that."""
        at = 0
        while at < len(data):
            if self._body_left:
                piece = data[at:at + self._body_left]
                at += len(piece)
                self._body_left -= len(piece)
                yield piece
                if not self._body_left:
                    yield End()
                continue
            needed = (4 if self._header_size is None else self._header_size) - len(self._partial)
            self._partial += data[at:at + needed]
            if len(data) - at < needed:
                return
            at += needed
            complete, self._partial = bytes(self._partial), bytearray()
            if self._header_size is None:
                self._header_size = _header_size(complete)
                continue
            self._header_size = None
            head = parse_head(complete)
            self._body_left = head.size
            yield head
            if not head.size:
                yield End()


def parse_head(data: bytes) -> Head:
    """Strict JSON, and the types of what belongs to the frame."""
    try:
        text = data.decode()
        header = _JSON.decode(text)
        if not isinstance(header, dict):
            raise ValueError("it is no object")
        if _count(header) > _VALUES:
            raise ValueError(f"it has more than {_VALUES} values")
        if "\\" in text:
            json.dumps(header, ensure_ascii=False).encode()  # fails at half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a header is not what the wire allows: {error}") from None
    for name, largest in (("id", _LARGEST_ID), ("data_size", _LARGEST_SIZE)):
        value = header.get(name, 0)
        if type(value) is not int or not 0 <= value <= largest:  # True is none
            raise ProtocolError(f"{name} is to be an integer from 0 to {largest}, not {value!r:.40}")
    identifier = header.pop("id", None)
    more = header.pop("more", False)
    if not isinstance(more, bool) or (more and identifier is None):
        raise ProtocolError("more is to be true or false, and only together with an id")
    return Head(identifier, header.pop("data_size", 0), more, header)


def parse_json(data: bytes) -> Any:
    """Strict JSON, as the bodies of some replies are."""
    try:
        return _JSON.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the server's JSON makes no sense: {error}") from None


def _header_size(prefix: bytes) -> int:
    size: int = struct.unpack("<I", prefix)[0]
    if not 2 <= size <= HEADER_BYTES:
        raise ProtocolError(f"a header is to have 2 to {HEADER_BYTES} bytes, and {size} are "
                            f"announced ({prefix!r}): is this a server of frames?")
    return size


def _count(value: Union[Dict[str, Any], List[Any]], depth: int = 1) -> int:
    """How many members and elements there are in all."""
    if depth > _DEPTH:
        raise ValueError(f"it is nested more than {_DEPTH} deep")
    children = value.values() if isinstance(value, dict) else value
    return len(children) + sum(_count(child, depth + 1) for child in children
                               if isinstance(child, (dict, list)))


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    for name in found:
        if "\0" in name or len(name.encode()) > _NAME_BYTES:
            raise ValueError(f"a name has U+0000, or more than {_NAME_BYTES} bytes")
    return found


def _number(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is out of a double's range")
    return number


def _integer(text: str) -> Union[int, float]:
    # -0 is no integer, here as in C.
    return _number(text) if text == "-0" or len(text) > 300 else int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_number,
                         parse_constant=_constant)
