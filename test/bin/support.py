# SPDX-License-Identifier: MIT
"""What the tests of the programs share: a daemon of their own, and a client in a few lines."""

import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

# Where the programs were built; ctest says so.
BIN = pathlib.Path(os.environ.get("CLEAVE_BIN_DIR", "build/bin")).resolve()
CLEAVED = str(BIN / "cleaved")
CLEAVE = str(BIN / "cleave")
# Longer than anything takes on a busy machine under a sanitizer: whoever waits for so long failed.
PATIENCE = 60


class Daemon:
    """A cleaved that serves on loopback with a folder of its own, until the `with` ends.

        with Daemon("--exec", "shell") as daemon:
            with daemon.connect() as peer:
                peer.send({"cmd": "echo", "data_size": 2}, b"hi")

    `config` is the text of a configuration file, which set_config() changes later; `root` is where
    files lie, if not in its folder. Other arguments go to subprocess.Popen.
    """

    def __init__(self, *options, config=None, listen=("tcp://127.0.0.1:0",), root=None, **popen):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cleave-test-"))
        self.root = pathlib.Path(root or self.folder / "root")
        self.command = [CLEAVED, "--root", str(self.root)]
        for url in listen:
            self.command += ["--listen", url]
        if config is not None:
            self.set_config(config)
            self.command += ["--config", str(self.config_file)]
        self.command += options
        self._popen = popen
        self.urls = []
        self.log = []  # the lines of the log that were looked at
        self._lines = queue.Queue()

    @property
    def config_file(self):
        return self.folder / "cleaved.toml"

    def set_config(self, text):
        self.config_file.write_text(text, encoding="utf-8")

    def __enter__(self):
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(self.command, cwd=self.folder, **(popen | self._popen))
        if self.process.stderr is not None:
            threading.Thread(target=self._read_log, daemon=True).start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_until_ready(self):
        for line in self.process.stdout:
            line = line.decode().rstrip("\n")
            if line == "ready":
                return
            self.urls.append(re.fullmatch(r"listening on (\S+)", line)[1])
        raise AssertionError(f"cleaved ended before it was ready: {self._rest_of_log()}")

    def _read_log(self):
        with self.process.stderr as stderr:
            for line in stderr:
                self._lines.put(line.decode().rstrip("\n"))
        self._lines.put(None)

    def _rest_of_log(self):
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.log.append(line)
        return self.log

    @property
    def url(self):
        return self.urls[0]

    @property
    def port(self):
        return int(re.search(r":(\d+)\?", self.url)[1])

    def wait_for_log(self, part):
        """The next line of the log that contains `part`."""
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.log.append(line)
            if part in line:
                return line
        raise AssertionError(f"no line with {part!r} came: {self.log}")

    def kill(self, number):
        self.process.send_signal(number)

    def wait(self):
        """The exit status; a signal is a negative one."""
        return self.process.wait(timeout=PATIENCE)

    def stop(self):
        """Stops in order; the exit status."""
        self.kill(signal.SIGTERM)
        return self.wait()

    def connect(self, index=0):
        return Peer(self.urls[index])


class Peer:
    """A connection to a server, that speaks in frames."""

    def __init__(self, url):
        if url.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            try:
                self.socket.connect(urllib.parse.unquote(url[len("unix:"):].split("?")[0]))
            except OSError:
                self.socket.close()
                raise
            return
        host, port = re.match(r"tcp://\[?([^\]/]*?)\]?:(\d+)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, header, body=b""):
        """A frame; a header that is bytes already is sent as it stands."""
        if not isinstance(header, bytes):
            header = json.dumps(header).encode()
        self.socket.sendall(struct.pack("<I", len(header)) + header + body)

    def read(self, count):
        """Exactly so many bytes, or fewer where the input ends before."""
        parts = b""
        while len(parts) < count and (part := self.socket.recv(min(count - len(parts), 1 << 20))):
            parts += part
        return parts

    def receive(self):
        """The header and the body of the next frame; None at the end of the input."""
        size = self.read(4)
        if size == b"":
            return None
        header = json.loads(self.read(struct.unpack("<I", size)[0]))
        return header, self.read(header.get("data_size", 0))

    def call(self, cmd, body=b"", **members):
        """A request and its reply."""
        self.send({"cmd": cmd, "data_size": len(body)} | members, body)
        return self.receive()


def run(*command, **options):
    """Runs a program to its end, with its output as text."""
    return subprocess.run(
        [str(part) for part in command],
        **({"capture_output": True, "text": True, "timeout": PATIENCE} | options),
    )
