#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples of clients do what they say, and what the pages print of them is in them."""

import json
import pathlib
import signal
import subprocess
import tempfile
import unittest

from snippets import blocks_of, stands_in_an_example
from support import BIN, Daemon, PATIENCE


def run(name, *arguments):
    return subprocess.run([str(BIN / f"example_{name}"), *map(str, arguments)], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)


class ClientExamplesTest(unittest.TestCase):
    def test_ask_calls_stores_and_fetches(self):
        with tempfile.TemporaryDirectory() as folder, \
                Daemon(root=pathlib.Path(folder) / "root") as daemon:
            file = pathlib.Path(folder) / "file"
            file.write_bytes(bytes(5_000_000))
            done = run("ask", daemon.url, "hello", file)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"^HELLO\nits help has \d+ bytes\n"
                                          r"5000000 bytes with xxh3 [0-9a-f]{16}\n$")
            self.assertEqual(pathlib.Path(f"{file}.back").read_bytes(), bytes(5_000_000))

    def test_ask_says_that_nobody_is_there(self):
        done = run("ask", "tcp://127.0.0.1:1", "hello")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot connect", done.stderr)

    def test_poll_goes_on_with_a_server_that_comes_back(self):
        with tempfile.TemporaryDirectory() as folder:
            url = f"unix:{folder}/socket"
            with Daemon(listen=(url,)) as daemon:
                polling = subprocess.Popen([str(BIN / "example_poll"), url, "1000000"],
                                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                self.addCleanup(polling.stdout.close)
                self.addCleanup(polling.wait)
                self.addCleanup(polling.kill)
                # For longer than a client waits between its attempts, so that the next one is younger.
                while self.uptime(polling) < 1_000:
                    pass
                daemon.kill(signal.SIGKILL)
                daemon.wait()
            with Daemon(listen=(url,)):
                while self.uptime(polling) >= 1_000:
                    pass

    @staticmethod
    def uptime(polling):
        return json.loads(polling.stdout.readline())["uptime_ms"]

    def test_poll_ends_after_its_count(self):
        with Daemon() as daemon:
            done = run("poll", daemon.url, 3)
            self.assertEqual((done.returncode, done.stdout.count("uptime_ms")), (0, 3))

    def test_what_the_pages_print_stands_in_the_examples(self):
        for page, count in (("core/README.md", 3), ("handlers/README.md", 1)):
            found = [block for block in blocks_of(page)
                     if block.language == "cpp" and stands_in_an_example(block)]
            self.assertGreaterEqual(len(found), count, page)


if __name__ == "__main__":
    unittest.main()
