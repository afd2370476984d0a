# SPDX-License-Identifier: MIT
"""A daemon that runs for a test: on a free port, in a folder of its own."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

BIN_DIR = pathlib.Path(os.environ.get("CLEAVE_BIN_DIR", "build/bin")).resolve()


def eventually(condition, seconds=5.0):
    """Waits for something that another process does; the last value of the condition."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)


class Daemon:
    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self.root = pathlib.Path(self.folder.name) / "files"
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        command = [BIN_DIR / "cleaved", "--listen", "tcp://127.0.0.1:0", "--root", self.root,
                   *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)
        self.port = None
        for line in self.process.stdout:
            found = re.match(r"listening on tcp://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
            if line.strip() == "ready":
                break
        if self.port is None:
            self.process.wait()
            raise RuntimeError("the daemon did not start:\n" + self.read_log())

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"tcp://127.0.0.1:{self.port}"

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def memory(self, field):
        """A figure of /proc/PID/status, in bytes: VmRSS is now, VmHWM the most so far."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stop(self):
        """Its exit status after a SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
        return status
