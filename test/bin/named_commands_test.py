# SPDX-License-Identifier: MIT
"""Commands that an administrator has allowed, as those who run them see them."""

import json
import pathlib
import tempfile
import unittest

from client_case import ClientTest
from python_client import Client
from support import Daemon

COMMANDS = """
[commands.greet]
summary = "greets somebody"
argv = ["/bin/sh", "-c", 'printf "%s|" "$0" "$@"; cat; exit 3', "{who}", "--times={times}", "{more...}"]
[commands.greet.args]
who = { pattern = "[A-Za-z ;$()]+", summary = "whom" }
times = { min = 1, max = 9, required = false }
more = { one_of = ["a", "b"], list = true, required = false }

[commands.hang]
argv = ["/bin/sleep", "1000"]
timeout_ms = 200
"""
RULES = """
[commands.any]
argv = ["/usr/bin/printf", "%s\\\\0", "{first}", "{more...}"]
[commands.any.args]
first = { pattern = ".*", may_begin_with_dash = true }
more = { pattern = ".*", may_begin_with_dash = true, list = true, required = false }

[commands.word]
argv = ["/usr/bin/printf", "%s", "{it}"]
args.it = { pattern = "[a-z]+" }

[commands.dash]
argv = ["/usr/bin/printf", "%s", "{it}"]
args.it = { pattern = ".*" }

[commands.choice]
argv = ["/usr/bin/printf", "%s", "{it}"]
args.it = { one_of = ["a", "b"] }

[commands.number]
argv = ["/usr/bin/printf", "%s", "{it}"]
args.it = { min = 0, max = 9 }

[commands.file]
argv = ["/usr/bin/printf", "%s", "{it}"]
args.it = { below = "/etc" }
"""
HOSTILE = ["-rf", "--help", "-", "; echo out", "&& echo out", "| cat", "$(echo out)", "`echo out`",
           "${IFS}", "a\nb", "a\n", "\r", "'", '"', "\\", "*", "~", "@file", "#", "!", ">out", "a b",
           "", "{who}", "%s", "\t", "\x1b[31m", "\u2028", "中文"]


class NamedCommandsTest(ClientTest):
    commands = None

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cleave-test-")))
        (folder / "commands.toml").write_text(self.commands, encoding="utf-8")
        self.daemon = self.enterContext(
            Daemon("--exec", str(folder / "commands.toml"), "--log-format", "json"))
        self.url = self.daemon.url

    def run_record(self):
        return json.loads(self.daemon.wait_for_log('"event":"run"'))


class Commands(NamedCommandsTest):
    commands = COMMANDS

    def test_one_is_run_by_its_name_and_ends_as_it_ended(self):
        done = self.cleave("exec", "--name", "greet", "who=a b; $(c)", "times=3", 'more=["a","b"]',
                           stdin=b"input", status=3)
        self.assertEqual(done.stdout, b"a b; $(c)|--times=3|a|b|input")
        record = self.run_record()
        self.assertEqual(record["name"], "greet")
        self.assertEqual(json.loads(record["argv"])[3:], ["a b; $(c)", "--times=3", "a", "b"])
        self.assertEqual(record["exit_code"], 3)
        self.assertEqual((record["stdin_size"], record["stdout_size"]), (5, len(done.stdout)))
        self.assertNotIn("input", str(record))

    def test_nothing_else_is_run(self):
        for words in (["true"], ["--shell", "true"], ["--name", "other"]):
            self.assertIn("permission_denied", self.sentence("exec", *words, status=255))
        for words in (["who=x|y"], ["who=x", "times=10"], ["who=x", "more=c"], ["who=x", "mood=1"],
                      []):
            self.assertIn("invalid_argument", self.sentence("exec", "--name", "greet", *words,
                                                            status=255))

    def test_its_time_ends_as_any_other(self):
        self.assertIn("timeout_ms", self.sentence("exec", "--name", "hang", status=124))
        record = self.run_record()
        self.assertEqual((record["killed_by"], record["signal"]), ("timeout", 15))

    def test_help_tells_what_there_is(self):
        commands = {each["name"]: each
                    for each in json.loads(self.output("help", "exec"))["commands"]}
        self.assertEqual(set(commands), {"greet", "hang"})
        who = next(each for each in commands["greet"]["arguments"] if each["name"] == "who")
        self.assertEqual((who["summary"], who["required"]), ("whom", True))

    def test_what_cannot_be_meant_is_wrong_usage(self):
        for words in (["--tty", "true"], ["--name", "greet", "who"], ["--name", "a", "--shell", "b"],
                      []):
            self.sentence("exec", *words, status=2)


class Rules(NamedCommandsTest):
    commands = RULES

    def request(self, client, name, **args):
        return client.request({"cmd": "exec", "name": name, "args": args})

    def test_what_a_rule_allows_is_one_argument_whatever_is_in_it(self):
        with Client(self.daemon.address) as client:
            for value in HOSTILE:
                with self.subTest(value):
                    header, body = self.request(client, "any", first=value)
                    self.assertEqual((header["exit_code"], body), (0, value.encode() + b"\0"))
                    self.assertEqual(self.output("exec", "--name", "any", "first=" + value), body)
                    for _ in "12":
                        self.assertEqual(json.loads(self.run_record()["argv"])[2:], [value])
            header, body = self.request(client, "any", first="", more=HOSTILE)
            self.assertEqual((header["exit_code"], body),
                             (0, b"".join(each.encode() + b"\0" for each in ["", *HOSTILE])))

    def test_what_no_rule_allows_starts_nothing(self):
        begins_with_dash = [value for value in HOSTILE if value.startswith("-")]
        refused = [("word", value) for value in HOSTILE]
        refused += [("dash", value) for value in begins_with_dash]
        refused += [("choice", value) for value in [*HOSTILE, "ab", "a b", "A"]]
        refused += [("number", value) for value in [*HOSTILE, "10", "-1", "1;", "0x1", "1e0", " 1"]]
        refused += [("file", value) for value in [
            "/etc/passwd", "..", "../etc/passwd", "a/../../etc/passwd", "a\nb",
            "", "./passwd", "a\\b"]]
        with Client(self.daemon.address) as client:
            for name, value in refused:
                with self.subTest(name, value=value):
                    header, _ = self.request(client, name, it=value)
                    self.assertEqual((header["status"], header["code"]),
                                     ("error", "invalid_argument"))
                    self.sentence("exec", "--name", name, "it=" + value, status=255)
            header, _ = self.request(client, "word", it="a\0")
            self.assertEqual(header["code"], "invalid_argument")
            # Of what the rules do allow, this is the first that ran.
            header, body = self.request(client, "word", it="allowed")
            self.assertEqual((header["exit_code"], body), (0, b"allowed"))
        self.assertEqual(json.loads(self.run_record()["argv"])[-1], "allowed")


if __name__ == "__main__":
    unittest.main()
