# SPDX-License-Identifier: MIT
"""A terminal as a program sees it, for tests that read what is written there."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import unicodedata

from support import PATIENCE

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def width_of(text):
    """The columns that text takes, escapes left out."""
    return sum(0 if unicodedata.combining(character) else
               2 if unicodedata.east_asian_width(character) in "WF" else 1
               for character in ESCAPE.sub("", text))


class Screen:
    """Give `fd` to a program, and close_fd() then."""

    def __init__(self, columns=80, rows=24):
        self.controller, self.fd = pty.openpty()
        self.resize(columns, rows)
        self.seen = ""

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.controller, keys.encode())

    def close_fd(self):
        if self.fd is not None:
            os.close(self.fd)
        self.fd = None

    def close(self):
        self.close_fd()
        os.close(self.controller)

    def read_some(self):
        """False at the end of what is written."""
        assert select.select([self.controller], [], [], PATIENCE)[0], self.seen
        try:
            some = os.read(self.controller, 65_536)
        except OSError:  # nobody has it open any more
            return False
        self.seen += some.decode(errors="replace")
        return bool(some)

    def read_until(self, pattern, start=0):
        """Where a match ends that begins at `start` or later."""
        while not (match := re.compile(pattern).search(self.seen, start)):
            assert self.read_some(), self.seen
        return match.end()

    def read_to_end(self):
        self.close_fd()
        while self.read_some():
            pass
        return self.seen

    def lines(self, start=0):
        """All that was written as lines, drawn anew or not, without escapes."""
        return [ESCAPE.sub("", line) for line in re.split(r"[\r\n]+", self.seen[start:])]
