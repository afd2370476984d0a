#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing of a run is left where every run has a cgroup, not even when the daemon is killed."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from exec_case import ExecTest, processes
from process_facts import eventually
from support import PATIENCE

# Without its group, its session, its parent, its environment and its output.
ESCAPE = "env -i setsid -f sleep 1000 >/dev/null 2>&1 <&-; "
# Each one begins another and ends, so that none of them is there when one looks.
HOP = """
import os
os.write(1, b"up\\n")
for each in range(3):
    os.close(each)
os.environb.clear()
while os.fork() == 0:
    os.setsid()
os._exit(0)
"""


def own_cgroup():
    """A new cgroup of version 2; None where the system does not let us have one."""
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    mount = re.search(r"^\S+ (\S+) cgroup2 ", mounts, re.M)
    if mount is None:
        return None
    try:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="cleave-test-", dir=mount[1]))
    except OSError:
        return None
    if (folder / "cgroup.kill").exists():
        return folder
    folder.rmdir()
    return None


class CgroupTest(ExecTest):
    def setUp(self):
        self.cgroup = own_cgroup()
        if self.cgroup is None:
            self.skipTest("needs a cgroup (version 2, Linux 5.14 or later) that may be written")
        self.addCleanup(self.remove)
        self.options = ("--exec", "shell", "--exec-cgroup", str(self.cgroup))
        super().setUp()

    def remove(self):
        self.assertEqual(self.runs(), [])
        self.cgroup.rmdir()

    def runs(self):
        return [each for each in self.cgroup.iterdir() if each.is_dir()]

    def assert_none(self):
        self.assertTrue(eventually(lambda: not self.runs(), PATIENCE), self.runs())
        self.assert_nothing_left()

    def test_however_a_run_ends(self):
        client = self.connect()
        ended = self.run_shell(client, ESCAPE + "exit 3")
        self.assertEqual(ended.how, ("ok", 3, None))
        self.assert_none()
        self.begin_limited(client, ESCAPE + "echo up; exec sleep 1000")
        self.assert_error(self.finish(client).header, "deadline_exceeded")
        self.assert_none()
        client = self.connect()
        self.begin(client, ESCAPE + "echo up; exec sleep 1000")
        client.recv_frame()
        client.reset()
        self.assert_none()

    def test_who_hops_from_process_to_process_is_caught(self):
        client = self.connect()
        client.send_frame({"cmd": "exec", "id": 1, "argv": ["python3", "-c", HOP]})
        self.assertEqual(client.recv_frame()[1], b"up\n")
        self.finish(client)
        self.assert_none()

    def test_the_daemon_takes_them_with_it(self):
        for signals in (1, 2):
            with self.another("--exec", "shell", "--exec-cgroup", str(self.make("other")),
                              config="[limits]\ndrain_timeout_ms = 100\n") as daemon:
                self.daemon = daemon
                client = self.connect()
                self.begin(client, ESCAPE + "echo up; exec sleep 1000")
                client.recv_frame()
                daemon.kill(signal.SIGTERM)
                if signals == 2:
                    daemon.wait_for_log("draining")
                    daemon.kill(signal.SIGTERM)
                self.assertEqual(daemon.wait(), 1)
                self.assert_nothing_left(daemon)
                (self.cgroup / "other").rmdir()  # it is empty

    def make(self, name):
        (self.cgroup / name).mkdir()
        return self.cgroup / name

    def test_what_a_killed_daemon_has_left_ends_with_the_next_start(self):
        other = self.make("other")
        options = ("--exec", "shell", "--exec-cgroup", str(other))
        with self.another(*options) as daemon:
            self.daemon = daemon
            client = self.connect()
            self.begin(client, ESCAPE + "echo up; exec sleep 1000")
            client.recv_frame()
            left = processes(daemon)
            self.assertEqual(len(left), 2)
            daemon.kill(signal.SIGKILL)
            daemon.wait()
            self.assertTrue(all(os.path.exists(f"/proc/{pid}") for pid in left))
            with self.another(*options) as second:
                self.daemon = second
                # Not even a zombie, as whoever adopts them reaps them.
                gone = lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left)
                self.assertTrue(eventually(gone, PATIENCE))
                self.assertEqual([each for each in other.iterdir() if each.is_dir()], [])
                self.assert_echoes(self.connect())
        other.rmdir()

    def test_one_that_is_used_or_is_none_is_said(self):
        for folder, reason in ((self.cgroup, "another server"), (self.folder, "cgroup.kill"),
                               (self.folder / "nowhere", "No such file")):
            done = subprocess.run([self.daemon.process.args[0], "--listen", "tcp://127.0.0.1:0",
                                   "--root", str(self.folder), "--exec", "shell", "--exec-cgroup",
                                   str(folder)], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(reason, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
