# SPDX-License-Identifier: MIT
"""The calls by which cleaved works on its disk, watched and made to fail one by one."""

import collections
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from daemon_case import SANITIZED

# Makes a daemon do one thing after the other on its disk: strace counts the calls of each thread.
ONE_THREAD = {"UV_THREADPOOL_SIZE": "1"}
NAMING = ("renameat", "renameat2", "unlinkat")
CALL = re.compile(r"(\d+) +(\w+)\((.*)")


class Strace:
    """Watches a process in a `with`; `calls` and `faults` are what follows trace= and inject=. With
    `path` only calls that touch that file or folder count."""

    def __init__(self, pid, calls, faults=(), path=None):
        if shutil.which("strace") is None or SANITIZED:
            raise unittest.SkipTest("needs strace, and a build without a sanitizer")
        self._folder = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self._output = pathlib.Path(self._folder.name) / "calls"
        self._command = ["strace", "-f", "-y", "-o", str(self._output), "-p", str(pid),
                         "-e", f"trace={calls}"]
        for fault in faults:
            self._command += ["-e", f"inject={fault}"]
        if path is not None:
            self._command += ["-P", path]
        self.lines = []

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        said = self._process.stderr.readline()
        if "attached" not in said:
            self.__exit__()
            raise unittest.SkipTest(f"strace may not watch a process here: {said.strip()}")
        return self

    def __exit__(self, *_):
        """From then on the process goes on as ever."""
        with self._process, self._folder:
            self._process.terminate()
            self._process.communicate()
            if self._output.exists():
                self.lines = self._output.read_text(errors="replace").splitlines()

    def injected(self):
        """How often a call was made to fail, or to end the process."""
        return sum("(INJECTED)" in line for line in self.lines)


@dataclasses.dataclass(frozen=True)
class Step:
    """A call of an operation: the `number`-th of this name."""

    call: str
    number: int
    text: str
    path: str | None

    def __str__(self):
        return f"{self.call} {self.number}"

    def fault(self, pid, what):
        """Watches the process, whose call is to fail."""
        return Strace(pid, self.call, [f"{self.call}:{what}:when={self.number}"], self.path)

    def happens(self):
        """Whether this makes a difference that can be seen: a name outside the store's own folder is
        given or taken."""
        folders = re.findall(r"<(/[^>]*)>", self.text)  # and not <unfinished ...>
        return self.call in NAMING and "/.cleave" not in folders[-1]


def steps(daemon, operation):
    """The calls about the store's files that `operation` has the daemon make, in their order."""
    with Strace(daemon.process.pid, "%file,%desc") as strace:
        operation()
    root = os.path.realpath(daemon.root)
    counts = collections.Counter()
    found = []
    for line in strace.lines:
        match = CALL.match(line)
        if match is None:
            continue
        thread, call, text = match.groups()
        # Of sockets, and to wake others, one reads and writes as well.
        path = text.split("<")[1].split(">")[0] if call in ("read", "write") and "<" in text else None
        counts[thread, call, path] += 1
        if f"<{root}" in text and call != "close":
            found.append(Step(call, counts[thread, call, path], text, path))
    return found
