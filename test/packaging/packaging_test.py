#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `cmake --install` leaves is whole, can be moved, and serves strangers as the README says.

build-release is installed, and built before. With --record the symbols that the shared library exports are written to symbols.txt, to be reviewed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "test/packaging"
SYMBOLS = HERE / "symbols.txt"
FOLDERS = {"protocol": "protocol", "core": "core", "handlers": "handlers", "testing": "test/kit"}
CLANG = "clang++-14"

folder = tempfile.TemporaryDirectory(prefix="cleave-packaging-")
unittest.addModuleCleanup(folder.cleanup)
WORK = pathlib.Path(folder.name)
FIRST = WORK / "first"
STAGE = WORK / "moved"
LIB = STAGE / "lib"


def run(*command, **options):
    """What a command writes; it must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def stage(*components):
    """Installs them, and moves what was installed."""
    for component in components:
        run("cmake", "--install", ROOT / "build-release", "--prefix", FIRST,
            "--component", component)
    FIRST.rename(STAGE)


def exported():
    """The symbols of ours, as a person writes them. Those of the C++ library are the compiler's."""
    lines = run("nm", "-D", "--defined-only", "-C", LIB / "libcleave.so").splitlines()
    names = {line.split(" ", 2)[2] for line in lines}
    return sorted(name for name in names
                  if re.match(r"((typeinfo|typeinfo name|vtable) for )?cleave::", name))


def readme_blocks(language):
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Embed it\n")[1]
    section = section.split("\n## ")[0]
    return re.findall(r"^```%s\n(.*?)^```" % language, section, re.MULTILINE | re.DOTALL)


LIBRARY = ["runtime", "development"]


def setUpModule():
    stage(*LIBRARY, "programs")


class InstalledTest(unittest.TestCase):
    def test_nothing_tells_where_it_was_built_or_first_installed(self):
        for path in STAGE.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for place in (str(ROOT), str(FIRST)):
                    self.assertNotIn(place.encode(), content, path)

    def test_there_are_programs(self):
        for name in ("cleaved", "cleave", "cleave-bench"):
            self.assertIn("0.1", run(STAGE / "bin" / name, "--version"))
            page = (STAGE / "share/man/man1" / f"{name}.1").read_text(encoding="utf-8")
            self.assertIn(f"\n{name} \\- ".replace("cleave-", "cleave\\-"), page)
        for path in ("doc/cleave/cleaved.example.toml", "bash-completion/completions/cleave",
                     "zsh/site-functions/_cleave", "fish/vendor_completions.d/cleave.fish"):
            self.assertTrue((STAGE / "share" / path).is_file(), path)

    def test_every_header_is_there_but_the_internal_ones_and_needs_no_other(self):
        for name, source in FOLDERS.items():
            public = {header.name for header in (ROOT / source).glob("*.h")
                      if not re.search("^// Internal", header.read_text(encoding="utf-8"), re.M)}
            self.assertEqual({path.name for path in (STAGE / "include/cleave" / name).iterdir()},
                             public)
        for header in (STAGE / "include").rglob("*.h"):
            for name in re.findall('#include "(.+)"', header.read_text(encoding="utf-8")):
                self.assertTrue((STAGE / "include" / name).is_file(), f"{header} includes {name}")

    def test_the_list_of_what_is_public_has_every_header_and_no_other(self):
        page = (ROOT / "core/README.md").read_text(encoding="utf-8")
        listed = re.findall(r"^\| `(\w+/\w+\.h)` \|", page, re.MULTILINE)
        installed = [f"{path.parent.name}/{path.name}" for path in (STAGE / "include").rglob("*.h")]
        self.assertEqual(sorted(listed), sorted(installed))

    def test_every_header_compiles_alone(self):
        # Most are the first line of a source of their name, and so compiled alone with the library.
        # The others are tried here; and all together with the other compiler and standard.
        alone = []
        for header in sorted((STAGE / "include/cleave").rglob("*.h")):
            name = f"cleave/{header.parent.name}/{header.name}"
            source = ROOT / FOLDERS[header.parent.name] / f"{header.stem}.cc"
            if source.is_file():
                first = re.search(r"^#include .*$", source.read_text(encoding="utf-8"), re.M)
                self.assertEqual(first.group(), f'#include "{name}"', source)
            else:
                alone.append(name)
        every = sorted(str(path.relative_to(STAGE / "include"))
                       for path in (STAGE / "include").rglob("*.h"))

        def check(job):
            compiler, standard, names = job
            flags = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only"]
            run(compiler, f"-std={standard}", *flags, f"-I{STAGE / 'include'}", "-x", "c++", "-",
                input="".join(f'#include "{name}"\n' for name in names))

        jobs = [(CLANG, "c++2b", every)] + [("g++", "c++20", [name]) for name in alone]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(check, jobs))

    def test_the_shared_library_has_a_soname_and_needs_only_what_it_says(self):
        dynamic = run("readelf", "-d", LIB / "libcleave.so")
        self.assertRegex(dynamic, r"SONAME.*\[libcleave\.so\.0\.1\]")
        self.assertNotRegex(dynamic, r"R(UN)?PATH")
        needed = set(re.findall(r"NEEDED.*\[(.+?)\.so", dynamic))
        self.assertLessEqual(needed, {"libuv", "libcrypto", "libxxhash", "libstdc++", "libgcc_s",
                                      "libc", "libm", "ld-linux-x86-64", "ld-linux-aarch64"})
        self.assertEqual(os.readlink(LIB / "libcleave.so"), "libcleave.so.0.1")
        self.assertEqual(os.readlink(LIB / "libcleave.so.0.1"), "libcleave.so.0.1.0")

    def test_the_shared_library_exports_what_is_recorded(self):
        recorded = set(SYMBOLS.read_text(encoding="utf-8").splitlines())
        now = set(exported())
        changes = ["added: " + name for name in sorted(now - recorded)]
        changes += ["removed: " + name for name in sorted(recorded - now)]
        if changes:
            self.fail("\n".join(["if that is meant: test/packaging/packaging_test.py --record", *changes]))


class EmbeddedTest(unittest.TestCase):
    """One program, embedded in each of the ways in which the README says how."""

    def project(self, name, text):
        place = WORK / name
        place.mkdir()
        shutil.copy(HERE / "consumer.cc", place / "main.cc")
        if text:
            # The program is also a test of its own, on the kit.
            text += "target_link_libraries(app PRIVATE cleave::testing)\n"
            (place / "CMakeLists.txt").write_text(text, encoding="utf-8")
        return place

    def build(self, place, *options):
        run("cmake", "-S", place, "-B", place / "build", "-G", "Ninja", *options)
        run("cmake", "--build", place / "build")
        self.assertEqual(run(place / "build/app"), "embedded\n")

    def needs_the_shared_one(self, program):
        return "libcleave.so.0.1" in run("readelf", "-d", program)

    def find_package(self, kind, *options):
        text = readme_blocks("cmake")[0]
        # Another minor version would be another interface, an older one as well.
        text += "find_package(cleave 0.0 QUIET)\nif(cleave_FOUND)\n  message(FATAL_ERROR 0.0)\nendif()\n"
        place = self.project(f"find_package_{kind}", text)
        self.build(place, f"-DCMAKE_PREFIX_PATH={STAGE}", *options)
        self.assertEqual(self.needs_the_shared_one(place / "build/app"), kind == "shared")

    def pkg_config(self, kind):
        place = self.project(f"pkg_config_{kind}", None)
        command = readme_blocks("sh")[0].splitlines()[kind == "static"]
        command = command.replace("main.cc", "main.cc -lcleave_testing")
        environment = dict(os.environ, PKG_CONFIG_PATH=str(LIB / "pkgconfig"),
                           LD_LIBRARY_PATH=str(LIB))
        run("sh", "-ec", command, cwd=place, env=environment)
        self.assertEqual(run(place / "app", env=environment), "embedded\n")
        self.assertEqual(self.needs_the_shared_one(place / "app"), kind == "shared")

    def add_subdirectory(self):
        place = self.project("add_subdirectory", readme_blocks("cmake")[1])
        (place / "cleave").symlink_to(ROOT)
        # With fewer and larger units, as all of Cleave is compiled.
        self.build(place, "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=16")
        # The rest of the project stays as it is.
        build = place / "build"
        run("cmake", "--install", build, "--prefix", place / "installed")
        self.assertFalse((place / "installed").exists())
        self.assertIn("Total Tests: 0", run("ctest", "-N", cwd=build))
        self.assertIn("\nCMAKE_BUILD_TYPE:STRING=\n",
                      (build / "CMakeCache.txt").read_text(encoding="utf-8"))
        self.assertEqual(list(build.rglob("cleaved")) + list(build.rglob("test_core")), [])

    def test_it_is_embedded_as_the_readme_says(self):
        clang = (f"-DCMAKE_CXX_COMPILER={CLANG}", "-DCMAKE_CXX_STANDARD=23")
        ways = [
            (self.add_subdirectory,),
            (self.find_package, "static"),
            (self.find_package, "shared", "-DBUILD_SHARED_LIBS=ON", *clang),
            (self.pkg_config, "shared"),
            (self.pkg_config, "static"),
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in [pool.submit(*way) for way in ways]:
                result.result()


if __name__ == "__main__":
    if "--record" in sys.argv:
        stage(*LIBRARY)
        SYMBOLS.write_text("".join(name + "\n" for name in exported()), encoding="utf-8")
        folder.cleanup()
    else:
        unittest.main()
