# SPDX-License-Identifier: MIT
"""How long `cleave` waits for a server, and what it tries again."""
import contextlib
import os
import re
import socket
import threading
import unittest

from client_case import ClientTest
from scripted_server import ScriptedServer

ONCE = ("--retries", "0")
SILENCE = ("--silence-timeout", "0.2")
# Where a server has to answer in time, that is long enough for any build and machine.
LONGER_SILENCE = ("--silence-timeout", "2")
TRY = re.compile(rb"; try \d of \d in \d+\.\d s\n")


def failure(code):
    return [({"status": "error", "code": code, "message": "for a reason"}, b"")]


class PatienceTest(ClientTest):
    def serve(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        self.url = server.url
        return server


class Connecting(PatienceTest):
    def test_a_server_that_does_not_accept_is_given_up(self):
        listener = self.enterContext(contextlib.closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Whoever comes now waits for a place that does not become free.
        for _ in range(2):
            first = self.enterContext(contextlib.closing(socket.socket()))
            first.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                first.connect(listener.getsockname())
        self.url = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        (self.folder / "local").write_bytes(b"x")
        for command in (["ping"], ["get", *ONCE, "a"], ["call", "x"], ["mv", "a", "b"],
                        ["put", "--one-way", "local", "a"]):
            with self.subTest(command):
                self.assertIn("unavailable", self.sentence("--connect-timeout", "0.2", *command,
                                                           status=5))
        self.url += "?wire=raw"
        self.assertIn("unavailable", self.sentence("--connect-timeout", "0.2", "upper", "a",
                                                   status=5))

    def test_one_that_is_not_there_is_said_to_be_so_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.url = "tcp://127.0.0.1:%d" % taken.getsockname()[1]
        for command in (["ping"], ["ls"], ["stat", "a"], ["exec", "true"]):
            done = self.cleave(*command, status=255 if command[0] == "exec" else 5)
            self.assertNotRegex(done.stderr, TRY)
        for command in (["ping"], ["get", "a"], ["get", "-r", "a"]):
            done = self.cleave(*command, "--retries", "1", status=5)
            self.assertEqual(len(TRY.findall(done.stderr)), 1)


class Silence(PatienceTest):
    def test_a_server_that_never_says_anything_is_given_up(self):
        server = self.serve(lambda *_: None)
        (self.folder / "local").write_bytes(b"x" * 100)
        for command in (["ping"], ["get", "a"], ["put", "local"], ["put", "-", "a"], ["ls"],
                        ["call", "x"], ["rm", "a"], ["exec", "true"]):
            with self.subTest(command):
                done = self.sentence(*SILENCE, *ONCE, *command, stdin=b"x",
                                     status=255 if command[0] == "exec" else 5)
                self.assertIn("unavailable: the server has been silent for ", done)
                self.assertIn("ping", {header["cmd"] for header, _ in server.requests})
        self.assertEqual(list(self.folder.iterdir()), [self.folder / "local"])

    def test_one_that_reads_nothing_is_given_up(self):
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.url = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        with open(self.folder / "local", "wb") as file:
            os.truncate(file.fileno(), 64 * 1024 * 1024)
        for options in ([*ONCE], ["--one-way"]):
            with self.subTest(options):
                self.assertIn("silent", self.sentence("put", *SILENCE, *options, "local", status=5))

    def test_one_on_a_bare_wire_is_given_up_unless_a_program_runs_there(self):
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.url = "tcp://127.0.0.1:%d?wire=prefix" % listener.getsockname()[1]
        self.assertIn("silent", self.sentence(*SILENCE, "upper", "a", status=5))
        self.assertIn("deadline", self.sentence(*SILENCE, "--timeout", "0.5", "exec", "--shell",
                                                "true", status=255))
        self.assertIn("deadline", self.sentence("--silence-timeout", "0", "--timeout", "0.5", "upper",
                                                "a", status=124))

    def test_a_server_that_answers_pings_may_take_its_time(self):
        pings = []

        def answer(header, _):
            if header["cmd"] != "ping":
                self.slow = header["id"]
                return None
            pings.append(header)
            answers = failure("unknown_command")
            if len(pings) == 3:
                answers.append(({"id": self.slow, "status": "ok", "exit_code": 7}, b""))
            return answers

        self.serve(answer)
        self.cleave(*LONGER_SILENCE, "exec", "true", status=7)

    def test_a_get_that_falls_silent_goes_on(self):
        asked = threading.Semaphore(1)

        def answer(header, _):
            if header["cmd"] != "get":
                return None
            if asked.acquire(blocking=False):
                return [({"more": True, "file_size": 6}, b"abc")]
            return [({"status": "ok", "file_size": 6}, b"abcdef"[header.get("offset", 0):])]

        self.serve(answer)
        done = self.cleave(*LONGER_SILENCE, "get", "a", "-")
        self.assertEqual(done.stdout, b"abcdef")
        self.assertEqual(len(TRY.findall(done.stderr)), 1)


class Trying(PatienceTest):
    IDEMPOTENT = (["ping"], ["stats"], ["limits"], ["help"], ["ls"], ["stat", "a"], ["verify", "a"],
                  ["echo", "a"], ["upper", "a"])

    def failing(self, times, how):
        """A server that fails so often before it answers."""
        left = threading.Semaphore(times)

        def answer(*_):
            if left.acquire(blocking=False):
                return how()
            return [({"status": "ok"}, b'{"name":"a"}')]

        return self.serve(answer)

    def test_what_does_no_harm_is_tried_again(self):
        def leave():
            raise OSError

        for how in (leave, lambda: failure("busy"), lambda: failure("unavailable")):
            for command in self.IDEMPOTENT if how is leave else (["ping"],):
                with self.subTest(command):
                    server = self.failing(1, how)
                    done = self.cleave(*command)
                    self.assertRegex(done.stderr, rb"^cleave: \w+: .*; try 1 of 3 in \d\.\d s\n$")
                    self.assertEqual(len(server.requests), 2)

    def test_the_last_failure_is_the_error(self):
        for retries in (0, 2):
            server = self.failing(10, lambda: failure("overloaded"))
            done = self.cleave("stat", "a", "--retries", str(retries), status=5)
            self.assertEqual(len(TRY.findall(done.stderr)), retries)
            self.assertTrue(done.stderr.endswith(b"cleave: overloaded: for a reason\n"))
            self.assertEqual(len(server.requests), retries + 1)

    def test_quiet_tries_are_not_said(self):
        self.failing(1, lambda: failure("busy"))
        self.assertEqual(self.cleave("-q", "ping").stderr, b"")

    def test_what_may_do_harm_is_tried_once(self):
        for command in (["rm", "a"], ["mv", "a", "b"], ["exec", "true"], ["call", "x"],
                        ["put", "-", "a"]):
            with self.subTest(command):
                server = self.failing(1, lambda: failure("busy"))
                status = 255 if command[0] == "exec" else 5
                done = self.cleave("--retries", "3", *command, status=status)
                self.assertEqual(done.stderr, b"cleave: busy: for a reason\n")
                self.assertEqual(len(server.requests), 1)

    def test_an_answer_that_would_be_the_same_is_not_asked_for_again(self):
        (self.folder / "local").write_bytes(b"x")
        for code, status in (("not_found", 3), ("internal", 1), ("deadline_exceeded", 124)):
            for command in (["stat", "a"], ["get", "a"], ["put", "local"]):
                with self.subTest(command, code=code):
                    server = self.failing(1, lambda code=code: failure(code))
                    self.cleave(*command, status=status)
                    self.assertEqual(len(server.requests), 1)

    def test_a_stream_that_makes_no_sense_is_tried_again_for_files_alone(self):
        server = self.failing(1, lambda: failure("protocol_error"))
        self.cleave("stat", "a", status=5)
        self.assertEqual(len(server.requests), 1)
        # A body that came too slowly ends with the same code, and is to go on.
        server = self.failing(1, lambda: failure("protocol_error"))
        self.cleave("get", "a", "-")
        self.assertEqual(len(server.requests), 2)


if __name__ == "__main__":
    unittest.main()
