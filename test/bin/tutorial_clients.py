# SPDX-License-Identifier: MIT
"""The clients of the socket tutorial, written afresh from what each puts on the wire.

They are as careless as the originals: one `recv` is taken for a whole answer where the tutorial does
so, and the uploader never reads.
"""

import json
import os
import socket
import struct

PATIENCE = 60


def connect(address):
    if isinstance(address, str):
        peer = socket.socket(socket.AF_UNIX)
    else:
        peer = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    peer.settimeout(PATIENCE)
    peer.connect(address)
    return peer


class Prompting:
    """A connection that a prompt loop works on."""

    def __init__(self, address):
        self.socket = connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _exactly(self, count):
        parts = b""
        while len(parts) < count:
            part = self.socket.recv(min(1024, count - len(parts)))
            if not part:
                raise EOFError(f"{len(parts)} of {count} bytes came")
            parts += part
        return parts


def upper_once(address, text):
    """Program 1: one message, one recv(1024)."""
    with connect(address) as peer:
        peer.send(text.encode("utf-8"))
        return peer.recv(1024).decode("utf-8")


class Upper(Prompting):
    """Program 2: the same in a loop."""

    def say(self, text):
        self.socket.send(text.encode("utf-8"))
        return self.socket.recv(1024).decode("utf-8")


class ReadyExec(Prompting):
    """Program 6: the length, recv_ready, the data."""

    def run(self, line):
        self.socket.send(line.encode("utf-8"))
        length = int(self.socket.recv(1024).decode("utf-8"))
        self.socket.send(b"recv_ready")
        return self._exactly(length)

    def run_as_the_tutorial_counts(self, line):
        """Its loop adds 1,024 for every recv, however much came, and so may stop early."""
        self.socket.send(line.encode("utf-8"))
        length = int(self.socket.recv(1024).decode("utf-8"))
        self.socket.send(b"recv_ready")
        counted, data = 0, b""
        while counted < length:
            data += self.socket.recv(1024)
            counted += 1024
        return data


class PrefixExec(Prompting):
    """Program 7: four bytes of length, the data."""

    def run(self, line):
        self.socket.send(line.encode("utf-8"))
        return self._exactly(struct.unpack("i", self._exactly(4))[0])


class HeaderExec(Prompting):
    """Program 8: four bytes of length, a JSON header with `data_size`, the data."""

    def ask(self, line):
        self.socket.send(line.encode("utf-8") if isinstance(line, str) else line)
        header = json.loads(self._exactly(struct.unpack("i", self._exactly(4))[0]).decode("utf-8"))
        return header, self._exactly(header["data_size"])

    def run(self, line):
        return self.ask(line)[1]


class Uploader(Prompting):
    """Program 9: never reads."""

    def put_header(self, header):
        text = json.dumps(header).encode("utf-8")
        self.socket.send(struct.pack("i", len(text)))
        self.socket.send(text)

    def put(self, path, name=None):
        self.put_header(
            {"cmd": "put", "filename": name or os.path.basename(path), "filesize": os.path.getsize(path)}
        )
        with open(path, "rb") as file:
            for line in file:
                self.socket.sendall(line)
