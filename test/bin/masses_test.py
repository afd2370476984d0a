#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many connections: held at once, reset, opened and closed. Fewer of them unless
CLEAVE_LONG_TESTS=1."""

import os
import resource
import socket
import struct
import unittest

from daemon_case import LONG, SANITIZED, DaemonTest
from process_facts import descriptors, eventually, private_memory, processor_time
from python_client import Client, frame

from adversary.peer import reset

# What a debug build takes is not what is served with.
MEASURED = os.environ.get("CLEAVE_BUILD_TYPE") in ("Release", "RelWithDebInfo") and not SANITIZED
KIB = 1024
HELD = 10_000 if LONG else 1_000
RESETS = 1_000 if LONG else 200
COMING_AND_GOING = 100_000 if LONG else 5_000
SLOW = 1_000 if LONG else 100
# So many connections at once, of which the last is served before they are closed: the system
# completes no more than that without the daemon.
BATCH = 250


def sources():
    """Addresses of loopback to come from in turn, as each has only so many ports."""
    number = 0
    while True:
        number = number % 200 + 1
        yield f"127.0.1.{number}"


class Masses(DaemonTest):
    # So little that a reply of 100 KB waits in the daemon for its reader, not in the system.
    listen = "tcp://127.0.0.1:0?send_buffer=16384"
    config = "[limits]\nmax_connections = 11_000\n"

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = HELD + 500
        if hard < wanted:
            self.skipTest(f"needs {wanted} descriptors, and may have {hard}")
        # The daemon raises its own; it would inherit ours.
        super().setUp()
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.sources = sources()
        self.live = self.connect()
        self.assert_echoes(self.live)
        self.before = descriptors(self.pid)

    def open(self, count):
        """Connections that say nothing, each from the next address."""
        opened = []
        try:
            for _ in range(count):
                connection = socket.socket()
                opened.append(connection)
                connection.bind((next(self.sources), 0))
                connection.connect(self.daemon.address)
        except OSError:
            for each in opened:
                each.close()
            raise
        return opened

    def accept_all(self, connections):
        """The last one is served, and so the others have been accepted."""
        if connections:
            connections[-1].settimeout(60)
            connections[-1].sendall(frame({"cmd": "echo"}))
            (size,) = struct.unpack("<I", connections[-1].recv(4, socket.MSG_WAITALL))
            connections[-1].recv(size, socket.MSG_WAITALL)

    def assert_back_to_the_start(self):
        self.assertTrue(eventually(lambda: descriptors(self.pid) <= self.before, 20),
                        f"{descriptors(self.pid)} descriptors, {self.before} before")
        self.assert_echoes(self.live)

    def test_connections_that_are_held_take_little_memory_and_all_of_it_is_given_back(self):
        before = private_memory(self.pid)
        held = []
        try:
            while len(held) < HELD:
                batch = self.open(min(BATCH, HELD - len(held)))
                held += batch
                self.accept_all(batch)
            self.assertEqual(descriptors(self.pid), self.before + HELD)
            each = (private_memory(self.pid) - before) / HELD
            print(f"{HELD} connections held: {each:.0f} bytes each", flush=True)
            if MEASURED:
                self.assertLessEqual(each, KIB)
            # Nothing to do is nothing done.
            spent = processor_time(self.pid)
            self.assert_ok(self.live.request({"cmd": "exec", "argv": ["sleep", "0.5"]})[0])
            self.assertLess(processor_time(self.pid) - spent, 0.1 if not SANITIZED else 0.4)
            self.accept_all(held[:1])
        finally:
            for connection in held:
                connection.close()
        self.assert_back_to_the_start()

    def test_resets_in_the_middle_of_bodies_leave_nothing(self):
        request = frame({"cmd": "put", "filename": "torn", "data_size": 200_000}) + bytes(100_000)
        for _ in range(RESETS // 50):
            batch = self.open(50)
            for connection in batch:
                connection.sendall(request)
            self.assert_echoes(self.live)
            for connection in batch:
                reset(connection)
        self.assert_back_to_the_start()
        self.assertFalse((self.daemon.root / "torn").exists())
        self.assertTrue(eventually(lambda: not self.temporaries()))

    def test_45_connections_that_come_and_go_leave_neither_descriptors_nor_memory(self):
        def come_and_go():
            for _ in range(COMING_AND_GOING // BATCH):
                batch = self.open(BATCH)
                self.accept_all(batch)
                for connection in batch:
                    connection.close()
                # Whoever is inside is served all the while.
                self.assert_echoes(self.live)
            self.assert_back_to_the_start()

        come_and_go()
        before = private_memory(self.pid)
        come_and_go()
        grown = private_memory(self.pid) - before
        print(f"{COMING_AND_GOING} connections more: {grown // KIB} KiB more", flush=True)
        if not SANITIZED:
            self.assertLessEqual(grown, 64 * KIB)

    def test_47_many_slow_readers_do_not_hold_up_a_fast_one(self):
        slow = []
        try:
            for _ in range(SLOW):
                client = Client(self.daemon.address, source=next(self.sources), receive_buffer=4096)
                slow.append(client)
                client.send_frame({"cmd": "echo"}, bytes(100_000))
            for _ in range(1_000):
                self.assert_echoes(self.live)
        finally:
            for client in slow:
                client.close()
        self.assert_back_to_the_start()


if __name__ == "__main__":
    unittest.main()
