# SPDX-License-Identifier: MIT
"""Whole directories that `cleave` puts and gets, on one connection and on several."""
import contextlib
import json
import os
import signal
import subprocess
import threading
import unittest

from client_case import ClientTest
from daemon_case import SANITIZED
from process_facts import eventually, memory
from scripted_server import ScriptedServer
from support import PATIENCE, Daemon

MIB = 1024 * 1024
TREE = {"a": b"first", "empty": b"", "deep/er/b": b"x" * MIB, "deep/c d": b"third", "grün": b"4"}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file()}


def error(code):
    return [({"status": "error", "code": code, "message": "for a reason"}, b"")]


class TreesTest(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url
        self.root = self.daemon.root

    def write_tree(self, name, files):
        for file, data in files.items():
            path = self.folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.folder / name

    def serve(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        self.url = server.url
        return server

    def serve_directory(self, *pages, files=None):
        """A server with one directory `d`, whose list has these pages of names or pairs of name and
        type, and where every file has the content of its name."""
        def answer(header, body):
            if header["cmd"] == "stat":
                return [({"status": "ok", "type": "directory"}, b"")]
            if header["cmd"] == "get":
                return (files or {}).get(header["filename"]) or \
                    [({"status": "ok"}, header["filename"].encode())]
            entries = [entry if isinstance(entry, tuple) else (entry, "file")
                       for entry in pages[int(header.get("after", 0))]]
            after = int(header.get("after", 0)) + 1
            lines = "".join(json.dumps({"name": name, "type": kind, "file_size": 3}) + "\n"
                            for name, kind in entries)
            return [({"status": "ok"} | ({"next": str(after)} if after < len(pages) else {}),
                     lines.encode())]

        return self.serve(answer)


class ThereAndBack(TreesTest):
    def test_a_directory_goes_there_and_back_with_its_times(self):
        tree = self.write_tree("tree", TREE)
        for number, options in enumerate((["-r"], ["-r", "-c"], ["-r", "-P", "3"],
                                          ["-rc", "-P", "64"])):
            with self.subTest(options):
                os.utime(tree / "a", ns=(0, 1_234_567_890_123_000_000))
                name = f"tree{number}"
                self.assertEqual(self.output("put", *options, "tree", name), b"")
                self.assertEqual(contents(self.root / name), TREE)
                self.assertEqual(self.output("get", *options, name), b"")
                self.assertEqual(contents(self.folder / name), TREE)
                self.assertEqual((self.folder / name / "a").stat().st_mtime_ns,
                                 1_234_567_890_123_000_000)
                self.assertEqual(len(list((self.folder / name).rglob("*"))), len(TREE) + 2)

    def test_contents_go_into_the_directory_that_is_named_or_has_the_same_name(self):
        self.write_tree("up/tree", {"a": b"data"})
        self.cleave("put", "-r", "up/tree/")
        self.assertEqual(contents(self.root / "tree"), {"a": b"data"})
        for _ in range(2):  # the second one puts nothing elsewhere
            self.cleave("get", "-r", "tree", "into/this")
            self.assertEqual(contents(self.folder / "into"), {"this/a": b"data"})
        done = subprocess.run(self.command("put", "-r", "."), cwd=self.folder / "up", timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(contents(self.root / "up"), {"tree/a": b"data"})

    def test_the_root_is_a_dot_or_a_slash(self):
        self.write_tree("tree", TREE)
        for root in (".", "/", "./"):
            with self.subTest(root), Daemon() as daemon:
                self.url = daemon.url
                self.cleave("put", "-r", "tree", root)
                self.assertEqual({name: data for name, data in contents(daemon.root).items()
                                  if not name.startswith(".cleave/")}, TREE)
                self.cleave("get", "-r", root, f"all/{root}")
                self.assertEqual(contents(self.folder / "all"), TREE)
                self.assertEqual(self.output("ls", root), self.output("ls"))
                # No other name begins there.
                self.sentence("ls", "/deep", status=1)
                self.sentence("stat", root, status=1)

    def test_a_file_is_a_file(self):
        self.write_tree("", {"single": b"data"})
        self.cleave("put", "-r", "single")
        self.cleave("get", "-r", "single", "back")
        self.assertEqual((self.folder / "back").read_bytes(), b"data")
        self.cleave("get", "-r", "absent", status=3)
        self.cleave("put", "-r", "absent", status=3)

    def test_a_directory_is_no_file(self):
        self.write_tree("tree", {"a": b"data"})
        self.sentence("put", "tree", status=1)

    def test_what_is_neither_file_nor_directory_is_skipped_and_said(self):
        tree = self.write_tree("odd", {"a": b"data"})
        (self.folder / "outside").mkdir()
        (self.folder / "outside/secret").write_bytes(b"secret")
        (tree / "link").symlink_to(self.folder / "outside/secret")
        (tree / "folder").symlink_to(self.folder / "outside")
        os.mkfifo(tree / "fifo")
        done = self.cleave("put", "-r", "--json", "odd", status=1)
        lines = {line["path"]: line["status"] for line in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(lines, {"odd/a": "ok", "odd/link": "error", "odd/folder": "error",
                                 "odd/fifo": "error"})
        self.assertEqual(contents(self.root / "odd"), {"a": b"data"})
        for name in (b"'odd/link'", b"'odd/folder'", b"'odd/fifo'"):
            self.assertIn(name, done.stderr)

    def test_names_that_the_store_cannot_say_are_skipped_and_said(self):
        tree = self.write_tree("names", {"a": b"data"})
        for name in (b"back\\slash", b"new\nline", b"\xff"):
            with open(os.fsencode(tree) + b"/" + name, "wb"):
                pass
        done = self.cleave("put", "-r", "names", status=1)
        self.assertEqual(done.stderr.count(b"\n"), 3, done.stderr)
        self.assertEqual(contents(self.root / "names"), {"a": b"data"})

    def test_no_clobber_passes_over_what_is_there(self):
        self.write_tree("some", {"a": b"new", "b": b"new"})
        (self.root / "some").mkdir(parents=True)
        (self.root / "some/a").write_bytes(b"old")
        done = self.cleave("put", "-r", "--no-clobber", "--json", "some")
        self.assertEqual({line["path"]: line["status"] for line in
                          map(json.loads, done.stdout.splitlines())}, {"some/a": "skipped", "some/b": "ok"})
        self.assertEqual(contents(self.root / "some"), {"a": b"old", "b": b"new"})
        (self.folder / "some/a").write_bytes(b"mine")
        (self.folder / "some/b").unlink()
        self.cleave("get", "-r", "--no-clobber", "some")
        self.assertEqual(contents(self.folder / "some"), {"a": b"mine", "b": b"new"})

    def test_a_dry_run_does_nothing(self):
        self.write_tree("plan", {"a": b"1", "b/c": b"2"})
        self.assertEqual(self.output("put", "-r", "--dry-run", "plan", "there"),
                         b"plan/a -> there/a\nplan/b/c -> there/b/c\n")
        self.assertFalse((self.root / "there").exists())
        self.cleave("put", "-r", "plan", "there")
        self.assertEqual(self.output("get", "-r", "--dry-run", "there", "new"),
                         b"there/a -> new/a\nthere/b/c -> new/b/c\n")
        self.assertFalse((self.folder / "new").exists())

    def test_links_in_the_target_are_not_followed(self):
        self.write_tree("linked", {"a": b"new", "inner/b": b"new", "z": b"new"})
        self.cleave("put", "-r", "linked")
        outside = self.write_tree("outside", {"secret": b"mine"})
        target = self.write_tree("target", {})
        target.mkdir()
        (target / "a").symlink_to(outside / "secret")
        (target / "inner").symlink_to(outside)
        done = self.cleave("get", "-r", "linked", "target", status=1)
        self.assertIn(b"is a symbolic link", done.stderr)
        self.assertEqual(contents(outside), {"secret": b"mine"})
        self.assertFalse((target / "a").is_symlink())
        self.assertEqual((target / "z").read_bytes(), b"new")
        # The target itself is what was typed.
        (self.folder / "alias").symlink_to(target)
        self.cleave("get", "-r", "linked", "alias", status=1)
        self.assertTrue((self.folder / "alias").is_symlink())


class Servers(TreesTest):
    def test_names_that_lead_elsewhere_are_refused(self):
        bad = ["../x", "/tmp/x", "", ".", "..", "a/b", "a\x1bb", "a\\b", "a\0b", "x" * 256]
        for kind in ("file", "directory"):
            with self.subTest(kind):
                server = self.serve_directory([*((name, kind) for name in bad), "good"])
                done = self.cleave("get", "-r", "d", "target", status=1)
                self.assertEqual(done.stderr.count(b"\n"), len(bad))
                self.assertNotIn(b"\x1b", done.stderr)
                self.assertEqual(contents(self.folder), {"target/good": b"d/good"})
                self.assertEqual([header["cmd"] for header, _ in server.requests],
                                 ["stat", "list", "get"])

    def test_what_is_neither_file_nor_directory_is_not_fetched(self):
        self.serve_directory([("odd", "other"), ("strange", "?"), "good"])
        self.cleave("get", "-r", "d", status=1)
        self.assertEqual(contents(self.folder), {"d/good": b"d/good"})

    def test_every_page_of_a_list_is_fetched(self):
        self.serve_directory(["a", "b"], ["c"], ["d"])
        self.cleave("get", "-r", "d")
        self.assertEqual(sorted(contents(self.folder)), ["d/a", "d/b", "d/c", "d/d"])

    def test_directories_without_end_end_where_names_do(self):
        def answer(header, body):
            if header["cmd"] == "stat":
                return [({"status": "ok", "type": "directory"}, b"")]
            return [({"status": "ok"}, b'{"name":"%s","type":"directory"}\n' % (b"n" * 200))]

        server = self.serve(answer)
        self.assertIn("1,024 bytes", self.sentence("get", "-r", "d", status=1))
        self.assertLess(len(server.requests), 10)

    @unittest.skipIf(SANITIZED, "there memory that was given back is kept")
    def test_what_is_not_fetched_takes_no_memory(self):
        page = b'{"name":"a","type":"%s"}\n' % (b"t" * 60_000) * 100

        def answer(header, body):
            if header["cmd"] == "stat":
                return [({"status": "ok", "type": "directory"}, b"")]
            if len(server.requests) > 10:
                return None
            return [({"status": "ok", "next": f"{len(server.requests):02}"}, page)]

        server = self.serve(answer)
        process = self.start("get", "-r", "d", stderr=subprocess.DEVNULL)
        self.assertTrue(eventually(lambda: len(server.requests) > 10, PATIENCE))
        self.assertLess(memory(process.pid, "VmHWM"), 7 * len(page))

    def test_a_list_that_breaks_is_asked_for_again(self):
        breaks = [True]

        def answer(header, body):
            if header["cmd"] == "stat":
                return [({"status": "ok", "type": "directory"}, b"")]
            if header["cmd"] == "get":
                return [({"status": "ok"}, b"data")]
            if "after" not in header:
                return [({"status": "ok", "next": "a"}, b'{"name":"a","type":"file"}\n')]
            if breaks:
                breaks.pop()
                raise OSError
            return [({"status": "ok"}, b'{"name":"b","type":"file"}\n')]

        server = self.serve(answer)
        done = self.cleave("get", "-r", "d")
        self.assertEqual(contents(self.folder), {"d/a": b"data", "d/b": b"data"})
        self.assertEqual(done.stderr.count(b"try 1 of 3"), 1)
        self.assertEqual(sum(header["cmd"] == "get" for header, _ in server.requests), 2)

    def test_all_are_tried_and_the_status_is_that_of_the_first_failure(self):
        self.serve_directory(["a", "b", "c", "d"], files={"d/b": error("not_found"),
                                                          "d/c": error("permission_denied")})
        done = self.cleave("get", "-r", "--json", "d", status=3)
        self.assertEqual(sorted(contents(self.folder)), ["d/a", "d/d"])
        self.assertEqual(done.stderr, b"cleave: not_found: 'd/b': for a reason\n"
                                      b"cleave: permission_denied: 'd/c': for a reason\n")
        lines = {line["filename"]: line for line in map(json.loads, done.stdout.splitlines())}
        self.assertEqual(lines["d/b"]["code"], "not_found")
        self.assertEqual(lines["d/d"]["status"], "ok")

    def test_nothing_more_is_tried_without_space_or_server(self):
        self.write_tree("tree", {name: b"data" for name in "abcd"})
        for code, status in (("no_space", 7), ("quota_exceeded", 7), ("unavailable", 5)):
            with self.subTest(code):
                server = self.serve(lambda header, body: error(code))
                done = self.cleave("put", "-r", "--retries", "0", "tree", status=status)
                self.assertEqual(len(server.requests), 1)
                self.assertIn(b"3 of 4 files were not tried", done.stderr)

    def test_so_many_connections_at_once(self):
        together = threading.Barrier(4)

        def answer(header, body):
            together.wait(30)
            return [({"status": "ok"}, b"")]

        self.write_tree("tree", {str(number): b"data" for number in range(8)})
        server = self.serve(answer)
        self.cleave("put", "-r", "-P", "4", "tree")
        self.assertEqual(sorted(header["filename"] for header, _ in server.requests),
                         [f"tree/{number}" for number in range(8)])

    def test_ctrl_c_ends_all_of_them_and_leaves_no_parts(self):
        server = self.serve_directory([str(number) for number in range(9)],
                                      files={f"d/{number}": [({"more": True}, b"data")]
                                             for number in range(9)})
        process = self.start("get", "-r", "-P", "3", "d", stderr=subprocess.DEVNULL)
        self.assertTrue(eventually(lambda: len(server.requests) == 5))
        self.assertTrue(eventually(lambda: len(contents(self.folder)) == 3))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        self.assertEqual(contents(self.folder), {})

    def test_ctrl_c_is_heard_where_nobody_reads_the_results(self):
        server = self.serve_directory([str(number) for number in range(9)],
                                      files={f"d/{number}": [({}, b"data")] for number in range(9)})
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(65_536))
        os.set_blocking(writing, True)
        commands = [(["ls", "d"], 1), (["stat", "d"], 1)]
        # That sanitizer holds signals back from threads that wait for a lock.
        if "thread" not in os.environ.get("CLEAVE_SANITIZE", ""):
            commands.append((["--json", "get", "-r", "-P", "3", "d"], 3))
        for arguments, asked in commands:
            with self.subTest(arguments):
                server.requests.clear()
                process = self.start(*arguments, stdout=writing, stderr=subprocess.DEVNULL)
                self.assertTrue(eventually(lambda asked=asked: len(server.requests) >= asked))
                # Once is enough where the loop can hear it, and twice where it is waited with.
                for _ in range(3):
                    process.send_signal(signal.SIGINT)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=3)
                self.assertEqual(process.wait(timeout=PATIENCE), 130)


if __name__ == "__main__":
    unittest.main()
