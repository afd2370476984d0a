#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many programs: a thousand one after the other, and a hundred at once when the daemon stops."""

import signal
import unittest

from daemon_case import SANITIZED
from exec_case import ExecTest, processes
from process_facts import descriptors, eventually
from python_client import Client
from support import PATIENCE

RUNS = 200 if SANITIZED else 1_000
QUIET = "echo up; exec sleep 1000"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 1000; done"
FLEE = "setsid sh -c 'echo up; exec sleep 1000' & sleep 1000"


class Stops(ExecTest):
    """A daemon that stops with a hundred programs."""

    count = 100
    limits = ExecTest.config + "exec_max_running = 200\ndrain_timeout_ms = {}\n"

    def serve_full(self, shell, drain_timeout_ms):
        """A daemon whose programs have all said that they are up, and the client that asked."""
        daemon = self.enterContext(self.another("--exec", "shell",
                                                config=self.limits.format(drain_timeout_ms)))
        client = self.enterContext(Client(daemon.address))
        self.ids = range(1, self.count + 1)
        for number in self.ids:
            self.begin(client, shell, id=number, more=True)
        for _ in self.ids:
            header, body = client.recv_frame()
            self.assertEqual((header.get("stream"), body), ("stdout", b"up\n"), header)
        self.assertGreaterEqual(len(processes(daemon)), self.count)
        return daemon, client

    def test_they_may_end_by_themselves(self):
        daemon, client = self.serve_full("echo up; cat; exit 3", 60_000)
        daemon.kill(signal.SIGTERM)
        daemon.wait_for_log("draining")
        for number in self.ids:
            client.send_frame({"id": number})
        for last in self.ends(client, self.ids):
            self.assertEqual((last["status"], last["exit_code"]), ("ok", 3), last)
        self.assertEqual(daemon.wait(), 0)
        self.assert_nothing_left(daemon)

    def test_those_that_do_not_are_ended(self):
        for shell, number in ((QUIET, signal.SIGTERM), (FLEE, signal.SIGTERM),
                              (STUBBORN, signal.SIGKILL)):
            daemon, client = self.serve_full(shell, 100)
            daemon.kill(signal.SIGTERM)
            for last in self.ends(client, self.ids):
                self.assert_error(last, "unavailable")
                self.assertEqual((last["signal"], last["killed_by"]), (number, "draining"))
            self.assertEqual(daemon.wait(), 1)
            self.assert_nothing_left(daemon)

    def test_at_once_at_the_second_signal(self):
        for shell in (QUIET, FLEE, STUBBORN):
            daemon, _ = self.serve_full(shell, 60_000)
            self.assertEqual(self.stop(daemon, signals=2), 1)
            self.assert_nothing_left(daemon)


class Masses(ExecTest):
    """A thousand runs leave no descriptor, no process and no zombie."""

    config = ExecTest.config + "exec_max_running = 32\n"

    def run_many(self, connections):
        clients = [self.connect() for _ in range(connections)]
        for client in clients:
            self.assert_echoes(client)
        before = descriptors(self.pid)
        flight = 8
        for first in range(0, RUNS, connections * flight):
            numbers = range(first, min(first + connections * flight, RUNS))
            for number in numbers:
                self.begin(clients[number % connections], f"exit {number % 256}", id=number)
            for client in range(connections):
                own = [number for number in numbers if number % connections == client]
                for number, last in zip(own, self.ends(clients[client], own)):
                    self.assertEqual((last["status"], last["exit_code"]), ("ok", number % 256))
        self.assert_nothing_left()
        self.assertTrue(eventually(lambda: descriptors(self.pid) == before, PATIENCE),
                        (descriptors(self.pid), before))
        self.assertEqual(self.running(clients[0]), 0)

    def test_over_one_connection(self):
        self.run_many(1)

    def test_over_four(self):
        self.run_many(4)


if __name__ == "__main__":
    unittest.main()
