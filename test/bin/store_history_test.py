#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The history of a store finds out what it is there to find out."""

import signal
import unittest

from store_history import Broken, History, seed_of_this_run
from support import Daemon


class Damage(unittest.TestCase):
    def setUp(self):
        self.daemon = self.enterContext(Daemon())
        self.history = History(seed_of_this_run())
        # So much that there are files that nothing in flight may have replaced.
        self.history.strike(600, lambda: self.daemon.kill(signal.SIGKILL))
        self.history.run(self.daemon.address)
        self.daemon.restart()

    def files(self):
        """Those of the store with some content."""
        files = [each for each in sorted(self.daemon.root.rglob("*"))
                 if each.is_file() and ".cleave" not in each.parts and each.stat().st_size > 0]
        self.assertGreater(len(files), 5)
        return files

    def assert_found(self, sentence):
        with self.assertRaisesRegex(Broken, sentence):
            self.history.check(self.daemon)

    def test_a_store_that_keeps_its_word_passes(self):
        self.history.check(self.daemon)
        self.history.check(self.daemon)  # as nothing has happened since

    def test_acknowledged_files_that_are_lost(self):
        for file in self.files():
            file.unlink()
        self.assert_found("has nothing")

    def test_a_file_that_is_cut(self):
        file = self.files()[0]
        file.write_bytes(file.read_bytes()[:-1])
        self.assert_found(f"{file.relative_to(self.daemon.root)} has what nobody sent in whole")

    def test_a_digest_that_does_not_belong_to_its_content(self):
        file = self.files()[0]
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        self.assert_found("verify of .*checksum_mismatch")

    def test_a_content_under_another_name(self):
        one, two = self.files()[:2]
        one.rename(two)
        self.assert_found("has what was sent by")

    def test_a_file_that_nobody_sent(self):
        (self.daemon.root / "new").write_bytes(b"new")
        self.assert_found("new has what nobody sent in whole")

    def test_a_file_that_came_back(self):
        self.history.check(self.daemon)
        file = self.files()[0]
        content = file.read_bytes()
        # Enough for every file to be replaced or deleted, and acknowledged.
        self.history.strike(2000, lambda: self.daemon.kill(signal.SIGKILL))
        self.history.run(self.daemon.address)
        self.daemon.restart()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.assert_found(f"{file.relative_to(self.daemon.root)} has its old content")

    def test_a_temporary_file_that_is_left(self):
        (self.daemon.root / ".cleave" / "tmp" / "put-left").write_bytes(b"")
        self.assert_found("put-left is left")


if __name__ == "__main__":
    unittest.main()
