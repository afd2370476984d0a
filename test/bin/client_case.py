# SPDX-License-Identifier: MIT
"""What the tests of the client program share."""
import pathlib
import subprocess
import tempfile
import unittest

from support import CLEAVE


class ClientTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.url = None

    def command(self, *arguments):
        return [CLEAVE, "-s", self.url, *arguments]

    def cleave(self, *arguments, stdin=b"", status=0):
        """Runs a command to its end and checks its exit status."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True,
                              cwd=self.folder, timeout=60)
        self.assertEqual(done.returncode, status, (arguments, done))
        return done

    def output(self, *arguments, **options):
        done = self.cleave(*arguments, **options)
        self.assertEqual(done.stderr, b"")
        return done.stdout

    def sentence(self, *arguments, **options):
        """The last line on standard error of a command that fails, behind those of its tries."""
        done = self.cleave(*arguments, **options)
        self.assertEqual(done.stdout, b"")
        *tries, sentence = done.stderr.decode().splitlines(keepends=True)
        for line in tries:
            self.assertRegex(line, r"; try \d of \d+ in \d+\.\d s$|goes on behind its first .*$")
        self.assertTrue(sentence.startswith("cleave: ") and sentence.endswith("\n"), done.stderr)
        return sentence

    def start(self, *arguments, **options):
        process = subprocess.Popen(self.command(*arguments), cwd=self.folder, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
