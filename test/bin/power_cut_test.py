#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved on a disk that loses its power. The disk is a file system in a file; what was not
written to it when the power goes is lost."""

import os
import random
import shutil
import signal
import unittest

from daemon_case import LONG, SANITIZED
from disks import Disk
from store_history import Broken, History, seed_of_this_run
from store_operations import BEFORE, OPERATIONS, StoreTest
from support import Daemon
from tracing import Strace

CUTS = 50 if LONG else 2


class PowerCuts(StoreTest):
    kind = None

    def setUp(self):
        self.disk = self.enterContext(Disk(self.kind))

    def daemon_on_disk(self, **more):
        return self.enterContext(Daemon(root=self.disk.path / "files", **more))

    def test_85_what_was_acknowledged_is_there_after_a_power_cut_and_nothing_by_half(self):
        seed = seed_of_this_run()
        choice = random.Random(seed)
        history = History(seed, power=True)
        daemon = self.daemon_on_disk()
        for _ in range(CUTS):
            history.strike(choice.randint(50, 600), self.disk.cut_power,
                           choice.choice([0, choice.uniform(0, 0.003)]))
            history.run(daemon.address)
            daemon.restart(between=self.disk.power_on)
            history.check(daemon)
        print(f"{CUTS} power cuts of {self.kind}, {history.acknowledged} operations acknowledged, "
              f"{history.in_flight} met by a cut")
        self.assertGreater(history.acknowledged, CUTS)
        self.assertGreater(history.in_flight, 0)

    def test_85_a_power_cut_at_any_step_leaves_the_old_or_the_new(self):
        self.serve_by_steps(root=self.disk.path / "files")
        seen = set()
        for operation in OPERATIONS if LONG else OPERATIONS[:1]:
            for step in self.steps(operation):
                with self.subTest(operation.name, step=step):
                    self.set_contents(self.client, BEFORE)
                    with Strace(self.pid, step.call, [step.fault("signal=KILL")]):
                        self.client.send_frame(operation.request, operation.body)
                        self.assertEqual(self.daemon.wait(), -signal.SIGKILL)
                    self.disk.cut_power()
                    self.daemon.restart(between=self.disk.power_on)
                    self.pid = self.daemon.process.pid
                    seen.add(self.assert_old_or_new(operation))
                    self.client = self.connect()
        self.assertIn(False, seen)

    def test_a_file_that_was_not_synced_is_lost(self):
        """The disk does lose its power."""
        for name, synced in (("lost", False), ("kept", True)):
            with open(self.disk.path / name, "wb") as file:
                file.write(b"x" * 100_000)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
        (self.disk.path / "again").write_bytes(b"y")
        self.disk.cut_power()
        self.disk.power_on()
        self.assertEqual((self.disk.path / "kept").read_bytes(), b"x" * 100_000)
        self.assertFalse((self.disk.path / "again").exists())
        lost = self.disk.path / "lost"
        self.assertTrue(not lost.exists() or lost.read_bytes() != b"x" * 100_000)

    @unittest.skipUnless(shutil.which("strace") and not SANITIZED, "needs strace")
    def test_a_store_that_does_not_sync_is_found_out(self):
        """The history tells such a store from a good one."""
        lying = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
                 "-e", "inject=fsync,fdatasync:retval=0")
        daemon = self.daemon_on_disk(prefix=lying)
        history = History(seed_of_this_run(), power=True)
        history.strike(300, self.disk.cut_power)
        history.run(daemon.address)
        self.assertGreater(history.acknowledged, 0)
        daemon.restart(between=self.disk.power_on)
        with self.assertRaises(Broken):
            history.check(daemon)


class Ext4(PowerCuts):
    kind = "ext4"


class Xfs(PowerCuts):
    kind = "xfs"


del PowerCuts  # nobody's own


if __name__ == "__main__":
    unittest.main()
