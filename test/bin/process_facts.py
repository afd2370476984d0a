# SPDX-License-Identifier: MIT
"""What can be seen of a process from outside."""

import contextlib
import os
import pathlib
import re
import time


def eventually(condition, seconds=5.0):
    """Waits for something that another process does; the last value of the condition."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)


def memory(pid, field):
    """A figure of /proc/PID/status, in bytes: VmRSS is now, VmHWM the most so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M)[1]) * 1024


def private_memory(pid):
    """The anonymous memory of a process, in bytes: what it has allocated and touched."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous:\s+(\d+) kB", rollup, re.M)[1]) * 1024


def processor_time(pid):
    """Seconds that a process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
    return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def states(pid):
    """The state of each thread, the first one's first: R, S, D (waits for a disk), Z (has ended) …"""
    letters = []
    for number in sorted(int(name) for name in os.listdir(f"/proc/{pid}/task")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended just now
            status = pathlib.Path(f"/proc/{pid}/task/{number}/status").read_text()
            letters.append(re.search(r"^State:\s+(\S)", status, re.M)[1])
    return letters


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def is_gone(pid):
    return not pathlib.Path(f"/proc/{pid}").exists()
