# SPDX-License-Identifier: MIT
"""What the tests talk to: a cleaved, or a server that says what it is told to say."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from contextlib import suppress

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

CLEAVED = pathlib.Path(os.environ.get("CLEAVE_BIN_DIR", "build/bin")).resolve() / "cleaved"


class Cleaved:
    """A daemon with a folder of its own; what it is told beside that are options of cleaved."""

    def __init__(self, *options, listen="tcp://127.0.0.1:0"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cleave-"))
        self._options = options
        self._listen = listen.format(self.folder)
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [CLEAVED, "--root", self.folder / "root", "--listen", self._listen, "--log-level", "off",
             "--exec", "shell", *self._options], stdout=subprocess.PIPE, text=True)
        self.url = re.fullmatch(r"listening on (\S+)\n", self._process.stdout.readline())[1]
        # The same again after a restart.
        self._listen = self.url
        assert self._process.stdout.readline() == "ready\n"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def close(self):
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.folder)
        assert status == 0, status


class Peer:
    """The server's end of a connection, in frames."""

    def __init__(self, connection, received):
        self.socket = connection
        self._input = received

    def receive(self):
        """The header and the body of the next frame; an OSError at the end."""
        prefix = self._input.read(4)
        if len(prefix) < 4:
            raise OSError("the client has closed the connection")
        header = json.loads(self._input.read(*struct.unpack("<I", prefix)))
        return header, self._input.read(header["data_size"])

    def request(self):
        """The first header of the next request and its whole body, where one comes at a time."""
        first, body = header, part = self.receive()
        while header.get("more"):
            header, part = self.receive()
            body += part
        return first, body

    def send(self, header, body=b""):
        text = json.dumps({"data_size": len(body), **header}).encode()
        self.socket.sendall(struct.pack("<I", len(text)) + text + body)

    def answer(self, request, body=b"", **members):
        self.send({"id": request["id"], "status": "ok", **members}, body)

    def refuse(self, request, code, **members):
        self.answer(request, status="error", code=code, message="as the test wants it", **members)


class Scripted:
    """Accepts connections and hands each to `talk(peer)`, in a thread. `connections` counts them."""

    def __init__(self, talk):
        self._talk = talk
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as received, suppress(OSError):
            self._talk(Peer(connection, received))

    def join(self):
        """Waits for the end of the connections that there are."""
        for thread in self._threads[1:]:
            thread.join()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
        self._listener.close()
        self._threads[0].join()
        self.join()


class ServerTest(unittest.TestCase):
    def serve(self, *options, **more):
        server = Cleaved(*options, **more)
        self.addCleanup(server.close)
        return server

    def scripted(self, talk):
        server = Scripted(talk)
        self.addCleanup(server.close)
        return server

    def temporary(self):
        folder = tempfile.TemporaryDirectory(prefix="cleave-")
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)
