# SPDX-License-Identifier: MIT
"""A program in a terminal: one of tmux's, on a server of its own that nobody else sees."""
import contextlib
import os
import pathlib
import re
import subprocess
import time

from process_facts import eventually, states
from support import PATIENCE

# Says how the program has ended, which tmux now and then does not hear of.
AROUND = 'trap : INT QUIT; "$@"; echo "[exit status $?]"; exec sleep 600'
STATUS = re.compile(r"\[exit status (\d+)\]")
SETTINGS = """
set -g status off
set -s escape-time 0
set -g default-terminal screen
"""


class Terminal:
    """Runs a command in `folder`, which is also its home, until the `with` ends.

        with Terminal(folder, ["cleave"], width=60) as terminal:
            terminal.type("echo a", "Enter")
            terminal.wait_for("a")

    What is typed is text, or the name of a key as tmux has it: "Enter", "Up", "C-c".
    """

    def __init__(self, folder, command, width=60, height=16, **environment):
        self.folder = pathlib.Path(folder)
        self.command = [str(word) for word in command]
        self.size = (width, height)
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder),
                            "TMUX_TMPDIR": str(folder), "HISTFILE": ""} | environment
        for name in ("TSAN_OPTIONS", "ASAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def tmux(self, *words):
        return subprocess.run(
            ["tmux", "-L", "cleave-test", "-f", self.folder / ".tmux.conf", *map(str, words)],
            env=self.environment, capture_output=True, timeout=PATIENCE, check=True).stdout.decode()

    def __enter__(self):
        (self.folder / ".tmux.conf").write_text(SETTINGS, encoding="utf-8")
        width, height = self.size
        self.tmux("new-session", "-d", "-s", "t", "-x", width, "-y", height, "-c", self.folder,
                  "sh", "-c", AROUND, "sh", *self.command)
        self.processes = [int(self.fact(name)) for name in ("pane_pid", "pid")]
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):  # it has ended already
            self.tmux("kill-server")
        # Who is hung up may still write something, and the folder is about to go; and whoever comes
        # next would meet a server that is about to go.
        eventually(lambda: all(map(self.has_ended, self.processes)), PATIENCE)

    @staticmethod
    def has_ended(pid):
        with contextlib.suppress(FileNotFoundError):
            return states(pid) in ([], ["Z"])
        return True

    def type(self, *keys):
        self.tmux("send-keys", "-t", "t", "--", *keys)

    def resize(self, width):
        self.tmux("resize-window", "-t", "t", "-x", width)

    def screen(self):
        """What is to be seen, without blanks at the end of lines and without empty lines below."""
        text = self.tmux("capture-pane", "-p", "-t", "t")
        return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")

    def fact(self, name):
        return self.tmux("display-message", "-p", "-t", "t", "#{%s}" % name).strip()

    def wait_until(self, right, what):
        """Looks until what is seen is right."""
        until = time.monotonic() + PATIENCE
        while not right(screen := self.screen()):
            if time.monotonic() > until:
                raise AssertionError(f"expected {what}, and this is on the screen:\n{screen}")
        return screen

    def wait_for(self, part):
        return self.wait_until(lambda screen: part in screen, repr(part))

    def wait_for_lines(self, *lines):
        """Until this is all that is on the screen."""
        wanted = "\n".join(lines)
        return self.wait_until(lambda screen: screen == wanted, "\n" + wanted)

    def enter(self, *keys):
        """Types a line at a prompt `>>: `, and waits for the next one."""
        prompts = self.screen().count(">>:")
        self.type(*keys, "Enter")
        self.wait_until(lambda screen: screen.endswith(">>:") and screen.count(">>:") > prompts,
                        "another prompt")

    def wait_for_end(self):
        """The exit status."""
        screen = self.wait_until(lambda screen: STATUS.search(screen), "the end of the program")
        return int(STATUS.search(screen)[1])
