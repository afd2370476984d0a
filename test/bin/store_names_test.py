#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names of files: those that the store takes it keeps to the byte, and no other leads anywhere."""

import json
import os
import re
import socket
import stat
import struct
import unicodedata
import unittest

from daemon_case import DaemonTest
from python_client import Client
from tracing import Strace

ROOT = os.geteuid() == 0
NOBODY = 65534
# What the C library asks for its clock and its memory.
SYSTEM = ("/etc/localtime", "/usr/share/zoneinfo/", "/sys/devices/system/cpu/")
TAKEN = {
    "two dots inside": "document..pdf", "three dots": "...", "dots and a blank": ".. ",
    "a blank and dots": " ..", "a blank between dots": ". .", "dots in percent": "%2e%2e",
    "a way out in percent": "%2e%2e%2fx", "a full-width slash": "a\uff0fb",
    "full-width dots": "\uff0e\uff0e", "a sign that turns the direction": "\u202efdp.exe",
    "a letter of no width": "a\u200bb", "a byte order mark": "\ufeffa", "a hard blank": "a\u00a0b",
    "composed": unicodedata.normalize("NFC", "é"), "decomposed": unicodedata.normalize("NFD", "é"),
    "small": "twin", "large": "TWIN", "a device of Windows": "CON", "another": "nul.txt",
    "a drive": "C:x", "an option": "-rf", "stars": "*?[a]", "a home": "~root", "a variable": "$HOME",
    "a command": "$(reboot)`reboot`;|&", "quotes": "'\"", "blanks around": " a ",
    "a dot at the end": "a.", "hidden": ".profile", "like the store's own": ".cleaved",
    "the store's own, further down": "x/.cleave", "Chinese": "粘贴", "an emoji": "😀", "255 bytes": "x" * 255,
    "255 bytes of long letters": "😀" * 63 + "abc",
    "1,024 bytes": "/".join(["y" * 127] * 7 + ["z" * 128]),
    "512 folders": "a/" * 511 + "bc",
}
REFUSED = {
    "nothing": "", "a dot": ".", "dots": "..", "a way out": "../x", "a way out and back": "a/../b",
    "a way out at the end": "a/..", "a dot inside": "a/./b", "a dot in front": "./a",
    "absolute": "/abs", "the process's own": "/proc/self/fd/9", "a slash": "/", "slashes": "//",
    "an empty part": "a//b", "a slash at the end": "a/", "a backslash": "\\",
    "Windows' way out": "..\\x",
    "a NUL": "a\0b", "a NUL at the end": "a\0", "a line": "a\nb", "a return": "a\r", "a tab": "a\tb",
    "an escape": "\x1b[2J", "DEL": "a\x7f", "an escape of one letter": "\x9b2J",
    "the last of them": "\x9f",
    "256 bytes": "x" * 256, "256 bytes of long letters": "😀" * 64,
    "1,025 bytes": "/".join(["y" * 127] * 7 + ["z" * 129]), "1,000 folders": "a/" * 999 + "b",
    "the store's own": ".cleave", "beneath it": ".cleave/tmp/x", "in large letters": ".CLEAVE/tmp/x",
}
NO_UTF_8 = {
    "overlong": b"..\xc0\xaf", "longer": b"\xe0\x80\xaf", "half a pair": b"\xed\xa0\x80",
    "half a pair, escaped": b"\\ud800", "the other half": b"\\udc00x", "Latin-1": b"caf\xe9",
    "beyond Unicode": b"\xf4\x90\x80\x80", "cut": b"a\xe7\xb2",
}


class Names(DaemonTest):
    def setUp(self):
        super().setUp()
        self.client = self.connect()
        self.root = self.daemon.root

    def files(self):
        """Names and contents of all files but the store's own."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            if folder == str(self.root) and ".cleave" in folders:
                folders.remove(".cleave")
            for file in files:
                path = os.path.join(folder, file)
                with open(path, "rb") as content:
                    found[os.path.relpath(path, self.root)] = content.read()
        return found

    def test_48_a_name_that_is_taken_is_kept_to_the_byte(self):
        self.assertEqual(len(TAKEN["1,024 bytes"]), 1024)
        self.assertEqual(len(TAKEN["512 folders"]), 1024)
        for rule, name in TAKEN.items():
            with self.subTest(rule):
                header, _ = self.client.request({"cmd": "put", "filename": name}, rule.encode())
                self.assert_ok(header)
                self.assertEqual(header["filename"], name)
        # No two of them are one file, on a disk that tells them apart.
        self.assertEqual(self.files(), {name: rule.encode() for rule, name in TAKEN.items()})
        _, body = self.client.request({"cmd": "list"})
        listed = [json.loads(line)["name"] for line in body.splitlines()]
        tops = {name.split("/")[0] for name in TAKEN.values()}
        self.assertEqual(listed, sorted(tops, key=str.encode))
        for rule, name in TAKEN.items():
            with self.subTest(rule):
                header, body = self.client.request({"cmd": "get", "filename": name})
                self.assertEqual((header["status"], body), ("ok", rule.encode()))
                self.assert_ok(self.client.request({"cmd": "stat", "filename": name})[0])
                self.assert_ok(self.client.request({"cmd": "verify", "filename": name})[0])
                # A rename to itself is none.
                self.assert_ok(self.client.request({"cmd": "move", "filename": name, "to": name})[0])
                self.assert_ok(self.client.request({"cmd": "delete", "filename": name})[0])
        self.assertEqual(self.files(), {})

    def test_48_a_name_that_is_refused_is_refused_by_every_command(self):
        self.assertEqual(len(REFUSED["1,025 bytes"]), 1025)
        self.assert_ok(self.client.request({"cmd": "put", "filename": "here"}, b"here")[0])
        for rule, name in REFUSED.items():
            for cmd in ("put", "get", "list", "stat", "delete", "verify"):
                with self.subTest(rule, cmd=cmd):
                    header, _ = self.client.request({"cmd": cmd, "filename": name},
                                                    b"evil" if cmd == "put" else b"")
                    self.assert_error(header, "invalid_argument")
                    self.assertTrue(header["message"].isprintable(), header)
            for names in ({"filename": name, "to": "there"}, {"filename": "here", "to": name}):
                with self.subTest(rule, cmd="move"):
                    header, _ = self.client.request({"cmd": "move"} | names)
                    self.assert_error(header, "invalid_argument")
        self.assertEqual(self.files(), {"here": b"here"})

    def test_48_a_name_that_is_no_text_ends_its_connection(self):
        for rule, name in NO_UTF_8.items():
            for cmd in (b"put", b"get", b"list"):
                with self.subTest(rule, cmd=cmd), Client(self.daemon.address) as client:
                    head = b'{"cmd":"' + cmd + b'","filename":"' + name + b'"}'
                    client.send_bytes(struct.pack("<I", len(head)) + head)
                    self.assert_error(client.recv_frame()[0], "protocol_error")
                    self.assertTrue(client.at_end())
        self.assertEqual(self.files(), {})
        self.assert_echoes(self.client)

    def test_48_nothing_outside_is_opened_whatever_the_name(self):
        with Strace(self.pid, "open,openat,openat2,creat") as strace:
            for name in (*TAKEN.values(), *REFUSED.values()):
                for cmd in ("put", "get", "list", "stat", "delete"):
                    self.client.request({"cmd": cmd, "filename": name})
        opened = [match[1] for line in strace.lines if (match := re.search(r"= \d+<(.*)>$", line))]
        self.assertGreater(len(opened), len(TAKEN))
        root = os.path.realpath(self.root)
        outside = {path for path in opened if path != root and not path.startswith(root + "/")}
        self.assertEqual({path for path in outside if not path.startswith(SYSTEM)}, set())

    def assert_codes(self, name, **codes):
        for cmd, code in codes.items():
            with self.subTest(name, cmd=cmd):
                self.assert_code(code, {"cmd": cmd, "filename": name}, b"x" if cmd == "put" else b"")

    def test_49_and_51_names_of_what_is_no_file(self):
        outside = self.folder / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"outside")
        links = {"to-file": outside / "secret", "to-folder": outside,
                 "to-nothing": outside / "nothing", "loop": "loop", "to-inside": "here",
                 "to-process": "/proc/self/fd", "up": ".."}
        (self.root / "here").write_bytes(b"here")
        for name, target in links.items():
            (self.root / name).symlink_to(target)
            self.assert_codes(name, put="permission_denied", get="permission_denied",
                              verify="permission_denied", list="permission_denied")
            self.assert_codes(f"{name}/secret", put="permission_denied", get="permission_denied",
                              stat="permission_denied", delete="permission_denied")
        (self.root / "folder" / "beneath").mkdir(parents=True)
        self.assert_codes("folder", put="failed_precondition", get="failed_precondition",
                          verify="failed_precondition", delete="failed_precondition")
        self.assert_codes("here", list="failed_precondition")
        self.assert_codes("here/beneath", put="failed_precondition", get="failed_precondition",
                          list="failed_precondition", delete="failed_precondition")
        os.mkfifo(self.root / "fifo")
        others = ["fifo", "socket"]
        if ROOT:
            os.mknod(self.root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            others.append("null")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.root / "socket"))
            for name in others:
                self.assert_codes(name, put="failed_precondition", get="failed_precondition",
                                  verify="failed_precondition", list="failed_precondition",
                                  stat="ok", delete="ok")
        # A link can be deleted, and what it leads to stays.
        for name in links:
            self.assert_codes(name, stat="ok", delete="ok")
        self.assertEqual(self.files(), {"here": b"here"})
        self.assertEqual([each.name for each in outside.iterdir()], ["secret"])
        self.assertEqual((outside / "secret").read_bytes(), b"outside")
        self.assertEqual(self.temporaries(), [])

    @unittest.skipUnless(ROOT, "becomes another user")
    def test_a_file_of_somebody_else_in_a_sticky_folder_stays(self):
        os.chmod(self.folder, 0o755)
        theirs = self.folder / "theirs"
        (theirs / "sticky").mkdir(parents=True)
        (theirs / "sticky" / "f").write_bytes(b"theirs")
        os.chmod(theirs / "sticky", 0o1777)
        os.chmod(theirs / "sticky" / "f", 0o666)
        os.chown(theirs, NOBODY, NOBODY)
        self.serve(root=theirs, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assert_codes("sticky/f", put="permission_denied", delete="permission_denied", get="ok")
        self.assert_codes("sticky/new", put="ok", delete="ok")
        self.assertEqual((theirs / "sticky" / "f").read_bytes(), b"theirs")
        self.assertEqual(self.temporaries(), [])


if __name__ == "__main__":
    unittest.main()
