# SPDX-License-Identifier: MIT
"""A client for tests, written from protocol/README.md alone: frames on top of a peer of bytes.

    +--------+------------------+-----------------------+
    | H, LE  | header: JSON obj | body: data_size bytes |
    +--------+------------------+-----------------------+
"""
import json
import struct

from support import BytePeer


def frame(header, body=b""):
    """The bytes of a frame. `data_size` is added where there is a body and none is given."""
    if body and "data_size" not in header:
        header = {**header, "data_size": len(body)}
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


class Client(BytePeer):
    """One connection. Calls block, with a time limit."""

    def __init__(self, host, port=None, **options):
        """Instead of a host and a port an address may be given, as BytePeer takes it."""
        super().__init__(host if port is None else (host, port), **options)

    def send_frame(self, header, body=b""):
        self.send_bytes(frame(header, body))

    def recv_head(self):
        """The header of the next frame; its body is to be read with recv_bytes()."""
        (length,) = struct.unpack("<I", self.recv_bytes(4))
        return json.loads(self.recv_bytes(length))

    def recv_frame(self):
        header = self.recv_head()
        return header, self.recv_bytes(header.get("data_size", 0))

    def request(self, header, body=b""):
        """Sends one request and gathers its reply: the last header and the whole body."""
        self.send_frame(header, body)
        return self.reply(header.get("id"))

    def reply(self, identifier=None):
        parts = []
        while True:
            header, body = self.recv_frame()
            assert header.get("id") == identifier, header
            parts.append(body)
            if not header.get("more"):
                return header, b"".join(parts)
