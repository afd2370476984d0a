#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Python client of bin/python: its own tests pass, it installs, and old Pythons can read it."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "bin" / "python"
SOURCES = sorted((PACKAGE / "cleave").glob("*.py"))
OLDEST = (3, 9)
LONG = os.environ.get("CLEAVE_LONG_TESTS") == "1"


def runs(python, code):
    """True if there is such a Python and it does that without an error."""
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class PythonPackageTest(unittest.TestCase):
    def run_tests(self, python):
        done = subprocess.run(
            [python, "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s",
             str(PACKAGE / "tests"), "-p", "*_test.py"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertRegex(done.stderr, r"Ran \d\d+ tests")

    def test_its_own_tests_pass(self):
        self.run_tests(sys.executable)

    @unittest.skipUnless(LONG, "takes as long again")
    def test_its_own_tests_pass_with_the_oldest_python(self):
        python = "python%d.%d" % OLDEST
        if not runs(python, "import asyncio"):
            self.skipTest(f"there is no {python}")
        self.run_tests(python)

    def test_the_oldest_python_can_read_it(self):
        self.assertTrue(SOURCES)
        for path in SOURCES:
            with self.subTest(path.name):
                ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST)

    def test_it_needs_the_standard_library_alone(self):
        typing_only = {"typing_extensions"}
        for path in SOURCES:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                        for alias in node.names}
            imported |= {node.module for node in ast.walk(tree)
                         if isinstance(node, ast.ImportFrom) and not node.level}
            tops = {name.split(".")[0] for name in imported} - typing_only
            self.assertLessEqual(tops, sys.stdlib_module_names, path.name)

    def test_it_is_annotated_throughout(self):
        for path in SOURCES:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                    named = [argument for argument in arguments
                             if argument.annotation or argument.arg in ("self", "cls")]
                    with self.subTest(f"{path.name}: {node.name}"):
                        self.assertEqual(named, arguments)
                        self.assertIsNotNone(node.returns)

    def test_a_type_checker_agrees(self):
        if not runs(sys.executable, "import mypy"):
            self.skipTest("there is no mypy")
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-m", "mypy", "--strict", "--python-version", "%d.%d" % OLDEST,
                 "--cache-dir", cache, "-p", "cleave"], cwd=PACKAGE, capture_output=True, text=True,
                check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_it_installs_from_the_tree_without_a_network(self):
        for python in (sys.executable, "/usr/bin/python3"):
            if runs(python, "import setuptools, wheel, pip"):
                break
        else:
            self.skipTest("pip, setuptools and wheel are needed: apt-get install python3-pip")
        with tempfile.TemporaryDirectory() as folder:
            # Building leaves files beside the sources.
            tree = shutil.copytree(PACKAGE, f"{folder}/tree")
            target = f"{folder}/target"
            done = subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation",
                 "--no-cache-dir", "--disable-pip-version-check", "--target", target, tree],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            installed = {str(path.relative_to(target)) for path in pathlib.Path(target).rglob("*")}
            for path in [*SOURCES, PACKAGE / "cleave" / "py.typed"]:
                self.assertIn(f"cleave/{path.name}", installed)
            self.assertTrue(any(name.startswith("cleave-0.1.0") for name in installed), installed)
            self.assertFalse(any("test" in name for name in installed), installed)
            said = subprocess.run(
                [python, "-c", "import cleave; print(cleave.__version__, cleave.Client.__name__)"],
                env={**os.environ, "PYTHONPATH": target}, cwd=folder, capture_output=True, text=True,
                check=True).stdout
            self.assertEqual(said, "0.1.0 Client\n")


if __name__ == "__main__":
    unittest.main()
