# SPDX-License-Identifier: MIT
"""Programs that run on a cleaved."""
import threading
import unittest

from server import ServerTest

import cleave


class ExecTest(ServerTest):
    def setUp(self):
        self.client = cleave.Client(self.serve().url)
        self.addCleanup(self.client.close)

    def test_a_program_ends_as_it_ends(self):
        done = self.client.exec(["sh", "-c", "cat; echo bad >&2; exit 3"], body=b"in\n")
        self.assertEqual((done.exit_code, done.signal, done.ok), (3, None, False))
        self.assertEqual((done.stdout, done.stderr), (b"in\n", b"bad\n"))
        done = self.client.exec(shell="kill -9 $$")
        self.assertEqual((done.exit_code, done.signal, done.ok), (None, 9, False))
        self.assertTrue(self.client.exec(shell='test "$A" = b && test "$PWD" = /', cwd="/",
                                         env={"A": "b"}).ok)

    def test_a_program_that_does_not_start_is_an_error(self):
        with self.assertRaises(cleave.NotFound):
            self.client.exec(["/nowhere/at/all"])
        with self.assertRaises(cleave.Denied):
            self.client.exec(name="backup", args={"customer": "acme"})
        for words in ({}, {"argv": ["true"], "shell": "true"}, {"argv": "true"}):
            with self.subTest(words), self.assertRaises(ValueError):
                self.client.exec(**words)

    def test_output_beyond_the_limit_is_an_error_and_ends_the_program(self):
        with self.assertRaises(cleave.TooLarge):
            self.client.exec(["yes"], limit=100_000)
        self.assertTrue(self.client.exec(["true"]).ok)

    def test_a_conversation_goes_back_and_forth(self):
        turns = threading.Semaphore(1)

        def says():
            for line in (b"one\n", b"two\n", b"three\n"):
                turns.acquire()
                yield line

        heard = []
        with self.client.start(["cat"], body=says()) as program:
            with self.assertRaises(cleave.ProtocolError):
                program.result
            for stream, piece in program:
                heard.append((stream, piece))
                turns.release()
        self.assertEqual(heard, [("stdout", b"one\n"), ("stdout", b"two\n"), ("stdout", b"three\n")])
        self.assertTrue(program.result.ok)

    def test_a_program_that_is_cancelled_says_how_it_ended(self):
        with self.client.start(shell="echo begun; exec sleep 1000") as program:
            parts = iter(program)
            self.assertEqual(next(parts), ("stdout", b"begun\n"))
            program.cancel()
            with self.assertRaises(cleave.Cancelled) as caught:
                next(parts)
        self.assertEqual(caught.exception.members["killed_by"], "cancelled")
        self.assertEqual((program.result.signal, program.result.killed_by), (15, "cancelled"))

    def test_a_program_that_reads_nothing_ends_before_its_input_does(self):
        def endless():
            while True:
                yield bytes(100_000)

        self.assertTrue(self.client.exec(["true"], body=endless()).ok)

    def test_what_it_wrote_before_its_deadline_has_come(self):
        parts = []
        with self.assertRaises(cleave.DeadlineExceeded):
            with self.client.start(shell="echo begun; exec sleep 1000", timeout=0.5) as program:
                parts.extend(program)
        # Slow machines may not have got to begin it.
        self.assertIn(parts, ([("stdout", b"begun\n")], []))


if __name__ == "__main__":
    unittest.main()
