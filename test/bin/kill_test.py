#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved that is killed while it stores, and keeps its word."""

import pathlib
import random
import signal
import tempfile
import unittest

from daemon_case import MIB, VERY_LONG
from process_facts import eventually
from store_history import History, seed_of_this_run
from store_operations import OPERATIONS, UPLOADS, StoreTest
from support import Daemon

from adversary.peer import Closed

KILLS = 1_000 if VERY_LONG else 25
STEPS_OF = OPERATIONS + UPLOADS if VERY_LONG else (OPERATIONS[1], OPERATIONS[5], UPLOADS[2])


class Kills(unittest.TestCase):
    def test_84_killed_at_any_time_it_keeps_what_it_acknowledged_and_nothing_by_half(self):
        seed = seed_of_this_run()
        choice = random.Random(seed)
        history = History(seed)
        with tempfile.TemporaryDirectory(prefix="cleave-test-") as folder:
            with Daemon(root=pathlib.Path(folder) / "files") as daemon:
                for _ in range(KILLS):
                    history.strike(choice.randint(1, 300), lambda: daemon.kill(signal.SIGKILL),
                                   choice.choice([0, choice.uniform(0, 0.003)]))
                    history.run(daemon.address)
                    daemon.restart()
                    history.check(daemon)
        print(f"{KILLS} kills, {history.acknowledged} operations acknowledged, "
              f"{history.in_flight} met by a kill")
        self.assertGreater(history.acknowledged, KILLS)
        self.assertGreater(history.in_flight, KILLS)


class KillsAtEveryStep(StoreTest):
    """strace kills it as it is about to make a call."""

    def setUp(self):
        self.serve_by_steps()

    def test_84_killed_at_any_step_it_leaves_the_old_or_the_new(self):
        for operation in STEPS_OF:
            happened = False
            for step in self.steps(operation):
                with self.subTest(operation.name, step=step):
                    self.client = self.connect()
                    self.prepare(operation)
                    with step.fault(self.pid, "signal=KILL"):
                        with self.assertRaises((Closed, OSError)):
                            self.client.request(operation.request, operation.body)
                        self.assertEqual(self.daemon.wait(), -signal.SIGKILL)
                    self.daemon.restart()
                    self.pid = self.daemon.process.pid
                    self.assert_old_or_new(operation, new=happened)
                    self.client = self.connect()
                    self.assert_can_be_gone_on_with(operation)
                happened = happened or step.happens()


class KilledUploads(StoreTest):
    def test_84_an_upload_goes_on_behind_what_was_durable(self):
        self.strike_upload(self.daemon.restart)

    def test_84_an_upload_that_begins_anew_with_the_id_of_another_is_the_new_one(self):
        client = self.connect()
        request = {"cmd": "put", "upload": "u", "filename": "f", "file_size": 2 * MIB}
        old, new = bytes(2 * MIB), bytes([1]) * (2 * MIB)
        self.assert_ok(client.request(request, old)[0])
        client.send_frame(request | {"id": 1, "more": True}, new[:MIB + MIB // 2])
        data = self.daemon.root / ".cleave" / "uploads" / "u.data"
        self.assertTrue(eventually(lambda: data.exists() and data.stat().st_size > 0))
        self.daemon.restart()
        client = self.connect()
        header, _ = client.request({"cmd": "stat", "upload": "u"})
        if header["status"] == "ok":
            self.assertNotIn("complete", header)
            self.assertLessEqual(header["offset"], MIB + MIB // 2)
        offset = header.get("offset", 0)
        self.assertEqual((self.daemon.root / "f").read_bytes(), old)
        self.assert_ok(client.request(request | {"offset": offset}, new[offset:])[0])
        self.assertEqual((self.daemon.root / "f").read_bytes(), new)

    def test_84_a_quota_counts_what_is_there_after_a_kill(self):
        self.serve(config="[limits]\nstore_quota_bytes = 10_485_760\n")
        client = self.connect()
        self.assert_ok(client.request({"cmd": "put", "filename": "a"}, bytes(5 * MIB))[0])
        upload = {"cmd": "put", "upload": "u", "filename": "c", "file_size": 2 * MIB}
        self.assert_ok(client.request(upload, bytes(MIB))[0])
        client.send_frame({"cmd": "put", "filename": "b", "id": 1, "more": True}, bytes(3 * MIB))
        self.assertTrue(eventually(lambda: self.temporaries() and
                                   self.temporaries()[0].stat().st_size > 0))
        self.daemon.restart()
        client = self.connect()
        # The part of the upload counts, what was broken off does not.
        self.assert_error(client.request({"cmd": "put", "filename": "b"}, bytes(4 * MIB + 1))[0],
                          "quota_exceeded")
        self.assert_ok(client.request({"cmd": "put", "filename": "b"}, bytes(3 * MIB))[0])
        self.assert_ok(client.request(upload | {"offset": MIB}, bytes(MIB))[0])
        self.assert_error(client.request({"cmd": "put", "filename": "d"}, b"x")[0], "quota_exceeded")
        self.assert_ok(client.request({"cmd": "delete", "filename": "a"})[0])
        self.assert_ok(client.request({"cmd": "put", "filename": "d"}, bytes(5 * MIB))[0])


if __name__ == "__main__":
    unittest.main()
