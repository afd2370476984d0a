#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cleaved as its operator sees it: lines, signals, exit statuses, the log."""

import json
import os
import pathlib
import re
import signal
import socket
import tempfile
import unittest

from process_facts import states
from support import CLEAVED, Daemon, run

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "bin" / "cleaved.example.toml"


def ignored_signals(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if "SigIgn" in line)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


class Test(unittest.TestCase):
    def refused(self, *options, status):
        """The one sentence that cleaved gives up with."""
        done = run(CLEAVED, *options)
        self.assertEqual(done.returncode, status, done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Acleaved: [^\n]+\n\Z")
        return done.stderr

    def echoes(self, peer, text=b"still there"):
        header, body = peer.call("echo", text)
        self.assertEqual((header["status"], body), ("ok", text))


class Starting(Test):
    def test_says_where_it_listens_and_then_ready(self):
        with Daemon() as daemon:
            self.assertRegex(daemon.url, r"\Atcp://127\.0\.0\.1:[1-9]\d*\?wire=frame\Z")
            with daemon.connect() as peer:
                self.echoes(peer)

    def test_serves_on_every_listener(self):
        with Daemon(listen=("tcp://127.0.0.1:0", "tcp://127.0.0.2:0")) as daemon:
            self.assertEqual(len(daemon.urls), 2)
            for index in range(2):
                with daemon.connect(index) as peer:
                    self.echoes(peer)

    def test_a_port_in_use_is_a_failure_with_a_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, tempfile.TemporaryDirectory() as root:
            port = taken.getsockname()[1]
            url = f"tcp://127.0.0.1:{port}"
            said = self.refused("--listen", url, "--root", f"{root}/files", status=1)
            self.assertIn(str(port), said)

    def test_standard_descriptors_that_are_closed_lead_to_nowhere(self):
        def close():
            os.close(0)
            os.close(2)

        with Daemon(stdin=None, stderr=None, preexec_fn=close) as daemon:
            for number in (0, 2):
                self.assertEqual(
                    os.readlink(f"/proc/{daemon.process.pid}/fd/{number}"), "/dev/null"
                )
            with daemon.connect() as peer:
                self.echoes(peer)
            self.assertEqual(daemon.stop(), 0)

    def test_ignores_the_signals_that_a_write_can_raise(self):
        with Daemon() as daemon:
            ignored = ignored_signals(daemon.process.pid)
            self.assertLessEqual({signal.SIGPIPE, signal.SIGXFSZ}, ignored)

    def test_its_pool_has_8_threads_or_as_many_as_the_operator_says(self):
        unset = {name: value for name, value in os.environ.items() if name != "UV_THREADPOOL_SIZE"}
        threads = {}
        for setting in ({"UV_THREADPOOL_SIZE": "1"}, {"UV_THREADPOOL_SIZE": "3"}, {}):
            with Daemon(env=unset | setting) as daemon, daemon.connect() as peer:
                peer.call("list")
                threads[setting.get("UV_THREADPOOL_SIZE", "8")] = len(states(daemon.process.pid))
        self.assertEqual((threads["3"] - threads["1"], threads["8"] - threads["1"]), (2, 7))


class Configuration(Test):
    def test_wrong_usage_is_2(self):
        self.assertIn("--help", self.refused("--nonsense", status=2))
        self.assertIn("cannot be read", self.refused("--exec", "/nowhere/commands.toml", status=2))
        for url, sentence in (("tcp://127.0.0.1:0?wire=raw", "needs a command"),
                              ("tcp://127.0.0.1:0?wire=raw&cmd=nothing", "there is no command"),
                              ("tcp://127.0.0.1:0?wire=prefix&cmd=put", "bare messages"),
                              ("tcp://127.0.0.1:0?wire=ready&cmd=exec", "exec is off"),
                              ("udp://127.0.0.1:0?wire=raw&cmd=help", "not offered to datagrams")):
            self.assertIn(sentence, self.refused("--listen", url, status=2))
            self.assertIn(sentence, self.refused("--check", "--listen", url, status=2))
        self.assertIn("expected tcp://HOST:PORT", self.refused("--listen", "8080", status=2))
        self.assertIn("--insecure", self.refused("--listen", "tcp://0.0.0.0:0", status=2))

    def test_a_mistake_in_the_file_is_2_and_names_the_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("root = 'here'\n[limits]\nmax_in_flight = 0\n")
            file.flush()
            for options in ((), ("--check",)):
                said = self.refused("--config", file.name, *options, status=2)
                self.assertIn(f"{file.name}:3: max_in_flight: expected 1 to ", said)

    def test_a_file_that_is_not_there_is_2(self):
        self.assertIn("No such file", self.refused("--config", "/nowhere.toml", status=2))

    def test_check_only_checks(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run(CLEAVED, "--check", "--root", f"{folder}/files")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(os.listdir(folder), [])

    def test_the_example_is_valid_and_so_are_the_defaults_that_it_shows(self):
        self.assertEqual(run(CLEAVED, "--check", "--config", EXAMPLE).returncode, 0)
        text = EXAMPLE.read_text(encoding="utf-8")
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            # A default is commented out without a blank, an explanation has one.
            file.write(re.sub(r"(?m)^#(?=\S)", "", text))
            file.flush()
            done = run(CLEAVED, "--check", "--config", file.name)
            self.assertEqual(done.returncode, 0, done)

    def test_help_and_version_go_to_standard_output(self):
        for option, part in (("--help", "--listen"), ("--version", "cleaved 0.")):
            done = run(CLEAVED, option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(part, done.stdout)


class Stopping(Test):
    def test_idle_it_stops_at_once_and_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Daemon() as daemon, daemon.connect() as peer:
                self.echoes(peer)
                daemon.kill(number)
                self.assertEqual(daemon.wait(), 0)
                self.assertIsNone(peer.receive())

    def test_what_runs_is_finished_first(self):
        with Daemon() as daemon, daemon.connect() as peer:
            # The reply of one byte shows that the request has begun before the signal comes.
            peer.send({"cmd": "echo", "id": 1, "data_size": 10}, b"h")
            self.assertEqual(peer.receive()[1], b"h")
            daemon.kill(signal.SIGTERM)
            daemon.wait_for_log("draining")
            with self.assertRaises(ConnectionRefusedError):
                daemon.connect().close()
            peer.socket.sendall(b"alf a body")
            body = b""
            while True:
                header, part = peer.receive()
                body += part
                if "status" in header:
                    break
            self.assertEqual((header["status"], body), ("ok", b"alf a bod"))
            self.assertEqual(daemon.wait(), 0)

    def test_a_new_request_is_refused_meanwhile(self):
        with Daemon() as daemon, daemon.connect() as peer:
            peer.send({"cmd": "echo", "id": 1, "more": True, "data_size": 1}, b"h")
            self.assertEqual(peer.receive()[1], b"h")
            daemon.kill(signal.SIGTERM)
            daemon.wait_for_log("draining")
            peer.send({"cmd": "echo", "id": 2})
            header, _ = peer.receive()
            self.assertEqual((header["id"], header["code"]), (2, "unavailable"))

    def test_a_second_signal_does_not_wait(self):
        with Daemon() as daemon, daemon.connect() as peer:
            peer.send({"cmd": "echo", "id": 1, "data_size": 10}, b"h")
            self.assertEqual(peer.receive()[1], b"h")
            daemon.kill(signal.SIGTERM)
            daemon.wait_for_log("draining")
            daemon.kill(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 1)

    def test_a_deadline_that_is_missed_shows_in_the_exit_status(self):
        limits = "[limits]\ndrain_timeout_ms = 100\ncancel_grace_ms = 100\n"
        with Daemon(config=limits) as daemon, daemon.connect() as peer:
            peer.send({"cmd": "echo", "id": 1, "data_size": 10}, b"h")
            self.assertEqual(peer.receive()[1], b"h")
            daemon.kill(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 1)


class Reloading(Test):
    LONG = {"cmd": "echo", "filler": "x" * 10_000}

    def test_limits_apply_without_a_restart_and_no_connection_is_lost(self):
        with Daemon(config="[limits]\nheader_bytes = 8_192\n") as daemon, daemon.connect() as old:
            self.echoes(old)
            daemon.set_config("[limits]\nheader_bytes = 65_536\n")
            daemon.kill(signal.SIGHUP)
            daemon.wait_for_log("reloaded")
            self.echoes(old)
            with daemon.connect() as new:
                new.send(self.LONG)
                self.assertEqual(new.receive()[0]["status"], "ok")
            self.assertEqual(daemon.stop(), 0)

    def test_a_mistake_changes_nothing(self):
        with Daemon(config="[limits]\nheader_bytes = 8_192\n") as daemon, daemon.connect() as old:
            self.echoes(old)
            daemon.set_config("[limits]\nheader_bytes = 65_536\nmax_in_flight = 0\n")
            daemon.kill(signal.SIGHUP)
            self.assertIn("cleaved.toml:3: max_in_flight", daemon.wait_for_log("reload_refused"))
            self.echoes(old)
            with daemon.connect() as new:
                new.send(self.LONG)
                self.assertEqual(new.receive()[0]["code"], "protocol_error")
            self.assertEqual(daemon.stop(), 0)

    def test_a_key_that_needs_a_restart_is_named(self):
        with Daemon(config="") as daemon:
            daemon.set_config("log_format = 'json'\ninsecure = true\n")
            daemon.kill(signal.SIGHUP)
            self.assertIn("key=insecure", daemon.wait_for_log("restart_needed"))
            self.assertIn("key=log_format", daemon.wait_for_log("restart_needed"))
            with daemon.connect() as peer:
                self.echoes(peer)

    def test_without_a_file_there_is_nothing_to_reload(self):
        with Daemon() as daemon:
            daemon.kill(signal.SIGHUP)
            daemon.wait_for_log("reload_refused")
            with daemon.connect() as peer:
                self.echoes(peer)


class Logging(Test):
    HOSTILE = {"cmd": "\u001b[2J\n2024 info forged \u202e"}

    def test_what_a_peer_sends_cannot_break_a_line_or_drive_a_terminal(self):
        with Daemon() as daemon, daemon.connect() as peer:
            peer.send(self.HOSTILE)
            self.assertEqual(peer.receive()[0]["code"], "unknown_command")
            line = daemon.wait_for_log("refused")
            self.assertIn(r'cmd="\u001b[2J\u000a2024 info forged \u202e"', line)

    def test_a_json_log_is_json_lines(self):
        with Daemon("--log-format", "json", "--log-level", "debug") as daemon:
            with daemon.connect() as peer:
                self.echoes(peer)
                peer.send(self.HOSTILE)
                peer.receive()
            self.assertEqual(daemon.stop(), 0)
            daemon.wait_for_log('"event":"stopped"')
            events = [json.loads(line) for line in daemon.log]
            for event in events:
                self.assertLessEqual({"time", "level", "event"}, event.keys())
            refused = next(event for event in events if event["event"] == "refused")
            self.assertEqual(refused["cmd"], self.HOSTILE["cmd"])

    def test_a_reader_that_has_gone_does_not_stop_the_daemon(self):
        read, write = os.pipe()
        with Daemon("--log-level", "debug", stderr=write) as daemon:
            os.close(write)
            os.close(read)
            with daemon.connect() as peer:
                for _ in range(100):
                    self.echoes(peer)
            self.assertEqual(daemon.stop(), 0)

    def test_a_reader_that_stands_still_does_not_stop_the_daemon(self):
        read, write = os.pipe()
        with Daemon("--log-level", "debug", stderr=write) as daemon:
            os.close(write)
            with daemon.connect() as peer:
                # Each request makes two lines: more than the pipe holds.
                for _ in range(2000):
                    self.echoes(peer)
            self.assertEqual(daemon.stop(), 0)
        os.close(read)

    def test_a_standard_output_that_has_gone_does_not_stop_the_daemon(self):
        with Daemon() as daemon:
            daemon.process.stdout.close()
            with daemon.connect() as peer:
                self.echoes(peer)
            self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
