#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What bench/instructions makes of its counts."""

import importlib.util
import json
import pathlib
import re
import unittest
from importlib.machinery import SourceFileLoader

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "bench" / "instructions"
LOADER = SourceFileLoader("instructions", str(SCRIPT))
SPEC = importlib.util.spec_from_loader("instructions", LOADER)
instructions = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(instructions)

HERE = {"compiler": "12.2.0", "libc6": "2.36"}
RECORD = {"recorded with": HERE, "instructions": {"echo": 1000, "decoder": 1000}}


class Page(unittest.TestCase):
    def test_the_page_shows_what_is_recorded_of_each_shape(self):
        recorded = json.loads((SCRIPT.parent / "instructions.json").read_text(encoding="utf-8"))["instructions"]
        text = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
        rows = re.findall(r"^  \| (built in|collected, with|collected|streaming|later)[^|]* \| ([\d,]+) \| "
                          r"([\d,]+) \|$", text, re.MULTILINE)
        names = {"built in": "built_in", "collected, with": "intercepted"}
        self.assertEqual(len(rows), 5)
        for title, *counts in rows:
            name = names.get(title, title)
            self.assertEqual(counts, [f"{recorded[f'echo_{name}_{header}']:,}"
                                      for header in ("repeated_header", "counting_id")])


class Counts(unittest.TestCase):
    def judge(self, counts, here=None):
        lines, status = instructions.judge(RECORD, here or HERE, counts)
        return "\n".join(lines), status

    def test_what_became_dearer_fails_and_is_named(self):
        text, status = self.judge({"echo": 1051, "decoder": 1000})
        self.assertEqual(status, 1)
        self.assertIn("dearer by more than 5%: echo\n", text)
        self.assertIn("--record", text)

    def test_a_little_more_passes_without_a_word(self):
        text, status = self.judge({"echo": 1049, "decoder": 951})
        self.assertEqual(status, 0)
        self.assertNotIn("--record", text)

    def test_what_became_cheaper_or_is_new_passes_and_wants_a_record(self):
        for counts in ({"echo": 949, "decoder": 1000}, {"echo": 1000, "encoder": 7}):
            text, status = self.judge(counts)
            self.assertEqual(status, 0)
            self.assertIn("--record", text)

    def test_other_versions_are_named_and_pass(self):
        text, status = self.judge({"echo": 2000}, {"compiler": "12.2.0", "libc6": "2.37"})
        self.assertEqual(status, 0)
        self.assertIn("libc6: recorded with 2.36, now 2.37", text)
        self.assertNotIn("compiler:", text)

    def test_the_record_has_every_version_that_is_asked_for(self):
        record = json.loads(instructions.RECORD.read_text(encoding="utf-8"))
        self.assertLessEqual(set(instructions.PACKAGES), record["recorded with"].keys())
        self.assertTrue(all(count > 0 for count in record["instructions"].values()))


if __name__ == "__main__":
    unittest.main()
