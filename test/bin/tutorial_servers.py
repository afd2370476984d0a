# SPDX-License-Identifier: MIT
"""The servers of the socket tutorial, as they show on the wire: what a client has to live with.

    UpperOnce, UpperLoop, UpperDatagrams    text there and back in upper case
    ExecReady, ExecPrefix, ExecHeader       a shell line, and three ways to say how long its result is
    Put                                     files, and never an answer

    with ExecPrefix() as server:
        cleave("-s", server.url, "exec", "--shell", "ls")

Each takes the address that the tutorial has where that is free, and any other where it is not.
"""
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading


class Vanished(Exception):
    """The server has gone in the middle."""


def bind(kind, port, path):
    """A socket at `path`, or at the tutorial's port of 127.0.0.1, or at any."""
    if path is not None:
        bound = socket.socket(socket.AF_UNIX, kind)
        bound.bind(str(path))
        return bound
    for number in (port, 0):
        bound = socket.socket(socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", number))
            if kind == socket.SOCK_STREAM:
                bound.listen()
            return bound
        except OSError:
            bound.close()
    raise AssertionError("no port is free")


class Connection:
    """What a server does with one client, and how badly."""

    def __init__(self, connected, server):
        self.socket = connected
        self.server = server
        self.sent = 0

    def recv(self, count):
        return self.socket.recv(count)

    def recv_exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.recv(min(count - len(data), 65_536))
            if not part:
                raise Vanished("the client")
            data += part
        return data

    def send(self, data, pieces=None):
        """`data`, in pieces and up to the server's end if it has one."""
        limit = self.server.vanish_after
        left = len(data) if limit is None else limit - self.sent
        size = pieces or len(data) or 1
        for at in range(0, min(left, len(data)), size):
            self.socket.sendall(data[at:min(at + size, left)])
        self.sent += len(data)
        if left < len(data):
            raise Vanished("the server")


class StreamServer:
    """Accepts connections and serves each on a thread of its own.

    `path`: at a Unix socket; `pieces`: data go out in sends of so many bytes; `vanish_after`: the
    server closes a connection on which it has sent so many; `lie` is added to the lengths it says.
    """

    port = 8080
    wire = "raw"

    def __init__(self, path=None, pieces=None, vanish_after=None, lie=0):
        self.pieces = pieces
        self.vanish_after = vanish_after
        self.lie = lie
        self.connections = 0
        self.messages = []
        self.listener = bind(socket.SOCK_STREAM, self.port, path)
        if path is not None:
            self.listener.listen()
            self.url = f"unix:{path}?wire={self.wire}"
        else:
            self.url = "tcp://127.0.0.1:%d?wire=%s" % (self.listener.getsockname()[1], self.wire)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            if connected.family == socket.AF_INET:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected):
        with connected:
            try:
                self.serve(Connection(connected, self))
            except (Vanished, OSError):
                pass

    def serve(self, connection):
        """One connection; what comes in one recv(1024) is a message."""
        while message := connection.recv(1024):
            self.messages.append(message)
            self.reply(connection, message)


class UpperLoop(StreamServer):
    """2: connections and messages, any number of each."""

    port = 8081

    def reply(self, connection, message):
        connection.send(message.upper(), self.pieces)  # of bytes, so of ASCII letters alone


class UpperOnce(UpperLoop):
    """1: one message, and the connection is closed."""

    port = 9000

    def serve(self, connection):
        self.reply(connection, connection.recv(1024))


class UpperDatagrams:
    """3: each datagram is answered to its sender."""

    def __init__(self, port=9000):
        self.socket = bind(socket.SOCK_DGRAM, port, None)
        self.url = "udp://127.0.0.1:%d?wire=raw" % self.socket.getsockname()[1]
        self.ending = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending = True
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def _serve(self):
        while True:
            message, sender = self.socket.recvfrom(1024)
            if self.ending:
                return
            self.socket.sendto(message.upper(), sender)


class Exec(StreamServer):
    def reply(self, connection, message):
        done = subprocess.run(message.decode(), shell=True, stdin=subprocess.DEVNULL,
                              capture_output=True)
        self.send_result(connection, done.stderr or done.stdout)


class ExecReady(Exec):
    """6: the length in digits; the client says recv_ready; the data."""

    wire = "ready"

    def send_result(self, connection, result):
        # In one send: where the digits end is not said.
        connection.send(str(len(result) + self.lie).encode())
        answer = connection.recv(1024)
        self.messages.append(answer)
        if answer == b"recv_ready":
            connection.send(result, self.pieces)


class ExecPrefix(Exec):
    """7: a length of 4 bytes; the data."""

    wire = "prefix"

    def send_result(self, connection, result):
        connection.send(struct.pack("i", len(result) + self.lie), self.pieces)
        connection.send(result, self.pieces)


class ExecHeader(Exec):
    """8: a header's length of 4 bytes; the header; the data."""

    wire = "header"
    members = {}

    def send_result(self, connection, result):
        header = json.dumps({"data_size": len(result) + self.lie, **self.members}).encode()
        connection.send(struct.pack("i", len(header)), self.pieces)
        connection.send(header, self.pieces)
        connection.send(result, self.pieces)


class Put(StreamServer):
    """9: stores files in `folder` and never answers. `take_at_most`: it goes after so many bytes."""

    wire = "frame"

    def __init__(self, folder, take_at_most=None, **options):
        self.folder = pathlib.Path(folder)
        self.take_at_most = take_at_most
        super().__init__(**options)

    def serve(self, connection):
        while True:
            size = struct.unpack("i", connection.recv_exactly(4))[0]
            header = json.loads(connection.recv_exactly(size).decode())
            self.messages.append(header)
            if self.take_at_most is not None:
                connection.recv_exactly(self.take_at_most)
                return
            data = connection.recv_exactly(header["filesize"])
            (self.folder / os.path.basename(header["filename"])).write_bytes(data)
