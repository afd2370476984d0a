#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved on a disk that loses its power. The disk is a file system in a file; what was not
written to it when the power goes is lost."""

import os
import random
import shutil
import signal
import unittest

from daemon_case import SANITIZED, VERY_LONG
from disks import Disk
from store_history import Broken, History, seed_of_this_run
from store_operations import OPERATIONS, UPLOADS, StoreTest
from support import Daemon

from adversary.peer import Closed

CUTS = 50 if VERY_LONG else 2
STEPS_OF = OPERATIONS + UPLOADS if VERY_LONG else UPLOADS[2:3]
# Between two of these a power cut makes no difference; the long run tries all.
CALLS = {"fsync", "fdatasync", "renameat", "renameat2", "mkdirat", "unlinkat"}


class PowerCuts(StoreTest):
    kind = None

    def setUp(self):
        self.disk = self.enterContext(Disk(self.kind))

    def daemon_on_disk(self, *options, **more):
        return self.enterContext(Daemon(*options, root=self.disk.path / "files", **more))

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
        for operation in STEPS_OF:
            for step in self.steps(operation):
                if not VERY_LONG and step.call not in CALLS:
                    continue
                with self.subTest(operation.name, step=step):
                    self.client = self.connect()
                    self.prepare(operation)
                    with step.fault(self.pid, "signal=KILL"):
                        with self.assertRaises((Closed, OSError)):
                            self.client.request(operation.request, operation.body)
                        self.assertEqual(self.daemon.wait(), -signal.SIGKILL)
                    self.disk.cut_power()
                    self.daemon.restart(between=self.disk.power_on)
                    self.pid = self.daemon.process.pid
                    seen.add(self.assert_old_or_new(operation))
                    self.client = self.connect()
                    self.assert_can_be_gone_on_with(operation)
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

    def test_85_an_upload_goes_on_behind_what_was_durable(self):
        def cut():
            self.disk.cut_power()
            self.daemon.restart(between=self.disk.power_on)

        self.serve(root=self.disk.path / "files", config="[limits]\nstore_free_bytes = 0\n")
        self.strike_upload(cut)

    def test_85_with_the_content_alone_durable_what_is_there_is_whole(self):
        seed = seed_of_this_run()
        choice = random.Random(seed)
        history = History(seed, power=True, names=False, uploads=False)
        daemon = self.daemon_on_disk("--durability", "data")
        for _ in range(CUTS):
            history.strike(choice.randint(50, 600), self.disk.cut_power)
            history.run(daemon.address)
            daemon.restart(between=self.disk.power_on)
            history.check(daemon)
        self.assertGreater(history.acknowledged, CUTS)

    def test_a_store_that_is_not_to_be_durable_is_found_out(self):
        """The history tells such a store from a good one."""
        self.assert_found_out(self.daemon_on_disk("--durability", "none"))

    @unittest.skipUnless(shutil.which("strace") and not SANITIZED, "needs strace")
    def test_a_store_that_does_not_sync_is_found_out(self):
        """The history tells such a store from a good one."""
        lying = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync",
                 "-e", "inject=fsync,fdatasync:retval=0")
        self.assert_found_out(self.daemon_on_disk(prefix=lying))

    def assert_found_out(self, daemon):
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
