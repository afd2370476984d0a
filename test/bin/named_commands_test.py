# SPDX-License-Identifier: MIT
"""Commands that an administrator has allowed, as those who run them see them."""

import json
import pathlib
import tempfile
import unittest

from client_case import ClientTest
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


class NamedCommands(ClientTest):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cleave-test-")))
        (folder / "commands.toml").write_text(COMMANDS, encoding="utf-8")
        self.daemon = self.enterContext(
            Daemon("--exec", str(folder / "commands.toml"), "--log-format", "json"))
        self.url = self.daemon.url

    def run_record(self):
        return json.loads(self.daemon.wait_for_log('"event":"run"'))

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


if __name__ == "__main__":
    unittest.main()
