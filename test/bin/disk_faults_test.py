#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved on disks that are full or fail, at every step of what it does on them.

Whatever fails: the answer says what, the old content stays or the new one is there, whole, nothing
else is left behind, and the next request is served as if nothing had been."""

import contextlib
import errno
import os
import re
import resource
import shutil
import unittest

from daemon_case import MIB, VERY_LONG
from disks import Disk, MemoryDisk, system
from process_facts import descriptors, eventually
from store_operations import BEFORE, NEW, OLD, OPERATIONS, UPLOADS, StoreTest
from support import run
from tracing import Strace

from adversary.peer import Closed

CODES = {
    "EIO": "io_error", "ENOSPC": "no_space", "EDQUOT": "quota_exceeded",
    "EROFS": "permission_denied", "EACCES": "permission_denied", "EMFILE": "overloaded",
    "ENFILE": "overloaded", "ENOMEM": "overloaded", "EFBIG": "too_large", "EBUSY": "busy",
}
OPENS = ("EMFILE", "ENFILE", "ENOMEM", "EACCES")
FULL = ("ENOSPC", "EDQUOT", "EROFS")
# What else than EIO may come of which call.
ERRORS = {
    "openat": FULL + OPENS, "openat2": OPENS, "mkdirat": FULL + ("EACCES",),
    "pwritev": FULL + ("EFBIG",), "pwrite64": FULL + ("EFBIG",), "write": FULL,
    "fsync": FULL, "fdatasync": FULL,
    "renameat": FULL + ("EBUSY",), "renameat2": FULL + ("EBUSY",), "linkat": FULL, "unlinkat": FULL,
    "utimensat": FULL, "fallocate": FULL, "ftruncate": FULL,
}
# What a store can do without: not every file system has extended attributes, the lock is for others.
NOT_NEEDED = {"fsetxattr", "fgetxattr", "flock", "fadvise64", "sync_file_range"}
# What there is instead, where the system or its file system does not know a call.
INSTEAD = {"openat2": ("ENOSYS", "EPERM", "EAGAIN"), "renameat2": ("ENOSYS", "EINVAL"),
           "pwritev": ("EINTR",)}

class EveryStep(StoreTest):
    """strace lets one call after another fail."""

    def setUp(self):
        self.serve_by_steps()
        self.set_contents(self.client, BEFORE)

    def errors(self, operation, step):
        """All that may come of the call; in the short run one of them, another one of each operation."""
        errors = ("EIO", *ERRORS.get(step.call, ()))
        return errors if VERY_LONG else (errors[(OPERATIONS + UPLOADS).index(operation) % len(errors)],)

    def test_79_an_error_at_any_step_is_said_and_leaves_the_old_or_the_new(self):
        tried = 0
        for operation in OPERATIONS + UPLOADS:
            before = True
            for step in self.steps(operation):
                before = before and not step.happens()
                for error in self.errors(operation, step):
                    with self.subTest(operation.name, step=step, text=step.text, error=error):
                        tried += 1
                        header = self.request_with(operation, step, error)
                        # Where something was only looked up, it may have been done without.
                        done = step.call in NOT_NEEDED or (
                            header["status"] == "ok" and step.call not in ERRORS)
                        if done:
                            self.assert_ok(header)
                        else:
                            self.assert_error(header, CODES[error])
                        self.assert_old_or_new(
                            operation, new=done or (not before and not step.happens()))
                        self.assert_can_be_gone_on_with(operation)
                        self.assert_works_again()
        self.assertGreater(tried, 50)

    def test_85_what_is_answered_was_synced_before_in_the_right_order(self):
        self.client.request({"cmd": "delete", "filename": "new"})
        with Strace(self.pid, "%desc,%file,sendmsg,sendto") as strace:
            self.assert_ok(self.client.request({"cmd": "put", "filename": "new/e/f"}, NEW)[0])

        def last(pattern):
            places = [place for place, line in enumerate(strace.lines) if re.search(pattern, line)]
            self.assertNotEqual(places, [], pattern)
            return places[-1]

        self.assertLess(last(r" pwritev?(64)?\(.*/\.cleave/"), last(r" f(data)?sync\(.*/\.cleave/"))
        self.assertLess(last(r" f(data)?sync\(.*/\.cleave/"), last(r" renameat2?\("))
        self.assertLess(last(r" mkdirat\(.*\"new\""), last(r" fsync\(\d+<[^>]*/root>"))
        self.assertLess(last(r" mkdirat\(.*\"e\""), last(r" fsync\(\d+<[^>]*/new>"))
        self.assertLess(last(r" fsync\(\d+<[^>]*/(root|new)>"), last(r" renameat2?\("))
        self.assertLess(last(r" renameat2?\("), last(r" fsync\(\d+<[^>]*/new/e>"))
        self.assertLess(last(r"fsync"), last(r"status\\?\":"))

    def test_what_the_system_does_not_know_is_done_in_another_way(self):
        tried = set()
        for operation in OPERATIONS + UPLOADS:
            for step in self.steps(operation):
                for error in INSTEAD.get(step.call, ()):
                    with self.subTest(operation.name, step=step, error=error):
                        tried.add((step.call, error))
                        self.assert_ok(self.request_with(operation, step, error))
                        self.assertTrue(self.assert_old_or_new(operation))
        self.assertIn(("openat2", "ENOSYS"), tried)
        self.assertIn(("renameat2", "EINVAL"), tried)

    def test_a_temporary_file_that_cannot_be_removed_is_swept_at_the_next_start(self):
        with Strace(self.daemon.process.pid, "unlinkat", ["unlinkat:error=EIO"]) as strace:
            header, _ = self.client.request(
                {"cmd": "put", "filename": "d/old", "sha256": "0" * 64}, NEW)
        self.assert_error(header, "checksum_mismatch")
        self.assertGreater(strace.injected(), 0)
        self.assertEqual(len(self.temporaries()), 1)
        self.assertEqual(self.contents(), BEFORE)
        self.daemon.restart()
        self.assertEqual(self.temporaries(), [])
        self.assertEqual(self.contents(), BEFORE)

    def request_with(self, operation, step, error):
        """The answer to the operation, one of whose calls fails."""
        self.prepare(operation)
        with step.fault(self.pid, f"error={error}") as strace:
            header, _ = self.client.request(operation.request, operation.body)
        self.assertEqual(strace.injected(), 1, strace.lines)
        return header

    def assert_works_again(self):
        for name in ("d/old", "new/e/f"):
            self.assert_ok(self.client.request({"cmd": "put", "filename": name}, b"next")[0])
            self.assertEqual((self.daemon.root / name).read_bytes(), b"next")


class Reads(StoreTest):
    """What is read of a disk that fails, or of a file that somebody changes, is never made up."""

    def setUp(self):
        super().setUp()
        self.client = self.connect(receive_buffer=4096)
        self.content = os.urandom(8 * MIB)
        self.assert_ok(self.client.request({"cmd": "put", "filename": "f"}, self.content)[0])

    def assert_cut(self, head):
        """The connection ends inside the body, which is right as far as it goes."""
        self.assertEqual(head["data_size"], len(self.content))
        body = bytearray()
        with contextlib.suppress(Closed):
            while part := self.client.recv_some():
                body += part
        self.assertLess(len(body), len(self.content))
        self.assertEqual(body, self.content[:len(body)])
        client = self.connect()
        self.assert_echoes(client)
        return client

    def test_a_get_from_a_disk_that_fails_ends_inside_the_body(self):
        self.client.send_frame({"cmd": "get", "filename": "f"})
        head = self.client.recv_head()
        with Strace(self.pid, "sendfile", ["sendfile:error=EIO"]) as strace:
            client = self.assert_cut(head)
        self.assertGreater(strace.injected(), 0)
        self.assertEqual(client.request({"cmd": "get", "filename": "f"})[1], self.content)

    def test_a_get_of_a_file_that_is_cut_meanwhile_ends_inside_the_body(self):
        self.client.send_frame({"cmd": "get", "filename": "f"})
        head = self.client.recv_head()
        # Not in the middle of a page: what is on its way to the socket is the file's own memory.
        os.truncate(self.daemon.root / "f", 4 * MIB)
        client = self.assert_cut(head)
        # What is there is not what was stored, and can be known.
        self.assert_error(client.request({"cmd": "verify", "filename": "f"})[0], "checksum_mismatch")

    def test_a_list_and_a_verify_on_a_disk_that_fails_are_io_error(self):
        for cmd, call in (("verify", "pread64"), ("list", "getdents64"), ("stat", "newfstatat"),
                          ("get", "openat2")):
            with self.subTest(cmd):
                request = {"cmd": cmd, "filename": "f"} if cmd != "list" else {"cmd": cmd}
                with Strace(self.pid, call, [f"{call}:error=EIO"]) as strace:
                    header, _ = self.client.request(request)
                self.assert_error(header, "io_error")
                self.assertGreater(strace.injected(), 0)
                self.assert_ok(self.client.request(request)[0])

    def test_the_stores_own_folder_may_be_removed_at_any_time(self):
        request = {"cmd": "put", "filename": "f", "id": 1, "more": True}
        self.client.send_frame(request, bytes(2 * MIB))
        self.assertTrue(eventually(lambda: [each.stat().st_size for each in self.temporaries()] ==
                                   [2 * MIB]))
        shutil.rmtree(self.daemon.root / ".cleave")
        self.client.send_frame({"id": 1}, b"end")
        header, _ = self.client.recv_frame()
        self.assertEqual(header["status"], "error", header)
        self.assertEqual(self.contents(), {"f": self.content})
        self.assert_ok(self.client.request({"cmd": "put", "filename": "f"}, NEW)[0])
        self.assertEqual(self.contents(), {"f": NEW})


class Limits(StoreTest):
    """What a process may have at most."""

    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.set_contents(self.client, BEFORE)

    @contextlib.contextmanager
    def limited(self, limit, number):
        before = resource.prlimit(self.pid, limit)
        resource.prlimit(self.pid, limit, (number, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self.pid, limit, before)

    def test_76_descriptors_that_are_used_up_at_any_step_are_overloaded(self):
        seen = set()
        for operation in OPERATIONS:
            for left in range(5):
                with self.subTest(operation.name, left=left):
                    self.set_contents(self.client, BEFORE)
                    with self.limited(resource.RLIMIT_NOFILE, descriptors(self.pid) + left):
                        header, _ = self.client.request(operation.request, operation.body)
                        if header["status"] != "ok":
                            self.assert_error(header, "overloaded")
                        happened = self.assert_old_or_new(operation)
                        self.assertEqual(happened, header["status"] == "ok")
                        seen.add((header["status"], left))
                    self.set_contents(self.client, BEFORE)
        self.assertIn(("error", 0), seen)
        self.assertIn(("ok", 4), seen)

    def test_a_file_over_the_limit_of_the_process_is_too_large(self):
        for sized in (True, False):
            with self.subTest(sized=sized), self.limited(resource.RLIMIT_FSIZE, 2 * MIB + 5):
                request = {"cmd": "put", "filename": "d/old"}
                if sized:
                    header, _ = self.client.request(request, bytes(5 * MIB))
                else:
                    self.client.send_frame(request | {"id": 1, "more": True}, bytes(5 * MIB))
                    self.client.send_frame({"id": 1})
                    header, _ = self.client.recv_frame()
                self.assert_error(header, "too_large")
                self.assertEqual(self.contents(), BEFORE)
                self.assertEqual(self.temporaries(), [])
                # Up to the limit there is room.
                self.assert_ok(self.client.request({"cmd": "put", "filename": "d/old"},
                                                   bytes(2 * MIB + 5))[0])
            self.set_contents(self.client, BEFORE)
        self.assert_ok(self.client.request({"cmd": "put", "filename": "f"}, bytes(5 * MIB))[0])


class FullDisks(StoreTest):
    """Disks that are really full."""

    def setUp(self):
        pass  # each has a disk of its own

    def serve_on(self, disk):
        self.disk = self.enterContext(disk)
        # All of it is to be used.
        self.serve(root=self.disk.path / "files",
                   config="[limits]\nstore_free_bytes = 0\nstore_free_files = 0\n")
        self.client = self.connect()
        self.set_contents(self.client, BEFORE)

    def free(self):
        space = os.statvfs(self.disk.path)
        return space.f_bavail * space.f_frsize

    def put(self, name, body, sized=True):
        request = {"cmd": "put", "filename": name}
        if sized:
            return self.client.request(request, body)[0]
        self.client.send_frame(request | {"id": 1, "more": True}, body)
        self.client.send_frame({"id": 1})
        return self.client.recv_frame()[0]

    def check_full(self):
        """A file that is too large, said before and not; files that are so together; folders."""
        free = self.free()
        for name in ("d/old", "new/e/f"):
            for sized in (True, False):
                with self.subTest(name=name, sized=sized):
                    self.assert_error(self.put(name, bytes(free + MIB), sized), "no_space")
                    self.assertEqual(self.contents(), BEFORE)
                    self.assertEqual(self.temporaries(), [])
        self.assertGreaterEqual(self.free(), free - 64 * 1024)
        # Each has room, all of them together have not.
        content = bytes(free // 3)
        clients = [self.connect() for _ in range(5)]
        for number, client in enumerate(clients):
            client.send_frame({"cmd": "put", "filename": f"p{number}"}, content)
        codes = [client.recv_frame()[0].get("code", "ok") for client in clients]
        self.assertEqual(set(codes) - {"ok"}, {"no_space"})
        stored = {f"p{number}": content for number, code in enumerate(codes) if code == "ok"}
        self.assertEqual(self.contents(), BEFORE | stored)
        self.assertEqual(self.temporaries(), [])
        # What is there can be deleted, and then there is room again.
        for name in stored:
            self.assert_ok(self.client.request({"cmd": "delete", "filename": name})[0])
        self.assert_ok(self.put("d/old", content))
        self.assertEqual(self.contents(), BEFORE | {"d/old": content})

    def test_79_a_disk_in_memory_that_is_full(self):
        self.serve_on(MemoryDisk("size=8m"))
        self.check_full()

    def test_79_an_upload_that_a_full_disk_stops_goes_on_when_there_is_room(self):
        self.serve_on(MemoryDisk("size=8m"))
        content = os.urandom(5 * MIB)
        request = {"cmd": "put", "upload": "u", "filename": "f", "file_size": len(content)}
        self.assert_ok(self.client.request(request, content[:2 * MIB])[0])
        self.client.send_frame(request | {"offset": 2 * MIB, "id": 1, "more": True},
                               content[2 * MIB:3 * MIB])
        data = self.daemon.root / ".cleave" / "uploads" / "u.data"
        self.assertTrue(eventually(lambda: data.stat().st_size == 3 * MIB))
        filler = self.disk.path / "filler"
        filler.write_bytes(bytes(self.free() - MIB))
        self.client.send_frame({"id": 1}, content[3 * MIB:])
        self.assert_error(self.client.recv_frame()[0], "no_space")
        self.assertEqual(self.contents(), BEFORE)
        header, _ = self.client.request({"cmd": "stat", "upload": "u"})
        self.assert_ok(header)
        offset = header["offset"]
        self.assertGreaterEqual(offset, 2 * MIB)
        # There is room for no more of it, and what there is stays.
        header, _ = self.client.request(request | {"offset": offset}, content[offset:])
        self.assert_error(header, "no_space")
        self.assertEqual(self.client.request({"cmd": "stat", "upload": "u"})[0]["offset"], offset)
        filler.unlink()
        self.assert_ok(self.client.request(request | {"offset": offset}, content[offset:])[0])
        self.assertEqual(self.contents(), BEFORE | {"f": content})

    def test_79_an_ext4_that_is_full(self):
        self.serve_on(Disk("ext4", 16))
        self.check_full()

    def test_79_an_ext4_without_a_block_for_a_folder(self):
        self.serve_on(Disk("ext4", 16))
        filler = self.disk.path / "filler"
        with open(filler, "wb", buffering=0) as file:
            with self.assertRaises(OSError) as full:
                while True:
                    file.write(bytes(1024))
            self.assertEqual(full.exception.errno, errno.ENOSPC)
            os.fsync(file.fileno())
        self.assertEqual(self.free(), 0)
        # A file without content takes no block, its folder does.
        self.assert_error(self.put("new/e/f", b""), "no_space")
        self.assertEqual(self.contents(), BEFORE)
        self.assertEqual(self.temporaries(), [])
        self.assert_error(self.put("d/old", NEW), "no_space")
        self.assert_ok(self.client.request({"cmd": "move", "filename": "d/old", "to": "d/e"})[0])
        self.assert_ok(self.client.request({"cmd": "delete", "filename": "other"})[0])
        filler.unlink()
        self.assert_ok(self.put("new/e/f", NEW))
        self.assertEqual(self.contents(), {"d/e": OLD, "new/e/f": NEW})

    def test_79_a_disk_without_another_file(self):
        self.serve_on(MemoryDisk("size=8m,nr_inodes=16"))
        count = 0
        while (header := self.put(f"f{count}", b"x"))["status"] == "ok":
            count += 1
        self.assert_error(header, "no_space")
        self.assertGreater(count, 3)
        filled = BEFORE | {f"f{number}": b"x" for number in range(count)}
        # Not even an old file can be replaced: the new one has to be somewhere.
        for name in ("d/old", "new/e/f"):
            self.assert_error(self.put(name, NEW), "no_space")
        self.assertEqual(self.contents(), filled)
        # One for the file, and none for its folder; then one for only one of its folders.
        for left in (1, 2):
            count -= 1
            self.assert_ok(self.client.request({"cmd": "delete", "filename": f"f{count}"})[0])
            del filled[f"f{count}"]
            with self.subTest(left=left):
                self.assert_error(self.put("new/e/f", NEW), "no_space")
                self.assertEqual(self.contents(), filled)
                self.assertEqual(self.temporaries(), [])
        self.client.request({"cmd": "delete", "filename": "new"})
        self.assert_ok(self.put("d/old", NEW))
        self.assertEqual(self.contents(), filled | {"d/old": NEW})

    def test_a_folder_that_lies_on_another_disk(self):
        self.serve_on(MemoryDisk("size=8m"))
        other = self.daemon.root / "other-disk"
        other.mkdir()
        system("mount", "-t", "tmpfs", "none", other)
        self.addCleanup(run, "umount", "--lazy", other)
        (other / "f").write_bytes(OLD)
        self.assert_error(self.put("other-disk/f", NEW), "permission_denied")
        header, _ = self.client.request({"cmd": "move", "filename": "d/old", "to": "other-disk/g"})
        self.assert_error(header, "permission_denied")
        self.assertEqual(self.contents(), BEFORE | {"other-disk/f": OLD})
        self.assertEqual(self.temporaries(), [])
        header, body = self.client.request({"cmd": "get", "filename": "other-disk/f"})
        self.assertEqual((header["status"], body), ("ok", OLD))

    def test_a_disk_that_becomes_read_only(self):
        self.serve_on(Disk("ext4", 16))
        self.disk.remount("ro")
        try:
            for operation in OPERATIONS:
                with self.subTest(operation.name):
                    header, _ = self.client.request(operation.request, operation.body)
                    self.assert_error(header, "permission_denied")
                    self.assertIn("read-only", header["message"])
                    self.assertEqual(self.contents(), BEFORE)
            header, body = self.client.request({"cmd": "get", "filename": "d/old"})
            self.assertEqual((header["status"], body), ("ok", OLD))
        finally:
            self.disk.remount("rw")
        self.assert_ok(self.put("d/old", NEW))

    def test_a_disk_that_has_gone_answers_and_comes_back(self):
        self.serve_on(Disk("ext4", 16))
        self.disk.cut_power()
        for operation in OPERATIONS:
            with self.subTest(operation.name):
                header, _ = self.client.request(operation.request, operation.body)
                self.assert_error(header, "io_error")
        self.assert_echoes(self.client)
        self.daemon.restart(between=self.disk.power_on)
        self.pid = self.daemon.process.pid
        self.client = self.connect()
        self.assertEqual(self.contents(), BEFORE)
        self.assert_ok(self.put("d/old", NEW))


if __name__ == "__main__":
    unittest.main()
