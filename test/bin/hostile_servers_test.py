# SPDX-License-Identifier: MIT
"""Every command of `cleave` against servers that are absent, break off, lie or send what is harmful to look
at, and with outputs that cannot be written: a sentence, the documented exit status, and no file anywhere
else. Servers are threads of this process, and many commands run at once."""
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import queue
import re
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from daemon_case import SANITIZED
from python_client import frame
from support import CLEAVE, PATIENCE, Daemon

from adversary.peer import reset_on_close

ONCE = ("--retries", "0")
# As bin/README.md has them.
STATUSES = {
    "protocol_error": 5, "invalid_argument": 1, "unknown_command": 1, "too_large": 1,
    "unauthenticated": 8, "permission_denied": 8, "not_found": 3, "already_exists": 4,
    "failed_precondition": 1, "checksum_mismatch": 6, "offset_mismatch": 1, "no_space": 7,
    "quota_exceeded": 7, "busy": 5, "overloaded": 5, "unavailable": 5, "deadline_exceeded": 124,
    "cancelled": 1, "io_error": 1, "internal": 1,
}
COMMANDS = {
    "echo": ["echo", "x"], "upper": ["upper", "x"], "exec": ["exec", "true"],
    "exec --shell": ["exec", "--shell", "x"], "put": ["put", "file", "a"],
    "put -c": ["put", "-c", "file", "a"], "put -r": ["put", "-r", "tree"],
    "put -": ["put", "-", "a"], "get": ["get", "a", "new"], "get -c": ["get", "-c", "a", "new"],
    "get -r": ["get", "-r", "a", "new"], "get -": ["get", "a", "-"], "ls": ["ls"],
    "ls DIR": ["ls", "d"], "stat": ["stat", "a"], "rm": ["rm", "a"], "mv": ["mv", "a", "b"],
    "verify": ["verify", "a"], "ping": ["ping"], "stats": ["stats"], "limits": ["limits"], "help": ["help"],
    "help CMD": ["help", "x"], "call": ["call", "x"], "call --body": ["call", "x", "--body", "file"],
}
# Of every way in which a command asks, one.
FEW = {name: COMMANDS[name] for name in ("echo", "exec", "put -c", "get", "get -r", "ls", "call")}
# A sanitizer makes each start slow, so there every command meets two kinds of servers alone.
MOST = FEW if SANITIZED else COMMANDS
ONE_WAY = {"put --one-way": ["put", "--one-way", "file", "a"]}
# Nothing of it is to reach a terminal: it moves the cursor, ends a line, or turns it around.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
EVIL = "a\x1b[31m\n\r\x07\x7f\x9b31m\u202egpj.\u2066\u200b\u2028z"


class Hostile:
    """Does `behave(connection)` to each that connects, and closes it."""

    def __init__(self, behave):
        self.behave = behave
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self.behave(connection)
            except (OSError, struct.error):
                pass  # the client has gone


def requests_of(connection):
    """The headers of the requests, each when all of it has come."""
    with connection.makefile("rb") as stream:
        begun = {}
        while prefix := stream.read(4):
            header = json.loads(stream.read(struct.unpack("<I", prefix)[0]))
            stream.read(header.get("data_size", header.get("filesize", 0)))
            first = begun.setdefault(header.get("id"), header)
            if not header.get("more"):
                del begun[header.get("id")]
                yield first


def answering(answer):
    """Sends for each request the bytes that `answer(header)` gives."""
    def behave(connection):
        for header in requests_of(connection):
            connection.sendall(answer(header))
    return behave


def replying(answer):
    """The same with a header and a body, of one frame."""
    def bytes_of(header):
        members, *body = answer(header)
        return frame({"id": header["id"], "status": "ok", **members}, *body)
    return answering(bytes_of)


def saying_and_closing(answer):
    def behave(connection):
        connection.sendall(answer(next(requests_of(connection))))
    return behave


def refusing(code, message="for a reason", **members):
    return replying(lambda header: ({"status": "error", "code": code, "message": message, **members},))


@dataclasses.dataclass
class Run:
    what: str
    arguments: list
    url: str
    statuses: tuple = ()     # one of them
    lines: int = 1           # on standard error, at most; the last one tells the error
    files: tuple = ()        # that may be there afterwards, besides what was
    shell: str = ""          # what follows the command in a shell's line: redirections
    stdin: bytes = b""
    done: object = None      # the future of its end
    left: dict = None        # what is there afterwards and was not, or was other

    @property
    def status(self):
        return self.result().returncode

    def result(self):
        return self.done.result()

    @property
    def stdout(self):
        return self.result().stdout

    @property
    def stderr(self):
        return self.result().stderr.decode()  # which it always is


class HostileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(max_workers=8))
        cls.clean = queue.SimpleQueue()  # folders that a run has left as they were
        cls.above = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cleave-test-")))

    def serve(self, behave):
        server = Hostile(behave)
        self.addCleanup(server.close)
        return server

    @classmethod
    def start(cls, run, pool=None):
        run.done = (pool or cls.pool).submit(cls.run_one, run)
        return run

    @classmethod
    def run_one(cls, run):
        try:
            folder, before = cls.clean.get_nowait()
        except queue.Empty:
            folder = pathlib.Path(tempfile.mkdtemp(dir=cls.above), "here")
            (folder / "tree").mkdir(parents=True)
            for name in ("file", "tree/inner"):
                (folder / name).write_bytes(b"12345")
            before = cls.files_in(folder.parent)
        command = [CLEAVE, "-s", run.url, *ONCE, *run.arguments]
        if run.shell:
            command = ["/bin/sh", "-c", f'exec "$@" {run.shell}', "sh", *command]
        done = subprocess.run(command, cwd=folder, input=run.stdin, capture_output=True,
                              timeout=PATIENCE, check=False)
        after = cls.files_in(folder.parent)
        run.left = {os.path.relpath(path, folder): data for path, data in after.items()
                    if before.get(path, run) != data}
        if after == before:
            cls.clean.put((folder, before))
        return done

    @staticmethod
    def files_in(folder):
        """What is there: the bytes of each file, None of a directory."""
        found = {}
        for path, directories, files in os.walk(folder):
            found |= {os.path.join(path, name): None for name in directories}
            found |= {os.path.join(path, name): pathlib.Path(path, name).read_bytes() for name in files}
        return found

    def check(self, run):
        with self.subTest(run.what, arguments=run.arguments, shell=run.shell):
            told = (run.result(), run.left)
            self.assertIn(run.status, run.statuses, told)
            self.assertIsNone(HARMFUL.search(run.stderr), told)
            left = set(run.left)
            if "-c" in run.arguments:  # a part may stay for a later command
                left = {name for name in left if not re.fullmatch(r"\.new\.[0-9a-f]+\.part", name)}
            self.assertLessEqual(left, set(run.files), told)
            if run.status == 0:
                return
            lines = run.stderr.splitlines()
            self.assertIn(len(lines), range(1, run.lines + 1), told)
            self.assertTrue(run.stderr.endswith("\n"), told)
            self.assertRegex(lines[-1], "^cleave: ([a-z_]+: )?\\S", told)

    @classmethod
    def against(cls, what, url, status, commands=MOST, options=(), pool=None, **others):
        """Starts all these commands; `status` is of all but exec, of which it is 255."""
        for name, arguments in commands.items():
            wanted = 255 if name.startswith("exec") else status
            yield cls.start(Run(f"{what}: {name}", [*options, *arguments], url,
                                 (wanted,) if isinstance(wanted, int) else wanted, **others), pool)


class Broken(HostileTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # They all wait for seven seconds longer than the server should: at once, and beside the others.
        pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(max_workers=len(COMMANDS)))
        server = Hostile(lambda connection: [None for _ in requests_of(connection)])
        cls.addClassCleanup(server.close)
        cls.silent = [*cls.against("silent", server.url, 124, options=("--timeout", "0.2"), pool=pool)]

    def test_a_server_that_is_absent_or_breaks_off_is_5(self):
        def reset_at_once(connection):
            reset_on_close(connection)

        def reset_after_the_request(connection):
            next(requests_of(connection))
            reset_on_close(connection)

        def whole(header):
            return frame({"id": header["id"], "status": "ok", "data_size": 100, "file_size": 100})

        absent = socket.create_server(("127.0.0.1", 0))
        url = "tcp://127.0.0.1:%d" % absent.getsockname()[1]
        absent.close()
        runs = [*self.against("absent", url, 5, MOST | ONE_WAY)]
        for what, behave in {
            "reset at once": reset_at_once,
            "reset after the request": reset_after_the_request,
        }.items():
            runs += self.against(what, self.serve(behave).url, 5, MOST | ONE_WAY)
        for what, behave, commands in (
            ("closed at once", lambda connection: None, FEW),
            ("closed after the request", saying_and_closing(lambda header: b""), FEW),
            ("closed in the length", saying_and_closing(lambda header: whole(header)[:3]), FEW),
            ("closed in the header", saying_and_closing(lambda header: whole(header)[:20]), MOST),
            ("closed before the body", saying_and_closing(whole), FEW),
            ("closed in the body", saying_and_closing(lambda header: whole(header) + b"0123456789"), COMMANDS),
        ):
            runs += self.against(what, self.serve(behave).url, 5, commands)
        for run in runs:
            self.check(run)

    def test_what_is_no_frame_is_5(self):
        runs = []
        for what, answer, commands in (
            ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", MOST),
            ("no JSON", struct.pack("<I", 9) + b"not\x1b json", MOST),
            ("an array", struct.pack("<I", 2) + b"[]", FEW),
            ("too long", struct.pack("<I", 0x7fffffff), FEW),
            ("a negative size", frame({"id": 1, "data_size": -1}), FEW),
        ):
            server = self.serve(answering(lambda header, answer=answer: answer))
            runs += self.against(what, server.url, 5, commands)
        for run in runs:
            self.check(run)

    def test_whoever_says_nothing_is_124_after_the_timeout(self):
        for run in self.silent:
            self.check(run)


class Refusing(HostileTest):
    def test_each_code_has_its_status(self):
        few = {name: COMMANDS[name] for name in ("stat", "get", "put")}
        runs = []
        for code, status in STATUSES.items():
            runs += self.against(code, self.serve(refusing(code)).url, status, few)
        for code in ("permission_denied", "a_code_of_its_own"):
            runs += self.against(code, self.serve(refusing(code)).url, STATUSES.get(code, 1))
        for run in runs:
            self.check(run)

    def test_whatever_a_message_is_it_is_shown_in_one_line(self):
        runs = []
        for message in (EVIL, "", "x" * 5000, 7, None, ["a"], {"a": 1}):
            server = self.serve(refusing("not_found", message))
            runs += self.against(f"message {message!r:.9}", server.url, 3, COMMANDS if message == EVIL else FEW)
        for run in runs:
            self.check(run)
            self.assertLess(len(run.stderr), 6000)
        escaped = "a\\x1b[31m\\x0a\\x0d\\x07\\x7f\\u{9b}31m\\u{202e}gpj.\\u{2066}\\u{200b}\\u{2028}z"
        self.assertIn(escaped, runs[0].stderr)

    def test_members_of_wrong_kinds_are_an_error(self):
        runs = []
        for what, members in {
            "a code that is none": {"status": "error", "code": 5, "message": "m"},
            "an error without a code": {"status": "error"},
            "another status": {"status": EVIL},
            "a status that is none": {"status": 5},
        }.items():
            server = self.serve(replying(lambda header, members=members: (members,)))
            runs += self.against(what, server.url, (1, 5), FEW)
        for run in runs:
            self.check(run)


class Lying(HostileTest):
    def test_a_file_of_another_size_than_was_said_is_no_file(self):
        gets = {name: COMMANDS[name] for name in ("get", "get -c", "get -")}
        runs = []
        for size in (3, 7, 0, 2**62, 2**63 - 1, -1, 2**63, "5", 5.0, None, True, [5]):
            server = self.serve(replying(lambda header, size=size: ({"file_size": size, "type": "file"}, b"12345")))
            runs += self.against(f"file_size {size}", server.url, (1, 5, 6), gets)
        for run in runs:
            self.check(run)

    def test_a_reply_that_says_nothing_or_nonsense_is_survived(self):
        runs = []
        for what, members in {
            "nothing": {},
            "nonsense": {"next": 5, "file_size": {}, "xxh3": [], "mtime_ms": "never", "type": 1, "offset": -1,
                         "exit_code": "0", "signal": -9, "stream": 5, "truncated": "yes", "path": EVIL,
                         "upload": None, EVIL[:4]: EVIL},
        }.items():
            server = self.serve(replying(lambda header, members=members: (members,)))
            for options, commands in (((), FEW), (("--json",), FEW), (("-v",), MOST)):
                runs += self.against(what, server.url, range(7), commands, options=options, lines=3,
                                     files=("new",))
        for run in runs:
            self.check(run)
            self.assertIsNone(HARMFUL.search(run.stdout.decode()), run.result())

    def test_a_program_that_ended_in_no_way_there_is_255(self):
        runs = []
        for members in ({}, {"exit_code": 256}, {"exit_code": -1}, {"exit_code": "0"}, {"exit_code": 0.0},
                        {"signal": 0}, {"signal": 128}, {"signal": "9"}, {"exit_code": None}):
            server = self.serve(replying(lambda header, members=members: (members,)))
            runs += self.against(f"{members}", server.url, None, {"exec": COMMANDS["exec"]})
        for run in runs:
            self.check(run)


    def test_what_is_told_of_a_file_is_ours_whatever_a_reply_says(self):
        members = {"event": "end", "path": "x", "filename": "x", "status": "ok", "code": "no_space", "message": "x",
                   'a":1,"status":"error","b': 5, "\x1b": 1, "file_size": 5}
        server = self.serve(replying(lambda header: (members,)))
        for arguments in (["put", "file", "a"], ["put", "-", "a"], ["put", "-r", "tree", "a"]):
            run = self.start(Run("names", ["--json", "--progress", "json", *arguments], server.url, (0,), lines=9))
            self.assertEqual(run.status, 0, run.result())
            told = [json.loads(line, object_pairs_hook=list) for line in
                    (run.stdout.decode() + run.stderr).splitlines()]
            for pairs in told:
                self.assertEqual(len(pairs), len(dict(pairs)), pairs)
            results, *_ = told
            self.assertEqual([name for name, _ in results], ["path", "filename", "status", "file_size"])
            self.assertEqual(dict(results)["status"], "ok")
            self.assertEqual([dict(pairs)["event"] for pairs in told[1:]], ["file", "end"])


class Lists(HostileTest):
    NAMES = [EVIL, "..", ".", "/abs", "", "a/b", "../up", "a\\b", "x" * 5000, "dup", "dup", "b", "a", "nul\0z"]

    @staticmethod
    def page(*entries):
        return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)

    def list(self, *arguments, **members):
        """A server that lists these names, and has each of them as a file of five bytes."""
        entries = [{"name": name, "type": "file", "file_size": 5, "mtime_ms": 0} for name in self.NAMES]

        def answer(header):
            if header["cmd"] == "list":
                return {}, self.page(*entries)
            if header["cmd"] == "stat":
                return {"type": "directory", "note": EVIL},
            return {"file_size": 5}, b"12345"
        return self.serve(replying(answer))

    def test_names_that_are_harmful_are_shown_escaped_and_fetched_from_nowhere(self):
        server = self.list()
        shown, exact, raw = (self.start(Run("ls", [*options, "ls"], server.url, (0,)))
                             for options in ((), ("--json",), ("--raw",)))
        stat = self.start(Run("stat", ["stat", "a"], server.url, (0,)))
        fetched = self.start(Run("get -r", ["get", "-r", "d", "new"], server.url, (1,), lines=len(self.NAMES),
                                 files=("new", "new/a", "new/b", "new/dup")))
        planned = self.start(Run("get --dry-run", ["get", "-r", "--dry-run", "d"], server.url, (1,),
                                 lines=len(self.NAMES)))
        for run in (shown, exact, raw, stat, fetched, planned):
            self.check(run)
        for run in (shown, exact, stat, planned):
            self.assertIsNone(HARMFUL.search(run.stdout.decode()), run)
        self.assertEqual(shown.stdout.count(b"\n"), len(self.NAMES))
        self.assertEqual([json.loads(line)["name"] for line in exact.stdout.splitlines()], self.NAMES)
        for name in self.NAMES:
            self.assertIn(f"  {name}\n".encode(), raw.stdout)
        self.assertEqual(fetched.left["new/dup"], b"12345")

    def test_a_list_that_never_ends_does(self):
        turns = [0]

        def again(header):
            turns[0] += 1
            return {"next": "a", "type": "directory"}, self.page({"name": "a", "type": "file"})

        def onward(header):
            return {"next": header.get("after", "") + "a", "type": "directory"},

        runs = []
        for what, answer in {"in a circle": again, "without entries": onward}.items():
            server = self.serve(replying(answer))
            for arguments in (["ls"], ["get", "-r", "d", "new"]):
                runs.append(self.start(Run(what, arguments, server.url, (1,))))
        for run in runs:
            self.check(run)
        self.assertLess(turns[0], 10)

    def test_lines_that_are_no_entries_are_an_error(self):
        runs = []
        for line in (b"no json", b"[]", b"{}", b'{"name":5}', b"\xff", b'{"name":"\xff"}', b"{" * 100_000,
                     b'{"name":"a"}{"name":"b"}'):
            server = self.serve(replying(lambda header, line=line: ({"type": "directory"}, line + b"\n")))
            for arguments in (["ls"], ["get", "-r", "d", "new"]):
                runs.append(self.start(Run(f"{line[:20]}", arguments, server.url, (1, 5))))
        for run in runs:
            self.check(run)

    def test_what_is_passed_on_as_json_is_one_line_whatever_it_was(self):
        for body in (b'{"a":\n"\x1b\x9b\xc2\x9b"}\n\n', EVIL.encode(), b"\xff\xfe", b""):
            server = self.serve(replying(lambda header, body=body: ({}, body)))
            for command in ("ping", "stats", "limits", "help"):
                run = self.start(Run(command, [command], server.url, (0,)))
                self.check(run)
                self.assertEqual(run.stdout.count(b"\n"), 1)
                self.assertIsNone(HARMFUL.search(run.stdout.decode()))


class Outputs(HostileTest):
    """What cannot be written is never 0."""

    RESULTS = {
        "echo": ["echo", "x"], "upper": ["upper", "x"], "exec": ["exec", "echo", "x"], "ls": ["ls"],
        "ls --json": ["--json", "ls"], "stat": ["stat", "a"], "verify": ["verify", "a"],
        "rm --json": ["--json", "rm", "gone"], "mv --json": ["--json", "mv", "moved", "there"],
        "ping": ["ping"], "stats": ["stats"], "limits": ["limits"], "help": ["help"],
        "help CMD": ["help", "exec"], "call": ["call", "echo", "--body", "file"], "get -": ["get", "a", "-"],
        "get --json": ["--json", "get", "a", "new"], "put --json": ["--json", "put", "file", "b"],
        "put - --json": ["--json", "put", "-", "c"], "put --dry-run": ["put", "--dry-run", "file"],
        "get --dry-run": ["get", "--dry-run", "a"], "--help": ["--help"], "COMMAND --help": ["ls", "--help"],
        "--version": ["--version"], "sticky": ["sticky"], "sticky --json": ["--json", "sticky"],
        "decode": ["decode", "frames"],
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = cls.enterClassContext(Daemon("--exec", "shell"))
        cls.root = cls.daemon.root
        subprocess.run([CLEAVE, "-s", cls.daemon.url, "put", "-", "a"], input=b"12345", check=True,
                       timeout=PATIENCE)  # with a digest

    def runs(self, shell, status, what, commands=None):
        runs = []
        for name, arguments in (commands or self.RESULTS).items():
            for file in ("gone", "moved"):
                (self.root / file).write_bytes(b"12345")
            wanted = 255 if name == "exec" else status
            frames = self.above / "frames"
            frames.write_bytes(frame({"cmd": "echo"}, b"hello"))
            arguments = [str(frames) if word == "frames" else word for word in arguments]
            runs.append(self.start(Run(f"{what}: {name}", arguments, self.daemon.url, (wanted,), shell=shell,
                                       files=("new",), lines=2 if name == "call" else 1)))
            if name.startswith(("rm", "mv")):
                runs[-1].result()
                (self.root / "there").unlink(missing_ok=True)
        return runs

    def test_a_full_disk_is_7(self):
        for run in self.runs(">/dev/full", 7, "full"):
            self.check(run)
            self.assertIn("cannot write standard output: No space left on device", run.stderr)

    def test_a_disk_that_is_full_in_the_middle_is_7(self):
        big = self.above / "big"
        big.write_bytes(bytes(8 << 20))
        run = self.start(Run("call", ["call", "echo", "--body", str(big)], self.daemon.url, (7,), shell=">/dev/full"))
        self.check(run)
        self.assertIn("No space left on device", run.stderr)

    def test_a_closed_output_is_1(self):
        for run in self.runs(">&-", 1, "closed"):
            self.check(run)

    def test_a_reader_that_has_gone_is_1(self):
        # The reader's end is closed before anything is written.
        reading, writing = os.pipe()
        os.close(reading)
        self.addCleanup(os.close, writing)
        os.set_inheritable(writing, True)
        for name, arguments in self.RESULTS.items():
            with self.subTest(name):
                for file in ("gone", "moved"):
                    (self.root / file).write_bytes(b"12345")
                (self.root / "there").unlink(missing_ok=True)
                (self.above / "frames").write_bytes(frame({"cmd": "echo"}, b"hello"))
                (self.above / "file").write_bytes(b"12345")
                done = subprocess.run([CLEAVE, "-s", self.daemon.url, *arguments], cwd=self.above,
                                      stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE,
                                      timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, 255 if name == "exec" else 1, done)
                self.assertIn(b"Broken pipe", done.stderr.splitlines()[-1])

    def test_errors_that_cannot_be_written_keep_their_status(self):
        failing = {"stat": (["stat", "no"], 3), "get": (["get", "no"], 3), "ls": (["ls", "no"], 3),
                   "exec": (["exec", "/no/such"], 255), "usage": (["nothing"], 2), "rm": (["rm", "no"], 3),
                   "options": (["--wrong"], 2), "call": (["call", "nothing"], 1)}
        for shell in ("2>/dev/full", "2>&-", ">&- 2>&- <&-"):
            for name, (arguments, status) in failing.items():
                run = self.start(Run(name, arguments, self.daemon.url, shell=shell))
                with self.subTest(name, shell=shell):
                    self.assertEqual(run.status, status)

    def test_results_that_can_be_written_are_0_though_standard_error_cannot(self):
        for shell in ("2>/dev/full", "2>&-"):
            for run in self.runs(shell, 0, "no standard error",
                                 {name: self.RESULTS[name] for name in ("echo", "ls", "get -", "put --json", "call")}):
                with self.subTest(run.what, shell=shell):
                    self.assertEqual(run.status, 0, run.result())

    def test_head_ends_what_has_more(self):
        many = self.root / "many"
        many.mkdir(exist_ok=True)
        for n in range(2500):
            (many / f"{n:0200}").touch()
        (self.root / "big").write_bytes(bytes(4 << 20))
        stream = self.above / "stream"
        stream.write_bytes(frame({"cmd": "echo"}, b"hello") * 50_000)
        for arguments, status in ((["ls", "many"], 1), (["get", "big", "-"], 1), (["decode", str(stream)], 1),
                                  (["exec", "yes"], 255), (["call", "get", "--header", "filename=big"], 1)):
            with self.subTest(arguments):
                done = subprocess.run(
                    ["/bin/bash", "-c", '"$@" | head -c1 >/dev/null; exit ${PIPESTATUS[0]}', "bash",
                     CLEAVE, "-s", self.daemon.url, *arguments],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, status, done)
                self.assertIn(b"Broken pipe", done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1, done)


if __name__ == "__main__":
    unittest.main()
