# SPDX-License-Identifier: MIT
"""The prompt of `cleave`, typed at in a terminal, and what is seen there."""
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import unittest

from client_case import ClientTest
from process_facts import eventually
from python_client import frame
from scripted_server import ScriptedServer
from screen import Screen
from support import CLEAVE, PATIENCE, Daemon
from terminal import Terminal

KIB = 1024


class PromptTest(ClientTest):
    @contextlib.contextmanager
    def prompt(self, *options, folder=None, **keywords):
        with Terminal(folder or self.folder, [CLEAVE, *options], CLEAVE_SERVER=self.url,
                      **keywords) as terminal:
            terminal.wait_for_lines(">>:")
            yield terminal

    def terminal(self, *options, **keywords):
        return self.enterContext(self.prompt(*options, **keywords))

    def history(self):
        return self.folder / ".local/state/cleave/history"


class AtAServer(PromptTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--exec", "shell"))
        for name in ("albums/one.raw", "albums/two.raw", "albums/with blank", "alpha", "粘包.txt",
                     "evil\x1b[31m"):
            path = cls.daemon.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url

    def test_a_line_is_edited_and_the_last_status_is_the_programs(self):
        terminal = self.terminal()
        terminal.enter("echo a wrld", "Left", "Left", "Left", "o", "Home", "C-Right", "Right", "DC",
                       "one", "End", "!")
        terminal.wait_for_lines(">>: echo one world!", "one world!", ">>:")
        # What has no end of line is not written over.
        terminal.enter("exec printf abc")
        terminal.enter("exec false")
        terminal.wait_for_lines(">>: echo one world!", "one world!", ">>: exec printf abc", "abc",
                                ">>: exec false", ">>:")
        terminal.type("C-d")
        self.assertEqual(terminal.wait_for_end(), 1)

    def test_characters_of_any_width_are_typed_and_edited_in_any_locale(self):
        for locale in ("C.UTF-8", "C"):
            with self.subTest(locale), self.prompt(LC_ALL=locale) as terminal:
                terminal.enter("echo 粘包abc", "Left", "Left", "Left", "Left", "é", "BSpace", "ü")
                terminal.wait_for_lines(">>: echo 粘ü包abc", "粘ü包abc", ">>:")

    def test_lines_come_back_in_this_prompt_and_in_the_next(self):
        with self.prompt() as terminal:
            for line in ("echo first", "echo first", " echo hidden", "echo --token=5", "echo second"):
                terminal.enter(line)
            terminal.type("quit", "Enter")
            self.assertEqual(terminal.wait_for_end(), 0)
        self.assertEqual(self.history().read_text(), "echo first\necho second\n")
        self.assertEqual(self.history().stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.history().parent.stat().st_mode & 0o777, 0o700)
        terminal = self.terminal()
        terminal.enter("Up", "Up")
        terminal.wait_for_lines(">>: echo first", "first", ">>:")
        terminal.type("C-r", "sec")
        terminal.wait_for("bck:sec")
        terminal.enter()
        terminal.wait_for_lines(">>: echo first", "first", ">>: echo second", "second", ">>:")
        terminal.type("exit", "Enter")
        self.assertEqual(terminal.wait_for_end(), 0)

    def test_two_prompts_at_once_keep_the_lines_of_both(self):
        other = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self.addCleanup(other.cleanup)
        state = {"XDG_STATE_HOME": str(self.folder / "state")}
        here = self.terminal(**state)
        there = self.terminal(folder=other.name, **state)
        for n in range(3):
            here.enter(f"echo here {n}")
            there.enter(f"echo there {n}")
        self.assertEqual((self.folder / "state/cleave/history").read_text(),
                         "".join(f"echo {where} {n}\n" for n in range(3) for where in ("here", "there")))

    def test_a_history_that_cannot_be_kept_disturbs_nobody(self):
        (self.folder / "file").touch()
        nowhere = {"CLEAVE_HISTORY": str(self.folder / "file/no")}
        for options, environment, said in (((), nowhere, []),
                                           (("-v",), nowhere, ["cannot open the history"]),
                                           ((), {"CLEAVE_HISTORY": ""}, [])):
            with self.subTest(options), self.prompt(*options, **environment) as terminal:
                terminal.enter("echo a")
                screen = terminal.screen()
                for part in said:
                    self.assertIn(part, screen)
                if not said:
                    self.assertEqual(screen, ">>: echo a\na\n>>:")
                terminal.enter("Up")
                self.assertEqual(terminal.screen().count(">>: echo a"), 2)
        self.assertFalse(self.history().exists())

    def test_the_users_editrc_is_honoured(self):
        (self.folder / ".editrc").write_text('cleave:bind "^T" ed-move-to-beg\n')
        terminal = self.terminal()
        terminal.enter("cho a", "C-t", "e")
        terminal.wait_for_lines(">>: echo a", "a", ">>:")

    def test_tab_completes_and_a_second_one_lists(self):
        terminal = self.terminal(width=40)
        terminal.type("ver", "Tab")
        terminal.wait_for_lines(">>: verify")
        terminal.type("C-u", "put --o", "Tab")
        terminal.wait_for_lines(">>: put --one-way")
        terminal.type("C-u", "stat al", "Tab", "b", "Tab")
        terminal.wait_for_lines(">>: stat albums/")
        terminal.type("Tab", "Tab")
        terminal.wait_for_lines(">>: stat albums/", "one.raw     two.raw     with blank",
                                ">>: stat albums/")
        terminal.type("w", "Tab")
        terminal.wait_for(">>: stat albums/with\\ blank")
        terminal.enter()
        self.assertIn("\nfile_size: 0\n", terminal.screen())
        terminal.type("C-l", 'stat "albums/w', "Tab")
        terminal.wait_for_lines('>>: stat "albums/with blank"')
        # No name of a server's drives the terminal.
        terminal.type("C-u", "stat ", "Tab", "Tab")
        terminal.wait_for_lines(">>: stat", "albums/   alpha     粘包.txt", ">>: stat")

    def test_completion_says_nothing_of_its_connection(self):
        terminal = self.terminal("-v")
        terminal.type("stat alp", "Tab")
        terminal.wait_for_lines(">>: stat alpha")

    def test_a_line_that_was_completed_reads_as_it_was_meant(self):
        terminal = self.terminal()
        (self.folder / "it's a \"file\" \\ 包").write_text("content")
        terminal.enter("put it", "Tab", "stored")
        stored = self.daemon.root / "stored"
        self.addCleanup(stored.unlink)
        self.assertEqual(stored.read_text(), "content")

    def test_a_tilde_is_the_home(self):
        terminal = self.terminal()
        (self.folder / "my photo").write_text("content")
        stored = self.daemon.root / "stored"
        self.addCleanup(stored.unlink)
        terminal.enter("put ~/my", "Tab", "stored")
        self.assertEqual(stored.read_text(), "content")
        terminal.enter("get stored ~/back")
        self.assertEqual((self.folder / "back").read_text(), "content")

    def test_ctrl_c_drops_a_line_and_ends_a_command_and_the_prompt_stays(self):
        terminal = self.terminal()
        terminal.type("echo half")
        terminal.wait_for_lines(">>: echo half")
        terminal.type("C-c")
        terminal.wait_for_lines(">>: echo half^C", ">>:")
        terminal.type("exec --shell 'echo begun; exec sleep 100'", "Enter")
        terminal.wait_for("\nbegun")
        terminal.type("C-c")
        terminal.wait_until(lambda screen: screen.endswith("\n>>:"), "the prompt")
        terminal.enter("echo on")
        terminal.wait_for_lines(
            ">>: echo half^C", ">>: exec --shell 'echo begun; exec sleep 100'", "begun",
            "^C", "cleave: cancelled: the request was cancelled by its sender", ">>: echo on", "on",
            ">>:")

    def test_ctrl_c_ends_what_writes_and_the_prompt_stays(self):
        (self.folder / "stream").write_bytes(frame({"cmd": "echo"}, b"hello") * 300_000)
        terminal = self.terminal()
        terminal.type("decode stream", "Enter")
        terminal.wait_for('"body_bytes":5')
        # The system may throw away what is written about then, also the next prompt.
        terminal.type("C-c")
        terminal.type("echo on", "Enter")
        terminal.wait_until(lambda screen: screen.endswith("on\n>>:"), "another command's result")

    def test_the_line_follows_the_window(self):
        terminal = self.terminal(width=60)
        words = "echo " + "0123456789 " * 6 + "end"
        line = ">>: " + words
        terminal.type(words, "Left")
        terminal.wait_for_lines(line[:60], line[60:])
        for width in (90, 50, 34):
            terminal.resize(width)
            broken = [line[at:at + width] for at in range(0, len(line), width)]
            terminal.wait_until(lambda screen, end="\n".join(broken): screen.endswith(end), broken)
        terminal.enter("N")
        self.assertTrue(terminal.screen().replace("\n", "").endswith("0123456789 enNd>>:"))

    def test_a_prompt_that_is_stopped_goes_on_where_it_was(self):
        terminal = self.enterContext(
            Terminal(self.folder, ["bash", "--norc"], CLEAVE_SERVER=self.url, PS1="$ "))
        terminal.type(f"{CLEAVE}", "Enter")
        terminal.wait_for(">>:")
        terminal.type("echo ab", "Left")
        terminal.wait_for(">>: echo ab")
        terminal.type("C-z")
        terminal.wait_for("Stopped")
        terminal.type("clear", "Enter")
        terminal.wait_for_lines("$")
        terminal.type("fg", "Enter")
        terminal.wait_until(lambda screen: screen.endswith(">>: echo ab"), "the line")
        terminal.enter("X")
        self.assertTrue(terminal.screen().endswith("\naXb\n>>:"))
        # What is typed ahead is for whoever reads next.
        terminal.type("quit", "Enter", "echo b", "Enter")
        terminal.wait_until(lambda screen: screen.endswith("\nb\n$"), "the shell")

    def test_a_signal_that_ends_the_prompt_gives_the_terminal_back(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number), Terminal(
                    self.folder, ["bash", "--norc"], CLEAVE_SERVER=self.url, PS1="$ ") as terminal:
                pid_file = self.folder / "pid"
                terminal.type(f"sh -c 'echo $$ >pid; exec {CLEAVE}'; stty -a", "Enter")
                terminal.wait_for(">>:")
                terminal.type("echo ab")
                terminal.wait_for(">>: echo ab")
                os.kill(int(pid_file.read_text()), number)
                screen = terminal.wait_for("isig")
                self.assertRegex(screen, r"\bisig icanon\b")
                self.assertRegex(screen, r"[^-]echo echoe\b")

    def test_a_server_that_was_restarted_while_a_line_was_typed_is_connected_to_anew(self):
        with Daemon(listen=(f"unix:{self.folder}/socket",)) as daemon:
            self.url = daemon.url
            terminal = self.terminal()
            terminal.enter("echo a")
            terminal.type("echo b")
            terminal.wait_for_lines(">>: echo a", "a", ">>: echo b")
            daemon.restart()
            terminal.type("Enter")
            terminal.wait_for_lines(">>: echo a", "a", ">>: echo b", "b", ">>:")

    def test_a_dumb_terminal_gets_text_alone(self):
        for term in ("dumb", ""):
            with self.subTest(term):
                screen = Screen()
                self.addCleanup(screen.close)
                process = self.start(stdin=screen.fd, stdout=screen.fd, stderr=screen.fd,
                                     env={"HOME": str(self.folder), "TERM": term})
                screen.read_until(">>: ")
                screen.type("echo a")
                at = screen.read_until(">>: echo a")
                process.send_signal(signal.SIGWINCH)
                at = screen.read_until(">>: echo a", at)
                screen.type("\n")
                screen.read_until("\na\r\n>>: ", at)
                screen.type("quit\n")
                self.assertEqual(process.wait(timeout=PATIENCE), 0)
                self.assertNotIn("\x1b", screen.read_to_end())

    def test_lines_of_a_pipe_have_no_prompt(self):
        done = subprocess.run(self.command(), capture_output=True, timeout=PATIENCE,
                              env={"HOME": str(self.folder)},
                              input=b"echo a\nget absent\n echo b\nexit\necho never\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"a\nb\n"))
        self.assertTrue(done.stderr.startswith(b"cleave: not_found: "), done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertFalse(self.history().exists())


class AtAScript(PromptTest):
    def serve(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        self.url = server.url
        return server

    def test_a_server_that_ignores_a_cancel_is_reset_and_the_prompt_stays(self):
        server = self.serve(lambda header, body: [({"status": "ok"}, body)]
                            if header["cmd"] == "echo" else None)
        terminal = self.terminal()
        for presses in (1, 2):
            server.ended.clear()
            known = len(server.requests)
            terminal.type("stat a", "Enter")
            self.assertTrue(eventually(lambda: len(server.requests) > known, PATIENCE))
            for _ in range(presses):
                terminal.type("C-c")
                # The first one sends a cancel, which is seen here.
                self.assertTrue(eventually(lambda: len(server.requests) > known + 1, PATIENCE))
            self.assertTrue(server.ended.wait(PATIENCE))
            terminal.wait_until(lambda screen: screen.endswith("\n>>:"), "the prompt")
            terminal.enter("echo on")
            self.assertTrue(terminal.screen().endswith("\non\n>>:"))

    def test_lines_of_a_pipe_are_left_where_a_command_has_to_be_given_up(self):
        server = self.serve(lambda *_: None)
        process = self.start(stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdin.write(b"stat a\nstat b\n")
        process.stdin.flush()
        self.assertTrue(eventually(lambda: len(server.requests) == 1, PATIENCE))
        process.send_signal(signal.SIGINT)
        self.assertTrue(eventually(lambda: len(server.requests) == 2, PATIENCE))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=PATIENCE), 130)
        self.assertEqual([header["cmd"] for header, _ in server.requests], ["stat", "cancel"])

    def test_a_long_transfer_shows_how_far_it_is_and_ends_by_ctrl_c(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def answer(header, body):
            if header["cmd"] == "get":
                yield {"status": "ok", "file_size": 4096 * KIB, "more": True,
                       "data_size": 1024 * KIB}, bytes(1024 * KIB)
                go_on.wait()
            else:
                yield {"status": "ok"}, body

        self.serve(answer)
        terminal = self.terminal(width=80)  # which the line fills
        terminal.type("get long", "Enter")
        terminal.wait_for("\nlong  ")
        terminal.type("C-c")
        screen = terminal.wait_until(lambda screen: screen.endswith("\n>>:"), "the prompt")
        self.assertEqual(screen.count("\nlong  "), 1, screen)  # what was drawn has not wrapped
        terminal.enter("echo on")
        self.assertTrue(terminal.screen().endswith("\non\n>>:"))
        self.assertEqual(list(self.folder.glob("*long*")), [])

    def test_completion_does_not_wait_for_a_server_that_is_silent_or_gone(self):
        server = ScriptedServer(lambda *_: None)
        self.url = server.url
        terminal = self.terminal()
        terminal.type("stat a", "Tab")
        self.assertTrue(eventually(lambda: server.requests, PATIENCE))
        terminal.type("b")
        terminal.wait_for_lines(">>: stat ab")
        known = len(server.requests)
        terminal.type("Tab")
        self.assertTrue(eventually(lambda: len(server.requests) > known, PATIENCE))
        terminal.type("C-c")
        terminal.wait_for_lines(">>: stat ab^C", ">>:")
        server.close()
        terminal.type("C-u", "mv a", "Tab", "b")
        terminal.wait_for_lines(">>: stat ab^C", ">>: mv ab")


if __name__ == "__main__":
    unittest.main()
