#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Misuse does not compile, and the compiler says why.

Each file has the misuse and, where MISUSE is not defined, the right way: that compiles, so the other
fails for its own reason. `// error:` is a regular expression for what the compiler says.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
CASES = sorted(HERE.glob("*.cc"))
COMPILER = os.environ["CLEAVE_CXX"]
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-I" + os.environ["CLEAVE_INCLUDE_DIR"]]


def run(*arguments):
    environment = dict(os.environ, LC_ALL="C")
    return subprocess.run([COMPILER, *FLAGS, *arguments], capture_output=True, text=True,
                          env=environment)


class CompileFailTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # What the cases include is compiled once.
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.header = pathlib.Path(cls.folder.name) / "all.h"
        includes = {line for case in CASES for line in case.read_text(encoding="utf-8").splitlines()
                    if line.startswith("#include")}
        cls.header.write_text("\n".join(sorted(includes)) + "\n", encoding="utf-8")
        clang = "clang" in run("--version").stdout
        compiled = f"{cls.header}.pch" if clang else f"{cls.header}.gch"
        result = run("-x", "c++-header", str(cls.header), "-o", compiled)
        if result.returncode != 0:
            raise AssertionError(result.stderr)

    def test_the_right_way_compiles(self):
        self.assertGreater(len(CASES), 10)
        unit = self.header.with_name("right.cc")
        unit.write_text("".join(f'#include "{case}"\n' for case in CASES), encoding="utf-8")
        result = run("-fsyntax-only", "-include", str(self.header), str(unit))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_misuse_does_not_compile_and_the_compiler_says_why(self):
        def misuse(case):
            return run("-fsyntax-only", "-DMISUSE", "-include", str(self.header), str(case))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(misuse, CASES))
        for case, result in zip(CASES, results):
            with self.subTest(case.stem):
                expected = re.search(r"^// error: (.+)$", case.read_text(encoding="utf-8"),
                                     re.MULTILINE).group(1)
                self.assertNotEqual(result.returncode, 0, "it compiles")
                self.assertRegex(result.stderr, expected)


if __name__ == "__main__":
    unittest.main()
