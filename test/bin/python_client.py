# SPDX-License-Identifier: MIT
"""A client for tests, written from protocol/README.md alone, with the standard library alone.

    +--------+------------------+-----------------------+
    | H, LE  | header: JSON obj | body: data_size bytes |
    +--------+------------------+-----------------------+
"""
import json
import socket
import struct


def frame(header, body=b""):
    """The bytes of a frame. `data_size` is added where there is a body and none is given."""
    if body and "data_size" not in header:
        header = {**header, "data_size": len(body)}
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


class Closed(Exception):
    """The server has closed the connection, or broken it."""


class Client:
    """One connection. Calls block, with a time limit."""

    def __init__(self, host, port, timeout=30):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_frame(self, header, body=b""):
        self.send_bytes(frame(header, body))

    def recv_bytes(self, count):
        """Exactly `count` bytes."""
        parts = bytearray()
        while len(parts) < count:
            part = self.recv_some(count - len(parts))
            if not part:
                raise Closed(f"end of input after {len(parts)} of {count} bytes")
            parts += part
        return bytes(parts)

    def recv_some(self, limit=256 * 1024):
        """What has come; empty at the end of input."""
        try:
            return self.socket.recv(min(limit, 1 << 20))
        except ConnectionResetError as error:
            raise Closed(str(error)) from error

    def recv_head(self):
        """The header of the next frame; its body is to be read with recv_bytes()."""
        (length,) = struct.unpack("<I", self.recv_bytes(4))
        return json.loads(self.recv_bytes(length))

    def recv_frame(self):
        header = self.recv_head()
        return header, self.recv_bytes(header.get("data_size", 0))

    def at_end(self):
        """True if the server has closed its side and nothing is left to be read."""
        return self.recv_some(1) == b""

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
