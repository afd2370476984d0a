# SPDX-License-Identifier: MIT
"""The client program `cleave`: its commands, its streams and its exit statuses."""
import json
import os
import pty
import select
import signal
import socket
import subprocess
import unittest

from client_case import ClientTest
from process_facts import eventually, is_gone, memory
from python_client import frame
from scripted_server import ScriptedServer
from support import CLEAVE, Daemon

MIB = 1024 * 1024


class AgainstTheDaemon(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon("--exec", "shell"))

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url
        self.root = self.daemon.root


class Words(AgainstTheDaemon):
    def test_a_word_that_no_header_can_carry_is_refused_and_not_another_one_sent(self):
        (self.folder / "a").write_bytes(b"new")
        (self.root / "u\N{REPLACEMENT CHARACTER}").write_bytes(b"old")
        bad = b"u\xff"
        for words in (["put", "a", bad], ["put", "--one-way", "a", bad], ["put", "-", bad],
                      ["get", bad, "b"], ["rm", bad], ["stat", bad], ["verify", bad],
                      ["mv", bad, "c"], ["mv", "c", bad], ["ls", bad], ["exec", "echo", bad],
                      ["exec", "--shell", bad], ["call", bad], ["call", "echo", "--header", b"a=" + bad]):
            with self.subTest(words):
                self.assertIn("bytes that are not UTF-8", self.sentence(*words, status=2))
        self.assertEqual([path.read_bytes() for path in self.root.glob("u*")], [b"old"])
        # What a file here is called is its own affair, and text is bytes.
        bad_here = os.fsencode(self.folder) + b"/" + bad
        with open(bad_here, "wb") as file:
            file.write(b"mine")
        self.cleave("put", bad_here, "c")
        self.assertEqual((self.root / "c").read_bytes(), b"mine")
        self.assertEqual(self.output("echo", bad), bad + b"\n")

    def test_what_is_not_there_is_called_what_it_is(self):
        self.assertIn("no option '--bogus'", self.sentence("--bogus", status=2))
        self.assertIn("'-s' stands before the command",
                      self.sentence("ping", "-s", "tcp://127.0.0.1:1", status=2))
        self.assertIn("'b' was not expected here", self.sentence("stat", "a", "b", "c", status=2))

    def test_a_mistake_is_told_with_what_was_expected_and_what_came(self):
        (self.folder / "file").touch()
        (self.folder / "dir").mkdir()
        (self.root / "big").mkdir(exist_ok=True)
        (self.root / "big/in").touch()
        number = "expected a whole number from {} to {}, got '{}'"
        for words, status, *parts in (
                (["-s", "bogus", "ping"], 2, "tcp://HOST:PORT, udp://HOST:PORT or unix:PATH", "got 'bogus'"),
                (["-s", "fd:3", "ping"], 2, "got 'fd:3'"),
                (["-s", "tcp:host:7101", "ping"], 2, "got 'tcp:host:7101'"),
                (["-s", "tcp://host:7101", "ping"], 2, "numeric address or localhost, got 'host'", "getent hosts"),
                (["-s"], 2, "--server: expected URL, got nothing"),
                (["--retries", "x", "ping"], 2, "--retries: " + number.format(0, 1000, "x")),
                (["ping", "--retries", "1001"], 2, number.format(0, 1000, 1001)),
                (["ping", "--json=maybe"], 2, "--json: expected true or false, got 'maybe'"),
                (["--color", "red", "ping"], 2, "--color: expected one of {auto,always,never}, got 'red'"),
                (["ping", "--timeout", "1", "--timeout", "2"], 2, "--timeout: expected one value, got 2"),
                (["ping", "a"], 2, "'a' was not expected here: ping takes nothing"),
                (["put"], 2, "FILE is required"),
                (["put", "file", "-P"], 2, "--parallel: expected N, got nothing"),
                (["put", "file", "-P", "1.5"], 2, number.format(1, 64, 1.5)),
                (["put", "file", "b", "c"], 2, "'c' was not expected here: put takes FILE [NAME]"),
                (["put", "dir"], 1, "'dir' is a directory; put -r stores"),
                (["put", "-r", "-"], 2, "without -r, -c, --dry-run and --no-clobber"),
                (["get", "big", "-rc", "-"], 2, "without -r, -c and --dry-run"),
                (["get", "-r", "big", "file"], 4, "'file' is there already, and is no directory"),
                (["get", "-r", "big", "file/x"], 4, "'file' is there already, and is no directory"),
                (["rm", "-r", "big"], 2, "there is no option '-r'"),
                (["put", "-rx", "dir"], 2, "there is no option '-x'"),
                (["ls", "--", "-a", "b"], 2, "'b' was not expected here: ls takes [DIR]"),
                (["exec"], 2, "expected one of ARGV, --shell LINE and --name NAME, got none"),
                (["exec", "--shell", "a", "--name", "b"], 2, "got several"),
                (["call", "x", "--header"], 2, "--header: expected NAME=VALUE, got nothing"),
                (["sticky", "--read", "0"], 2, number.format(1, 1024, 0)),
                (["sticky", "x" * 512, "y" * 512], 2, "up to 1024 bytes together, got 1025"),
                (["decode", "--header-depth", "1"], 2, number.format(2, 256, 1)),
                (["decode", "dir"], 1, "cannot read 'dir'")):
            with self.subTest(words):
                sentence = self.sentence(*words, status=status)
                for part in parts:
                    self.assertIn(part, sentence)

    def test_an_empty_name_is_wrong_usage(self):
        (self.folder / "a").touch()
        for words in (["put", "", "x"], ["put", "a", ""], ["get", ""], ["get", "a", ""], ["rm", ""],
                      ["stat", ""], ["verify", ""], ["mv", "", "x"], ["mv", "a", ""], ["ls", ""],
                      ["call", ""], ["help", ""], ["decode", ""], ["sticky", "a", ""], ["exec", ""]):
            with self.subTest(words):
                self.assertRegex(self.sentence(*words, status=2), r"expected [A-Z]+, got an empty word")

    def test_a_standard_input_that_is_closed_stores_nothing(self):
        (self.root / "kept").write_bytes(b"kept")
        for words, status in ((["put", "-", "kept"], 1), (["call", "echo", "--body", "-"], 1),
                              (["decode"], 1), (["exec", "cat"], 0)):
            with self.subTest(words):
                done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *self.command(*words)],
                                      capture_output=True, timeout=60)
                self.assertEqual((done.returncode, done.stdout), (status, b""), done.stderr)
        self.assertEqual((self.root / "kept").read_bytes(), b"kept")

    def test_no_time_at_all_is_any_time(self):
        self.assertEqual(self.output("--timeout", "0", "echo", "a"), b"a\n")


class Text(AgainstTheDaemon):
    def test_echo_and_upper_end_their_output_with_a_newline(self):
        self.assertEqual(self.output("echo", "hello"), b"hello\n")
        self.assertEqual(self.output("upper", "grüß", "dich"), "GRüß DICH\n".encode())

    def test_bytes_are_no_json_whoever_asks_for_it(self):
        for command in ("echo", "upper"):
            self.assertEqual(self.output("--json", command, "--json", "A"), b"A\n")

    def test_text_is_passed_on_untouched_from_its_first_word(self):
        self.assertEqual(self.output("echo", "[a,b]", "--json", "--", "-q"), b"[a,b] --json -- -q\n")
        self.assertEqual(self.output("echo", "--", "-x"), b"-x\n")
        self.assertEqual(self.output("echo", ""), b"\n")

    def test_the_server_is_named_by_the_environment_too(self):
        done = subprocess.run([CLEAVE, "echo", "a"], env={"CLEAVE_SERVER": self.url},
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, b"a\n"))

    def test_what_the_server_says_of_itself_is_json(self):
        self.assertEqual(json.loads(self.output("ping"))["protocol"], 1)
        for command in ("stats", "limits", "help"):
            self.assertIsInstance(json.loads(self.output(command)), dict)

    def test_help_shows_one_command(self):
        one = json.loads(self.output("help", "exec"))
        self.assertEqual(one["cmd"], "exec")
        self.cleave("help", "nothing", status=3)

    def test_help_and_version_are_asked_of_nobody(self):
        self.url = "tcp://127.0.0.1:1"
        self.assertIn(b"verify NAME", self.output("--help"))
        self.assertRegex(self.output("--version"), rb"^cleave \d+\.\d+\.\d+\n$")
        self.assertIn(b"FILE [NAME]", self.output("put", "--help"))

    def test_wrong_usage_is_2_and_one_sentence(self):
        for words in (["nothing"], ["echo"], ["get"], ["mv", "a"], ["exec"], ["stat", "a", "b"],
                      ["exec", "--shell", "a", "b"], ["exec", "--wrong", "ls"], ["--timeout", "-1"],
                      ["call", "x", "--header", "novalue"], ["call", "x", "--header", "id=1"],
                      ["call", "x", "--header", "a=1", "--header", "a=2"], ["put", "-"]):
            with self.subTest(words):
                self.sentence(*words, status=2)

    def test_options_that_contradict_each_other_are_refused(self):
        for words in (["-q", "-v", "ping"], ["ping", "-vq"],
                      ["put", "--no-clobber", "--no-overwrite", CLEAVE, "never"]):
            with self.subTest(words):
                self.sentence(*words, status=2)

    def test_an_address_that_cannot_be_read_is_wrong_usage(self):
        self.url = "http://127.0.0.1"
        self.sentence("ping", status=2)


class Files(AgainstTheDaemon):
    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_files_go_there_and_back(self):
        for size in (0, 1, 5 * MIB):
            with self.subTest(size):
                data = os.urandom(size)
                self.write("here", data)
                self.cleave("put", "here", f"deep/{size}")
                self.assertEqual((self.root / f"deep/{size}").read_bytes(), data)
                self.cleave("get", f"deep/{size}", "back")
                self.assertEqual((self.folder / "back").read_bytes(), data)
                self.assertEqual(self.output("get", f"deep/{size}", "-"), data)

    def test_the_last_part_of_a_name_is_the_default_target(self):
        (self.folder / "sub").mkdir()
        self.write("sub/basename", b"data")
        self.cleave("put", "sub/basename")
        self.assertEqual((self.root / "basename").read_bytes(), b"data")
        self.cleave("get", "basename")
        self.assertEqual((self.folder / "basename").read_bytes(), b"data")
        self.cleave("get", "basename", "sub")
        self.assertEqual(sorted(os.listdir(self.folder)), ["basename", "sub"])

    def test_a_file_that_is_not_there_is_3_and_leaves_nothing(self):
        self.assertIn("not_found", self.sentence("get", "absent", status=3))
        self.sentence("stat", "absent", status=3)
        self.sentence("rm", "absent", status=3)
        self.sentence("mv", "absent", "b", status=3)
        self.sentence("put", "absent", status=3)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_file_of_ones_own_that_is_called_part_is_left_alone(self):
        (self.root / "a").write_bytes(b"content")
        self.write("a.part", b"mine")
        self.cleave("get", "a")
        self.cleave("get", "absent", "a", status=3)
        self.assertEqual((self.folder / "a.part").read_bytes(), b"mine")
        self.assertEqual((self.folder / "a").read_bytes(), b"content")
        self.assertEqual(sorted(os.listdir(self.folder)), ["a", "a.part"])

    def test_standard_input_that_cannot_be_read_stores_nothing(self):
        # Nothing is mapped at its beginning, so reading this file fails.
        with open("/proc/self/mem", "rb") as unreadable:
            done = subprocess.run(self.command("put", "-", "name"), stdin=unreadable,
                                  capture_output=True, cwd=self.folder, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"cannot read standard input", done.stderr)
        self.assertFalse((self.root / "name").exists())

    def test_standard_descriptors_may_be_closed(self):
        for closed, status in ((0, 0), (1, 1), (2, 0)):
            with self.subTest(closed):
                done = subprocess.run(
                    ["/bin/sh", "-c", f'exec "$@" {closed}>&-', "sh", *self.command("echo", "x")],
                    cwd=self.folder, capture_output=True, timeout=60)
                self.assertEqual(done.returncode, status, done)

    def test_results_that_cannot_be_written_are_an_error(self):
        (self.root / "a").write_bytes(b"content")
        for arguments in (["ls"], ["stat", "a"], ["ping"], ["echo", "x"], ["get", "a", "-"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = subprocess.run(self.command(*arguments), stdout=full,
                                      stderr=subprocess.PIPE, cwd=self.folder, timeout=60)
                self.assertEqual(done.returncode, 7, done.stderr)

    def test_a_target_that_is_no_regular_file_is_written_to_as_it_is(self):
        self.write("a", b"data")
        self.cleave("put", "a", "pipe")
        os.mkfifo(self.folder / "fifo")
        reader = subprocess.Popen(["cat", self.folder / "fifo"], stdout=subprocess.PIPE)
        self.cleave("get", "pipe", "fifo")
        self.assertEqual(reader.communicate()[0], b"data")

    def test_standard_input_is_stored_under_a_name(self):
        data = os.urandom(3 * MIB)
        self.cleave("put", "-", "piped", stdin=data)
        self.assertEqual((self.root / "piped").read_bytes(), data)

    def test_a_one_way_put_is_stored_without_an_answer(self):
        data = os.urandom(MIB)
        self.write("a", data)
        self.assertEqual(self.output("put", "--one-way", "a", "one-way"), b"")
        self.assertTrue(eventually((self.root / "one-way").exists))
        self.assertEqual((self.root / "one-way").read_bytes(), data)

    def test_what_must_not_be_replaced_is_4(self):
        self.write("a", b"first")
        self.cleave("put", "a", "kept")
        self.assertIn("already_exists", self.sentence("put", "--no-overwrite", "a", "kept", status=4))
        self.cleave("put", "a", "other")
        self.sentence("mv", "--no-overwrite", "other", "kept", status=4)

    def test_ls_shows_every_page_sorted_and_with_control_characters_escaped(self):
        folder = self.root / "many"
        folder.mkdir(parents=True)
        names = sorted(f"file{n:04}" for n in range(1500))
        for name in names:
            (folder / name).touch()
        lines = self.output("ls", "many").decode().splitlines()
        self.assertEqual([line.split()[-1] for line in lines], names)
        entries = [json.loads(line) for line in self.output("--json", "ls", "many").splitlines()]
        self.assertEqual([entry["name"] for entry in entries], names)
        (folder / "evil\x1b[31m").touch()
        self.assertNotIn(b"\x1b", self.cleave("ls", "many").stdout)

    def test_stat_rm_mv_and_verify_do_what_they_say(self):
        self.write("a", b"data")
        self.cleave("put", "a", "thing")
        self.assertIn(b"file_size: 4\n", self.output("stat", "thing"))
        self.assertEqual(json.loads(self.output("stat", "--json", "thing"))["file_size"], 4)
        self.cleave("verify", "thing")
        self.cleave("mv", "thing", "moved/thing")
        self.assertEqual((self.root / "moved/thing").read_bytes(), b"data")
        self.cleave("rm", "moved/thing")
        self.assertFalse((self.root / "moved/thing").exists())

    def test_names_that_leave_the_root_are_refused(self):
        self.write("a", b"data")
        self.sentence("put", "a", "../evil", status=1)
        self.assertFalse((self.root.parent / "evil").exists())

    def test_call_sends_any_request(self):
        self.write("a", b"0123456789")
        self.cleave("call", "put", "--header", "filename=called", "--body", "a")
        done = self.cleave("call", "get", "--header", "filename=called", "--header", "offset=2",
                           "--header", "length=3")
        self.assertEqual(done.stdout, b"234")
        self.assertEqual(json.loads(done.stderr)["file_size"], 10)
        data = os.urandom(3 * MIB)
        self.assertEqual(self.output("-q", "call", "echo", "--body", "-", stdin=data), data)
        self.sentence("call", "no-such-command", status=1)


class Exec(AgainstTheDaemon):
    def test_the_status_is_the_childs_own(self):
        self.cleave("exec", "true")
        self.cleave("exec", "false", status=1)
        self.cleave("exec", "--shell", "exit 77", status=77)
        self.cleave("exec", "--shell", "kill -TERM $$", status=128 + signal.SIGTERM)

    def test_a_program_that_cannot_be_started_is_255(self):
        self.sentence("exec", "/no/such/program", status=255)

    def test_the_two_outputs_stay_apart(self):
        done = self.cleave("exec", "--shell", "echo out; echo err >&2")
        self.assertEqual((done.stdout, done.stderr), (b"out\n", b"err\n"))

    def test_arguments_are_passed_on_untouched(self):
        self.assertEqual(self.output("exec", "printf", "%s|", "--json", "--", "[a,b]", "", "-q"),
                         b"--json|--|[a,b]||-q|")
        self.assertEqual(self.output("exec", "--", "echo", "a"), b"a\n")
        hostile = ["; echo out", "$(echo out)", "`echo out`", "a\nb", "-rf", "*", "'", '"', "\\", "@a"]
        self.assertEqual(self.output("exec", "printf", "%s\\0", *hostile),
                         b"".join(each.encode() + b"\0" for each in hostile))

    def test_standard_input_and_output_are_binary_and_of_any_size(self):
        data = os.urandom(8 * MIB)
        self.assertEqual(self.output("exec", "cat", stdin=data), data)

    def test_a_child_that_does_not_read_its_input_ends_all_the_same(self):
        process = self.start("exec", "true", stdin=subprocess.PIPE)  # which is never closed
        self.assertEqual(process.wait(timeout=20), 0)

    def test_output_comes_as_it_is_made(self):
        process = self.start("exec", "--shell", "echo first; read line; echo $line",
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"first\n")
        process.stdin.write(b"second\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"second\n")
        self.assertEqual(process.wait(timeout=20), 0)

    def test_a_slow_reader_slows_the_child_down(self):
        idle = self.start("exec", "--shell", "echo; read line", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
        idle.stdout.readline()
        limit = memory(idle.pid, "VmRSS") + 24 * MIB
        process = self.start("exec", "--shell", "head -c 64M /dev/zero; touch finished",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.read(1), b"\0")
        # Nobody reads on: far less than all of it may be on its way.
        eventually(lambda: memory(process.pid, "VmRSS") > limit, 1)
        self.assertLess(memory(process.pid, "VmRSS"), limit)
        self.assertIsNone(process.poll())
        self.assertEqual(len(process.stdout.read()), 64 * MIB - 1)
        self.assertEqual(process.wait(timeout=20), 0)

    def test_a_reader_that_has_gone_ends_it(self):
        process = self.start("exec", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        process.stdout.read(2)
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 255)
        process.stdout = None

    def test_a_deadline_is_124(self):
        self.cleave("--timeout", "0.2", "exec", "sleep", "100", status=124)

    def sleeping_child(self):
        """A client whose child sleeps, and the child's process id."""
        process = self.start("exec", "--shell", "echo $$; exec sleep 100",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        return process, int(process.stdout.readline())

    def test_killing_the_client_kills_the_child_within_three_seconds(self):
        process, child = self.sleeping_child()
        process.kill()
        self.assertTrue(eventually(lambda: is_gone(child), 3))

    def test_ctrl_c_ends_the_child_and_is_130(self):
        process, child = self.sleeping_child()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        self.assertTrue(eventually(lambda: is_gone(child), 3))


class Prompt(AgainstTheDaemon):
    def test_lines_are_commands_until_quit(self):
        done = self.cleave(stdin=b"echo a\n\n   \nupper 'b  c' d\\ e\nquit\necho never\n")
        self.assertEqual((done.stdout, done.stderr), (b"a\nB  C D E\n", b""))

    def test_an_error_is_a_sentence_and_the_next_line_runs(self):
        done = self.cleave(stdin=b"get absent\nnonsense\necho 'open\nexec cat\necho on\n")
        self.assertEqual(done.stdout, b"on\n")
        self.assertIn(b"cleave: not_found: ", done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 3)

    def test_the_status_is_that_of_the_last_command(self):
        self.cleave(stdin=b"echo a\nget absent\n", status=3)

    def test_a_terminal_gets_a_prompt_and_a_history(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start(stdin=slave, stdout=subprocess.PIPE, stderr=slave,
                             env={**os.environ, "TERM": "vt100", "CLEAVE_HISTORY": ""})
        os.close(slave)
        self.read_until(master, b">>: ")
        os.write(master, b"echo typed\n")
        self.assertEqual(process.stdout.readline(), b"typed\n")
        os.write(master, b"\x1b[A\n")  # the line before once more
        self.assertEqual(process.stdout.readline(), b"typed\n")
        os.write(master, b"quit\n")
        self.assertEqual(process.wait(timeout=10), 0)

    def read_until(self, fd, wanted):
        seen = b""
        while wanted not in seen:
            self.assertTrue(select.select([fd], [], [], 10)[0], seen)
            seen += os.read(fd, 4096)


class AgainstAScript(ClientTest):
    def serve(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        self.url = server.url
        return server

    def test_every_error_code_has_its_exit_status(self):
        statuses = {
            "invalid_argument": 1, "unknown_command": 1, "too_large": 1, "failed_precondition": 1,
            "offset_mismatch": 1, "cancelled": 1, "io_error": 1, "internal": 1, "not_found": 3,
            "already_exists": 4, "protocol_error": 5, "busy": 5, "overloaded": 5, "unavailable": 5,
            "checksum_mismatch": 6, "no_space": 7, "quota_exceeded": 7, "unauthenticated": 8,
            "permission_denied": 8, "deadline_exceeded": 124,
        }
        self.serve(lambda header, body: [
            ({"status": "error", "code": header["filename"], "message": "for a \x1b reason"}, b"")])
        for code, status in statuses.items():
            with self.subTest(code):
                self.assertEqual(self.sentence("stat", code, status=status),
                                 f"cleave: {code}: for a \\x1b reason\n")

    def test_a_server_that_is_not_there_is_5(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.url = "tcp://127.0.0.1:%d" % taken.getsockname()[1]
        self.sentence("ping", status=5)

    def test_a_connection_that_breaks_is_5_and_255_for_exec(self):
        def leave(header, body):
            raise OSError

        self.serve(leave)
        self.sentence("ping", status=5)
        self.sentence("exec", "true", status=255)

    def test_bytes_that_do_not_fit_their_digest_are_6_and_never_a_file(self):
        self.serve(lambda header, body: [
            ({"status": "ok", "file_size": 4, "xxh3": "0" * 16}, b"data")])
        self.sentence("get", "a", status=6)
        self.assertEqual(os.listdir(self.folder), [])
        (self.folder / "a").write_bytes(b"data")
        self.sentence("put", "a", status=6)

    def test_a_reply_that_is_too_long_to_be_held_is_cancelled_once(self):
        def answer(header, body):
            if header["cmd"] == "ping":
                return [({"more": True}, b" " * size) for size in (64 * MIB, 1, 8, 1)]
            ended = {"status": "error", "code": "cancelled", "message": "it was"}
            return [({"status": "ok"}, b""), (ended | {"id": header["target"]}, b"")]

        server = self.serve(answer)
        self.assertEqual(self.sentence("ping", status=1),
                         "cleave: too_large: the reply is longer than 67108864 bytes\n")
        self.assertEqual([header["cmd"] for header, _ in server.requests], ["ping", "cancel"])

    def test_a_file_that_comes_too_short_is_no_file(self):
        self.serve(lambda header, body: [({"status": "ok", "file_size": 5}, b"data")])
        self.sentence("get", "a", status=1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_names_that_a_server_sends_choose_no_path(self):
        self.serve(lambda header, body: [
            ({"status": "ok", "filename": "../evil", "file_size": 4}, b"data")])
        self.cleave("get", "good")
        self.assertEqual(os.listdir(self.folder), ["good"])

    def test_exec_without_an_ending_is_255(self):
        self.serve(lambda *_: [({"status": "ok"}, b"")])
        self.sentence("exec", "true", status=255)

    def test_exec_that_timed_out_is_124(self):
        self.serve(lambda *_: [({"status": "ok", "signal": 9, "timed_out": True}, b"")])
        self.cleave("exec", "true", status=124)

    def test_a_server_that_pages_in_a_circle_is_not_followed(self):
        server = self.serve(lambda *_: [({"status": "ok", "next": "a"}, b"")])
        self.assertIn("does not come to an end", self.sentence("ls", status=1))
        self.assertEqual(len(server.requests), 2)

    def test_a_one_way_put_is_what_old_servers_understand(self):
        server = self.serve(lambda *_: None)
        (self.folder / "a").write_bytes(b"data")
        self.cleave("put", "--one-way", "a")
        self.assertEqual(server.requests,
                         [({"cmd": "put", "filename": "a", "filesize": 4}, b"data")])

    def test_a_one_way_put_that_the_server_refuses_is_no_success(self):
        (self.folder / "a").write_bytes(b"data")
        error = {"status": "error", "code": "no_space", "message": "the disk is full"}

        def serve(connection, read_first):
            with connection:
                if read_first:
                    connection.recv(65536)
                connection.sendall(frame(error))
                while connection.recv(65536):
                    pass

        for read_first in (False, True):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self.url = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
                process = self.start("put", "--one-way", "a", stderr=subprocess.PIPE)
                serve(listener.accept()[0], read_first)
                _, stderr = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 7, stderr)
            self.assertIn(b"the disk is full", stderr)

    def interrupted(self, signals):
        """Exit status and seconds of a request that is interrupted and never answered."""
        server = self.serve(lambda *_: None)
        process = self.start("get", "a", stderr=subprocess.DEVNULL)
        self.assertTrue(eventually(lambda: server.requests))
        for _ in range(signals):
            known = len(server.requests)
            process.send_signal(signal.SIGINT)
            # The first one sends a cancel, which is seen here.
            eventually(lambda: len(server.requests) > known or process.poll() is not None)
        status = process.wait(timeout=5)
        self.assertTrue(server.ended.wait(5))
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(server.requests[1][0]["cmd"], "cancel")
        return status

    def test_ctrl_c_without_an_answer_gives_up_after_a_second(self):
        self.assertEqual(self.interrupted(1), 130)

    def test_a_second_ctrl_c_gives_up_at_once(self):
        self.assertEqual(self.interrupted(2), 130)

    def test_json_of_a_server_is_printed_without_its_control_characters(self):
        evil = '{"name":"a\x7f\x9b31m"}\n'.encode()  # valid JSON all the same
        self.serve(lambda *_: [({"status": "ok", "note": "\x9b31m"}, evil)])
        for words in (["ls", "--json"], ["stats"], ["ping"], ["help"]):
            with self.subTest(words):
                self.assertEqual(json.loads(self.output(*words)), {"name": "a\x7f\x9b31m"})
                self.assertNotIn(b"\xc2\x9b", self.output(*words))
                self.assertNotIn(b"\x7f", self.output(*words))
        self.assertEqual(self.output("stat", "--json", "a"), b'{"note":"\\u009b31m"}\n')
        self.assertEqual(self.cleave("call", "x").stderr, b'{"note":"\\u009b31m"}\n')
        self.serve(lambda *_: [({"status": "ok"}, b"\x1b[31mno JSON\nat all")])
        self.assertEqual(self.output("stats"), b"\\u001b[31mno JSON at all\n")


if __name__ == "__main__":
    unittest.main()
