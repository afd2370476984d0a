# SPDX-License-Identifier: MIT
"""What the tests of exec share: clients of both kinds, and who is there of what a daemon runs."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal

from client_case import ClientTest
from daemon_case import DaemonTest
from process_facts import eventually
from support import PATIENCE, Daemon


def processes(daemon):
    """Who descends from what a daemon runs, wherever they went, and its children that nobody has
    reaped: all have inherited its folder as the place where they work, and their own programs do
    not know of it."""
    folder = os.path.realpath(daemon.folder)
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == daemon.process.pid:
            continue
        with contextlib.suppress(OSError):  # it has ended just now, or is none of ours
            stat = pathlib.Path("/proc", name, "stat").read_text()
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            if parent == daemon.process.pid or os.readlink(f"/proc/{name}/cwd") in (
                    folder, folder + " (deleted)"):
                found.add(int(name))
    return found


def written(pid):
    """How many bytes a process has written so far."""
    return int(re.search(r"^wchar: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text(), re.M)[1])


def until_it_waits(pid):
    """Until a program that writes without end is held up. (It may have had its reasons: this is to
    give it time, and no proof.)"""
    before = []

    def stands_still():
        before.append(written(pid))
        return len(before) > 2 and before[-1] == before[-3]

    eventually(stands_still, PATIENCE)


@dataclasses.dataclass
class Ended:
    """A run that is over, as its reply tells."""
    header: dict
    out: bytes
    err: bytes

    @property
    def how(self):
        return tuple(self.header.get(key) for key in ("status", "exit_code", "signal"))


class ExecTest(DaemonTest, ClientTest):
    """Every test ends with a daemon that serves, and of whose programs nothing is left."""

    config = "[limits]\nexec_kill_grace_ms = 200\nexec_linger_ms = 100\n"

    def setUp(self):
        self.daemons = []
        self.addCleanup(self.kill_those_left)
        super().setUp()

    @property
    def url(self):
        return self.daemon.url

    def serve(self, *options, **more):
        super().serve(*options, **more)
        self.daemons.append(self.daemon)

    def another(self, *options, **more):
        """A daemon that may end as it likes."""
        daemon = Daemon(*options, **more)
        self.daemons.append(daemon)
        return daemon

    def ends_in_order(self, daemon):
        self.assert_nothing_left(daemon)
        super().ends_in_order(daemon)

    def assert_nothing_left(self, daemon=None):
        daemon = daemon or self.daemon
        self.assertTrue(eventually(lambda: not processes(daemon), PATIENCE), self.describe(daemon))

    def describe(self, daemon):
        commands = {}
        for pid in processes(daemon):
            with contextlib.suppress(OSError):
                commands[pid] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        return commands

    def kill_those_left(self):
        """After a failure: a test leaves nobody behind."""
        for daemon in self.daemons:
            for pid in processes(daemon):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait_for_processes(self, count, daemon=None):
        """Who is there, of whom there have to be so many."""
        daemon = daemon or self.daemon
        self.assertTrue(eventually(lambda: len(processes(daemon)) >= count, PATIENCE),
                        self.describe(daemon))
        return processes(daemon)

    @staticmethod
    def stop(daemon, signals=1):
        """Stops it in order, or at once; the exit status."""
        daemon.kill(signal.SIGTERM)
        if signals == 2:
            daemon.wait_for_log("draining")
            daemon.kill(signal.SIGTERM)
        return daemon.wait()

    @staticmethod
    def running(client):
        """The requests that run, but for this one."""
        return json.loads(client.request({"cmd": "stats"})[1])["requests"]["running"] - 1

    def begin(self, client, shell=None, **members):
        """A run with an id, 1 unless another is said."""
        what = {"shell": shell} if shell else {}
        client.send_frame({"cmd": "exec", "id": 1} | what | members)

    def begin_limited(self, client, shell=None, **members):
        """A run that says something before its time is over: that grows until it is so."""
        for timeout_ms in (500, 2_000, 8_000, 32_000):
            self.begin(client, shell, timeout_ms=timeout_ms, **members)
            header, body = client.recv_frame()
            if "status" not in header:
                return body
        self.fail(header)

    def finish(self, client, identifier=1):
        """Reads to the end of a run that has an id."""
        streams = {"stdout": [], "stderr": []}
        while True:
            header, body = client.recv_frame()
            self.assertEqual(header.get("id"), identifier, header)
            if "stream" in header:
                streams[header["stream"]].append(body)
            if not header.get("more"):
                return Ended(header, *(b"".join(parts) for parts in streams.values()))

    def run_shell(self, client, shell, **members):
        self.begin(client, shell, **members)
        return self.finish(client, members.get("id", 1))

    def ends(self, client, identifiers=(1, 2)):
        """The last headers of so many requests, in this order; each has come once."""
        last = {}
        while len(last) < len(identifiers):
            header, _ = client.recv_frame()
            if "status" in header:
                self.assertNotIn(header["id"], last)
                last[header["id"]] = header
        return [last[each] for each in identifiers]
