# SPDX-License-Identifier: MIT
"""Every program of the README works as it is printed, and its tables are the package's."""
import contextlib
import inspect
import io
import os
import pathlib
import re
import unittest

from server import ServerTest

import cleave

README = (pathlib.Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


class ReadmeTest(ServerTest):
    def test_the_programs_print_what_they_say(self):
        url = self.serve().url
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.temporary())
        self.assertGreater(len(BLOCKS), 6)
        for block in BLOCKS:
            with self.subTest(block):
                said = re.findall(r"print\(.*\) +# (.*)", block)
                self.assertTrue(said)
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(block.replace("tcp://127.0.0.1:8080", url), {})
                self.assertEqual([line for line in printed.getvalue().splitlines() if line], said)

    def test_the_table_of_errors_is_that_of_the_package(self):
        rows = dict(re.findall(r"^\| \W*`(\w+)` \|(.*?)\|", README, re.MULTILINE))
        errors = {name: kind for name, kind in vars(cleave).items()
                  if inspect.isclass(kind) and issubclass(kind, cleave.CleaveError)}
        del errors["CleaveError"]
        self.assertEqual(rows.keys(), errors.keys())
        for name, text in rows.items():
            codes = re.findall("`(.*?)`", text)
            if codes:
                self.assertEqual(tuple(codes), errors[name].codes)


if __name__ == "__main__":
    unittest.main()
