# SPDX-License-Identifier: MIT
"""The requests of one connection that are in flight. No I/O: it makes the bytes that are to be
sent, takes those that came, and finds the request of each reply."""
from __future__ import annotations

from copy import copy
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Tuple, Union

from .errors import CleaveError, ProtocolError, error_of
from .wire import Decoder, Head, encode

# What belongs to the wire, and is not for callers to set.
_RESERVED = ("cmd", "id", "data_size", "more", "timeout_ms", "status")


class Receiver(Protocol):
    """Sees one reply as it comes: for every frame on_frame, then on_body any number of times; at
    last on_end, once, also when the connection breaks."""

    def on_frame(self, members: Dict[str, Any]) -> None: ...

    def on_body(self, piece: bytes) -> None: ...

    def on_end(self, members: Dict[str, Any], error: Optional[CleaveError]) -> None:
        """`members` are those of the reply's first and last frame."""


class Request:
    """One of them. Without a receiver nobody wants to know of its reply any more."""

    def __init__(self, identifier: int, receiver: Optional[Receiver]) -> None:
        self.id = identifier
        self.receiver = receiver
        self.counts = receiver is not None
        self.members: Optional[Dict[str, Any]] = None  # of the reply's first frame
        self.sent = False
        self.answered = False


class InFlight:
    """`on_free` is called when a request is over: sent to its end, and its reply complete. Cancels
    are not told of, because a server does not count them."""

    def __init__(self, on_free: Callable[[], None]) -> None:
        self._on_free = on_free
        self._requests: Dict[int, Request] = {}
        self._decoder = Decoder()
        self._last_id = 0
        self._error: Optional[CleaveError] = None
        self._request: Optional[Request] = None  # whose frame arrives
        self._head = Head(None, 0, False, {})

    def __len__(self) -> int:
        return len(self._requests)

    # ---- What is to be sent

    def begin(self, receiver: Optional[Receiver], cmd: str, members: Mapping[str, Any],
              timeout_ms: Optional[int] = None, body: bytes = b"",
              more: bool = False) -> Tuple[Request, bytes]:
        """A new request, and its first frame."""
        if self._error:
            raise copy(self._error)
        for name in members:
            if name in _RESERVED or name.startswith("_"):
                raise ValueError(f"the member {name!r} belongs to the wire")
        header = {"cmd": cmd, **members, "id": self._last_id + 1}
        if more:
            header["more"] = True
        if timeout_ms is not None:
            header["timeout_ms"] = timeout_ms
        frame = encode(header, body)
        self._last_id += 1
        request = Request(self._last_id, receiver)
        request.sent = not more
        self._requests[request.id] = request
        return request, frame

    def go_on(self, request: Request, body: Union[bytes, memoryview]) -> bytes:
        """A further frame of a request that is not sent to its end."""
        return encode({"id": request.id, "more": True}, body)

    def finish(self, request: Request) -> bytes:
        """The last frame of a request."""
        frame = encode({"id": request.id})
        request.sent = True
        self._forget_if_over(request)
        return frame

    def cancel(self, request: Request) -> bytes:
        """Asks the server to end a request; it is answered all the same. What is not sent of it is
        left out: only then is it ended, or the server would take it as complete."""
        # The reply to the cancel itself tells nothing that the request's own does not.
        frames = self.begin(None, "cancel", {"target": request.id})[1]
        return frames if request.sent else frames + self.finish(request)

    # ---- What came

    def receive(self, data: bytes) -> None:
        """Passes on what came. Raises what ends the connection: a ProtocolError, or what the server
        says before it closes."""
        for event in self._decoder.feed(data):
            if isinstance(event, Head):
                self._on_head(event)
            elif isinstance(event, bytes):
                if self._request and self._request.receiver:
                    self._request.receiver.on_body(event)
            elif not self._head.more:
                self._on_last_frame()

    def fail(self, error: CleaveError) -> None:
        """The connection has ended, and with it everything in flight."""
        self._error = error
        requests, self._requests = self._requests, {}
        for request in requests.values():
            if request.receiver and not request.answered:
                request.receiver.on_end(request.members or {}, copy(error))
            self._free(request)

    def _on_head(self, head: Head) -> None:
        status = head.members.get("status")
        if status not in ((None,) if head.more else ("ok", "error")):
            raise ProtocolError(f"a frame of a reply has the status {status!r:.40}")
        self._head = head
        if head.id is None:
            if head.size == 0 and status == "error":
                raise error_of(head.members)
            raise ProtocolError("a reply came without an id")
        self._request = self._requests.get(head.id)
        if self._request is None or self._request.answered:
            raise ProtocolError(f"a reply came for {head.id}, which is no request in flight")
        if self._request.members is None:
            self._request.members = {} if status == "error" else dict(head.members)
        if self._request.receiver:
            self._request.receiver.on_frame(head.members)

    def _on_last_frame(self) -> None:
        request, self._request = self._request, None
        assert request
        request.answered = True
        self._forget_if_over(request)
        if request.receiver:
            members = {**(request.members or {}), **self._head.members}
            members.pop("stream", None)
            error = error_of(members) if members.pop("status") == "error" else None
            request.receiver.on_end(members, error)

    def _forget_if_over(self, request: Request) -> None:
        if request.sent and request.answered and request.id in self._requests:
            del self._requests[request.id]
            self._free(request)

    def _free(self, request: Request) -> None:
        if request.counts:
            self._on_free()
