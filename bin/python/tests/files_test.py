# SPDX-License-Identifier: MIT
"""Files, there and back."""
import hashlib
import os
import re
import socket
import threading
import unittest
from contextlib import suppress

from server import ServerTest

import cleave

MIB = 1024 * 1024


class Cut:
    """Passes connections on to a server. The first that sends more bytes than `up`, or is sent more
    than `down`, is broken off there: first for the server, and for the client when `noticed(what
    the client had sent)` comes back."""

    def __init__(self, url, up=float("inf"), down=float("inf"), noticed=lambda sent: None):
        host, port = url.split("?")[0][len("tcp://"):].split(":")
        self._address = host, int(port)
        self._limits = {"up": up, "down": down}
        self._noticed = noticed
        self.offsets = []  # as requests name them
        self.received = 0  # since it broke off

    def talk(self, peer):
        with socket.create_connection(self._address) as server:
            down = threading.Thread(target=self._pass, args=("down", server, peer.socket, server))
            down.start()
            self._pass("up", peer.socket, server, server)
            down.join()

    def _pass(self, way, source, target, server):
        passed = bytearray()
        try:
            while len(passed) < self._limits[way]:
                data = source.recv(64 * 1024)
                if not data:
                    break
                target.sendall(data)
                passed += data
                if way == "up":
                    self.offsets += map(int, re.findall(rb'"offset":(\d+)', data))
                else:
                    self.received += len(data)
            else:
                self._limits = dict.fromkeys(self._limits, float("inf"))
                self.received = 0
                server.shutdown(socket.SHUT_RDWR)
                self._noticed(bytes(passed))
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class FilesTest(ServerTest):
    def setUp(self):
        self.folder = self.temporary()
        self.file = self.folder / "file"
        self.copy = self.folder / "copy"

    def connect(self, url, **options):
        client = cleave.Client(url, **{"retry_delay": 0, **options})
        self.addCleanup(client.close)
        return client

    def through(self, cut):
        return self.scripted(cut.talk).url

    def write(self, size):
        data = os.urandom(size)
        self.file.write_bytes(data)
        return data


class CleavedFilesTest(FilesTest):
    """Against a cleaved."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        self.client = self.connect(self.server.url)

    def test_files_come_back_as_they_went_whole_and_as_uploads(self):
        for resume_bytes in (1, MIB):
            client = self.connect(self.server.url, resume_bytes=resume_bytes)
            for size in (0, 1, 3 * MIB + 1):
                with self.subTest(resume_bytes=resume_bytes, size=size):
                    data = self.write(size)
                    os.utime(self.file, ns=(0, 1_234_567_000_000))
                    stored = client.put_file(self.file, "a/b")
                    self.assertEqual(stored, (cleave.Transferred(
                        size, hashlib.sha256(data).hexdigest())))
                    fetched = client.get_file("a/b", str(self.copy), sha256=stored.sha256)
                    self.assertEqual(fetched, stored)
                    self.assertTrue(self.copy.read_bytes() == data)
                    self.assertEqual(self.copy.stat().st_mtime_ns, 1_234_567_000_000)
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy", "file"])

    def test_a_wrong_digest_is_found_out_and_leaves_what_was_there(self):
        self.write(1000)
        self.copy.write_bytes(b"before")
        self.client.put_file(self.file, "a")
        with self.assertRaises(cleave.ChecksumMismatch):
            self.client.get_file("a", self.copy, sha256="0" * 64)
        self.assertEqual(self.copy.read_bytes(), b"before")
        with self.assertRaises(cleave.ChecksumMismatch):
            self.client.call("put", {"filename": "a", "sha256": "0" * 64}, b"other")
        self.assertEqual(self.client.stat("a").file_size, 1000)
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy", "file"])

    def test_what_is_not_to_be_replaced_is_not(self):
        self.write(10)
        for resume_bytes in (1, MIB):
            client = self.connect(self.server.url, resume_bytes=resume_bytes)
            name = str(resume_bytes)
            client.put_file(self.file, name, overwrite=False)
            with self.assertRaises(cleave.AlreadyExists):
                client.put_file(self.file, name, overwrite=False)
        self.copy.write_bytes(b"before")
        with self.assertRaises(FileExistsError):
            self.client.get_file("1", self.copy, overwrite=False)
        self.assertEqual(self.copy.read_bytes(), b"before")
        self.client.get_file("1", self.folder / "new", overwrite=False)
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy", "file", "new"])

    def test_what_is_not_there_is_said(self):
        with self.assertRaises(cleave.NotFound):
            self.client.get_file("nothing", self.copy)
        with self.assertRaises(FileNotFoundError):
            self.client.put_file(self.folder / "nothing", "a")
        with self.assertRaises(FileNotFoundError):
            self.client.get_file("nothing", self.folder / "nowhere" / "a")
        self.assertEqual(os.listdir(self.folder), [])

    def test_an_upload_goes_on_after_a_break_where_it_was(self):
        data = self.write(16 * MIB)

        cut = Cut(self.server.url, up=8 * MIB, noticed=self.keeps_something)
        client = self.connect(self.through(cut), resume_bytes=1)
        stored = client.put_file(self.file, "a")
        self.assertEqual(stored.sha256, hashlib.sha256(data).hexdigest())
        self.assertEqual(cut.offsets[0], 0)
        self.assertGreater(cut.offsets[-1], 0)
        self.assertTrue((self.server.folder / "root/a").read_bytes() == data)

    def keeps_something(self, sent):
        """Waits until the server has stored some of the upload that was sent to it."""
        upload = re.search(rb'"upload":"(\w+)"', sent)[1].decode()
        offset = 0
        while offset == 0:
            with suppress(cleave.NotFound):
                offset = self.client.call("stat", {"upload": upload}).members["offset"]

    def test_a_later_call_goes_on_with_an_upload_as_well(self):
        data = self.write(16 * MIB)
        cut = Cut(self.server.url, up=8 * MIB, noticed=self.keeps_something)
        url = self.through(cut)
        with self.assertRaises(cleave.ConnectionLost):
            self.connect(url, resume_bytes=1, retries=0).put_file(self.file, "a")
        self.connect(url, resume_bytes=1).put_file(self.file, "a")
        self.assertEqual(cut.offsets[0], 0)
        self.assertGreater(cut.offsets[-1], 0)
        self.assertTrue((self.server.folder / "root/a").read_bytes() == data)

    def test_an_upload_that_was_complete_once_is_sent_again_when_the_file_has_gone(self):
        self.write(1000)
        client = self.connect(self.server.url, resume_bytes=1)
        client.put_file(self.file, "a")
        client.delete("a")
        client.put_file(self.file, "a")
        self.assertEqual(client.stat("a").file_size, 1000)

    def test_a_fetch_goes_on_after_a_break_where_it_was(self):
        data = self.write(16 * MIB)
        self.client.put_file(self.file, "a")
        cut = Cut(self.server.url, down=8 * MIB)
        fetched = self.connect(self.through(cut)).get_file("a", self.copy)
        self.assertEqual(fetched.sha256, hashlib.sha256(data).hexdigest())
        self.assertLess(cut.received, 16 * MIB)

    def test_a_fetch_that_breaks_for_good_leaves_nothing(self):
        self.write(16 * MIB)
        self.client.put_file(self.file, "a")
        cut = Cut(self.server.url, down=8 * MIB)
        with self.assertRaises(cleave.ConnectionLost):
            self.connect(self.through(cut), retries=0).get_file("a", self.copy)
        self.assertEqual(os.listdir(self.folder), ["file"])


class ScriptedFilesTest(FilesTest):
    """What a healthy server does not do on demand. `answers` are called with the peer and each
    request, one after another; None breaks the connection off."""

    def play(self, *answers, **options):
        requests, left = [], list(answers)

        def talk(peer):
            while left:
                header, body = peer.request()
                requests.append((header["cmd"], header.get("offset"), body))
                if left.pop(0)(peer, header) is None:
                    return
            peer.receive()

        return self.connect(self.scripted(talk).url, **options), requests

    @staticmethod
    def ok(body=b"", **members):
        return lambda peer, header: peer.answer(header, body, **members) or True

    @staticmethod
    def refusal(code, **members):
        return lambda peer, header: peer.refuse(header, code, **members) or True

    @staticmethod
    def lost(peer, header):
        return None

    def sha256(self):
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def test_a_server_that_stores_other_bytes_is_found_out(self):
        self.write(10)
        client, _ = self.play(self.ok(file_size=10, sha256="0" * 64))
        with self.assertRaises(cleave.ChecksumMismatch):
            client.put_file(self.file, "a")
        client, _ = self.play(self.ok())
        with self.assertRaises(cleave.ChecksumMismatch):
            client.put_file(self.file, "a")

    def test_only_the_rest_of_an_upload_is_sent(self):
        data = self.write(10)
        stored = self.ok(file_size=10, sha256=self.sha256())
        client, requests = self.play(self.ok(offset=4), self.refusal("offset_mismatch", offset=6),
                                     stored, resume_bytes=1)
        client.put_file(self.file, "a")
        self.assertEqual(requests, [("stat", None, b""), ("put", 4, data[4:]), ("put", 6, data[6:])])

    def test_a_lost_reply_is_not_a_lost_upload(self):
        self.write(10)
        complete = self.ok(complete=True, file_size=10, sha256=self.sha256())
        client, requests = self.play(self.refusal("not_found"), self.lost, complete, resume_bytes=1)
        client.put_file(self.file, "a", overwrite=False)
        self.assertEqual([cmd for cmd, _, _ in requests], ["stat", "put", "stat"])

    def test_a_lost_reply_is_said_where_nobody_can_know_more(self):
        self.write(10)
        client, requests = self.play(self.lost)
        with self.assertRaises(cleave.ConnectionLost):
            client.put_file(self.file, "a", overwrite=False)
        self.assertEqual(len(requests), 1)

    def test_an_upload_behind_bytes_that_are_wrong_is_begun_anew_once(self):
        data = self.write(10)
        wrong = self.refusal("checksum_mismatch")
        client, requests = self.play(self.ok(offset=4), wrong, self.refusal("not_found"),
                                     self.refusal("not_found"),
                                     self.ok(file_size=10, sha256=self.sha256()), resume_bytes=1)
        client.put_file(self.file, "a")
        self.assertEqual([cmd for cmd, _, _ in requests], ["stat", "put", "delete", "stat", "put"])
        self.assertEqual(requests[-1], ("put", 0, data))
        client, _ = self.play(self.ok(offset=4), wrong, self.ok(), self.ok(offset=4), wrong,
                              resume_bytes=1)
        with self.assertRaises(cleave.ChecksumMismatch):
            client.put_file(self.file, "a")

    def test_an_offset_that_cannot_be_or_never_settles_is_not_followed_for_ever(self):
        self.write(10)
        client, _ = self.play(self.ok(offset=11), resume_bytes=1)
        with self.assertRaises(cleave.ProtocolError):
            client.put_file(self.file, "a")
        client, _ = self.play(self.ok(offset=1), *[self.refusal("offset_mismatch", offset=offset)
                                                   for offset in (2, 1, 2, 1)], resume_bytes=1)
        with self.assertRaises(cleave.OffsetMismatch):
            client.put_file(self.file, "a")

    def half(self, body, **state):
        """The beginning of a reply that has four bytes, and a lost connection."""
        def answer(peer, header):
            peer.send({"id": header["id"], "more": True, **state}, body)
        return answer

    def test_a_file_that_changes_while_it_is_fetched_is_begun_anew(self):
        first = {"file_size": 4, "mtime_ms": 1, "xxh3": "a"}
        second = {"file_size": 4, "mtime_ms": 1, "xxh3": "b"}
        client, requests = self.play(self.half(b"ab", **first), self.ok(b"yz", **second),
                                     self.ok(b"wxyz", **second))
        client.get_file("a", self.copy)
        self.assertEqual(self.copy.read_bytes(), b"wxyz")
        self.assertEqual([offset for _, offset, _ in requests], [None, 2, None])

    def test_a_file_that_becomes_shorter_is_begun_anew(self):
        client, _ = self.play(self.half(b"ab", file_size=4, mtime_ms=1),
                              self.refusal("invalid_argument"), self.ok(b"x", file_size=1, mtime_ms=2))
        client.get_file("a", self.copy)
        self.assertEqual(self.copy.read_bytes(), b"x")

    def test_a_file_that_changes_all_the_time_is_given_up(self):
        changes = []
        for time in range(3):
            changes += [self.half(b"ab", file_size=4, mtime_ms=time),
                        self.ok(b"yz", file_size=4, mtime_ms=time + 100)]
        client, _ = self.play(*changes)
        with self.assertRaises(cleave.Refused) as caught:
            client.get_file("a", self.copy)
        self.assertEqual(caught.exception.code, "failed_precondition")

    def test_a_size_that_is_not_kept_is_a_protocol_error_and_leaves_nothing(self):
        for body, members in ((b"abc", {"file_size": 4}), (b"abcde", {"file_size": 4}),
                              (b"abcd", {}), (b"", {"file_size": -1}), (b"", {"file_size": "0"})):
            with self.subTest(body, members=members), self.assertRaises(cleave.ProtocolError):
                client, _ = self.play(self.ok(body, mtime_ms=1, **members))
                client.get_file("a", self.copy)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
