# SPDX-License-Identifier: MIT
"""How `cleave` tells of its progress: on terminals of any size, in plain lines, and to programs."""
import json
import os
import signal
import subprocess
import threading
import unittest

from client_case import ClientTest
from scripted_server import ScriptedServer
from screen import Screen, width_of
from support import PATIENCE

KIB = 1024
PIECES = 8
SIZE = PIECES * 100 * KIB
WIDE = "粘包" * 20 + "e\u0301" * 5 + ".raw"
# The least time between two events.
THIRD_OF_A_SECOND_MS = 333


def entries(*names):
    return "".join(json.dumps({"name": name, "type": "file", "file_size": SIZE}) + "\n"
                   for name in names).encode()


class ProgressTest(ClientTest):
    def setUp(self):
        super().setUp()
        self.next_piece = threading.Semaphore(0)
        self.free = False
        server = ScriptedServer(self.answer)
        self.addCleanup(server.close)
        self.addCleanup(self.let_go)
        self.url = server.url

    def answer(self, header, _):
        """Files of which a piece is sent whenever the test wants it."""
        if header.get("filename") == "absent":
            return [({"status": "error", "code": "not_found", "message": "no such file"}, b"")]
        if header["cmd"] == "list":
            return [({"status": "ok"}, entries("a", "b", "c"))]
        if header["cmd"] == "stat":
            return [({"status": "ok", "type": "directory"}, b"")]
        if header["cmd"] != "get":
            return [({"status": "ok"}, b"")] if "id" in header else None
        return self.pieces(header)

    def pieces(self, header):
        yield {"more": True, "file_size": SIZE}, b""
        for number in range(PIECES):
            if not self.free:
                self.next_piece.acquire()
            if number == PIECES // 2 and header["filename"].startswith("broken"):
                raise OSError
            last = number == PIECES - 1
            yield {"status": "ok"} if last else {"more": True}, bytes(SIZE // PIECES)

    def let_go(self):
        self.free = True
        self.next_piece.release(100)

    def on(self, screen, *arguments, term="xterm", **variables):
        """Starts a command whose standard error is the screen."""
        self.addCleanup(screen.close)
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": term, "NO_COLOR": "", **variables}
        process = self.start(*arguments, stderr=screen.fd, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, env=environment)
        screen.close_fd()
        return process

    def finish(self, process, status=0):
        process.stdout.read()
        self.assertEqual(process.wait(timeout=PATIENCE), status)

    def events(self, *arguments, status=0, **options):
        """All but those of progress, of which there are more the longer it takes."""
        self.let_go()
        done = self.cleave(*arguments, "--progress", "json", status=status, **options)
        events = [json.loads(line) for line in done.stderr.splitlines()]
        return [event for event in events if event["event"] != "progress"]


class OnATerminal(ProgressTest):
    def shown(self, *arguments, status=0, columns=80, **options):
        """All that is written when everything comes at once."""
        self.let_go()
        screen = Screen(columns)
        self.finish(self.on(screen, *arguments, **options), status)
        return screen.read_to_end()

    def test_no_line_is_wider_than_the_window(self):
        for columns in (20, 80, 300, 0):
            with self.subTest(columns):
                self.free = False
                self.next_piece = threading.Semaphore(0)
                screen = Screen(columns)
                process = self.on(screen, "get", WIDE, "a")
                at = screen.read_until(" 0%")
                for _ in range(2):
                    self.next_piece.release()
                    at = screen.read_until(r"\d\d%", at)
                self.let_go()
                self.finish(process)
                screen.read_to_end()
                lines = screen.lines()
                self.assertGreater(len(lines), 3)
                for line in lines:
                    self.assertLess(width_of(line), columns or 80, lines)
                self.assertRegex(lines[-2], "^粘.*raw  800.0 KiB")

    def test_the_line_follows_the_window(self):
        screen = Screen(100)
        process = self.on(screen, "get", "a")
        screen.read_until("0%")
        for columns in (30, 120):
            before = len(screen.seen)
            screen.resize(columns)
            self.next_piece.release()
            # Something of the right width comes, and then nothing else.
            while not any(columns // 2 < width_of(line) < columns for line in screen.lines(before)):
                screen.read_some()
            at = len(screen.seen)
            self.next_piece.release()
            screen.read_until(r"\d%", at)
            if columns == 30:
                for line in screen.lines(at):
                    self.assertLess(width_of(line), columns)
        self.let_go()
        self.finish(process)

    def test_a_transfer_that_stands_still_is_drawn_all_the_same(self):
        screen = Screen()
        process = self.on(screen, "get", "a")
        screen.read_until("0%.*--:--")
        self.next_piece.release()
        at = screen.read_until(r"B/s +\d:\d\d")
        at = screen.read_until(r"12%.*\d KiB/s", at)
        screen.read_until(r"12%.*\d KiB/s", at)
        self.let_go()
        self.finish(process)

    def test_it_ends_with_what_has_been_done(self):
        shown = self.shown("get", "a")
        self.assertRegex(shown, r"a  800\.0 KiB  \d+\.\d .?i?B/s  in \d\.\d s\r\n$")

    def test_many_files_have_a_line_of_all_below_those_that_are_under_way(self):
        screen = Screen()
        process = self.on(screen, "get", "-r", "-P", "3", "d")
        screen.read_until(r"  d/a .*0%.*\n  d/b .*0%.*\n  d/c .*0%.*\n0/3 files .*0%")
        self.let_go()
        self.finish(process)
        self.assertRegex(screen.read_to_end(), r"3/3 files  2\.3 MiB  .*\r\n$")

    def test_an_error_stands_in_a_line_of_its_own(self):
        shown = self.shown("stat", "absent", status=3)
        self.assertEqual(shown, "\x1b[1;31mcleave: not_found:\x1b[0m no such file\r\n")
        screen = Screen()
        self.free = False
        self.next_piece = threading.Semaphore(0)
        process = self.on(screen, "get", "--retries", "0", "broken")
        screen.read_until("0%")
        self.let_go()
        self.finish(process, 5)
        *_, error, end, nothing = screen.read_to_end().split("\r\n")
        self.assertRegex(error, "cleave: unavailable:")
        self.assertRegex(end, r"\x1b\[Jbroken  400\.0 KiB of 800\.0 KiB  .*/s  in \d+\.\d s$")
        self.assertEqual(nothing, "")

    def test_a_retry_is_said_above_the_line(self):
        screen = Screen()
        process = self.on(screen, "get", "--retries", "1", "broken\x07", "a")
        screen.read_until("0%")
        self.next_piece.release(PIECES // 2 + 1)
        screen.read_until("\x1b\\[33mcleave: unavailable:\x1b\\[0m "
                          r"'broken\\x07': .*; try 1 of 1 in .* s" "\r\n")
        self.let_go()
        self.finish(process, 5)

    def test_ctrl_c_leaves_the_line_and_goes_to_the_next(self):
        screen = Screen()
        process = self.on(screen, "get", "a")
        screen.read_until("0%")
        process.send_signal(signal.SIGINT)
        self.let_go()
        process.stdout.read()
        self.assertEqual(process.wait(timeout=PATIENCE), 130)
        shown = screen.read_to_end()
        self.assertTrue(shown.endswith("\r\n"), shown)
        self.assertNotIn("\x1b[?25l", shown)

    def test_colours_are_left_out_where_they_are_not_wanted(self):
        self.assertIn("\x1b[1;31m", self.shown("stat", "absent", status=3))
        for options, variables in ((["--color", "never"], {}), ([], {"NO_COLOR": "1"})):
            shown = self.shown(*options, "stat", "absent", status=3, **variables)
            self.assertEqual(shown, "cleave: not_found: no such file\r\n")
        shown = self.shown("--color", "always", "stat", "absent", status=3, NO_COLOR="1")
        self.assertIn("\x1b[1;31m", shown)

    def test_a_dumb_terminal_gets_text_alone(self):
        for term in ("dumb", ""):
            shown = self.shown("get", "a", term=term)
            self.assertRegex(shown, r"^a  800\.0 KiB  .*\r\n$")
            self.assertNotIn("\x1b", shown)

    def test_an_encoding_that_is_not_utf_8_gets_ascii(self):
        shown = self.shown("get", "grün", LC_ALL="C")
        self.assertRegex(shown, "gr.n  800")
        self.assertTrue(shown.isascii())

    def test_nothing_is_shown_where_nobody_wants_it(self):
        for options in (["-q"], ["--progress", "none"]):
            self.assertEqual(self.shown(*options, "get", "a"), "")

    def test_a_directory_has_a_colour_on_a_terminal_alone(self):
        def answer(*_):
            return [({"status": "ok"}, b'{"name":"d","type":"directory"}\n')]

        self.url = self.serve_others(answer)
        self.assertNotIn(b"\x1b", self.output("ls"))
        self.assertIn(b"\x1b[1;34md\x1b[0m", self.output("--color", "always", "ls"))
        screen = Screen()
        self.addCleanup(screen.close)
        process = self.start("ls", stdout=screen.fd, stdin=subprocess.DEVNULL,
                             env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        self.assertIn("\x1b[1;34md\x1b[0m", screen.read_to_end())

    def serve_others(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        return server.url


class InLines(ProgressTest):
    def test_a_pipe_gets_nothing_unless_it_is_wanted(self):
        self.let_go()
        self.assertEqual(self.cleave("get", "a").stderr, b"")
        shown = self.cleave("--progress", "plain", "get", "a").stderr
        self.assertRegex(shown, rb"^a  800\.0 KiB  .*\n$")

    def test_events_tell_how_far_it_is_at_most_three_times_a_second(self):
        process = self.start("get", "a", "--progress", "json", stderr=subprocess.PIPE)
        events = []
        while len(events) < 3 or events[-1]["bytes_total"] is None:
            events.append(json.loads(process.stderr.readline()))
            self.next_piece.release()
        self.let_go()
        events += [json.loads(line) for line in process.stderr]
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        *progress, file, end = events
        self.assertEqual({event["event"] for event in progress}, {"progress"})
        for event in progress:
            self.assertEqual(set(event), {"event", "files", "files_total", "bytes", "bytes_total",
                                          "bytes_per_second", "eta_ms", "elapsed_ms"})
            self.assertEqual((event["files"], event["files_total"]), (0, 1))
        self.assertIsNone(progress[0]["eta_ms"])
        self.assertEqual(progress[-1]["bytes_total"], SIZE)
        self.assertEqual([event["bytes"] for event in progress],
                         sorted(event["bytes"] for event in progress))
        times = [event["elapsed_ms"] for event in progress]
        for earlier, later in zip(times, times[1:]):
            self.assertGreaterEqual(later - earlier, THIRD_OF_A_SECOND_MS)
        self.assertEqual((file["event"], file["filename"], file["status"]), ("file", "a", "ok"))
        self.assertEqual(end["event"], "end")
        self.assertEqual((end["files"], end["files_failed"], end["bytes"]), (1, 0, SIZE))

    def test_every_file_has_an_event(self):
        events = self.events("get", "-r", "-P", "2", "d")
        files = [event for event in events if event["event"] == "file"]
        self.assertEqual(sorted(event["filename"] for event in files), ["d/a", "d/b", "d/c"])
        self.assertEqual({event["status"] for event in files}, {"ok"})
        self.assertEqual((events[-1]["event"], events[-1]["files"], events[-1]["bytes"]),
                         ("end", 3, 3 * SIZE))

    def test_errors_are_objects(self):
        file, end = self.events("get", "absent", status=3)
        self.assertEqual((file["event"], file["status"], file["code"], file["message"]),
                         ("file", "error", "not_found", "no such file"))
        self.assertEqual((end["event"], end["files_failed"]), ("end", 1))
        retry, *_ = self.events("get", "--retries", "1", "broken", status=5)
        self.assertEqual((retry["event"], retry["code"], retry["retry"], retry["retries"],
                          retry["filename"]), ("retry", "unavailable", 1, 1, "broken"))
        self.assertGreaterEqual(retry["delay_ms"], 0)
        self.url = "tcp://127.0.0.1:1"
        error, = self.events("ls", status=5)
        self.assertEqual((error["event"], error["code"]), ("error", "unavailable"))

    def test_the_whole_is_without_what_was_skipped_and_with_what_is_missing(self):
        (self.folder / "d").mkdir()
        (self.folder / "d/a").touch()
        *_, end = self.events("get", "-r", "--no-clobber", "d")
        self.assertEqual((end["bytes"], end["bytes_total"]), (2 * SIZE, 2 * SIZE))
        *_, end = self.events("get", "--retries", "0", "broken", status=5)
        self.assertEqual((end["bytes"], end["bytes_total"]), (SIZE // 2, SIZE))

    def test_results_and_events_do_not_mix(self):
        self.let_go()
        done = self.cleave("get", "a", "-", "--progress", "json")
        self.assertEqual(done.stdout, bytes(SIZE))
        done = self.cleave("get", "a", "--json", "--progress", "json")
        self.assertEqual(json.loads(done.stdout)["filename"], "a")
        self.assertEqual(json.loads(done.stderr.splitlines()[-1])["event"], "end")

    def test_what_comes_from_standard_input_is_counted(self):
        for options in ([], ["--one-way"]):
            with self.subTest(options):
                path = "-" if not options else "local"
                (self.folder / "local").write_bytes(b"x" * KIB)
                events = self.events("put", *options, path, "a", stdin=b"x" * KIB)
                self.assertEqual([event["event"] for event in events[-2:]], ["file", "end"])
                self.assertEqual((events[-1]["bytes"], events[-2]["status"]), (KIB, "ok"))


if __name__ == "__main__":
    unittest.main()
