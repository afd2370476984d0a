# SPDX-License-Identifier: MIT
"""The load generator `cleave-bench`: what it measures, what it notices, and how it ends."""
import itertools
import json
import os
import pathlib
import pty
import signal
import subprocess
import tempfile
import unittest

from process_facts import eventually
from scripted_server import ScriptedServer
from support import BIN, Daemon, run

BENCH = str(BIN / "cleave-bench")
MIB = 1024 * 1024


class BenchTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cleave-")))

    def run_bench(self, url, *arguments, status=0):
        done = run(BENCH, "-s", url, *arguments)
        self.assertEqual(done.returncode, status, (arguments, done))
        # Whatever is not well has a sentence.
        self.assertEqual(done.stderr.count("\n"), 0 if status == 0 else 1, done.stderr)
        self.assertTrue(status == 0 or done.stderr.startswith("cleave-bench: "), done.stderr)
        return done

    def bench(self, url, *arguments, status=0):
        """The figures of a run, which fit each other."""
        done = self.run_bench(url, *arguments, "--json", status=status)
        return self.figures(done.stdout)

    def figures(self, text):
        found = json.loads(text)
        latency = found["latency_ns"]
        errors = sum(error["count"] for error in found["errors"])
        self.assertEqual(found["requests"],
                         found["ok"] + errors + found["wrong"]["count"] + found["unanswered"])
        self.assertEqual(latency["count"], found["ok"])
        quantiles = [latency[name] for name in ("p50", "p90", "p99", "p99_9", "max")]
        self.assertEqual(quantiles, sorted(quantiles))
        self.assertAlmostEqual(found["messages_per_second"] * found["seconds"], found["messages"],
                               delta=1 + found["messages"] / 100)
        return found

    def scripted(self, answer):
        server = ScriptedServer(answer)
        self.addCleanup(server.close)
        return server

    def start(self, url, *arguments):
        process = subprocess.Popen([BENCH, "-s", url, "--json", *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process


def echoed(_, body):
    return [({"status": "ok"}, body)]


class AgainstTheDaemon(BenchTest):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="cleave-"))
        cls.daemon = cls.enterClassContext(
            Daemon(listen=("tcp://127.0.0.1:0", f"unix:{folder}/socket")))

    def setUp(self):
        super().setUp()
        self.url = self.daemon.url

    def assert_all_is_well(self, *arguments, count=2000):
        found = self.bench(self.url, "--requests", count, *arguments)
        self.assertEqual((found["requests"], found["ok"], found["messages"]), (count,) * 3)
        self.assertEqual(found["lost_connections"], {"count": 0})
        return found

    def test_every_kind_of_header_is_answered(self):
        for options in ((), ("--no-id",), ("--headers", "counting"), ("--headers", "repeated")):
            found = self.assert_all_is_well(*options)
            self.assertEqual((found["connections"], found["depth"]), (64, 16))
            self.assertGreater(found["sent_bytes"], 2000 * 64)
            self.assertGreater(found["received_bytes"], 2000 * 64)
            self.assertGreater(found["latency_ns"]["p50"], 0)
            self.assertEqual(found["ids"], "--no-id" not in options)

    def test_one_connection_with_one_request_at_a_time(self):
        self.assert_all_is_well("-c", "1", "-d", "1", count=50)

    def test_other_commands_and_members(self):
        self.assertTrue(self.assert_all_is_well("upper")["bodies_compared"])
        self.assertFalse(self.assert_all_is_well("upper", "--no-check")["bodies_compared"])
        self.assertFalse(self.assert_all_is_well("ping", "-b", "0")["bodies_compared"])
        found = self.bench(self.url, "list", "--header", "filename=nowhere", "--requests", 100,
                           "-b", "0", status=1)
        self.assertEqual([(error["code"], error["count"]) for error in found["errors"]],
                         [("not_found", 100)])

    def test_bodies_of_any_size(self):
        for options in ((), ("--no-id",), ("--headers", "counting")):
            self.assert_all_is_well("-b", "0", *options)
            found = self.assert_all_is_well("-b", "8M", "-c", "2", "-d", "2", *options, count=6)
            self.assertEqual(found["body_bytes"], 8 * MIB)
            self.assertGreater(found["received_bytes"], 6 * 8 * MIB)
        self.assert_all_is_well("upper", "-b", "3M", "-c", "2", "-d", "2", count=6)

    def test_a_body_may_be_a_file(self):
        file = self.folder / "body"
        for data in (b"", b"hello", bytes(range(256)) * 10_000):
            file.write_bytes(data)
            found = self.assert_all_is_well("--body-file", str(file), "-d", "2", count=100)
            self.assertEqual(found["body_bytes"], len(data))

    def test_a_local_socket_carries_load_too(self):
        self.url = self.daemon.urls[1]
        self.assert_all_is_well()
        self.assert_all_is_well("-b", "1M", "-c", "3", count=20)

    def test_a_command_that_fails_is_counted_by_its_code(self):
        found = self.bench(self.url, "exec", "--header", "shell=ls", "--requests", 500, status=1)
        self.assertEqual((found["ok"], found["messages"]), (0, 0))
        (error,) = found["errors"]
        self.assertEqual((error["code"], error["count"]), ("permission_denied", 500))
        self.assertTrue(error["message"])

    def test_refusals_that_come_before_a_body_was_sent_do_not_stop_anything(self):
        for options in (("-d", "2"), ("-d", "1"), ("-d", "2", "--no-id"), ("--rate", "100")):
            found = self.bench(self.url, "exec", "--header", "shell=ls", "-b", "8M", "-c", "2",
                               "--requests", 6, *options, status=1)
            self.assertEqual([error["count"] for error in found["errors"]], [6])

    def test_a_rate_is_kept(self):
        found = self.assert_all_is_well("--rate", "2000", count=401)
        self.assertEqual((found["rate_asked"], found["unsent"]), (2000, 0))
        self.assertGreaterEqual(found["seconds"], 0.2)  # as the last one is due not earlier
        found = self.bench(self.url, "--rate", "500", "--duration", "0.3", "--warm-up", "0.1",
                           "-c", "3", "-d", "1")
        self.assertLessEqual(found["requests"], found["seconds"] * 500 + 2)
        self.assertEqual(found["ok"], found["requests"])

    def test_a_time_ends_the_measurement_too(self):
        found = self.bench(self.url, "--duration", "0.3", "--warm-up", "0.1", "-c", "2")
        self.assertGreater(found["seconds"], 0.29)  # timers have milliseconds
        self.assertEqual(found["warm_up_failures"], {"count": 0})
        self.assertGreater(found["ok"], 0)
        self.assertLessEqual(abs(found["messages"] - found["ok"]), 2 * 16)  # at either end

    def test_the_servers_processor_time_is_told(self):
        found = self.assert_all_is_well("--pid", str(self.daemon.process.pid))
        self.assertGreater(found["server_process"]["cpu_ns_per_message"], 0)
        self.assertGreater(found["server_process"]["busy"], 0)
        self.assertGreater(found["client"]["cpu_ns_per_message"], 0)

    def test_a_process_that_cannot_be_read_is_a_remark(self):
        ended = subprocess.Popen(["true"])
        ended.wait()
        found = self.assert_all_is_well("--pid", str(ended.pid))
        self.assertNotIn("server_process", found)
        self.assertIn(f"process {ended.pid} cannot be told", "".join(found["remarks"]))

    def test_a_table_is_printed_for_people(self):
        done = self.run_bench(self.url, "--requests", "1000", "--pid", str(self.daemon.process.pid))
        for part in ("echo with 64 B to " + self.url, "64 connections", "closed loop: 16 in flight",
                     "messages/s", "p99.9 ", "1,000 ok of 1,000", "ns a message"):
            self.assertIn(part, done.stdout)

    def test_the_server_is_named_by_the_environment_too(self):
        done = run(BENCH, "--requests", "10", "-c", "1", env={"CLEAVE_SERVER": self.url})
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(self.url, done.stdout)

    def test_a_terminal_is_shown_every_second(self):
        controller, terminal = pty.openpty()
        with open(controller, "rb", buffering=0) as screen:
            with open(terminal, "wb", buffering=0) as stderr:
                done = run(BENCH, "-s", self.url, "-c", "1", "--rate", "100", "--duration", "1.2",
                           capture_output=False, stdout=subprocess.PIPE, stderr=stderr)
            self.assertEqual(done.returncode, 0, done)
            self.assertRegex(os.read(screen.fileno(), 4096), rb"\A +\d+ s .* messages/s .* p99 ")

    def test_a_full_disk_or_a_reader_that_has_gone_is_said(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = run(BENCH, "-s", self.url, "--requests", "10", "-c", "1", capture_output=False,
                       stdout=full, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "cleave-bench: cannot write standard output\n"))


class AgainstAServerThatIsNotWell(BenchTest):
    def test_a_body_that_differs_is_wrong(self):
        server = self.scripted(lambda _, body: [({"status": "ok"}, body[:-1] + b"\0")])
        found = self.bench(server.url, "-c", "2", "-d", "3", "--requests", 30, status=1)
        self.assertEqual((found["ok"], found["wrong"]["count"]), (0, 30))
        self.assertIn("byte 63 of its body is 00", found["wrong"]["message"])
        done = self.run_bench(server.url, "-c", "2", "--requests", 30, status=1)
        self.assertIn("wrong", done.stdout)
        self.assertIn("30 replies were wrong: byte 63", done.stderr)
        found = self.bench(server.url, "-c", "2", "--requests", 30, "--no-check")
        self.assertEqual(found["ok"], 30)

    def test_what_goes_wrong_while_it_warms_up_is_not_forgotten(self):
        answers = iter([b"x"])
        server = self.scripted(lambda _, body: [({"status": "ok"}, next(answers, body))])
        found = self.bench(server.url, "-c", "1", "-d", "1", "--warm-up", "0.2", "--requests", 10,
                           status=1)
        self.assertEqual((found["ok"], found["warm_up_failures"]["count"]), (10, 1))

    def test_a_connection_that_is_closed_is_said_and_the_others_go_on(self):
        numbers = itertools.count(1)

        def answer(header, body):
            if next(numbers) == 10:
                raise ConnectionError
            return echoed(header, body)

        server = self.scripted(answer)
        found = self.bench(server.url, "-c", "3", "-d", "1", "--requests", 100, status=5)
        self.assertEqual((found["lost_connections"]["count"], found["unanswered"]), (1, 1))
        self.assertEqual(found["ok"], 99)
        self.assertTrue(found["lost_connections"]["message"])

    def test_without_a_connection_left_it_ends(self):
        def answer(header, body):
            raise ConnectionError

        for options in ((), ("--rate", "100")):
            server = self.scripted(answer)
            found = self.bench(server.url, "-c", "3", "-d", "2", "--duration", "60", *options,
                               status=5)
            self.assertEqual((found["lost_connections"]["count"], found["ok"]), (3, 0))
            self.assertEqual(found["unanswered"], found["requests"])

    def test_a_server_that_never_answers_does_not_hang_it(self):
        server = self.scripted(lambda header, body: None)
        for options in (("--requests", 50), ("--duration", "0.2"),
                        ("--requests", 50, "--duration", "0.2")):
            found = self.bench(server.url, "-c", "2", "-d", "3", "--timeout", "0.2", *options,
                               status=124)
            self.assertEqual((found["requests"], found["unanswered"]), (6, 6))

    def test_what_a_schedule_could_not_send_is_told(self):
        server = self.scripted(lambda header, body: None)
        found = self.bench(server.url, "-c", "1", "-d", "2", "--timeout", "0.1", "--rate", "1000",
                           "--duration", "0.2", status=124)
        self.assertEqual((found["requests"], found["unanswered"]), (2, 2))
        self.assertGreaterEqual(found["unsent"], 190)
        self.assertGreaterEqual(found["late_seconds"], 0.19)
        self.assertIn("could not be sent", "".join(found["remarks"]))

    def test_what_is_no_server_of_frames_is_said(self):
        server = self.scripted(lambda header, body: [({"status": "fine"}, b"")])
        found = self.bench(server.url, "-c", "2", "--requests", 10, status=5)
        self.assertIn("neither ok nor error", found["lost_connections"]["message"])

    def test_a_server_that_turns_connections_away_is_quoted(self):
        with Daemon(config="[limits]\nmax_connections = 2\n") as daemon:
            found = self.bench(daemon.url, "-c", "4", "-d", "1", "--requests", 50, status=5)
            self.assertEqual(found["lost_connections"]["count"], 2)
            self.assertIn("busy", found["lost_connections"]["message"])

    def test_without_a_server_it_is_the_network(self):
        done = self.run_bench("tcp://127.0.0.1:1", "--requests", "1", status=5)
        self.assertEqual(done.stdout, "")
        self.assertIn("127.0.0.1:1", done.stderr)

    def test_text_of_a_servers_moves_no_cursor(self):
        error = {"status": "error", "code": "b\x1b[2J", "message": "\x1b[2J"}
        server = self.scripted(lambda header, body: [(error, b"")])
        done = self.run_bench(server.url, "-c", "1", "--requests", 5, status=1)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.assertIn("\\x1b[2J", done.stdout)
        found = self.bench(server.url, "-c", "1", "--requests", 5, status=1)
        self.assertEqual(found["errors"], [{"code": "b\x1b[2J", "count": 5, "message": "\x1b[2J"}])


class Interrupted(BenchTest):
    def test_ctrl_c_reports_what_was_measured_so_far(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            server = self.scripted(echoed)
            bench = self.start(server.url, "-c", "2", "-d", "2", "--duration", "600")
            self.assertTrue(eventually(lambda: len(server.requests) > 100, seconds=30))
            bench.send_signal(number)
            out, err = bench.communicate(timeout=60)
            self.assertEqual((bench.returncode, err), (130, "cleave-bench: interrupted\n"))
            found = self.figures(out)
            self.assertTrue(found["interrupted"])
            self.assertGreater(found["ok"], 0)
            self.assertEqual(found["unanswered"], 0)

    def test_a_second_one_does_not_wait_for_replies(self):
        server = self.scripted(lambda header, body: None)
        bench = self.start(server.url, "-c", "1", "-d", "2", "--duration", "600", "--timeout", "600")
        self.assertTrue(eventually(lambda: len(server.requests) == 2, seconds=30))

        def ended():
            bench.send_signal(signal.SIGINT)
            return bench.poll() is not None

        self.assertTrue(eventually(ended, seconds=30))
        found = self.figures(bench.communicate()[0])
        self.assertTrue(found["interrupted"])
        self.assertEqual(found["unanswered"], 2)


class Usage(BenchTest):
    def test_wrong_usage_is_2_and_one_sentence(self):
        for words in (["-c", "0"], ["-d", "x"], ["-b", "-1"], ["--rate", "0"], ["--wrong"],
                      ["--header", "id=1"], ["--headers", "other"], ["echo", "twice"],
                      ["--no-id", "--headers", "counting"]):
            done = self.run_bench("tcp://127.0.0.1:1", *words, status=2)
            self.assertEqual(done.stdout, "")
        for url in ("udp://127.0.0.1:1", "nonsense", "tcp://127.0.0.1:1?wire=raw"):
            self.run_bench(url, status=2)

    def test_a_header_that_is_too_long_is_refused(self):
        self.run_bench("tcp://127.0.0.1:1", "--header", "a=" + "x" * 70_000, status=2)

    def test_a_body_that_cannot_be_read_is_said(self):
        done = self.run_bench("tcp://127.0.0.1:1", "--body-file", self.folder / "none", status=3)
        self.assertIn("none", done.stderr)

    def test_help_and_version_are_asked_of_nobody(self):
        self.assertIn("--rate N", self.run_bench("tcp://127.0.0.1:1", "--help").stdout)
        self.assertRegex(self.run_bench("tcp://127.0.0.1:1", "--version").stdout,
                         r"^cleave-bench \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
