#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs programs by Python's subprocess, each of four threads one after another, with their output
captured; otherwise as posix_spawn_runs.cc.

    subprocess_runs.py BYTES     holds so much memory, prints its port on 127.0.0.1 and serves one
                                 connection after another until it is killed"""

import contextlib
import itertools
import socket
import struct
import subprocess
import sys
import threading

RUNS_AT_ONCE = 4
PAGE = 4096


def main():
    held = bytearray(int(sys.argv[1]))
    for at in range(0, len(held), PAGE):
        held[at] = 1
    wanted = threading.Event()
    over = itertools.count()
    seen = 0  # how often the count was asked for, which counts it as well

    def run():
        while True:
            wanted.wait()
            subprocess.run(["/bin/true"], capture_output=True, check=True)
            next(over)

    for _ in range(RUNS_AT_ONCE):
        threading.Thread(target=run, daemon=True).start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        wanted.set()
        # The client leaves as soon as it knows enough, and answers may be on their way to it.
        with connection, contextlib.suppress(ConnectionError):
            while asked := connection.recv(64):
                count = struct.pack("=Q", next(over) - seen)
                connection.sendall(count * len(asked))
                seen += 1
        wanted.clear()


main()
