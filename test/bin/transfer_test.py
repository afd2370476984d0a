# SPDX-License-Identifier: MIT
"""Files that `cleave` puts and gets in spite of breaks: what goes on, what is tried again, and what
servers that lie cannot do."""
import json
import os
import re
import signal
import subprocess
import unittest

from client_case import ClientTest
from process_facts import eventually
from scripted_server import ScriptedServer
from support import Daemon
from upload_server import UploadServer

from adversary.proxy import Fault, Proxy

MIB = 1024 * 1024
ONCE = ("--retries", "0")


def error(code, **members):
    return [({"status": "error", "code": code, "message": "for a reason", **members}, b"")]


class TransferTest(ClientTest):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url
        self.root = self.daemon.root

    def write(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def store(self, name, data):
        """A file that the daemon has, with a digest."""
        self.url = self.daemon.url
        self.cleave("put", "-", name, stdin=data)

    def xxh3(self, data):
        url = self.url
        self.store("digested", data)
        digest = json.loads(self.output("stat", "--json", "digested"))["xxh3"]
        self.url = url
        return digest

    def serve(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        self.url = server.url
        return server

    def there(self):
        return sorted(os.listdir(self.folder))


class Uploads(TransferTest):
    def setUp(self):
        super().setUp()
        self.server = UploadServer()
        self.addCleanup(self.server.close)
        self.url = self.server.url
        self.data = os.urandom(3 * MIB)
        self.write("a", self.data)

    def sent(self):
        """How many bytes each put has sent."""
        return [len(data) for _, data in self.server.puts]

    def break_off(self, at=MIB):
        self.server.cut_at = [at]
        self.sentence("put", "-c", *ONCE, "a", status=5)

    def test_a_later_command_sends_the_rest(self):
        self.break_off()
        self.cleave("put", "-c", "a")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent(), [MIB, 2 * MIB])
        first, second = (header for header, _ in self.server.puts)
        self.assertEqual(first["upload"], second["upload"])
        self.assertEqual((first["offset"], second["offset"]), (0, MIB))
        self.assertEqual((first["file_size"], second["file_size"]), (3 * MIB, 3 * MIB))

    def test_an_upload_is_of_one_file_in_one_state_under_one_name(self):
        self.break_off()
        self.write("b", self.data)
        self.cleave("put", "-c", "b", "a")
        self.cleave("put", "-c", "a", "other")
        self.write("a", self.data + b"more")
        self.cleave("put", "-c", "a")
        os.utime(self.folder / "a", (1, 1))
        self.cleave("put", "-c", "a")
        self.assertEqual(len({header["upload"] for header, _ in self.server.puts}), 5)
        self.assertEqual({header["offset"] for header, _ in self.server.puts}, {0})

    def test_a_file_whose_bytes_are_all_there_is_sent_with_its_digest_alone(self):
        digest = self.xxh3(self.data)
        self.server.cut_at = [3 * MIB]
        self.sentence("put", "-c", *ONCE, "a", status=5)
        self.cleave("put", "-c", "a")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent(), [3 * MIB, 0])
        self.assertEqual(self.server.puts[1][0]["xxh3"], digest)

    def test_a_lost_reply_is_no_lost_upload(self):
        digest = self.xxh3(self.data)
        self.server.digest = lambda data: digest
        self.server.lose_reply = True
        self.sentence("put", "-c", *ONCE, "a", status=5)
        done = self.cleave("put", "-c", "--json", "a")
        self.assertEqual(json.loads(done.stdout)["xxh3"], digest)
        self.assertEqual(len(self.server.puts), 1)

    def test_a_complete_upload_whose_file_has_gone_is_sent_again(self):
        digest = self.xxh3(self.data)
        self.server.digest = lambda data: digest
        self.cleave("put", "-c", "a")
        self.server.files.clear()
        self.cleave("put", "-c", "a")
        self.assertEqual(self.server.files, {"a": self.data})

    def test_the_offset_that_the_server_wants_is_the_one_from_which_it_is_sent(self):
        self.break_off()
        partial = next(iter(self.server.partials.values()))
        answer, self.server.answer = self.server.answer, None

        def lagging(header, body):
            return [({"status": "ok", "offset": 0}, b"")] if header["cmd"] == "stat" else \
                answer(header, body)

        self.server.answer = lagging
        self.assertEqual(len(partial), MIB)
        self.cleave("put", "-c", "a")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent()[-1], 2 * MIB)

    def test_a_server_that_wants_another_offset_each_time_is_not_followed(self):
        offsets = iter(range(1, 100))
        server = self.serve(lambda header, body: error("not_found") if header["cmd"] == "stat"
                            else error("offset_mismatch", offset=next(offsets)))
        self.assertIn("offset_mismatch", self.sentence("put", "-c", "a", status=1))
        self.assertLess(len(server.requests), 10)

    def test_an_offset_behind_the_end_of_the_file_is_an_error(self):
        self.serve(lambda header, body: [({"status": "ok", "offset": 3 * MIB + 1}, b"")])
        self.assertIn("offset_mismatch", self.sentence("put", "-c", "a", status=1))

    def test_other_bytes_than_ours_are_not_gone_on_with_for_good(self):
        right, wrong = self.xxh3(self.data), "0" * 16
        self.server.digest = lambda data: right if data == self.data else wrong
        self.break_off()
        next(iter(self.server.partials.values()))[:] = b"x" * MIB
        self.cleave("put", "-c", "a")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent(), [MIB, 2 * MIB, 3 * MIB])

    def test_a_digest_that_lies_is_6_each_time(self):
        self.server.digest = lambda data: "0" * 16
        self.break_off()
        self.sentence("put", "-c", "a", status=6)
        self.sentence("put", "-c", "a", status=6)

    def test_a_retry_of_a_large_file_goes_on_where_it_stopped(self):
        self.data = os.urandom(20 * MIB)
        self.write("a", self.data)
        self.server.cut_at = [7 * MIB]
        done = self.cleave("put", "a")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent(), [7 * MIB, 13 * MIB])
        self.assertRegex(done.stderr, rb"^cleave: unavailable: .*; try 1 of 3 in 0\.\d s\n"
                                      rb"cleave: 'a' goes on behind its first 7\.0 MiB\n$")

    def test_a_small_file_is_sent_again(self):
        self.server.cut_at = [MIB]
        self.assertEqual(self.cleave("-q", "put", "a").stderr, b"")
        self.assertEqual(self.server.files, {"a": self.data})
        self.assertEqual(self.sent(), [MIB, 3 * MIB])
        self.assertNotIn("upload", self.server.puts[0][0])

    def test_a_large_file_that_is_given_up_leaves_no_upload(self):
        self.write("a", bytes(20 * MIB))
        self.server.files["a"] = b"kept"
        self.sentence("put", "--no-overwrite", "a", status=4)
        self.assertEqual(self.server.files, {"a": b"kept"})
        self.server.finish = lambda connection, first: self.server.reply_with(
            connection, first, error("checksum_mismatch")[0][0]) or True
        self.sentence("put", "a", status=6)
        self.assertEqual(self.server.partials, {})

    def test_a_file_that_is_there_since_the_try_before_was_stored(self):
        digest = self.xxh3(self.data)
        self.server.digest = lambda data: digest
        self.server.lose_reply = True
        self.cleave("put", "--no-overwrite", "a")
        self.assertEqual(self.server.files, {"a": self.data})

    def test_a_server_without_uploads_gets_the_whole_file(self):
        for code in ("failed_precondition", "invalid_argument"):
            with self.subTest(code):
                server = self.serve(
                    lambda header, body: error(code) if "upload" in header else [({"status": "ok"}, b"")])
                self.cleave("put", "-c", "a")
                self.assertEqual(server.requests[-1][1], self.data)
                self.write("large", bytes(20 * MIB))
                self.cleave("put", "large")
                self.assertEqual(server.requests[-1][1], bytes(20 * MIB))


class UploadsToTheDaemon(TransferTest):
    def put_counting(self, *arguments):
        """The bytes that went over the network."""
        with Proxy(self.daemon.address) as proxy:
            self.url = proxy.url
            self.cleave("put", *arguments)
            self.url = self.daemon.url
            return proxy.passed[0]

    def kept_offset(self):
        """How much of the one broken upload the daemon has for good, which it says a moment later."""
        (data,) = (self.root / ".cleave/uploads").glob("*.data")
        done = subprocess.run(self.command("call", "stat", "--header", f"upload={data.stem}"),
                              capture_output=True, timeout=60)
        return json.loads(done.stderr)["offset"] if done.returncode == 0 else 0

    def test_a_put_that_was_cut_goes_on_and_the_old_file_stays_until_then(self):
        data = os.urandom(8 * MIB)
        self.write("a", data)
        self.store("a", b"old")
        with Proxy(self.daemon.address, to_server=Fault(cut_at=5 * MIB)) as proxy:
            self.url = proxy.url
            self.sentence("put", "-c", *ONCE, "a", status=5)
        self.assertEqual((self.root / "a").read_bytes(), b"old")
        self.url = self.daemon.url
        self.assertTrue(eventually(self.kept_offset))
        rest = 8 * MIB - self.kept_offset()
        self.assertLess(self.put_counting("-c", "a"), rest + 10_000)
        self.assertEqual((self.root / "a").read_bytes(), data)
        self.cleave("verify", "a")

    def test_what_is_there_is_not_sent_again_unless_it_has_gone(self):
        data = os.urandom(MIB)
        self.write("b", data)
        self.cleave("put", "b")
        self.assertLess(self.put_counting("-c", "b"), 10_000)
        self.cleave("rm", "b")
        self.cleave("put", "-c", "b")
        self.assertLess(self.put_counting("-c", "b"), 10_000)
        self.cleave("rm", "b")
        self.assertGreater(self.put_counting("-c", "b"), MIB)
        self.assertEqual((self.root / "b").read_bytes(), data)

    def test_a_retry_of_a_large_file_goes_on_where_it_stopped(self):
        data = os.urandom(20 * MIB)
        self.write("c", data)
        # From its beginning it would never get through.
        with Proxy(self.daemon.address, to_server=Fault(cut_at=12 * MIB)) as proxy:
            self.url = proxy.url
            self.cleave("put", "c")
        self.assertEqual((self.root / "c").read_bytes(), data)

    def test_a_daemon_that_is_killed_and_comes_back_meanwhile_is_gone_on_with(self):
        data = os.urandom(24 * MIB)
        self.write("d", data)
        root = self.folder / "root"
        options = {"listen": (f"unix:{self.folder}/socket",), "root": root}
        with Daemon(**options) as daemon:
            self.url = daemon.url
            with Proxy(str(self.folder / "socket"), to_server=Fault(stall_at=8 * MIB)) as proxy:
                self.url = proxy.url
                process = self.start("put", "--retries", "20", "d", stderr=subprocess.PIPE)
                self.assertTrue(proxy.stalled.wait(30))
                daemon.kill(signal.SIGKILL)
                daemon.wait()
                proxy.release()
                self.assertIn(b"try 1 of 20", process.stderr.readline())
                with Daemon(**options):
                    self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual((root / "d").read_bytes(), data)

    def test_times_travel_with_files(self):
        self.write("a", b"data")
        os.utime(self.folder / "a", ns=(0, 1_234_567_890_123_456_789))
        self.cleave("put", "a")
        self.cleave("get", "a", "back")
        self.assertEqual((self.folder / "back").stat().st_mtime_ns, 1_234_567_890_123_000_000)


class Downloads(TransferTest):
    PART = r"\.a\.[0-9a-f]{16}\.part"

    def setUp(self):
        super().setUp()
        self.data = os.urandom(3 * MIB)
        self.store("a", self.data)

    def break_off(self, *options, at=MIB):
        with Proxy(self.daemon.address, to_client=Fault(cut_at=at)) as proxy:
            self.url = proxy.url
            self.sentence("get", *ONCE, *options, "a", status=5)
        self.url = self.daemon.url

    def left_part(self):
        """Of a get that was broken off, its part."""
        self.break_off("-c")
        (name,) = self.there()
        self.assertRegex(name, f"^{self.PART}$")
        return self.folder / name

    def get_counting(self, *arguments, **options):
        """The bytes that came over the network."""
        with Proxy(self.daemon.address) as proxy:
            self.url = proxy.url
            self.cleave("get", *arguments, **options)
            self.url = self.daemon.url
            return proxy.passed[1]

    def test_a_later_command_fetches_the_rest(self):
        size = self.left_part().stat().st_size
        self.assertGreater(size, 0)
        self.assertLess(self.get_counting("-c", "a"), 3 * MIB - size + 10_000)
        self.assertEqual((self.folder / "a").read_bytes(), self.data)
        self.assertEqual(self.there(), ["a"])

    def test_without_it_no_part_survives(self):
        self.break_off()
        self.assertEqual(self.there(), [])

    def test_a_file_that_has_changed_is_begun_anew(self):
        self.left_part()
        self.data = os.urandom(2 * MIB)
        self.store("a", self.data)
        self.cleave("get", "-c", "a")
        self.assertEqual((self.folder / "a").read_bytes(), self.data)

    def test_a_part_with_wrong_bytes_is_begun_anew(self):
        part = self.left_part()
        part.write_bytes(bytes(part.stat().st_size))
        self.cleave("get", "-c", "a")
        self.assertEqual((self.folder / "a").read_bytes(), self.data)
        self.assertEqual(self.there(), ["a"])

    def test_a_part_that_is_longer_than_the_file_is_begun_anew(self):
        self.left_part().write_bytes(bytes(4 * MIB))
        self.cleave("get", "-c", "a")
        self.assertEqual((self.folder / "a").read_bytes(), self.data)

    def test_a_whole_part_is_put_in_its_place(self):
        self.left_part().write_bytes(self.data)
        self.assertLess(self.get_counting("-c", "a"), 10_000)
        self.assertEqual((self.folder / "a").read_bytes(), self.data)

    def test_a_file_that_is_there_already_is_not_fetched_again(self):
        self.cleave("get", "a")
        self.assertLess(self.get_counting("-c", "a"), 10_000)
        self.assertEqual((self.folder / "a").read_bytes(), self.data)
        self.write("a", bytes(3 * MIB))
        self.cleave("get", "-c", "a")
        self.assertEqual((self.folder / "a").read_bytes(), self.data)

    def test_what_is_called_as_the_part_and_is_not_ours_is_left_alone(self):
        part = self.left_part()
        victim = self.write("victim", b"mine")
        for make in (part.symlink_to, part.hardlink_to, lambda _: os.mkfifo(part)):
            part.unlink()
            make(victim)
            self.assertIn("failed_precondition", self.sentence("get", "-c", "a", status=1))
            self.assertEqual(victim.read_bytes(), b"mine")
            self.assertFalse((self.folder / "a").exists())

    def test_two_at_once_do_not_write_to_one_part(self):
        with Proxy(self.daemon.address, to_client=Fault(stall_at=MIB)) as proxy:
            self.url = proxy.url
            process = self.start("get", "-c", "a")
            self.assertTrue(proxy.stalled.wait(30))
            self.assertTrue(eventually(lambda: self.there()))
            self.url = self.daemon.url
            self.assertIn("another cleave", self.sentence("get", "-c", "a", status=1))
            proxy.release()
            self.assertEqual(process.wait(timeout=30), 0)
        self.assertEqual((self.folder / "a").read_bytes(), self.data)

    def test_a_retry_goes_on_where_it_stopped(self):
        with Proxy(self.daemon.address, to_client=Fault(cut_at=MIB + MIB // 2)) as proxy:
            self.url = proxy.url
            done = self.cleave("get", "a")
            self.assertEqual(self.cleave("-q", "get", "a", "-").stdout, self.data)
            self.assertLess(proxy.passed[1], 6 * MIB + 10_000)
        self.assertRegex(done.stderr, rb"try 1 of 3 in 0\.\d s\n")
        self.assertEqual((self.folder / "a").read_bytes(), self.data)
        self.assertEqual(self.there(), ["a"])

    def test_ctrl_c_leaves_a_part_only_if_it_can_be_continued(self):
        for options, left in (((), 0), (("-c",), 1)):
            with Proxy(self.daemon.address, to_client=Fault(stall_at=MIB)) as proxy:
                self.url = proxy.url
                process = self.start("get", *options, "a", stderr=subprocess.DEVNULL)
                self.assertTrue(proxy.stalled.wait(30))
                self.assertTrue(eventually(lambda: self.there()))
                process.send_signal(signal.SIGINT)
                self.assertEqual(process.wait(timeout=10), 130)
            self.assertEqual(len(self.there()), left, self.there())

    def test_a_name_that_is_nearly_too_long_has_a_part_too(self):
        name = "n" * 250
        self.store(name, b"data")
        self.cleave("get", "-c", name)
        self.assertEqual((self.folder / name).read_bytes(), b"data")


class LyingServers(TransferTest):
    def test_more_bytes_than_the_file_has_are_no_file(self):
        self.serve(lambda header, body: [({"status": "ok", "file_size": 3}, b"1234")])
        for options in ([], ["-c"]):
            self.assertIn("more have come", self.sentence("get", *options, "a", status=1))
            self.assertEqual(self.there(), [])

    def test_a_stream_without_end_is_not_followed(self):
        def answer(header, body):
            yield {"status": "ok", "file_size": MIB, "more": True}, bytes(MIB)
            while True:
                yield {"more": True}, bytes(MIB)

        self.serve(answer)
        self.assertIn("more have come", self.sentence("get", "a", status=1))
        self.assertEqual(self.there(), [])

    def test_a_digest_that_lies_leaves_neither_file_nor_part(self):
        self.serve(lambda header, body: [
            ({"status": "ok", "file_size": 4, "xxh3": "0" * 16},
             b"" if header["cmd"] == "stat" else b"data")])
        for options in ([], ["-c"]):
            self.sentence("get", *options, "a", status=6)
            self.assertEqual(self.there(), [])

    def test_a_file_that_changes_while_it_is_fetched_is_begun_anew(self):
        old, new = os.urandom(MIB), os.urandom(MIB)
        broken = []

        def answer(header, body):
            if not broken:
                broken.append(header)
                yield {"file_size": 2 * MIB, "mtime_ms": 1, "more": True}, old
                raise OSError
            rest = new[header.get("offset", 0):]
            yield {"status": "ok", "file_size": MIB, "mtime_ms": 2}, rest

        server = self.serve(answer)
        self.cleave("get", "a")
        self.assertEqual((self.folder / "a").read_bytes(), new)
        self.assertEqual([header.get("offset", 0) for header, _ in server.requests[::2]], [0, 0])
        self.assertGreater(server.requests[1][0]["offset"], 0)

    def test_a_file_that_changes_each_time_is_given_up(self):
        times = iter(range(1, 1000))
        server = self.serve(lambda header, body: [
            ({"status": "ok", "file_size": 4, "mtime_ms": next(times)},
             b"" if header["cmd"] == "stat" else b"data")])
        self.assertIn("failed_precondition", self.sentence("get", "-c", "a", status=1))
        self.assertLess(len(server.requests), 20)
        self.assertEqual(self.there(), [])

    def test_a_server_that_says_no_size_cannot_be_gone_on_with(self):
        tries = []

        def answer(header, body):
            tries.append(header)
            if len(tries) == 1:
                yield {"more": True}, b"da"
                raise OSError
            yield {"status": "ok"}, b"data"

        self.serve(answer)
        self.cleave("get", "a")
        self.assertEqual((self.folder / "a").read_bytes(), b"data")
        self.assertNotIn("offset", tries[1])


class Tries(TransferTest):
    def test_what_may_pass_is_tried_again(self):
        self.write("a", b"data")
        for words, first, second in ((["put", "a"], "busy", "overloaded"),
                                     (["get", "a"], "unavailable", "busy")):
            with self.subTest(words):
                codes = [second, first]
                server = self.serve(lambda header, body: error(codes.pop()) if codes else [
                    ({"status": "ok", "file_size": 4}, b"" if body else b"data")])
                done = self.cleave(*words)
                self.assertEqual(len(server.requests), 3)
                tries = re.findall(rb"^cleave: (\w+): .*; try (\d) of 3 in \d\.\d s$",
                                   done.stderr, re.M)
                self.assertEqual(tries, [(first.encode(), b"1"), (second.encode(), b"2")])

    def test_what_does_not_pass_is_tried_once(self):
        self.write("a", b"data")
        for code in ("not_found", "permission_denied", "no_space", "io_error", "too_large"):
            server = self.serve(lambda header, body: error(code))
            for words in (["put", "a"], ["get", "b"]):
                with self.subTest(words, code=code):
                    before = len(server.requests)
                    self.assertIn(code, self.sentence(*words, status={
                        "not_found": 3, "permission_denied": 8, "no_space": 7}.get(code, 1)))
                    self.assertEqual(len(server.requests), before + 1)

    def test_so_many_tries_as_were_asked_for(self):
        server = self.serve(lambda header, body: error("busy"))
        self.sentence("get", *ONCE, "a", status=5)
        self.assertEqual(len(server.requests), 1)
        done = self.cleave("get", "--retries", "1", "a", status=5)
        self.assertEqual(len(server.requests), 3)
        self.assertEqual(done.stderr.count(b"\n"), 2)

    def test_what_cannot_be_sent_twice_is_not(self):
        server = self.serve(lambda header, body: error("busy"))
        self.cleave("put", "-", "a", stdin=b"data", status=5)
        self.assertEqual(len(server.requests), 1)

        def leave(header, body):
            raise OSError

        server = self.serve(leave)
        self.write("a", b"data")
        self.cleave("put", "--one-way", "a")  # the connection ends as if all were well
        self.assertEqual(len(server.requests), 1)

    def test_ctrl_c_ends_the_waiting_for_a_try(self):
        self.serve(lambda header, body: error("busy"))
        process = self.start("get", "--retries", "1000", "a", stderr=subprocess.PIPE)
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        self.assertEqual(self.there(), [])


class Choices(TransferTest):
    def test_no_clobber_passes_over_what_is_there(self):
        self.write("a", b"new")
        self.store("a", b"old")
        done = self.cleave("put", "--no-clobber", "a")
        self.assertEqual((self.root / "a").read_bytes(), b"old")
        self.assertEqual(done.stderr, b"cleave: 'a' is there already, and was skipped\n")
        done = self.cleave("get", "--no-clobber", "--json", "a")
        self.assertEqual((self.folder / "a").read_bytes(), b"new")
        self.assertEqual(json.loads(done.stdout)["status"], "skipped")
        self.assertEqual(self.output("-q", "put", "--no-clobber", "a"), b"")
        self.cleave("put", "--no-clobber", "a", "free")
        self.cleave("get", "--no-clobber", "free")
        self.assertEqual((self.folder / "free").read_bytes(), b"new")

    def test_a_target_that_comes_while_it_is_fetched_is_not_replaced(self):
        self.store("a", bytes(3 * MIB))
        with Proxy(self.daemon.address, to_client=Fault(stall_at=MIB)) as proxy:
            self.url = proxy.url
            process = self.start("get", "--no-clobber", "a", stderr=subprocess.DEVNULL)
            self.assertTrue(proxy.stalled.wait(30))
            self.write("a", b"mine")
            proxy.release()
            self.assertEqual(process.wait(timeout=30), 0)
        self.assertEqual((self.folder / "a").read_bytes(), b"mine")
        self.assertEqual(self.there(), ["a"])

    def test_a_dry_run_does_nothing(self):
        self.write("mine", b"data")
        self.store("theirs", b"data")
        self.assertEqual(self.output("put", "--dry-run", "mine", "name"), b"mine -> name\n")
        self.assertEqual(self.output("get", "--dry-run", "theirs", "here"), b"theirs -> here\n")
        self.sentence("get", "--dry-run", "absent", status=3)
        self.sentence("put", "--dry-run", "absent", status=3)
        self.assertIn("already_exists",
                      self.sentence("put", "--dry-run", "--no-overwrite", "mine", "theirs", status=4))
        self.assertIn(b"skipped", self.cleave("put", "--dry-run", "--no-clobber", "mine", "theirs").stderr)
        self.assertFalse((self.root / "name").exists())
        self.assertEqual(self.there(), ["mine"])

    def test_json_is_a_line_for_each_file(self):
        self.write("a", b"data")
        line = json.loads(self.output("put", "--json", "a", "name"))
        self.assertEqual((line["path"], line["filename"], line["status"], line["file_size"]),
                         ("a", "name", "ok", 4))
        self.assertEqual(len(line["xxh3"]), 16)
        line = json.loads(self.output("get", "--json", "name", "b"))
        self.assertEqual((line["path"], line["filename"], line["status"], line["file_size"]),
                         ("b", "name", "ok", 4))
        line = json.loads(self.cleave("get", "--json", "absent", status=3).stdout)
        self.assertEqual((line["status"], line["code"]), ("error", "not_found"))

    def test_options_that_do_not_fit_are_wrong_usage(self):
        for words in (["put", "-c", "-", "a"], ["put", "--one-way", "-r", "a"], ["get", "-c", "a", "-"],
                      ["get", "-r", "a", "-"], ["put", "--one-way", "--no-clobber", "a"],
                      ["get", "-P", "0", "a"], ["get", "-P", "65", "a"], ["put", "--retries", "-1", "a"]):
            with self.subTest(words):
                self.sentence(*words, status=2)


if __name__ == "__main__":
    unittest.main()
