#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What programs read and write goes through whole, in order and in constant memory: of 10 GB with
CLEAVE_LONG_TESTS=1."""

import os
import subprocess
import sys
import threading
import unittest

from daemon_case import LONG, MIB, SANITIZED, VERY_LONG
from exec_case import ExecTest, processes, until_it_waits, written
from process_facts import eventually, memory
from support import PATIENCE

ENDLESS = (10_000_000_000 if VERY_LONG else 1_000_000_000 if LONG else
           (64 if SANITIZED else 256) * MIB)
ENDLESS_SECONDS = 600
# What waits in pipes, sockets and the daemon together.
ON_ITS_WAY = 16 * MIB

# Lines of a kilobyte by turns to both outputs, as unbuffered as can be.
BOTH = """
import os
for number in range({count}):
    os.write(1, b"o%06d" % number + b"." * 1016 + b"\\n")
    os.write(2, b"e%06d" % number + b"." * 1016 + b"\\n")
"""


def lines_of_both(count):
    return [b"".join(b"%c%06d" % (letter, number) + b"." * 1016 + b"\n" for number in range(count))
            for letter in b"oe"]


class Streams(ExecTest):
    # So little that what a reader leaves is felt by the program.
    listen = "tcp://127.0.0.1:0?send_buffer=65536"

    def assert_grown_little(self, before, pid=None):
        if not SANITIZED:
            self.assertLess(memory(pid or self.pid, "VmHWM") - before, ON_ITS_WAY)


class Output(Streams):
    def test_output_without_end_comes_whole_to_a_slow_reader_and_takes_no_memory(self):
        client = self.connect(receive_buffer=65_536)
        before = memory(self.pid, "VmRSS")
        client.send_frame({"cmd": "exec", "id": 1, "timeout_ms": ENDLESS_SECONDS * 1_000,
                           "argv": ["head", "-c", str(ENDLESS), "/dev/zero"]})
        (program,) = self.wait_for_processes(1)
        read, pauses = 0, 0
        while True:
            header = client.recv_head()
            size = header.get("data_size", 0)
            read += size
            body = client.recv_bytes(size)
            self.assertEqual(body.count(0), size)
            if not header.get("more"):
                break
            if pauses < 8 and read >= ENDLESS * pauses // 8:
                pauses += 1
                until_it_waits(program)
                self.assertLess(written(program) - read, ON_ITS_WAY)
                self.assert_grown_little(before)
        self.assertEqual(pauses, 8)
        self.assertEqual((read, header["stdout_size"], header["exit_code"]), (ENDLESS, ENDLESS, 0))
        self.assert_grown_little(before)

    def test_the_same_through_cleave(self):
        before = memory(self.pid, "VmRSS")
        process = self.start("--timeout", str(ENDLESS_SECONDS), "exec",
                             "head", "-c", str(ENDLESS), "/dev/zero",
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)
        (program,) = self.wait_for_processes(1)
        read, pauses = 0, 0
        own = None
        while piece := process.stdout.read(MIB):
            own = own or memory(process.pid, "VmRSS")
            read += len(piece)
            # What comes behind that may all be on its way, and the program gone.
            if pauses < 6 and read >= ENDLESS * pauses // 8:
                pauses += 1
                until_it_waits(program)
                self.assertLess(written(program) - read, ON_ITS_WAY)
                self.assert_grown_little(own, process.pid)
        self.assertEqual((read, process.wait(timeout=PATIENCE)), (ENDLESS, 0))
        self.assert_grown_little(before)

    def test_a_number_of_lines_is_that_number(self):
        client = self.connect()
        for count in (0, 1, 2_000, 500_000):
            shell, expected = f"yes | head -n {count}", b"y\n" * count
            ended = self.run_shell(client, shell)
            self.assertEqual((ended.how, ended.out == expected), (("ok", 0, None), True))
            header, body = client.request({"cmd": "exec", "shell": shell})
            self.assertEqual((header["exit_code"], body == expected), (0, True))
            self.assertEqual(self.output("exec", "--shell", shell), expected)

    def test_one_byte_at_a_time(self):
        data = os.urandom(1_000 if SANITIZED else 5_000)
        client = self.connect()
        argv = ["dd", "bs=1", "status=none"]
        client.send_frame({"cmd": "exec", "id": 1, "argv": argv, "more": True})
        for at in range(len(data)):
            client.send_frame({"id": 1, "more": True}, data[at:at + 1])
        client.send_frame({"id": 1})
        ended = self.finish(client)
        self.assertEqual((ended.how, ended.out), (("ok", 0, None), data))
        self.assertEqual(self.output("exec", *argv, stdin=data), data)

    def test_both_outputs_by_turns_to_a_slow_reader_are_each_in_order(self):
        count = 4_000
        out, err = lines_of_both(count)
        argv = [sys.executable, "-c", BOTH.format(count=count)]
        client = self.connect(receive_buffer=4_096)
        client.send_frame({"cmd": "exec", "id": 1, "argv": argv})
        (program,) = self.wait_for_processes(1)
        until_it_waits(program)
        self.assertLess(written(program), len(out) + len(err))
        ended = self.finish(client)
        self.assertEqual(ended.how, ("ok", 0, None))
        self.assertEqual((ended.out == out, ended.err == err), (True, True))
        self.assertEqual((ended.header["stdout_size"], ended.header["stderr_size"]),
                         (len(out), len(err)))
        done = self.cleave("exec", *argv)
        self.assertEqual((done.stdout == out, done.stderr == err), (True, True))

    def test_a_program_that_gives_its_outputs_up_is_waited_for(self):
        client = self.connect()
        for closed, err in (("exec >&-; echo on >&2", b"on\n"), ("exec >&- 2>&-", b"")):
            # It ends when its input does, which is after its outputs are known to be at their end.
            self.begin(client, closed + "; read line; exit 44", more=True)
            (program,) = self.wait_for_processes(1)
            output = f"/proc/{program}/fd/1"
            self.assertTrue(eventually(lambda: not os.path.lexists(output), PATIENCE))
            if err:
                self.assertEqual(client.recv_frame()[1], err)
            self.assert_echoes(client)
            client.send_frame({"id": 1})
            ended = self.finish(client)
            self.assertEqual((ended.how, ended.out, ended.err), (("ok", 44, None), b"", b""))
            header, body = client.request({"cmd": "exec", "shell": closed + "; exit 44"})
            self.assertEqual((header["exit_code"], body), (44, err))
            self.cleave("exec", "--shell", closed + "; exit 44", status=44)

    def test_half_a_character_is_passed_on_as_it_is(self):
        client = self.connect()
        for character in ("中".encode(), "中".encode("gbk"), "😀".encode(), b"\xff\xfe"):
            for at in range(1, len(character)):
                first, second = character[:at], character[at:]
                # The program writes the second half when the first has arrived, and the other way.
                self.begin(client, "head -c 1; cat", more=True)
                client.send_frame({"id": 1, "more": True}, b"x" + first)
                parts = b""
                while len(parts) < 1 + at:
                    parts += client.recv_frame()[1]
                self.assertEqual(parts, b"x" + first)
                client.send_frame({"id": 1}, second)
                self.assertEqual(self.finish(client).out, second)
                # And where one read ends.
                for edge in (65_536, MIB):
                    data = b"x" * (edge - at) + character + b"y" * 100
                    header, body = client.request({"cmd": "exec", "argv": ["cat"]}, data)
                    self.assertEqual((header["exit_code"], body == data), (0, True))
                    self.assertEqual(self.output("exec", "cat", stdin=data) == data, True)


class Input(Streams):
    """The programs here end when the test writes to a pipe of theirs that has a name."""

    size = (16 if SANITIZED else 50) * 1_000_000

    def setUp(self):
        super().setUp()
        self.gate = self.folder / "gate"
        os.mkfifo(self.gate)

    def open_gate(self):
        with open(self.gate, "w", encoding="ascii"):
            pass

    def test_input_that_is_never_read_fills_a_pipe_and_no_memory(self):
        client = self.connect()
        before = memory(self.pid, "VmRSS")
        sent = []

        def send():
            piece = bytes(1_000_000)
            for _ in range(self.size // len(piece)):
                client.send_bytes(piece)
                sent.append(len(piece))

        self.begin(client, f"read line <{self.gate}; exit 7", data_size=self.size)
        sender = threading.Thread(target=send)
        sender.start()
        stuck = []

        def stands_still():
            stuck.append(len(sent))
            return stuck[-1] > 0 and len(stuck) > 10 and stuck[-1] == stuck[-10]

        self.assertTrue(eventually(stands_still, PATIENCE))
        self.assertLess(sum(sent), self.size)
        self.assert_grown_little(before)
        self.open_gate()
        ended = self.finish(client)
        self.assertEqual(ended.how, ("ok", 7, None))
        self.assertLessEqual(ended.header["stdin_size"], MIB)
        self.assertGreater(ended.header["stdin_size"], 0)
        sender.join()
        self.assertEqual(sum(sent), self.size)
        self.assert_echoes(client)
        self.assert_grown_little(before)
        self.cleave("exec", "--shell", "exit 7", stdin=bytes(self.size), status=7)

    def test_input_that_is_given_up_is_dropped_and_the_connection_goes_on(self):
        client = self.connect()
        self.begin(client, f"exec 0<&-; echo closed; read line <{self.gate}; exit 3",
                   data_size=self.size)
        self.assertEqual(client.recv_frame()[1], b"closed\n")
        client.send_bytes(bytes(self.size))
        # It runs still, and what is behind its input is read.
        self.assert_echoes(client)
        self.assertEqual(len(processes(self.daemon)), 1)
        self.open_gate()
        ended = self.finish(client)
        self.assertEqual((ended.how, ended.header["stdin_size"]), (("ok", 3, None), 0))
        self.cleave("exec", "--shell", "exec 0<&-; exit 3", stdin=bytes(self.size), status=3)

    def test_a_program_that_reads_a_part_has_that_part(self):
        client = self.connect()
        data = os.urandom(self.size)
        header, body = client.request({"cmd": "exec", "argv": ["head", "-c", "100000"]}, data)
        self.assertEqual((header["exit_code"], body == data[:100_000]), (0, True))
        self.assert_echoes(client)
        self.assertEqual(self.output("exec", "head", "-c", "100000", stdin=data), data[:100_000])


if __name__ == "__main__":
    unittest.main()
