#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves from the include lines that the layers are what they are said to be.

protocol <- core <- handlers <- bin: nothing points back. The event loop's library shows in core
alone, the parser's in one file, what serves the programs stays in bin. The servers that Cleave is
measured beside are made of what they are made of.
"""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What the files of a folder may include of ours.
MAY_INCLUDE = {
    "protocol": {"protocol"},
    "core": {"protocol", "core"},
    "handlers": {"protocol", "core", "handlers"},
    "bin": {"protocol", "core", "handlers", "bin"},
    "test/kit": {"protocol", "core", "testing"},
    "test": {"protocol", "core", "handlers", "bin", "testing"},
    "bench": {"protocol", "core", "handlers", "bin", "testing", "bench"},
}
# Where the headers of a library may be included; bench and test see all but the parser.
LIBRARIES = {
    "uv": (r"uv(\.h|/.*)", r"(core|test)/.*|bench/peers/(libuv_echo|uv_spawn_runs)\.cc"),
    "RapidJSON": (r"rapidjson/.*", r"protocol/header\.cc|bench/peers/frame_head\.h"),
    "RapidJSON's documents": (r"rapidjson/document\.h", r"bench/peers/frame_head\.h"),
    "Asio and libevent": (r"asio.*|event2/.*", r"bench/peers/.*"),
    "digests": (r"(openssl/.*|xxh.*\.h)", r"(handlers|bin|test|bench)/.*"),
    "CLI11": (r"CLI/.*", r"(bin|test|bench)/.*"),
    "toml++": (r"toml\+\+/.*", r"(bin|test|bench)/.*"),
    "spdlog": (r"(spdlog|fmt)/.*", r"(bin|test|bench)/.*"),
    "libedit": (r"(editline/.*|histedit\.h)", r"(bin|test|bench)/.*"),
}

# A name that is fetched from a namespace, or given to one. What a class fetches is another matter.
USING = re.compile(r"^\s*using (?:[a-z0-9_]+::)+(\w+);", re.MULTILINE)
ALIAS = re.compile(r"^\s*namespace (\w+) = ", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")', re.MULTILINE)


def layer_of(path):
    """The folder of MAY_INCLUDE that a file belongs to: the longest that fits."""
    return max((name for name in MAY_INCLUDE if path.startswith(name + "/")), key=len)


def includes(text):
    """The names that a source includes, and whether each stands in quotes."""
    return [(match[1] or match[2], match[2] is not None) for match in INCLUDE.finditer(text)]


def path_of(name):
    """The file behind an include of ours: "cleave/core/loop.h" is core/loop.h."""
    return re.sub(r"^testing/", "test/kit/", name.removeprefix("cleave/"))


def is_neighbour(path, name, files):
    """True for what a test shares with the tests beside it, which nobody else can include."""
    beside = str(pathlib.PurePath(path).parent / name)
    return layer_of(path) == "test" and beside in files


def reaches_uv(path, files, seen):
    """True if including a file brings in uv.h, directly or by other files of ours."""
    if path in seen or path not in files:
        return False
    seen.add(path)
    return any(
        name == "uv.h" or (name.startswith("cleave/") and reaches_uv(path_of(name), files, seen))
        for name, _ in includes(files[path])
    )


def violations(files):
    """One sentence for each include line that breaks a rule; `files` maps paths to texts."""
    found = []
    for path, text in sorted(files.items()):
        layer = layer_of(path)
        for name, quoted in includes(text):
            if name.endswith(".cc"):
                found.append(f"{path} includes {name}: sources are linked, not included")
            if name.startswith("cleave/"):
                other = name.split("/")[1]
                if other not in MAY_INCLUDE[layer]:
                    found.append(f"{path} includes {name}: {layer} knows nothing of {other}")
                elif path_of(name) not in files:
                    found.append(f"{path} includes {name}, which is no file")
                elif layer in ("handlers", "bin") and reaches_uv(path_of(name), files, set()):
                    found.append(f"{path} includes {name}, which brings in uv.h")
            elif quoted and not is_neighbour(path, name, files):
                found.append(f'{path} includes "{name}": files of ours are spelled "cleave/…"')
            for library, (pattern, allowed) in LIBRARIES.items():
                if re.fullmatch(pattern, name) and not re.fullmatch(allowed, path):
                    found.append(f"{path} includes {name}: {library} does not belong there")
    return found


def unused_names(files):
    """One sentence for each name that a file fetches and does not use."""
    return [
        f"{path} says {line[0].strip()} and does not use {line[1]}"
        for path, text in sorted(files.items())
        for line in (*USING.finditer(text), *ALIAS.finditer(text))
        if len(re.findall(rf"\b{line[1]}\b", INCLUDE.sub("", text))) < 2
    ]


def sources():
    """All C++ files of the tree, but for those that stand for a program outside of it."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("protocol", "core", "handlers", "bin", "test", "bench")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".h", ".cc") and path.is_file()
    }


class TheTree(unittest.TestCase):
    def test_every_include_line_keeps_the_rules(self):
        files = sources()
        self.assertIn("protocol/error.h", files)
        self.assertEqual(violations(files), [])

    def test_every_name_that_is_fetched_is_used(self):
        self.assertEqual(unused_names(sources()), [])

    def test_every_header_is_included_once(self):
        without = [
            path
            for path, text in sources().items()
            if path.endswith(".h") and "#pragma once" not in text
        ]
        self.assertEqual(without, [])

    def test_every_source_names_its_licence_on_top(self):
        without = []
        for path in ROOT.rglob("*"):
            inside = path.relative_to(ROOT)
            # Build folders and the like are not ours; .ci is.
            if re.match(r"build|file_upload|\.(?!ci/)", str(inside)) or not path.is_file():
                continue
            named = path.suffix in (".h", ".cc", ".py", ".cmake") or path.name == "CMakeLists.txt"
            with path.open("rb") as file:
                top = [file.readline(), file.readline()]
            script = top[0].startswith(b"#!")
            if (named or script) and b"SPDX-License-Identifier: MIT" not in top[int(script)]:
                without.append(str(inside))
        self.assertEqual(without, [])


class TheRules(unittest.TestCase):
    """Each rule, broken on purpose: a check that cannot fail proves nothing."""

    def check(self, files, part):
        found = violations(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_nothing_points_back(self):
        for lower, upper in (
            ("protocol", "core"),
            ("core", "handlers"),
            ("handlers", "bin"),
            ("test/kit", "handlers"),
        ):
            files = {f"{lower}/a.h": f'#include "cleave/{upper}/b.h"\n', f"{upper}/b.h": ""}
            self.check(files, f"{lower} knows nothing of {upper}")

    def test_angle_brackets_and_blanks_hide_nothing(self):
        self.check({"protocol/a.h": "  #  include <cleave/core/b.h>\n"}, "knows nothing of core")

    def test_uv_shows_in_core_alone(self):
        self.check({"handlers/a.cc": "#include <uv.h>\n"}, "uv does not belong there")

    def test_uv_is_not_brought_in_by_a_header_of_core(self):
        files = {
            "handlers/a.cc": '#include "cleave/core/b.h"\n',
            "core/b.h": '#include "cleave/core/c.h"\n',
            "core/c.h": "#include <uv.h>\n",
        }
        self.check(files, "brings in uv.h")

    def test_the_parser_is_in_one_file(self):
        self.check({"core/a.cc": "#include <rapidjson/reader.h>\n"}, "RapidJSON does not")
        self.check(
            {"protocol/header.cc": "#include <rapidjson/document.h>\n"}, "RapidJSON's documents"
        )

    def test_peers_show_in_no_other_place(self):
        for name in ("uv.h", "asio.hpp", "event2/event.h", "rapidjson/writer.h"):
            self.check({"bench/a.cc": f"#include <{name}>\n"}, "does not belong there")

    def test_libraries_of_programs_stay_in_bin(self):
        for name in ("CLI/CLI.hpp", "toml++/toml.h", "spdlog/spdlog.h", "histedit.h"):
            self.check({"handlers/a.cc": f"#include <{name}>\n"}, "does not belong there")

    def test_files_of_ours_have_one_spelling(self):
        self.check({"core/a.cc": '#include "b.h"\n', "core/b.h": ""}, "are spelled")

    def test_a_source_is_not_included(self):
        self.check({"test/a_test.cc": '#include "b.cc"\n', "test/b.cc": ""}, "linked, not included")

    def test_a_name_that_is_fetched_is_used(self):
        for fetched in ("using std::map;\n", "  namespace fs = std::filesystem;\n"):
            name = re.search(r"map|fs", fetched)[0]
            self.assertEqual(len(unused_names({"core/a.cc": "#include <map>\n" + fetched})), 1)
            self.assertEqual(unused_names({"core/a.cc": fetched + f"int {name};\n"}), [])
        self.assertEqual(unused_names({"core/a.cc": "  using Base::run;\n"}), [])

    def test_an_include_names_a_file(self):
        self.check({"core/a.cc": '#include "cleave/core/gone.h"\n'}, "which is no file")


if __name__ == "__main__":
    unittest.main()
