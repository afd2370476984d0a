#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing is left of a run: however it ends, wherever its processes went, whoever was killed."""

import collections
import contextlib
import os
import pathlib
import pwd
import random
import re
import signal
import subprocess
import tempfile
import unittest

from daemon_case import LONG, SANITIZED
from exec_case import ExecTest, processes
from process_facts import eventually
from python_client import Client, frame
from store_history import seed_of_this_run
from support import PATIENCE

ROOT = os.geteuid() == 0
CAP_SYS_PTRACE = 19
MAY_TRACE = bool(int(re.search(r"^CapEff:\s+(\w+)", pathlib.Path("/proc/self/status").read_text(),
                               re.M)[1], 16) >> CAP_SYS_PTRACE & 1)
KILLS = 200 if LONG else 8 if SANITIZED else 20

# Three generations of sessions, none of which holds a pipe or knows its parent; they outlive the
# program by far. It says so when all are there.
ESCAPE = """
flee() {
  if [ $1 -gt 0 ]; then ( flee $(($1 - 1)) ) & fi
  exec setsid sh -c 'echo >>fled; exec sleep 1000' <&- >&- 2>&-
}
rm -f fled
( flee 2 ) &
until [ -e fled ] && [ $(wc -l <fled) = 3 ]; do :; done
echo up
"""
FLED = 3
# A hundred and twenty-seven processes by doubling, beside the program.
BOMB = """
bomb() {
  if [ $1 -gt 0 ]; then bomb $(($1 - 1)) & bomb $(($1 - 1)) & fi
  exec %s sleep 1000
}
bomb 6 &
exec sleep 1000
"""
BOMBED = 128


class Escapes(ExecTest):
    def escape(self, client, behind="exec sleep 1000"):
        self.begin(client, ESCAPE + behind, cwd=str(self.daemon.folder))
        self.assertEqual(client.recv_frame()[1], b"up\n")
        self.assertGreaterEqual(len(processes(self.daemon)), FLED)

    def test_after_a_time_limit(self):
        client = self.connect()
        self.begin_limited(client, ESCAPE + "exec sleep 1000", cwd=str(self.daemon.folder))
        ended = self.finish(client)
        self.assertEqual(ended.how, ("error", None, signal.SIGTERM))
        self.assertTrue(ended.header["timed_out"])
        self.assert_nothing_left()

    def test_after_a_cancel(self):
        client = self.connect()
        for behind in ("exec sleep 1000", "trap '' TERM; while :; do sleep 1000; done",
                       "trap 'exit 0' TERM; sleep 1000"):
            self.escape(client, behind)
            client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
            run, cancel = self.ends(client)
            self.assert_error(run, "cancelled")
            self.assert_ok(cancel)
            self.assert_nothing_left()

    def test_after_a_disconnect(self):
        for end in (Client.reset, Client.close):
            client = self.connect()
            self.escape(client)
            end(client)
            self.assert_nothing_left()

    def test_after_too_much_output(self):
        header, _ = self.connect().request({"cmd": "exec", "shell": ESCAPE + "exec yes",
                                            "cwd": str(self.daemon.folder)})
        self.assertEqual((header["truncated"], header["signal"]), (True, signal.SIGKILL))
        self.assert_nothing_left()

    def test_after_the_daemon(self):
        for signals in (1, 2):
            with self.another("--exec", "shell",
                              config=self.config + "drain_timeout_ms = 100\n") as daemon:
                self.daemon = daemon
                with self.connect() as client:
                    self.escape(client)
                    self.assertEqual(self.stop(daemon, signals), 1)
                self.assert_nothing_left(daemon)

    def test_whoever_holds_the_output_is_an_orphan_and_killed(self):
        client = self.connect()
        for behind in ("sleep 1000 & exit 3", "setsid sleep 1000 & exit 3",
                       "(setsid sh -c '(setsid sleep 1000) & exec sleep 1000' &) ; exit 3",
                       "exec >&-; sleep 1000 & exit 3"):
            ended = self.run_shell(client, behind)
            self.assertEqual((ended.how, ended.header.get("orphans")), (("ok", 3, None), True))
            self.assert_nothing_left()
            header, _ = client.request({"cmd": "exec", "shell": behind})
            self.assertEqual((header["exit_code"], header["orphans"]), (3, True))
            self.assert_nothing_left()
            self.cleave("exec", "--shell", behind, status=3)
            self.assert_nothing_left()

    def test_of_many_who_fork_at_once(self):
        client = self.connect()
        for leave in ("", "setsid"):
            for so_far in (20, BOMBED):  # in the middle of it, and when it is over
                self.begin(client, BOMB % leave)
                self.wait_for_processes(so_far)
                client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
                self.assert_error(self.ends(client)[0], "cancelled")
                self.assert_nothing_left()


class Bombs(ExecTest):
    """Forks without end, under a limit of its own. Every other process leaves the group."""

    limit = 40
    program = """
import os, time
os.write(1, b"up")
while True:
    try:
        if os.fork() == 0 and {leave}:
            os.setsid()
    except OSError:
        time.sleep(0.001)
"""

    def setUp(self):
        if not ROOT:
            self.skipTest("needs root's rights, to have a user whose processes are counted")
        used = self.users()
        self.user = next((each for each in pwd.getpwall()
                          if 0 < each.pw_uid < 1_000 and each.pw_uid not in used), None)
        if self.user is None:
            self.skipTest("every user of the system runs something")
        commands = self.enterContext(tempfile.NamedTemporaryFile("w", suffix=".toml"))
        # The environment of another user's process is shown to whom may trace it.
        program = self.program.format(leave="os.getpid() % 2 == 1" if MAY_TRACE else "False")
        commands.write(f'''
[commands.bomb]
argv = ["/usr/bin/python3", "-c", """{program.replace("{", "{{")}"""]
user = "{self.user.pw_name}"
rlimits = {{ nproc = {self.limit} }}
timeout_ms = 60_000
''')
        commands.flush()
        self.options = ("--exec", commands.name)
        super().setUp()

    def users(self):
        """By their numbers, how many processes each has."""
        counts = collections.Counter()
        for path in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):  # it has ended just now
                status = path.read_text()
                if not re.search(r"^State:\s+Z", status, re.M):  # ended, and none of the daemon's
                    counts[int(re.search(r"^Uid:\s+(\d+)", status, re.M)[1])] += 1
        return counts

    def of_the_user(self):
        return self.users()[self.user.pw_uid]

    def assert_ended(self):
        self.assertTrue(eventually(lambda: self.of_the_user() == 0, PATIENCE), self.of_the_user())

    def grown(self):
        """One that has all that it may have, and is denied more again and again."""
        client = self.connect()
        self.begin(client, name="bomb")
        self.assertTrue(eventually(lambda: self.of_the_user() == self.limit, PATIENCE),
                        self.of_the_user())
        self.assert_echoes(self.connect())  # others are served
        return client

    def test_it_ends_at_its_time(self):
        client = self.connect()
        self.begin_limited(client, name="bomb")
        self.assert_error(self.finish(client).header, "deadline_exceeded")
        self.assert_ended()

    def test_it_ends_when_it_is_cancelled(self):
        client = self.grown()
        client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
        self.assert_error(self.ends(client)[0], "cancelled")
        self.assert_ended()

    def test_it_ends_when_its_client_has_gone(self):
        self.grown().reset()
        self.assert_ended()


class Clients(ExecTest):
    """Of a client that is killed nothing is left either, whenever that is."""

    def setUp(self):
        super().setUp()
        self.other = self.connect()
        self.assertEqual(self.running(self.other), 0)

    def assert_as_before(self):
        self.assert_nothing_left()
        self.assertTrue(eventually(lambda: self.running(self.other) == 0, PATIENCE))
        self.assert_echoes(self.other)

    def test_before_its_request_was_sent(self):
        request = frame({"cmd": "exec", "id": 1, "shell": "sleep 1000"})
        for sent in (0, 1, 4, 20, len(request) - 1):
            for end in (Client.reset, Client.close):
                client = self.connect()
                client.send_bytes(request[:sent])
                end(client)
        self.assert_as_before()
        # Nothing ran: this is the first one.
        self.cleave("exec", "true")
        self.assertIn("true", self.daemon.wait_for_log(" run "))

    def test_while_it_runs(self):
        for shell in ("echo up; exec sleep 1000", "echo up; exec yes", "echo up; exec cat",
                      "trap '' TERM HUP PIPE; echo up; while :; do sleep 1000; done"):
            process = self.start("exec", "--shell", shell, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
            process.stdout.readline()
            self.assertEqual(self.running(self.other), 1)
            process.kill()
            self.assert_as_before()

    def test_after_the_end_with_the_reply_unread(self):
        shell = "head -c 300000 /dev/zero; echo >>done"
        for more in ({}, {"id": 1}):
            client = self.connect(receive_buffer=4_096)
            client.send_frame({"cmd": "exec", "shell": shell, "cwd": str(self.folder)} | more)
            self.assertTrue(eventually((self.folder / "done").exists, PATIENCE))
            client.reset()
            self.assert_as_before()
            (self.folder / "done").unlink()

    def test_at_any_time(self):
        choice = random.Random(seed_of_this_run())
        for _ in range(KILLS):
            shell = choice.choice(["exit 0", "sleep 1000", "sleep 1000 & exit 1", "exec yes"])
            process = self.start("exec", "--shell", shell, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
            # It is killed as soon as this time has passed, or it has ended.
            try:
                process.wait(choice.uniform(0, 0.03))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.assert_as_before()


if __name__ == "__main__":
    unittest.main()
