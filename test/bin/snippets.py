# SPDX-License-Identifier: MIT
"""The code blocks of the READMEs, and how they are run. test/README.md has their languages."""

import os
import pathlib
import re
import shlex
import subprocess
import typing

from support import BIN, PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = BIN.parent


class Block(typing.NamedTuple):
    page: str  # its path in the tree
    line: int
    language: str
    text: str

    @property
    def place(self):
        return f"{self.page}:{self.line}"


def pages():
    """Every README.md of the tree."""
    found = subprocess.run(["git", "ls-files", "*README.md"], cwd=ROOT, capture_output=True, text=True,
                           check=False).stdout.split()
    if not found:  # a tree without its history
        found = [str(path.relative_to(ROOT)) for path in ROOT.rglob("README.md")
                 if not any(part.startswith((".", "build")) for part in path.relative_to(ROOT).parts)]
    return sorted(found)


def blocks_of(page):
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(.*)\n((?:(?!```).*\n)*)```$", text, re.MULTILINE):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def without_indentation(text):
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def stands_in_an_example(block):
    """Whether a piece of C++ is printed from a program in bin/examples, where it is compiled."""
    text = without_indentation(block.text)
    return any(text in without_indentation(path.read_text(encoding="utf-8"))
               for path in (ROOT / "bin/examples").glob("*.cc"))


def cache(name):
    """A variable of the build."""
    text = (BUILD / "CMakeCache.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{name}:[A-Z]+=(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


class Console:
    """Runs a transcript: lines that begin with `$ ` are commands, the others their output, in which a
    line `...` stands for any lines.

    A program that is started with `&` is a server: where it would take the port 8080 it gets
    `arguments[its name]` besides, to take one of its own, and the client's commands go there. What it
    prints is compared but for the port.
    """

    def __init__(self, test, folder, arguments, url=""):
        self.test, self.folder, self.arguments = test, folder, arguments
        self.environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
        if url:
            self.environment["CLEAVE_SERVER"] = url

    def run(self, text):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            with self.test.subTest(command=command):
                if command.endswith(" &"):
                    printed = self._start(shlex.split(command[:-2]), expected.count("\n"))
                else:
                    printed = self._bash(command)
                pattern = re.escape(expected).replace(re.escape("...\n"), r"(?:.*\n)*")
                self.test.assertRegex(printed, rf"\A{pattern}\Z")

    def _bash(self, command):
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
                              check=False)
        self.test.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def _start(self, command, lines):
        path = self.folder / command[0]
        own = [] if "--listen" in command else self.arguments[path.name]
        server = subprocess.Popen([path, *command[1:], *own], cwd=self.folder,
                                  env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True)

        def end():
            server.kill()
            server.wait()
            server.stdout.close()

        self.test.addCleanup(end)
        printed = "".join(server.stdout.readline() for _ in range(lines))
        url = re.search(r"tcp://127\.0\.0\.1:\d+", printed)
        if not own:
            return printed
        self.test.assertIsNotNone(url, printed)
        self.environment["CLEAVE_SERVER"] = url[0]
        return printed.replace(url[0], "tcp://127.0.0.1:8080")
