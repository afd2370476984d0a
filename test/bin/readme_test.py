#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the READMEs show works as it is printed: every block of code is compiled or run from the page
itself, and their tables are true. test/README.md has the languages of the blocks."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import support
from snippets import BUILD, ROOT, Console, blocks_of, cache, pages, stands_in_an_example

# `text` and `toml` are no code, `vectors` are read by the tests of protocol/, and the guide's files are
# built by guide_test.py.
LANGUAGES = {"cpp", "python", "sh", "console", "cmake", "text", "toml", "ini", "vectors"}
GUIDE = "handlers/README.md"
PACKAGE = "bin/python/README.md"  # whose own tests run its blocks

# What pieces of a program may use.
FRAGMENT = """
void fragment_{n}(Loop& loop, Router& router, Server& server, Client& client) {{
  (void)loop, (void)router, (void)server, (void)client;
#line {line} "{page}"
{text}
}}
"""
INCLUDES = ("core/client.h", "core/interceptor.h", "core/server.h", "handlers/echo.h")


def blocks(language):
    return [block for page in pages() for block in blocks_of(page) if block.language == language]


class ReadmeTest(unittest.TestCase):
    def test_every_block_says_what_it_is(self):
        for page in pages():
            text = (ROOT / page).read_text(encoding="utf-8")
            found = list(blocks_of(page))
            self.assertEqual(text.count("\n```"), 2 * len(found), page)
            for block in found:
                self.assertIn(block.language, LANGUAGES, block.place)
            # What is indented is a synopsis or output.
            outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
            for line in re.findall(r"^ {4}((?:\$ |bench/|bin/|test/|cmake |cleave(?!:)).*)", outside, re.MULTILINE):
                self.assertIn(" [", line, f"{page}: a command is to be fenced, as sh or console")

    def test_every_piece_of_cpp_compiles(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            fragments = [f'#include "cleave/{header}"\n' for header in INCLUDES]
            fragments.append("using namespace cleave;\n")
            sources = []
            for n, block in enumerate(blocks("cpp")):
                if block.page == GUIDE or stands_in_an_example(block):
                    continue
                if "int main(" in block.text:
                    sources.append(folder / f"program_{n}.cc")
                    sources[-1].write_text(f'#line {block.line + 1} "{block.page}"\n{block.text}',
                                           encoding="utf-8")
                    continue
                includes = re.findall(r"^#include .*\n", block.text, re.MULTILINE)
                fragments[1:1] = includes
                text = re.sub(r"^(#include|using namespace) .*", "", block.text, flags=re.MULTILINE)
                fragments.append(FRAGMENT.format(n=n, line=block.line + 1, page=block.page, text=text))
            sources.append(folder / "fragments.cc")
            sources[-1].write_text("".join(fragments), encoding="utf-8")
            self.assertGreaterEqual(len(sources), 2)
            for source in sources:
                done = subprocess.run(
                    [cache("CMAKE_CXX_COMPILER"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra",
                     "-I", BUILD / "include", source], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_piece_of_python_prints_what_the_page_says(self):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "bin" / "python")}
        with support.Daemon() as daemon:
            for block in blocks("python"):
                if block.page == PACKAGE:
                    continue
                with self.subTest(block.place):
                    self.assertIn("8080", block.text)
                    code = block.text.replace("8080", str(daemon.port))
                    printed = subprocess.run(
                        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True,
                        timeout=support.PATIENCE, env=environment).stdout
                    self.assertTrue(printed)
                    page = (ROOT / block.page).read_text(encoding="utf-8")
                    for line in printed.splitlines():
                        self.assertIn(line, page)

    def test_every_transcript_prints_what_the_page_says(self):
        for block in blocks("console"):
            if block.page == GUIDE:
                continue
            with self.subTest(block.place), tempfile.TemporaryDirectory() as name, \
                    support.Daemon() as daemon:
                folder = pathlib.Path(name)
                (folder / "build").mkdir()
                (folder / "build" / "bin").symlink_to(support.BIN)
                (folder / "photo.raw").write_bytes(os.urandom(100_000))
                arguments = {"cleaved": ["--listen", "tcp://127.0.0.1:0"]}
                Console(self, folder, arguments, daemon.url).run(block.text)

    def test_every_command_of_the_shell_is_one_with_options_that_there_are(self):
        for block in blocks("sh"):
            with self.subTest(block.place):
                subprocess.run(["bash", "-n", "-c", block.text], check=True)
                for command in re.split(r"\n|&&|;|\|", re.sub(r"#.*", "", block.text)):
                    words = [word for word in shlex.split(command) if not re.match(r"\w+=", word)]
                    if words and words[0] not in ("for", "do", "done", "cd"):
                        self.assert_is_one(words)

    def assert_is_one(self, words):
        ours = next((path for path in (ROOT / words[0], support.BIN / words[0])
                     if path.is_file() and os.access(path, os.X_OK)), None)
        if ours is None:
            of_fuzz = words[0].startswith("build-fuzz/bin/")  # another build's
            self.assertTrue(of_fuzz or shutil.which(words[0]), words)
            return
        options = [word for word in words if word.startswith("--")]
        if options:
            helps = [[ours, "--help"]]
            if ours.name == "cleave":
                command = words[1 if not words[1].startswith("-") else 3]
                helps.append([ours, command, "--help"])
            text = "".join(subprocess.run(each, capture_output=True, text=True, check=False).stdout
                           for each in helps)
            for option in options:
                self.assertIn(option, text, words)

    def test_the_named_commands_that_are_shown_are_valid(self):
        [block] = [block for block in blocks("toml") if "[commands." in block.text]
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            # Of a user that every machine has.
            file.write(block.text.replace('user = "backup"\n', ""))
            file.flush()
            done = support.run(support.CLEAVED, "--check", "--exec", file.name)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

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
