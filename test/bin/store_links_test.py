#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved in whose folder somebody changes files and folders for links to the outside, all the time.
Nothing outside is read, written or deleted."""

import collections
import json
import os
import random
import subprocess
import sys
import threading
import unittest

from daemon_case import VERY_LONG, DaemonTest
from process_facts import eventually
from python_client import Client
from store_history import seed_of_this_run

OPERATIONS = 100_000 if VERY_LONG else 3_000
CLIENTS = 3
INSIDE, OUTSIDE = b"inside", b"outside " * 1543
# What the swapper swaps, and what is beneath.
FOLDERS = ("d", "p", "p/q")
LEAVES = ("secret", "new", "sub/new", "q", "q/secret", "q/new")

# A program of its own, so that it is quick. It puts a link to the outside in the place of a folder
# and back, in one step, and of a file; and makes them again where the server has moved them away.
SWAPPER = r"""
import contextlib, ctypes, os, sys
root, outside, *folders = sys.argv[1:]
os.chdir(root)
rename = ctypes.CDLL(None, use_errno=True).renameat2
EXCHANGE = 2

def folder(path):
    parent, name = os.path.split(path)
    # The parent itself, and never the link that it may be just now.
    at = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        link = name + ".link"
        if rename(at, name.encode(), at, link.encode(), EXCHANGE) != 0:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            with contextlib.suppress(FileExistsError):
                os.symlink(outside, link, dir_fd=at)
    finally:
        os.close(at)

def file(name, link):
    if link:
        os.symlink(outside + "/secret", "swap")
    else:
        with open("swap", "xb") as content:
            content.write(b"inside")
    os.rename("swap", name)

print("swapping", flush=True)
turn = 0
while os.getppid() == int(os.environ["PARENT"]):
    turn += 1
    for each in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder(each)
    file("f", turn % 2)
"""


class Links(DaemonTest):
    def setUp(self):
        super().setUp()
        self.root = self.daemon.root
        self.outside = self.folder / "outside"
        # Whoever followed a link would find there what is asked for.
        for folder in (".", "q", "tmp", "sub"):
            (self.outside / folder).mkdir(exist_ok=True)
            for file in ("canary", "secret"):
                (self.outside / folder / file).write_bytes(OUTSIDE)
        for folder in FOLDERS:
            (self.root / folder).mkdir()
        self.seed = seed_of_this_run()
        self.seen = collections.Counter()
        self.failures = []
        self.before = self.snapshot()

    def snapshot(self):
        """All that can be seen of the outside, without looking into it; a look would show."""
        facts = {}
        for folder, folders, files in os.walk(self.outside):
            for name in (".", *folders, *files):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                facts[path] = (status.st_ino, status.st_mode, status.st_nlink, status.st_size,
                               status.st_mtime_ns, status.st_ctime_ns,
                               os.path.isfile(path) and status.st_atime_ns, os.listxattr(path))
        return facts

    def swapping(self, *folders):
        process = subprocess.Popen(
            [sys.executable, "-c", SWAPPER, self.root, self.outside, *folders],
            stdout=subprocess.PIPE, env=os.environ | {"PARENT": str(os.getpid())})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"swapping\n")
        return process

    def work(self, number, count):
        choice = random.Random(f"{self.seed} {number}")

        def name(*more):
            top = choice.choice(("d", "p", "p/q", "d.link", "moved", *more))
            beneath = choice.random() < 0.85 and top != "f"
            return f"{top}/{choice.choice(LEAVES)}" if beneath else top

        try:
            with Client(self.daemon.address) as client:
                for _ in range(count):
                    cmd = choice.choice(("put", "put", "get", "get", "list", "stat", "move", "delete",
                                         "verify"))
                    request = {"cmd": cmd, "filename": name("f")}
                    if cmd == "move":
                        request["to"] = name()
                    if cmd in ("put", "move") and choice.random() < 0.3:
                        request["overwrite"] = False
                    self.look_at(request, *client.request(request, INSIDE if cmd == "put" else b""))
        except BaseException as error:
            self.failures.append(repr(error))
            raise

    def look_at(self, request, header, body):
        self.seen[request["cmd"], header.get("code", "ok")] += 1
        told = [header]
        if request["cmd"] == "list":
            told += [json.loads(line) for line in body.splitlines()]
        shown = b"outside" in body or b"canary" in body or any(
            each.get("file_size") == len(OUTSIDE) for each in told)
        if shown or header.get("code") == "internal":
            self.failures.append(f"{request}: {header} {body[:100]}")

    def work_all(self):
        workers = [threading.Thread(target=self.work, args=(number, OPERATIONS // CLIENTS))
                   for number in range(CLIENTS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def assert_nothing_outside(self):
        self.assertEqual(self.failures[:10], [])
        self.assertEqual(self.snapshot(), self.before)
        for file in self.outside.rglob("*"):
            if file.is_file():
                self.assertEqual(file.read_bytes(), OUTSIDE)

    def test_50_folders_and_files_that_become_links_again_and_again_never_lead_out(self):
        swapper = self.swapping(*FOLDERS)
        self.work_all()
        self.assertIsNone(swapper.poll())
        swapper.kill()
        self.assert_nothing_outside()
        # It has met links, and it has met none.
        for cmd in ("put", "get", "list", "stat", "move", "delete", "verify"):
            self.assertGreater(self.seen[cmd, "ok"], 0, self.seen)
            self.assertGreater(self.seen[cmd, "permission_denied"], 0, self.seen)
        self.assertEqual(self.temporaries(), [])

    def test_50_the_stores_own_folder_that_becomes_a_link_never_leads_out(self):
        swapper = self.swapping(".cleave", ".cleave/tmp")
        self.work_all()
        self.assertIsNone(swapper.poll())
        swapper.kill()
        self.assert_nothing_outside()
        self.assertGreater(self.seen["put", "ok"], 0, self.seen)
        self.assertGreater(self.seen["put", "permission_denied"], 0, self.seen)

    def test_50_a_parent_that_becomes_a_link_in_the_middle_of_a_put_never_leads_out(self):
        for part in ("a", "a/b", "a/b/c", ".cleave", ".cleave/tmp"):
            with self.subTest(part):
                client = self.connect()
                self.assert_ok(client.request({"cmd": "put", "filename": "a/b/c/f"}, INSIDE)[0])
                request = {"cmd": "put", "filename": "a/b/c/f", "id": 1, "more": True}
                client.send_frame(request, bytes(2_000_000))
                self.wait_for_bytes(2_000_000)
                path = self.root / part
                path.rename(self.root / "aside")
                path.symlink_to(self.outside)
                client.send_frame({"id": 1}, INSIDE)
                header, _ = client.recv_frame()
                if not part.startswith(".cleave"):
                    self.assert_error(header, "permission_denied")
                path.unlink()
                (self.root / "aside").rename(path)
                self.assertEqual(self.temporaries(), [])
                old = header["status"] == "error"
                self.assertEqual((self.root / "a/b/c/f").read_bytes(),
                                 INSIDE if old else bytes(2_000_000) + INSIDE)
        self.assert_nothing_outside()

    def wait_for_bytes(self, count):
        """Until the put has written so much."""
        self.assertTrue(eventually(lambda: [each.stat().st_size for each in self.temporaries()] ==
                                   [count]))


if __name__ == "__main__":
    unittest.main()
