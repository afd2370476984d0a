# SPDX-License-Identifier: MIT
"""A server that answers as it is told: for what a healthy daemon does not do on demand."""
import json
import socket
import struct
import threading

from python_client import frame


class ScriptedServer:
    """Calls `answer(header, body)` for every whole request and sends the frames it gives back,
    pairs of header and body, with the request's id. None: no answer at all."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.ended = threading.Event()  # a connection has ended
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        bodies = {}
        begun = {}
        with connection, connection.makefile("rb") as stream:
            try:
                while prefix := stream.read(4):
                    header = json.loads(stream.read(struct.unpack("<I", prefix)[0]))
                    # One-way puts name their size in a member of their own.
                    size = header.get("data_size", header.get("filesize", 0))
                    identifier = header.get("id")
                    begun.setdefault(identifier, header)
                    bodies[identifier] = bodies.get(identifier, b"") + stream.read(size)
                    if not header.get("more"):
                        self.reply(connection, begun.pop(identifier), bodies.pop(identifier))
            except OSError:
                pass
        self.ended.set()

    def reply(self, connection, header, body):
        self.requests.append((header, body))
        for answer, data in self.answer(header, body) or ():
            connection.sendall(frame({"id": header["id"], **answer}, data))
