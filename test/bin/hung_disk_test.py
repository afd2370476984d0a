#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved on a disk that hangs in the system: a file system of its own, frozen and thawed."""

import contextlib
import pathlib
import select
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

from process_facts import eventually, states
from support import PATIENCE, Daemon, run

FILES = 8
# Half of cleaved's pool is for files.
HUNG = 4


class Disk:
    """A small ext4 in a file, that hangs on demand. Skips the test where there cannot be one."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self.image = pathlib.Path(self.folder.name) / "image"
        self.path = pathlib.Path(self.folder.name) / "disk"
        self.path.mkdir()
        try:
            self._system("truncate", "-s", "32M", self.image)
            self._system("mkfs.ext4", "-q", "-F", self.image)
            self._system("mount", "-o", "loop", self.image, self.path)
        except BaseException:
            self.folder.cleanup()
            raise
        # Whatever becomes of the test, nobody else shall hang on this disk: when its end of the
        # pipe has closed, the disk is thawed and unmounted.
        self.keeper = subprocess.Popen(
            ["sh", "-c", 'read _; fsfreeze -u "$1"; umount -l "$1"', "sh", self.path],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def remove(self):
        self.keeper.communicate()
        self.folder.cleanup()

    @contextlib.contextmanager
    def hanging(self):
        """Whoever writes to it meanwhile waits in the system, and cannot be killed."""
        self._system("fsfreeze", "-f", self.path)
        try:
            yield
        finally:
            run("fsfreeze", "-u", self.path)

    @staticmethod
    def _system(*command):
        try:
            done = run(*command)
        except FileNotFoundError as missing:
            raise unittest.SkipTest(f"there is no {missing.filename}") from missing
        if done.returncode != 0:
            raise unittest.SkipTest(f"{command[0]} is not possible here: {done.stderr.strip()}")


class HungDisk(unittest.TestCase):
    def setUp(self):
        self.disk = Disk()
        self.addCleanup(self.disk.remove)

    def daemon(self, *options, limits="", **more):
        small = f"[limits]\nstore_free_bytes = 0\nstore_free_files = 0\n{limits}"
        return Daemon(*options, root=self.disk.path / "files", config=small, **more)

    def put_files(self, daemon, peer):
        """Asks for more files than are written at once, and waits until the disk has them hang."""
        for number in range(FILES):
            body = b"content of a file"
            peer.send(
                {"cmd": "put", "id": number, "filename": f"f{number}", "data_size": len(body)}, body
            )
        pid = daemon.process.pid
        self.assertTrue(eventually(lambda: states(pid).count("D") == HUNG, PATIENCE), states(pid))

    def has_ended(self, daemon):
        """Whether the process has ended but for the threads that the system does not let go."""
        return eventually(lambda: states(daemon.process.pid)[0] == "Z", PATIENCE)

    def refuses(self, daemon, index=0):
        try:
            daemon.connect(index).close()
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        return False

    def test_everybody_else_is_answered_and_nothing_is_lost(self):
        with self.daemon("--exec", "shell") as daemon, daemon.connect() as peer:
            with self.disk.hanging(), daemon.connect() as other:
                self.put_files(daemon, peer)
                header, body = other.call("echo", b"hello")
                self.assertEqual((header["status"], body), ("ok", b"hello"))
                header, body = other.call("exec", argv=["echo", "hello"])
                self.assertEqual((header["exit_code"], body), (0, b"hello\n"))
                self.assertEqual(select.select([peer.socket], [], [], 0)[0], [])
                # As many as before: what waits for its turn has not taken the others' threads.
                self.assertEqual(states(daemon.process.pid).count("D"), HUNG)
            stored = [peer.receive()[0] for _ in range(FILES)]
            self.assertEqual([each["status"] for each in stored], ["ok"] * FILES)
            self.assertEqual(daemon.stop(), 0)

    def test_a_second_signal_ends_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "socket"
            listen = ("tcp://127.0.0.1:0", f"unix:{path}")
            with self.daemon(listen=listen) as daemon, daemon.connect() as peer:
                with self.disk.hanging():
                    self.put_files(daemon, peer)
                    daemon.kill(signal.SIGTERM)
                    daemon.wait_for_log("draining")
                    daemon.kill(signal.SIGTERM)
                    daemon.wait_for_log("stopping_at_once")
                    self.assertTrue(self.has_ended(daemon))
                    self.assertTrue(self.refuses(daemon))
                    self.assertFalse(path.exists())
                    self.assertGone(peer)
                self.assertEqual(daemon.wait(), 1)

    def test_a_program_that_hangs_does_not_keep_it(self):
        with self.daemon("--exec", "shell") as daemon, daemon.connect() as peer:
            pid = daemon.process.pid
            with self.disk.hanging():
                peer.send({"cmd": "exec", "shell": f"echo hello > {self.disk.path}/f"})
                tasks = pathlib.Path(f"/proc/{pid}/task")
                program = eventually(lambda: [child for each in tasks.glob("*/children")
                                              for child in each.read_text().split()], PATIENCE)
                self.assertTrue(eventually(lambda: states(program[0]) == ["D"], PATIENCE))
                daemon.kill(signal.SIGTERM)
                daemon.wait_for_log("draining")
                daemon.kill(signal.SIGTERM)
                self.assertTrue(eventually(lambda: daemon.process.poll() is not None, PATIENCE))
            self.assertEqual(daemon.wait(), 1)

    def test_a_drain_that_misses_its_deadline_ends_it(self):
        limits = "drain_timeout_ms = 100\ncancel_grace_ms = 100\n"
        with self.daemon(limits=limits) as daemon, daemon.connect() as peer:
            with self.disk.hanging():
                self.put_files(daemon, peer)
                daemon.kill(signal.SIGTERM)
                daemon.wait_for_log("stopped")
                self.assertTrue(self.has_ended(daemon))
                self.assertTrue(self.refuses(daemon))
            self.assertEqual(daemon.wait(), 1)

    def test_what_nobody_waits_for_does_not_keep_it(self):
        with self.daemon() as daemon, daemon.connect() as peer:
            with self.disk.hanging():
                self.put_files(daemon, peer)
                # A reset: the client does not read the answers any more.
                linger = struct.pack("ii", 1, 0)
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                peer.socket.close()
                daemon.wait_for_log("cancel")
                daemon.kill(signal.SIGTERM)
                daemon.wait_for_log("all requests were finished")
                self.assertTrue(self.has_ended(daemon))
                self.assertTrue(self.refuses(daemon))
            self.assertEqual(daemon.wait(), 0)

    def assertGone(self, peer):
        with contextlib.suppress(ConnectionResetError):
            while peer.receive() is not None:
                pass


if __name__ == "__main__":
    unittest.main()
