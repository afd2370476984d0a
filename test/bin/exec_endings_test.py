#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How a program ended is said as it was, once; and whatever else happens, it is never told as 0."""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

from daemon_case import LONG, MIB, SANITIZED
from exec_case import ExecTest, processes
from process_facts import descriptors, eventually
from python_client import Client
from store_history import seed_of_this_run
from support import CLEAVE, PATIENCE, run

from adversary.peer import Closed
from adversary.proxy import Fault, Proxy

ROOT = os.geteuid() == 0
# The stops of a terminal do nothing to who has none.
HARMLESS = {signal.SIGCONT, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGTSTP,
            signal.SIGTTIN, signal.SIGTTOU}
DUMPS = {signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS,
         signal.SIGFPE, signal.SIGSEGV, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSYS}
REAL_TIME = {34, 35, 50, 63, 64}
DEADLY = sorted(set(range(1, 32)) - HARMLESS - {signal.SIGSTOP} | REAL_TIME)
# The core file lies where the program runs, and is not handed to somebody who asks for more.
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
CORE_FILES = not CORE_PATTERN.startswith(("|", "/", "@"))
CORE_ALLOWED = resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
# It ends well when it is told to end, at any time from its first word on.
POLITE = "trap 'exit 0' TERM; echo up; sleep 1000 & wait"


class Told(ExecTest):
    def test_every_exit_code(self):
        client = self.connect()
        for code in range(256):
            header, _ = client.request({"cmd": "exec", "shell": f"exit {code}"})
            self.assertEqual((header["status"], header["exit_code"]), ("ok", code))
            self.assertNotIn("signal", header)
        for code in (0, 1, 2, 44, 124, 126, 127, 128, 129, 130, 137, 254, 255):
            self.assertEqual(self.run_shell(client, f"exit {code}").how, ("ok", code, None))
            self.cleave("exec", "--shell", f"exit {code}", status=code)

    def test_death_by_every_signal(self):
        client = self.connect()
        for number in DEADLY:
            header, _ = client.request({"cmd": "exec", "shell": f"kill -{number} $$; exit 0"})
            self.assertEqual((header["status"], header["signal"]), ("ok", number), header)
            self.assertNotIn("exit_code", header)
            self.assertNotIn("killed_by", header)
            ended = self.run_shell(client, f"kill -{number} $$; exit 0")
            self.assertEqual(ended.how, ("ok", None, number))
            self.cleave("exec", "--shell", f"kill -{number} $$; exit 0", status=128 + number)

    def test_signals_that_do_not_end_a_program_are_no_end(self):
        client = self.connect()
        for number in sorted(HARMLESS):
            ended = self.run_shell(client, f"kill -{number} $$; exit 5")
            self.assertEqual(ended.how, ("ok", 5, None))
        self.begin_limited(client, "echo up; kill -STOP $$; exit 5")
        ended = self.finish(client)
        self.assertEqual(ended.how, ("error", None, signal.SIGKILL))
        self.assertTrue(ended.header["timed_out"])

    @unittest.skipUnless(CORE_FILES and CORE_ALLOWED, "needs core files in the program's folder")
    def test_a_core_is_told_where_there_is_one(self):
        client = self.connect()
        for number in sorted(DUMPS | {signal.SIGTERM}):
            for limit, core in (("unlimited", number in DUMPS), ("0", False)):
                ended = self.run_shell(client, f"ulimit -c {limit}; kill -{number} $$",
                                       cwd=str(self.folder))
                self.assertEqual(ended.how, ("ok", None, number))
                self.assertEqual(ended.header.get("core", False), core)

    def test_of_a_pipe_the_exit_code_is_the_shells(self):
        client = self.connect()
        self.assertEqual(self.run_shell(client, "exit 3 | exit 4").how, ("ok", 4, None))
        self.assertEqual(self.run_shell(client, "kill -9 $$ | exit 0").how, ("ok", None, 9))

    def test_a_cancel_that_races_with_the_exit_is_answered_once_and_truly(self):
        choice = random.Random(seed_of_this_run())
        client = self.connect()
        outcomes = {"ok": 0, "error": 0}
        for _ in range(60 if SANITIZED else 200):
            # The same id again and again: a second reply would be taken for the next one's.
            self.begin(client, "echo up; read line; exit 7", more=True)
            self.assertEqual(client.recv_frame()[1], b"up\n")
            gap = choice.choice([0, choice.uniform(0, 0.003)])
            client.send_frame({"id": 1})
            until = time.monotonic() + gap
            while time.monotonic() < until:
                pass
            client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
            run, cancel = self.ends(client)
            outcomes[run["status"]] += 1
            how = tuple(run.get(key) for key in ("exit_code", "signal"))
            if run["status"] == "ok":
                self.assertEqual(how, (7, None), run)
                self.assertNotIn("killed_by", run)
            else:
                self.assert_error(run, "cancelled")
                self.assertIn(how, ((7, None), (None, signal.SIGTERM)), run)
                self.assertEqual(run["killed_by"], "cancelled")
            if cancel["status"] == "error":
                self.assert_error(cancel, "not_found")
                self.assertEqual(run["status"], "ok")
        print(f"cancels that raced with an exit: {outcomes}")
        self.assert_echoes(client)
        self.assertEqual(self.daemon.stop(), 0)
        runs = [line for line in self.daemon.rest_of_log() if " run " in line]
        self.assertEqual(len(runs), sum(outcomes.values()))

    def ends_in_order(self, daemon):
        if daemon.process.poll() is None:
            super().ends_in_order(daemon)


class BrokenEnds(ExecTest):
    """The client cannot know an exit code, or there is none. What runs here would end with 0."""

    config = ExecTest.config + "drain_timeout_ms = 100\n"

    def start_exec(self, *words, url=None):
        """A `cleave` whose program is under way."""
        command = [CLEAVE, "-s", url or self.url, *words]
        process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), b"up\n")
        return process

    def assert_ends(self, process, status):
        _, stderr = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, status, stderr)
        return stderr.decode()

    def test_the_daemon_is_killed(self):
        with self.another("--exec", "shell") as daemon, Client(daemon.address) as client:
            process = self.start_exec("exec", "--shell", "echo up; cat", url=daemon.url)
            self.begin(client, "echo up; cat", more=True)
            self.assertEqual(client.recv_frame()[1], b"up\n")
            daemon.kill(signal.SIGKILL)
            with self.assertRaises(Closed):
                client.recv_frame()
            self.assert_ends(process, 255)
            # Nobody holds their input any more.
            self.assert_nothing_left(daemon)

    def test_the_daemon_stops(self):
        for signals in (1, 2):
            with self.another("--exec", "shell", config=self.config) as daemon:
                process = self.start_exec("exec", "--shell", POLITE, url=daemon.url)
                daemon.kill(signal.SIGTERM)
                daemon.wait_for_log("draining")
                for _ in range(signals - 1):
                    daemon.kill(signal.SIGTERM)
                self.assert_ends(process, 255)
                self.assertEqual(daemon.wait(), 1)
                self.assert_nothing_left(daemon)

    def test_the_connection_is_cut_anywhere_in_the_reply(self):
        words = ["exec", "--shell", "echo out; echo err >&2"]
        with Proxy(self.daemon.address) as proxy:
            self.assertEqual(self.through(proxy, *words), 0)
            whole = proxy.passed[1]
        # A duration of fewer digits may make the next reply shorter.
        step = 1 if LONG else 41 if SANITIZED else 11
        for cut in ("fin", "reset"):
            for at in range(0, whole - 4, step):
                with Proxy(self.daemon.address, to_client=Fault(cut_at=at, cut=cut)) as proxy:
                    status = self.through(proxy, *words)
                    self.assertEqual((proxy.was_cut.is_set(), status), (True, 255), (cut, at))

    def through(self, proxy, *words):
        return subprocess.run([CLEAVE, "-s", proxy.url, *words], cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE).returncode

    def test_the_connection_is_reset_while_it_runs(self):
        for cut in ("fin", "reset"):
            with Proxy(self.daemon.address, to_server=Fault(cut_at=1_000, cut=cut)) as proxy:
                process = self.start_exec("exec", "--shell", "echo up; exec cat >/dev/null",
                                          url=proxy.url)
                self.assertIsNone(process.poll())
                self.assertEqual(len(processes(self.daemon)), 1)
                _, stderr = process.communicate(bytes(MIB), timeout=PATIENCE)
                self.assertEqual(process.returncode, 255, stderr)
            self.assert_nothing_left()

    def test_its_time_is_over(self):
        client = self.connect()
        self.begin_limited(client, POLITE)
        ended = self.finish(client)
        self.assert_error(ended.header, "deadline_exceeded")
        self.assertEqual((ended.header["exit_code"], ended.header["timed_out"],
                          ended.header["killed_by"]), (0, True, "timeout"))
        done = self.cleave("--timeout", "0.5", "exec", "--shell", POLITE, status=124)
        self.assertIn(b"deadline_exceeded", done.stderr)

    def test_it_is_cancelled(self):
        process = self.start_exec("exec", "--shell", POLITE)
        process.send_signal(signal.SIGINT)
        self.assert_ends(process, 130)
        client = self.connect()
        self.begin(client, POLITE)
        self.assertEqual(client.recv_frame()[1], b"up\n")
        client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
        run, cancel = self.ends(client)
        self.assert_ok(cancel)
        self.assert_error(run, "cancelled")
        self.assertEqual((run["exit_code"], run["killed_by"]), (0, "cancelled"))

    def test_its_output_is_too_long(self):
        with self.another("--exec", "shell",
                          config="[limits]\nexec_output_bytes = 10_000\n") as daemon:
            with Client(daemon.address) as client:
                header, body = client.request(
                    {"cmd": "exec", "shell": "head -c 10001 /dev/zero; exec sleep 1000"})
            self.assertEqual((header["truncated"], header["signal"], len(body)),
                             (True, signal.SIGKILL, 10_000))
            self.assertNotIn("exit_code", header)


class NoStart(ExecTest):
    """A program that never ran has no exit code, and is no line of the log."""

    # Command lines that are longer than the system takes fit into a header.
    config = "[limits]\nheader_bytes = 1_048_576\n"

    def file(self, name, content, mode=0o755):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def assert_no_start(self, client, code, reason, *argv, **members):
        for more in ({}, {"id": 5}):
            header, body = client.request({"cmd": "exec", "argv": argv} | members | more)
            self.assert_error(header, code)
            self.assertIn(reason, header["message"])
            self.assertEqual((set(header) & {"exit_code", "signal", "duration_ms"}, body),
                             (set(), b""))
        if not members and all(argv):  # an empty word is refused here
            self.assertIn(reason, self.sentence("exec", "--", *argv, status=255))

    def assert_first_run(self, word):
        """Nothing ran before the one that has this word in its arguments."""
        self.cleave("exec", "echo", word)
        self.assertIn(word, self.daemon.wait_for_log(" run "))

    def test_for_every_reason_that_a_program_or_a_folder_gives(self):
        client = self.connect()
        busy = self.folder / "busy"
        shutil.copy("/bin/true", busy)
        for code, reason, *argv in (
                ("not_found", "No such file", "/nonexistent/program"),
                ("not_found", "No such file", "no-such-program"),
                ("not_found", "No such file", ""),
                ("not_found", "Not a directory", "/etc/passwd/program"),
                ("not_found", "No such file", self.file("interpreter", b"#!/nonexistent\n")),
                ("permission_denied", "Permission denied", self.file("plain", b"#!/bin/sh", 0o644)),
                ("permission_denied", "Permission denied", str(self.folder)),
                ("permission_denied", "Exec format error", self.file("noise", b"\0\1\2\3" * 100)),
                ("permission_denied", "Exec format error", self.file("empty", b"")),
                ("permission_denied", "Exec format error", self.file("script", b"exit 0\n")),
                ("io_error", "Too many levels", self.loop())):
            with self.subTest(argv):
                self.assert_no_start(client, code, reason, *argv)
        with open(busy, "r+b"), self.subTest("written to"):
            self.assert_no_start(client, "io_error", "Text file busy", str(busy))
        self.cleave("exec", str(busy))
        self.assertIn("busy", self.daemon.wait_for_log(" run "))

    def loop(self):
        path = self.folder / "loop"
        path.symlink_to(path)
        return str(path)

    def test_for_a_folder_that_cannot_be_entered(self):
        client = self.connect()
        gone = self.folder / "gone"
        for cwd, code in ((str(gone), "not_found"), ("/etc/passwd", "not_found"),
                          ("/bin/true", "not_found"), ("", "invalid_argument"),
                          ("etc", "invalid_argument")):
            with self.subTest(cwd):
                self.assert_no_start(client, code, f"'{cwd}'" if cwd.startswith("/") else "cwd",
                                     "true", cwd=cwd)
        self.assert_first_run("entered")

    def test_for_arguments_that_are_longer_than_the_system_takes(self):
        client = self.connect()
        self.assert_no_start(client, "too_large", "Argument list too long", "true", "x" * 131_072,
                             cwd="/")
        header, body = client.request({"cmd": "exec", "argv": ["printf", "%s", "x" * 131_071]})
        self.assertEqual((header["exit_code"], len(body)), (0, 131_071))
        # With so small a stack the system takes 128 KiB in all.
        resource.prlimit(self.pid, resource.RLIMIT_STACK, (256 * 1024, 256 * 1024))
        self.assert_no_start(client, "too_large", "Argument list too long", "true",
                             *["x" * 5_000] * 30, cwd="/")
        self.assertIn("printf", self.daemon.wait_for_log(" run "))

    def test_for_a_server_that_has_no_place(self):
        with self.another("--exec", "shell", config="[limits]\nexec_max_running = 1\n") as daemon:
            self.daemon = daemon
            client = self.connect()
            self.begin(client, "echo up; cat", more=True)
            self.assertEqual(client.recv_frame()[1], b"up\n")
            self.assert_no_start(self.connect(), "busy", "exec_max_running", "true")
            client.send_frame({"id": 1})
            self.assertEqual(self.finish(client).how, ("ok", 0, None))
            self.cleave("exec", "true")

    @unittest.skipIf(SANITIZED, "a sanitizer needs descriptors of its own")
    def test_for_want_of_descriptors_at_any_step(self):
        client = self.connect()
        self.assertEqual(self.run_shell(client, "exit 7").how, ("ok", 7, None))
        self.assertTrue(eventually(lambda: not processes(self.daemon)))
        before = descriptors(self.pid)
        limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        started = []
        for room in range(12):
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (before + room, limits[1]))
            header, _ = client.request({"cmd": "exec", "shell": "exit 7"})
            started.append(header["status"] == "ok")
            if started[-1]:
                self.assertEqual(header["exit_code"], 7)
            else:
                self.assert_error(header, "io_error")
                self.assertIn("Too many open files", header["message"])
                self.assertNotIn("exit_code", header)
            self.assertTrue(eventually(lambda: descriptors(self.pid) == before), room)
        self.assertEqual((started[0], started[-1]), (False, True))
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    @unittest.skipUnless(ROOT, "becomes another user, who can be kept from making processes")
    def test_for_want_of_processes(self):
        user = 54_322  # of its own, whose processes and threads are those of this daemon alone
        daemon = self.another("--exec", "shell", user=user, group=user)
        os.chown(daemon.folder, user, user)
        with daemon:
            self.daemon = daemon
            self.assert_echoes(self.connect())
            self.allow_processes("1:", user)
            self.assert_no_start(self.connect(), "io_error", "Resource temporarily unavailable",
                                 "true")
            self.allow_processes("1000:", user)
            self.assert_first_run("again")

    def allow_processes(self, limit, user):
        done = run("prlimit", f"--pid={self.daemon.process.pid}", f"--nproc={limit}", user=user,
                   group=user, cwd="/")
        self.assertEqual(done.returncode, 0, done)


class TheLog(ExecTest):
    """Every run is one line of the log, whatever it is asked to say."""

    secret = "S3CRET"
    words = ["a\nb", "\x1b[31m", "--x=\"y\"", "level=error event=run", "\u2028"]

    def runs(self, daemon, client):
        """So many runs that end in all ways, each of which reads and writes a secret."""
        secret = self.secret.encode()
        request = {"cmd": "exec", "argv": ["tee", "--", "/dev/stderr", *self.words],
                   "cwd": str(self.folder)}
        for more in ({}, {"id": 1}):
            header, body = client.request(request | more, secret)
            self.assertEqual((header["exit_code"], body), (0, secret + secret))
        ended = self.run_shell(client, "cat; kill -9 $$", timeout_ms=60_000)
        self.assertEqual(ended.how, ("ok", None, 9))
        header, _ = client.request({"cmd": "exec", "shell": "cat; sleep 1000", "timeout_ms": 100},
                                   secret)
        self.assert_error(header, "deadline_exceeded")
        self.begin(client, "cat; sleep 1000", data_size=len(secret))
        client.send_bytes(secret)
        self.assertEqual(client.recv_frame()[1], secret)
        client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
        self.assert_error(self.ends(client)[0], "cancelled")
        with Client(daemon.address) as other:
            self.begin(other, "cat; sleep 1000", data_size=len(secret))
            other.send_bytes(secret)
            self.assertEqual(other.recv_frame()[1], secret)
            other.reset()
        self.assert_nothing_left(daemon)
        # And some that never ran.
        for words in ({"argv": ["/nonexistent"]}, {"argv": []}, {"name": "x"}, {"argv": ["a\0"]}):
            self.assertEqual(client.request({"cmd": "exec"} | words)[0]["status"], "error")
        return 6

    def test_in_json(self):
        with self.another("--exec", "shell", "--log-format", "json",
                          config=self.config) as daemon:
            with Client(daemon.address) as client:
                count = self.runs(daemon, client)
            self.assertEqual(daemon.stop(), 0)
            records = [json.loads(line) for line in daemon.rest_of_log()]
        self.assertNotIn(self.secret, json.dumps(records))
        runs = [record for record in records if record["event"] == "run"]
        self.assertEqual(len(runs), count)
        self.assertEqual([run.get("killed_by", "") for run in runs],
                         ["", "", "", "timeout", "cancelled", "peer_gone"])
        self.assertEqual([(run.get("exit_code"), run.get("signal")) for run in runs],
                         [(0, None), (0, None), (None, 9)] + [(None, 15)] * 3)
        for run in runs[:2]:
            self.assertEqual(json.loads(run["argv"])[3:], self.words)
            self.assertEqual((run["stdin_size"], run["stdout_size"], run["stderr_size"]), (6, 6, 6))
        for run in runs:
            self.assertTrue(run["peer"].startswith("127.0.0.1:"))
            self.assertGreaterEqual(run["duration_ms"], 0)

    def test_in_text(self):
        with self.another("--exec", "shell", config=self.config) as daemon:
            with Client(daemon.address) as client:
                count = self.runs(daemon, client)
            self.assertEqual(daemon.stop(), 0)
            lines = daemon.rest_of_log()
        self.assertNotIn(self.secret, "\n".join(lines))
        self.assertEqual(sum(line.split()[2] == "run" for line in lines), count)
        for line in lines:
            self.assertRegex(line, r"\A\d{4}-\d\d-\d\dT\S+ (info|warning) \w+( |\Z)")
            self.assertTrue(line.isprintable(), line)


if __name__ == "__main__":
    unittest.main()
