# SPDX-License-Identifier: MIT
"""A large file through a network that breaks again and again, by a client that is started anew each
time."""

import filecmp
import os
import unittest

from daemon_case import MIB, VERY_LONG, DaemonTest
from adversary.proxy import Fault, Proxy
from support import CLEAVE, run

SIZE = 2048 * MIB if VERY_LONG else 48 * MIB
CUTS = 20
# With a little more than a part each time there are as many cuts, and no more.
PART = SIZE // CUTS - SIZE // 1000


class LongWay(DaemonTest):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "file"
        with self.file.open("wb") as out:
            piece = os.urandom(MIB)
            for number in range(SIZE // MIB):
                out.write(number.to_bytes(8, "little") + piece[8:])
        self.store = self.daemon.root / "file"
        self.got = self.folder / "got"

    def go_on_until_done(self, *command, faults, after_each):
        """How often the network broke before the command came to its end."""
        for cuts in range(3 * CUTS):
            with Proxy(self.daemon.address, **faults) as proxy:
                done = run(CLEAVE, "-s", proxy.url, *command, timeout=600)
            if done.returncode == 0:
                return cuts
            self.assertEqual(done.returncode, 5, done)
            after_each()
        self.fail("it does not get on")

    def test_it_arrives_there_and_back_whole_and_is_seen_by_nobody_before(self):
        cut = {"to_server": Fault(cut_at=PART, cut="reset")}
        cuts = self.go_on_until_done("put", "-c", "--retries", "0", self.file, faults=cut,
                                     after_each=lambda: self.assertFalse(self.store.exists()))
        self.assertGreaterEqual(cuts, CUTS)
        self.assertTrue(filecmp.cmp(self.file, self.store, shallow=False))
        self.assertEqual(self.connect().request({"cmd": "verify", "filename": "file"})[0]["status"],
                         "ok")

        cut = {"to_client": Fault(cut_at=PART, cut="fin")}
        cuts = self.go_on_until_done("get", "-c", "--retries", "0", "file", self.got, faults=cut,
                                     after_each=lambda: self.assertFalse(self.got.exists()))
        self.assertGreaterEqual(cuts, CUTS)
        self.assertTrue(filecmp.cmp(self.store, self.got, shallow=False))


if __name__ == "__main__":
    unittest.main()
