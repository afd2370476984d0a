#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who copies what "Writing a handler" shows, and nothing else, has programs that build and tests that
pass at the first attempt."""

import os
import re
import shutil
import subprocess
import unittest

from snippets import BUILD, Console, blocks_of, cache, stands_in_an_example

PAGE = "handlers/README.md"

# Cleave as if it were installed, from what this build has made of it.
PACKAGE = """
find_package(Threads REQUIRED)
foreach(layer core protocol testing)
  add_library(cleave::${{layer}} STATIC IMPORTED)
  target_include_directories(cleave::${{layer}} INTERFACE {build}/include)
  target_compile_features(cleave::${{layer}} INTERFACE cxx_std_20)
endforeach()
set_target_properties(cleave::protocol PROPERTIES IMPORTED_LOCATION {build}/libcleave_protocol.a)
set_target_properties(cleave::core PROPERTIES IMPORTED_LOCATION {build}/libcleave_core.a)
set_target_properties(cleave::testing PROPERTIES IMPORTED_LOCATION {testing})
target_link_libraries(cleave::core INTERFACE cleave::protocol uv Threads::Threads)
target_link_libraries(cleave::testing INTERFACE cleave::core)
"""


class GuideTest(unittest.TestCase):
    def setUp(self):
        # Always the same, so that a compiler cache knows it again.
        self.folder = BUILD / "guide"
        shutil.rmtree(self.folder, ignore_errors=True)
        package = self.folder / "installed" / "cleave"
        package.mkdir(parents=True)
        testing = next(BUILD.rglob("libcleave_testing.a"))
        (package / "cleave-config.cmake").write_text(PACKAGE.format(build=BUILD, testing=testing),
                                                     encoding="utf-8")
        self.work = self.folder / "work"
        self.work.mkdir()

    def environment(self):
        found = {**os.environ, "CMAKE_PREFIX_PATH": str(self.folder / "installed"),
                 "CMAKE_GENERATOR": "Ninja", "CXX": cache("CMAKE_CXX_COMPILER"),
                 "CMAKE_BUILD_TYPE": cache("CMAKE_BUILD_TYPE"),
                 "CMAKE_CXX_COMPILER_LAUNCHER": cache("CMAKE_CXX_COMPILER_LAUNCHER"),
                 "LDFLAGS": cache("CMAKE_EXE_LINKER_FLAGS")}
        if sanitize := cache("CLEAVE_SANITIZE"):
            found["CXXFLAGS"] = f"-fsanitize={sanitize}"
        return found

    def test_what_the_page_shows_builds_and_passes(self):
        languages = []
        for block in blocks_of(PAGE):
            if block.language == "cpp" and stands_in_an_example(block):
                continue
            languages.append(block.language)
            if block.language in ("cpp", "cmake"):
                name = re.match(r"(?://|#) (\S+)\n", block.text)
                self.assertIsNotNone(name, f"{block.place} does not begin with the name of its file")
                (self.work / name[1]).write_text(block.text, encoding="utf-8")
            elif block.language == "sh":
                done = subprocess.run(["bash", "-ec", block.text], cwd=self.work, text=True,
                                      env=self.environment(), stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, check=False)
                self.assertEqual(done.returncode, 0, f"{block.place}\n{done.stdout}")
                self.assertNotIn("warning", done.stdout)
            elif block.language == "console":
                Console(self, self.work, {"hello": ["tcp://127.0.0.1:0"]}).run(block.text)
        tests = {path.stem for path in self.work.glob("*_test.cc")}
        self.assertEqual(tests, {"hello_test", "lines_test", "pace_test"})
        self.assertIn("100% tests passed, 0 tests failed out of 3", done.stdout)
        self.assertEqual({language: languages.count(language) for language in languages},
                         {"cpp": 8, "cmake": 1, "sh": 2, "console": 2})


if __name__ == "__main__":
    unittest.main()
