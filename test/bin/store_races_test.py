#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Folders that go while something is put or moved into them. strace widens the moment in which that
matters."""

import threading
import unittest

from python_client import Client
from store_operations import StoreTest
from tracing import Strace

ROUNDS = 30
# For ever nobody tries.
TIMES = 3
# In microseconds: a delete is far quicker.
LATER = "delay_enter=3000"


class FoldersThatGo(StoreTest):
    def setUp(self):
        super().setUp()
        self.client = self.connect()

    def while_the_folder_goes(self, calls, work):
        """Does the work of many rounds, in each of which somebody deletes the folder some times."""
        change = threading.Condition()
        stopped = False
        in_this_round = deleted = 0

        def delete():
            nonlocal in_this_round, deleted
            with Client(self.daemon.address) as other:
                while True:
                    with change:
                        change.wait_for(lambda: stopped or in_this_round < TIMES)
                        if stopped:
                            return
                    header, _ = other.request({"cmd": "delete", "filename": "d"})
                    if header["status"] == "ok":
                        with change:
                            in_this_round += 1
                            deleted += 1

        deleter = threading.Thread(target=delete)
        with Strace(self.pid, calls, [f"{calls}:{LATER}"]):
            deleter.start()
            try:
                for number in range(ROUNDS):
                    with change:
                        in_this_round = 0
                        change.notify()
                    work(number)
            finally:
                with change:
                    stopped = True
                    change.notify()
                deleter.join()
        self.assertGreater(deleted, ROUNDS // 2)

    def put(self, number):
        body = b"%d" % number
        self.assert_ok(self.client.request({"cmd": "put", "filename": "d/f"}, body)[0])
        self.assertEqual((self.daemon.root / "d" / "f").read_bytes(), body)
        self.assert_ok(self.client.request({"cmd": "delete", "filename": "d/f"})[0])

    def move(self, number):
        there = {"cmd": "move", "filename": "f", "to": "d/f", "overwrite": number % 2 == 0}
        self.assert_ok(self.client.request(there)[0])
        self.assert_ok(self.client.request({"cmd": "move", "filename": "d/f", "to": "f"})[0])

    def test_a_put_makes_its_folder_again_until_it_has_its_name(self):
        for calls in ("renameat,renameat2", "mkdirat", "openat,openat2"):
            with self.subTest(calls):
                self.while_the_folder_goes(calls, self.put)

    def test_a_move_makes_its_folder_again_until_it_is_done(self):
        self.assert_ok(self.client.request({"cmd": "put", "filename": "f"}, b"moved")[0])
        for calls in ("renameat,renameat2", "mkdirat", "openat,openat2"):
            with self.subTest(calls):
                self.while_the_folder_goes(calls, self.move)
                self.assertEqual(self.contents(), {"f": b"moved"})


if __name__ == "__main__":
    unittest.main()
