#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's client and server work as they are printed."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

import support

ROOT = pathlib.Path(__file__).resolve().parents[2]


def code_blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```%s\n(.*?)^```" % language, text, re.MULTILINE | re.DOTALL)


class ReadmeTest(unittest.TestCase):
    def run_client(self, page):
        with support.Daemon() as daemon:
            code = code_blocks(page, "python")[0]
            self.assertIn("8080", code)
            code = code.replace("8080", str(daemon.port))
            return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                                  text=True, timeout=60).stdout

    def test_the_client_of_the_readme_works_as_printed(self):
        printed = self.run_client("README.md")
        self.assertEqual(printed, "({'data_size': 5, 'status': 'ok'}, b'HELLO')\n")
        self.assertIn(printed.strip(), (ROOT / "README.md").read_text(encoding="utf-8"))

    def test_the_client_of_the_wires_description_works_as_printed(self):
        printed = self.run_client("protocol/README.md")
        self.assertIn(printed.strip(), (ROOT / "protocol/README.md").read_text(encoding="utf-8"))

    def test_the_table_of_limits_names_every_limit_and_only_those(self):
        with support.Daemon() as daemon:
            limits = subprocess.run(
                [os.path.join(os.environ["CLEAVE_BIN_DIR"], "cleave"), "-s", daemon.url, "limits"],
                check=True, capture_output=True, text=True, timeout=60).stdout
        in_force = set(re.findall(r'"([a-z_]+)"', limits))
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        named = set(re.findall(r"\| `([a-z_]+)`", text))
        self.assertLessEqual(named, in_force)
        # Those of exec are many and in handlers/README.md; all others are in the table.
        self.assertEqual({name for name in in_force if not name.startswith("exec_")} - named, set())

    def test_the_table_of_cases_has_every_number_once_and_names_tests_that_there_are(self):
        text = (ROOT / "test/README.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (\d+) \|.*\| (.*?) \|$", text, re.MULTILINE)
        self.assertEqual([int(number) for number, _ in rows], list(range(1, 89)))
        files = {path.name: path.read_text(encoding="utf-8")
                 for path in (ROOT / "test").rglob("*_test.*")}
        for number, tests in rows:
            for name, named in re.findall(r"`(\w+\.\w+)`(?:: ([^`]*?))?(?=\. |[,;] `|$)", tests):
                with self.subTest(f"case {number}", file=name):
                    if not named:  # a row of the file's own table
                        self.assertRegex(files[name], rf"(Case\(|cases_of\(|\{{){number}, ")
                    elif name.endswith(".cc"):
                        self.assertIn(f'"{named}"', files[name])
                    else:
                        for test in named.split(", "):
                            self.assertRegex(files[name], rf"(def {test}\(self\)|class {test}\()")


if __name__ == "__main__":
    unittest.main()
