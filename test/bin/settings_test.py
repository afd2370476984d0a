#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How people tell `cleave` what they want for good, and how it tells them what it can do: profiles, the
environment, --help and the man pages."""
import os
import pathlib
import pty
import re
import shutil
import subprocess
import tempfile
import unittest

from client_case import ClientTest
from python_client import frame
from snippets import ROOT
from support import BIN, CLEAVE, Daemon, PATIENCE

PROGRAMS = ("cleave", "cleaved", "cleave-bench")
COMMANDS_FILE = """
[commands.backup]
argv = ["/bin/echo", "{customer}"]
[commands.backup.args]
customer = { pattern = "[a-z]+" }
"""


def page_of(program, *arguments, columns=None):
    """What a program prints; with `columns`, on a terminal that is so wide."""
    command = [BIN / program, *arguments]
    if columns is None:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    master, terminal = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=terminal, check=True)
    process = subprocess.Popen(command, stdout=terminal)
    os.close(terminal)
    text = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other side is closed
            break
        text += part
    os.close(master)
    assert process.wait() == 0
    return text.decode().replace("\r\n", "\n")


def commands():
    text = page_of("cleave", "--help")
    lists = text.split("\nOptions:")[0]
    return re.findall(r"^  ([a-z]+)\b", lists, re.MULTILINE)


def options_of(page):
    return re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", page, re.MULTILINE)


class Profiles(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def setUp(self):
        super().setUp()
        self.environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        self.file = self.folder / ".config/cleave/config.toml"
        self.file.parent.mkdir(parents=True)

    def write(self, text, path=None):
        path = path or self.file
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def run_cleave(self, *arguments, status=0, **environment):
        done = subprocess.run([CLEAVE, *arguments], env=self.environment | environment, text=True,
                              capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, status, done)
        if status == 2:
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), done)
        return done.stdout if status == 0 else done.stderr

    def test_a_profile_is_chosen_by_an_option_or_by_the_environment(self):
        self.write(f"[defaults]\nserver = 'tcp://127.0.0.1:1'\n[profiles.there]\nserver = '{self.daemon.url}'\n")
        self.run_cleave("ping", status=5)
        self.run_cleave("-p", "there", "ping")
        self.run_cleave("ping", CLEAVE_PROFILE="there")
        self.run_cleave("-s", "tcp://127.0.0.1:1", "-p", "there", "ping", status=5)
        self.run_cleave("-p", "there", "ping", CLEAVE_SERVER="tcp://127.0.0.1:1", status=5)
        self.run_cleave("-p", "there", "ping", CLEAVE_SERVER="")

    def test_the_file_may_be_elsewhere_or_nowhere(self):
        self.write("[defaults]\nserver = 'tcp://127.0.0.1:1'\n")
        other = self.write(f"[defaults]\nserver = '{self.daemon.url}'\n", self.folder / "other.toml")
        self.run_cleave("--config", str(other), "ping")
        self.run_cleave("ping", CLEAVE_CONFIG=str(other))
        self.run_cleave("ping", CLEAVE_CONFIG="", CLEAVE_SERVER=self.daemon.url)
        xdg = self.folder / "xdg"
        (xdg / "cleave").mkdir(parents=True)
        self.write(f"[defaults]\nserver = '{self.daemon.url}'\n", xdg / "cleave/config.toml")
        self.run_cleave("ping", XDG_CONFIG_HOME=str(xdg))
        self.assertIn("absent.toml", self.run_cleave("--config", "absent.toml", "ping", status=2))
        self.file.unlink()
        self.run_cleave("ping", CLEAVE_SERVER=self.daemon.url)

    def test_of_quiet_and_verbose_the_one_that_is_said_last_counts(self):
        quiet, verbose = {"CLEAVE_QUIET": "true"}, {"CLEAVE_VERBOSE": "true"}
        for before, behind, preset, lines in (
                (["-v"], [], quiet, 3), (["-q"], [], verbose, 1), ([], ["-v"], quiet, 3),
                ([], ["-q"], verbose, 1), (["-v"], ["-q"], {}, 1), (["-q"], ["-v"], {}, 3),
                ([], [], quiet, 1), ([], [], verbose, 3), (["--quiet=false"], [], verbose, 3)):
            with self.subTest(before=before, behind=behind, preset=preset):
                told = self.run_cleave("-s", self.daemon.url, *before, "stat", "absent", *behind, status=3,
                                       **preset)
                self.assertEqual(told.count("\n"), lines, told)

    def test_what_holds_for_one_command_is_preset_too(self):
        self.write(f"[defaults]\nserver = '{self.daemon.url}'\nparallel = 2\njson = true\n")
        (self.folder / "a").write_bytes(b"a")
        self.assertIn('"status":"ok"', self.run_cleave("put", str(self.folder / "a"), "a"))
        self.assertIn("CLEAVE_PARALLEL: ", self.run_cleave("put", "a", CLEAVE_PARALLEL="0", status=2))
        # Others are not asked.
        self.run_cleave("stat", "a", CLEAVE_PARALLEL="0")
        # Behind a command as before it, the command line counts.
        self.assertNotIn("{", self.run_cleave("stat", "--json=false", "a"))
        self.assertNotIn("{", self.run_cleave("--json=false", "stat", "a", CLEAVE_JSON="1"))

    def test_a_mistake_is_2_and_says_where(self):
        for text, sentence in ((".", "config.toml:1: "),
                               ("[defaults]\nwrong = 1", "config.toml:2: wrong: there is no such key"),
                               ("[profiles.a]\nparallel = 65", "config.toml:2: parallel: "),
                               ("[profiles.a]\nrecursive = true", "config.toml:2: recursive: there is no"),
                               ("[profiles.\"\\u001b\"]\nwrong = 1", "config.toml:2: wrong: ")):
            with self.subTest(text):
                self.write(text)
                self.assertIn(sentence, self.run_cleave("ping", status=2))
        self.write("[profiles.a]\n[profiles.b]\n")
        self.assertIn("there are: a, b", self.run_cleave("-p", "NOPE", "ping", status=2))
        self.assertIn("CLEAVE_TIMEOUT: ", self.run_cleave("ping", CLEAVE_TIMEOUT="soon", status=2))
        self.file.chmod(0o666)
        self.assertIn("nobody else", self.run_cleave("ping", status=2))

    def test_whoever_only_wants_help_gets_it_in_spite_of_mistakes(self):
        self.write(".")
        self.assertIn("verify NAME", self.run_cleave("--help"))
        self.assertIn("cleave", self.run_cleave("--version"))

    def test_the_profiles_on_the_page_are_valid(self):
        page = (ROOT / "bin/README.md").read_text(encoding="utf-8")
        block = next(text for text in re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
                     if "[profiles." in text)
        self.write(block)
        for profile in re.findall(r"\[profiles\.(\w+)\]", block):
            self.assertEqual(self.run_cleave("-p", profile, "-s", self.daemon.url, "--json=false", "echo", "a"),
                             "a\n")

    def test_the_page_has_every_option_that_can_be_preset(self):
        page = (ROOT / "bin/README.md").read_text(encoding="utf-8")
        man = page_of("cleave", "--man").replace("\\-", "-")
        for variable in re.findall(r"^\.B (CLEAVE_\w+)$", man, re.MULTILINE):
            if variable not in ("CLEAVE_PROFILE", "CLEAVE_CONFIG", "CLEAVE_HISTORY"):
                key = variable.removeprefix("CLEAVE_").lower()
                option = "--" + key.replace("_", "-")
                row = rf"\| .*`{option}[ `].* \| `{variable}` \| `{key}` \|"
                self.assertIsNotNone(re.search(row, page), row)


class Help(unittest.TestCase):
    def test_every_page_has_examples_and_fits_the_terminal(self):
        pages = [page_of("cleave", command, "--help") for command in commands()]
        pages += [page_of(program, "--help") for program in PROGRAMS]
        self.assertGreaterEqual(len(pages), 18)
        for page in pages:
            self.assertRegex(page, r"\AUsage: cleave.*\n")
            self.assertNotIn("REQUIRED", page)
            # An example is not broken, so that it can be copied.
            for line in page.split("\nExamples:")[0].splitlines():
                self.assertLessEqual(len(line), 80, line)
        for page in pages[:-len(PROGRAMS)]:
            self.assertIn("\nExamples:\n  ", page)
        for columns in (50, 90):
            page = page_of("cleave", "put", "--help", columns=columns)
            widest = max(len(line) for line in page.split("\nExamples:")[0].splitlines())
            self.assertTrue(columns - 15 < widest <= columns, widest)

    def test_every_example_is_one(self):
        daemon = self.enterContext(Daemon(
            "--exec", "shell", listen=("tcp://127.0.0.1:0", "tcp://127.0.0.1:0?wire=raw&cmd=upper")))
        folder = daemon.folder
        (folder / "commands.toml").write_text(COMMANDS_FILE, encoding="utf-8")
        named = self.enterContext(Daemon("--exec", str(folder / "commands.toml")))
        tried = 0
        for command in commands():
            page = page_of("cleave", command, "--help")
            for line in re.findall(r"^  (\S.*)$", page.split("\nExamples:\n")[1], re.MULTILINE):
                with self.subTest(line), tempfile.TemporaryDirectory() as here:
                    os.makedirs(f"{here}/albums")
                    for name in ("photo.raw", "albums/photo.raw"):
                        (pathlib.Path(here) / name).write_bytes(bytes(100_000))
                    (pathlib.Path(here) / "capture.bin").write_bytes(frame({"cmd": "echo"}, b"hello"))
                    page_of("cleave", "-s", daemon.url, "put", "-r", here, ".")
                    line = re.sub(r"'tcp://[^?']*\?wire=raw'", f"'{daemon.urls[1]}'", line)
                    server = named.url if "--name" in line else daemon.url
                    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=here, text=True,
                                          capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                                          check=False, env=os.environ | {
                                              "PATH": f"{BIN}:{os.environ['PATH']}", "CLEAVE_SERVER": server})
                    self.assertEqual(done.returncode, 0, done)
                    tried += 1
        self.assertGreaterEqual(tried, 24)

    def test_an_unknown_command_is_compared_with_those_that_there_are(self):
        for word, meant in (("sta", "stat"), ("exce", "exec"), ("verfiy", "verify")):
            done = subprocess.run([CLEAVE, word], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"did you mean '{meant}'?", done.stderr)

    def test_what_a_server_says_of_itself_is_laid_out_at_a_terminal_alone(self):
        daemon = self.enterContext(Daemon("--exec", "shell"))
        server = ("-s", daemon.url)
        for command in ("ping", "stats", "limits", "help"):
            piped = page_of("cleave", *server, command)
            self.assertTrue(piped.startswith("{"), piped)
            self.assertTrue(page_of("cleave", *server, command, "--json", columns=80).startswith("{"))
            self.assertNotIn("{", page_of("cleave", *server, command, columns=80))
        everything = page_of("cleave", *server, "help", columns=80)
        self.assertIn("put FILE [NAME]", everything)
        self.assertRegex(everything, r"\n  delete +deletes a file")
        one = page_of("cleave", *server, "help", "put", columns=80)
        self.assertIn("Usage: cleave put", one)
        self.assertIn("  filename=string", one)


class ManPages(unittest.TestCase):
    def setUp(self):
        if shutil.which("mandoc") is None:
            self.skipTest("mandoc is not there")

    def test_they_are_right_and_have_everything_that_help_has(self):
        for program in PROGRAMS:
            with self.subTest(program):
                page = page_of(program, "--man")
                checked = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, text=True,
                                         capture_output=True, check=False)
                self.assertEqual((checked.returncode, checked.stdout), (0, ""))
                shown = subprocess.run(["mandoc", "-T", "utf8"], input=page, text=True, check=True,
                                       capture_output=True).stdout
                shown = re.sub(r".\x08", "", shown)
                words = " ".join(shown.split())
                helps = [page_of(program, "--help")]
                if program == "cleave":
                    helps += [page_of("cleave", command, "--help") for command in commands()]
                    for command in commands():
                        self.assertIn(f"cleave {command} [OPTIONS]", words)
                    self.assertIn('server = "tcp://127.0.0.1:9000"', words)
                for text in helps:
                    for option in options_of(text):
                        self.assertRegex(shown, rf"(?m)^ +(-\w, )?{option}\b")
                    for example in re.findall(r"^  (\S.*)$", text.partition("\nExamples:\n")[2], re.MULTILINE):
                        self.assertIn(example, words)

    def test_they_name_every_variable_that_the_guide_does(self):
        guide = (ROOT / "bin/README.md").read_text(encoding="utf-8")
        guide = guide.partition("## cleave, the client")[2].partition("\n## ")[0]
        variables = set(re.findall(r"\b(?:CLEAVE|XDG)_[A-Z_]+|NO_COLOR|TERM\b", guide))
        self.assertIn("CLEAVE_HISTORY", variables)
        page = page_of("cleave", "--man").replace("\\", "")
        self.assertEqual({name for name in variables if name not in page}, set())

    def test_they_are_the_same_whenever_they_are_made(self):
        page = page_of("cleave", "--man")
        built = BIN.parent / "share/man/man1/cleave.1"
        if built.exists():  # the programs may be built alone
            self.assertEqual(built.read_text(encoding="utf-8"), page)
        done = subprocess.run([CLEAVE, "--man"], capture_output=True, text=True, check=True,
                              env=os.environ | {"SOURCE_DATE_EPOCH": "86400"})
        self.assertIn(" 1 1970-01-02 ", done.stdout)


if __name__ == "__main__":
    unittest.main()
