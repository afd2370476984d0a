#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved that is killed while it stores, and keeps its word."""

import pathlib
import random
import signal
import tempfile
import unittest

from daemon_case import LONG
from store_history import History, seed_of_this_run
from support import Daemon

KILLS = 1_000 if LONG else 25


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


if __name__ == "__main__":
    unittest.main()
