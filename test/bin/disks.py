# SPDX-License-Identifier: MIT
"""Disks of a test's own: small ones, and ones that lose their power.

They are mounted where this process and its children alone see them, and go with them. Where the
system does not let anybody do that, the test skips itself."""

import ctypes
import fcntl
import functools
import os
import pathlib
import struct
import tempfile
import unittest

from support import run

CLONE_NEWNS = 0x00020000
# The same for ext4 and XFS: the file system goes down as it is on the disk; 2: without writing its
# journal before that.
GOING_DOWN = 0x8004587D
WITHOUT_THE_JOURNAL = 2
# Of XFS there is none that is smaller.
MEGABYTES = {"ext4": 128, "xfs": 300}
# ext4 saves careless programs: it writes a new content before it lets it replace an old one.
OPTIONS = {"ext4": "loop,noauto_da_alloc", "xfs": "loop"}


def system(*command):
    """Runs a command of the system's administration; what is not possible skips the test."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = run(*command, env=os.environ | {"PATH": path})
    except FileNotFoundError as missing:
        raise unittest.SkipTest(f"there is no {missing.filename}") from missing
    if done.returncode != 0:
        raise unittest.SkipTest(f"{command[0]} is not possible here: {done.stderr.strip()}")


@functools.cache
def own_mounts():
    """What this process mounts from now on is its own."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("mounts file systems, which root alone may")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest(f"no mounts of its own: {os.strerror(ctypes.get_errno())}")
    system("mount", "--make-rprivate", "/")


class Mount:
    """Something mounted at `path`, until the `with` ends."""

    def __init__(self):
        own_mounts()
        # In memory where that is possible: the test waits for its own disk, and for no other.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.TemporaryDirectory(prefix="cleave-test-", dir=memory)
        self.path = pathlib.Path(self.folder.name) / "disk"
        self.path.mkdir()

    def __enter__(self):
        try:
            self.mount()
        except BaseException:
            self.folder.cleanup()
            raise
        return self

    def __exit__(self, *_):
        if os.path.ismount(self.path):
            run("umount", "--lazy", self.path)
        self.folder.cleanup()

    def unmount(self):
        done = run("umount", self.path)
        assert done.returncode == 0, done


class MemoryDisk(Mount):
    def __init__(self, options):
        super().__init__()
        self.options = options

    def mount(self):
        system("mount", "-t", "tmpfs", "-o", self.options, "none", self.path)


class Disk(Mount):
    """A file system in a file."""

    def __init__(self, kind, megabytes=None):
        super().__init__()
        self.kind = kind
        self.image = pathlib.Path(self.folder.name) / "image"
        try:
            with open(self.image, "wb") as image:
                image.truncate((megabytes or MEGABYTES[kind]) * 1024 * 1024)
            system(f"mkfs.{kind}", "-q", self.image)
        except BaseException:
            self.folder.cleanup()
            raise

    def mount(self):
        system("mount", "-t", self.kind, "-o", OPTIONS[self.kind], self.image, self.path)

    def remount(self, how):
        system("mount", "-o", f"remount,{how}", self.path)

    def cut_power(self):
        """From now on nothing reaches the disk, and nobody is told that anything did."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, GOING_DOWN, struct.pack("I", WITHOUT_THE_JOURNAL))
        finally:
            os.close(folder)

    def power_on(self):
        """What is on the disk, after whoever used it has ended."""
        self.unmount()
        self.mount()
