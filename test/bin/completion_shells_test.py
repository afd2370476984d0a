# SPDX-License-Identifier: MIT
"""`cleave --complete`, and what bash, zsh and fish make of it when TAB is pressed."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from client_case import ClientTest
from scripted_server import ScriptedServer
from support import BIN, CLEAVE, Daemon
from terminal import Terminal

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "bin/package"
COMMANDS = """
[commands.backup]
argv = ["/bin/echo", "{customer}"]
[commands.backup.args]
customer = { one_of = ["acme", "big one"] }
"""


RUN = ("run$(id)`id`", 'that\'s "it"', "no!", "none of it")


class CompletionTest(ClientTest):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cleave-test-"))
        commands = pathlib.Path(folder) / "commands.toml"
        commands.write_text(COMMANDS, encoding="utf-8")
        cls.daemon = cls.enterClassContext(Daemon("--exec", str(commands)))
        for name in ("albums/one.raw", "albums/with blank", "alpha", "粘包.txt", "evil\x1b[31m",
                     "new\nline", *RUN):
            path = cls.daemon.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url


class Asked(CompletionTest):
    def candidates(self, *words, **environment):
        done = subprocess.run([CLEAVE, "--complete", *words], capture_output=True, timeout=60,
                              cwd=self.folder, env={"CLEAVE_SERVER": self.url, **environment})
        self.assertEqual((done.returncode, done.stderr), (0, b""), words)
        return [line.split("\t")[0] for line in done.stdout.decode().splitlines()]

    def test_there_is_a_line_for_each_candidate_with_what_it_does(self):
        done = subprocess.run([CLEAVE, "--complete", "ver"], capture_output=True, timeout=60)
        self.assertEqual(done.stdout,
                         b"verify\thas a file read again and compared with its digest\n")

    def test_names_come_from_the_server_of_the_environment_or_of_the_line(self):
        self.assertEqual(self.candidates("get", "al"), ["albums/", "alpha"])
        self.assertEqual(self.candidates("get", "albums/w"), ["albums/with blank"])
        self.assertEqual(self.candidates("-s", self.url, "rm", "al", CLEAVE_SERVER="tcp://127.0.0.1:1"),
                         ["albums/", "alpha"])
        self.assertEqual(self.candidates("stat", ""),
                         sorted(["albums/", "alpha", *RUN, "粘包.txt"]))
        self.assertEqual(self.candidates("exec", "--name", "backup", "customer="),
                         ["customer=acme", "customer=big one"])
        self.assertEqual(self.candidates("call", "put", "--header", "ov"), ["overwrite="])

    def test_profiles_are_those_of_the_users_file(self):
        file = self.folder / "file.toml"
        file.write_text("[profiles.build]\n[profiles.'big one']\n[profiles.local]\n", encoding="utf-8")
        file.chmod(0o600)
        named = {"CLEAVE_CONFIG": str(file)}
        self.assertEqual(self.candidates("-p", "", **named), ["big one", "build", "local"])
        self.assertEqual(self.candidates("--config", str(file), "-p", "b"), ["big one", "build"])
        self.assertEqual(self.candidates("-v", "--profile=l", **named), ["--profile=local"])
        self.assertEqual(self.candidates("-p", ""), [])
        file.write_text("no TOML", encoding="utf-8")
        self.assertEqual(self.candidates("-p", "", **named), [])

    def test_names_are_found_among_very_many(self):
        folder = self.daemon.root / "many"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        for n in range(3000):
            (folder / f"file{n:04}").touch()
        self.assertEqual(self.candidates("get", "many/file2999"), ["many/file2999"])
        self.assertEqual(len(self.candidates("get", "many/file2")), 1000)
        self.assertEqual(len(self.candidates("get", "many/")), 1000)

    def test_nothing_is_wrong_whatever_is_asked(self):
        for words in ([], ["-s", "nonsense", "get", "a"], ["-s", "udp://127.0.0.1:1", "get", "a"],
                      ["-s", "tcp://127.0.0.1:1", "get", "a"], ["--nothing", "x"], ["nothing", "x"],
                      ["get", "../"], ["get", "/"], ["--timeout", "0", "get", "\x1b"]):
            with self.subTest(words):
                self.assertEqual(self.candidates(*words), [])

    def test_a_silent_server_is_waited_for_a_second(self):
        server = ScriptedServer(lambda *_: None)
        self.addCleanup(server.close)
        self.assertEqual(self.candidates("-s", server.url, "get", "a"), [])
        self.assertEqual(len(server.requests), 1)

    def test_a_reader_that_has_gone_is_no_matter(self):
        done = subprocess.run(["sh", "-c", '"$0" --complete "" >/dev/full; echo $?', CLEAVE],
                              capture_output=True, timeout=60)
        self.assertEqual((done.stdout, done.stderr), (b"0\n", b""))


@unittest.skipIf(os.environ.get("CLEAVE_SANITIZE"), "another build has shown it")
class InShells(CompletionTest):
    def shell(self, program, *options):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed")
        path = f"{BIN}:{os.environ['PATH']}"
        return self.enterContext(
            Terminal(self.folder, [program, *options], width=90, CLEAVE_SERVER=self.url, PATH=path,
                     XDG_CONFIG_HOME=str(self.folder), XDG_DATA_HOME=str(self.folder), PS1="$ ",
                     ZDOTDIR=str(self.folder), fish_greeting=""))

    def complete(self, terminal, typed, completed):
        """Types and presses TAB; what is before the cursor then."""
        with self.subTest(typed):
            terminal.type(typed, "Tab", "x")
            terminal.wait_until(lambda screen: screen.endswith(completed + "x"), completed)
            terminal.type("C-u")
            terminal.wait_until(lambda screen: screen.endswith("$"), "an empty line")

    def check(self, terminal, home):
        (self.folder / "my file").touch()
        settings = self.folder / "cleave/config.toml"
        settings.parent.mkdir()
        settings.write_text("[profiles.build]\n[profiles.'my own']\n", encoding="utf-8")
        settings.chmod(0o600)
        for typed, completed in (
                ("cleave verif", "cleave verify "),
                ("cleave get albums/w", "cleave get albums/with\\ blank "),
                ("cleave get 'albums/w", "cleave get 'albums/with blank' "),
                ("cleave get 粘", "cleave get 粘包.txt "),
                ("cleave stat alb", "cleave stat albums/"),
                (f"cleave -s {self.url} rm alp", f"cleave -s {self.url} rm alpha "),
                ("cleave -p bu", "cleave -p build "),
                ("cleave --profile=my", "cleave --profile=my\\ own "),
                ("cleave exec --name backup cus", "cleave exec --name backup customer="),
                ("cleave exec --name backup customer=b",
                 "cleave exec --name backup customer=big\\ one "),
                ("cleave put ~/my", f"cleave put {home}/my\\ file ")):
            self.complete(terminal, typed, completed)
        terminal.type("cleave rm al", "Tab", "Tab")
        terminal.wait_until(lambda screen: "albums/" in screen and "alpha" in screen, "a list")

    def test_bash(self):
        terminal = self.shell("bash", "--norc")
        terminal.type(f". {PACKAGE}/cleave.bash", "Enter", "C-l")
        terminal.wait_for_lines("$")
        self.check(terminal, self.folder)
        terminal.type("C-u", "C-l")
        terminal.wait_for_lines("$")
        # A name is a name, and is not run.
        for typed, completed in (
                ("cleave get run", "cleave get run\\$\\(id\\)\\`id\\` "),
                ('cleave get "run', 'cleave get "run\\$(id)\\`id\\`" '),
                ("cleave get 'run", "cleave get 'run$(id)`id`' "),
                ("cleave get tha", "cleave get that\\'s\\ \\\"it\\\" "),
                # Where bash sees quotes in the name, it leaves the last one to whoever types.
                ('cleave get "tha', 'cleave get "that\'s \\"it\\" '),
                ('cleave get "no', 'cleave get "none of it" '),
                ('cleave get al"p', 'cleave get al"pha" '),
                ('cleave get ""alp', 'cleave get ""alp'),
                (f'cleave --server="{self.url}" get alp', f'cleave --server="{self.url}" get alpha ')):
            self.complete(terminal, typed, completed)

    def test_zsh(self):
        (self.folder / "functions").mkdir()
        shutil.copy(PACKAGE / "cleave.zsh", self.folder / "functions/_cleave")
        (self.folder / ".zshrc").write_text(
            "PS1='$ '; unsetopt prompt_sp; fpath=(~/functions $fpath)\n"
            "autoload -U compinit; compinit -u -D\n")
        terminal = self.shell("zsh")
        terminal.wait_for_lines("$")
        self.check(terminal, "~")

    def test_fish(self):
        functions = self.folder / "fish/completions"
        functions.mkdir(parents=True)
        shutil.copy(PACKAGE / "cleave.fish", functions)
        (self.folder / "fish/config.fish").write_text(
            "function fish_prompt; echo -n '$ '; end\nset -g fish_autosuggestion_enabled 0\n")
        terminal = self.shell("fish")
        terminal.wait_for("$")
        self.check(terminal, "~")


if __name__ == "__main__":
    unittest.main()
