# SPDX-License-Identifier: MIT
"""What the tests of the programs share: a daemon of their own, and a client in a few lines."""

import atexit
import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from adversary.peer import PATIENCE, BytePeer, reset_on_close

# Where the programs were built; ctest says so.
BIN = pathlib.Path(os.environ.get("CLEAVE_BIN_DIR", "build/bin")).resolve()
CLEAVED = str(BIN / "cleaved")
CLEAVE = str(BIN / "cleave")
PREFIX = shlex.split(os.environ.get("CLEAVE_DAEMON_PREFIX", ""))


def live_in_an_empty_house():
    """What a developer has set for cleave, or keeps in files, is not for the tests."""
    home = tempfile.mkdtemp(prefix="cleave-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["HOME"] = home
    for name in list(os.environ):
        if name.startswith("XDG_") or name in ("CLEAVE_SERVER", "CLEAVE_PROFILE", "CLEAVE_CONFIG"):
            del os.environ[name]
    # Of options, as their names are told by the program itself.
    page = subprocess.run([CLEAVE, "--man"], capture_output=True, text=True, check=False).stdout
    for name in re.findall(r"^\.B (CLEAVE_\w+)$", page, re.MULTILINE):
        os.environ.pop(name, None)


live_in_an_empty_house()


class Daemon:
    """A cleaved that serves on loopback with a folder of its own, until the `with` ends.

        with Daemon("--exec", "shell") as daemon:
            with daemon.connect() as peer:
                peer.send({"cmd": "echo", "data_size": 2}, b"hi")

    `config` is the text of a configuration file, which set_config() changes later; `root` is where
    files lie, if not in its folder. `prefix` is a command that runs cleaved in its place, as the words
    of CLEAVE_DAEMON_PREFIX do (valgrind …). Other arguments go to subprocess.Popen.
    """

    def __init__(self, *options, config=None, listen=("tcp://127.0.0.1:0",), root=None, prefix=(),
                 **popen):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cleave-test-"))
        self.root = pathlib.Path(root or self.folder / "root")
        self.command = [*prefix, *PREFIX, CLEAVED, "--root", str(self.root)]
        for url in listen:
            self.command += ["--listen", url]
        if config is not None:
            self.set_config(config)
            self.command += ["--config", str(self.config_file)]
        self.command += options
        self._popen = popen
        self.log = []  # the lines of the log that were looked at

    @property
    def config_file(self):
        return self.folder / "cleaved.toml"

    def set_config(self, text):
        self.config_file.write_text(text, encoding="utf-8")

    def __enter__(self):
        """May be called again when cleaved has ended: it starts anew with the same folder."""
        self.urls = []
        self._lines = queue.Queue()
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(self.command, cwd=self.folder, **(popen | self._popen))
        if self.process.stderr is not None:
            reading = threading.Thread(target=self._read_log, daemon=True,
                                       args=(self.process.stderr, self._lines))
            reading.start()
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
        raise AssertionError(f"cleaved ended before it was ready: {self.rest_of_log()}")

    @staticmethod
    def _read_log(stderr, lines):
        with stderr:
            for line in stderr:
                lines.put(line.decode().rstrip("\n"))
        lines.put(None)

    def rest_of_log(self):
        """All lines, of a daemon that ends."""
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.log.append(line)
        return self.log

    @property
    def url(self):
        return self.urls[0]

    @property
    def address(self):
        return address_of(self.url)

    @property
    def port(self):
        return self.address[1]

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

    def restart(self, between=lambda: None):
        """Kills it, if it has not ended, and starts it anew with the same folder."""
        self.kill(signal.SIGKILL)
        self.wait()
        self.process.stdout.close()
        between()
        self.__enter__()

    def connect(self, index=0):
        return Peer(self.urls[index])


def address_of(url):
    """What to connect to: a pair of host and port, or a path."""
    if url.startswith("unix:"):
        return urllib.parse.unquote(url[len("unix:"):].split("?")[0])
    six, four, port = re.match(r"\w+://(?:\[(.*?)\]|([^:]*)):(\d+)", url).groups()
    return six or four, int(port)


class Peer(BytePeer):
    """A connection to a server, that speaks in frames."""

    def __init__(self, url):
        super().__init__(address_of(url))

    def send(self, header, body=b""):
        """A frame; a header that is bytes already is sent as it stands."""
        if not isinstance(header, bytes):
            header = json.dumps(header).encode()
        self.send_bytes(struct.pack("<I", len(header)) + header + body)

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
