# SPDX-License-Identifier: MIT
"""The daemon as a stranger's client meets it: one written from protocol/README.md alone."""
import hashlib
import os
import struct
import threading
import unittest

from daemon_case import LONG, MIB, DaemonTest
from process_facts import eventually
from python_client import frame


class Messages(DaemonTest):
    def test_a_thousand_echoes_in_one_write_come_back_in_order(self):
        client = self.connect()
        bodies = [f"message {n}".encode() for n in range(1000)]
        client.send_bytes(b"".join(frame({"cmd": "echo"}, body) for body in bodies))
        for expected in bodies:
            header, body = client.recv_frame()
            self.assert_ok(header)
            self.assertEqual(body, expected)

    def test_a_body_dribbled_a_byte_at_a_time_arrives_whole(self):
        client = self.connect()
        body = bytes(range(256))
        for byte in frame({"cmd": "echo"}, body):
            client.send_bytes(bytes([byte]))
        self.assertEqual(client.recv_frame()[1], body)

    def test_upper_changes_ascii_letters_alone(self):
        text = "grüß dich, 粘包 az{`".encode()
        header, body = self.connect().request({"cmd": "upper"}, text + b"\xff\x00")
        self.assert_ok(header)
        self.assertEqual(body, "GRüß DICH, 粘包 AZ{`".encode() + b"\xff\x00")

    def test_64_requests_run_at_once_and_none_waits_for_a_slow_exec(self):
        client = self.connect()
        # cat goes on until its input ends, and it ends when everything else has been answered.
        client.send_frame({"cmd": "exec", "id": 0, "argv": ["cat"], "more": True}, b"slow ")
        for n in range(1, 64):
            client.send_frame({"cmd": "echo", "id": n}, b"%d" % n)
        answers = {}
        output = []
        while len(answers) < 63:
            header, body = client.recv_frame()
            if header["id"] == 0:
                self.assertNotIn("status", header)
                output.append(body)
            else:
                self.assert_ok(header)
                answers[header["id"]] = body
        self.assertEqual(answers, {n: b"%d" % n for n in range(1, 64)})
        client.send_frame({"id": 0}, b"exec")
        header, body = client.reply(0)
        self.assert_ok(header)
        self.assertEqual(header["exit_code"], 0)
        self.assertEqual(b"".join(output) + body, b"slow exec")

    def test_200_connections_are_served_at_once(self):
        clients = [self.connect() for _ in range(200)]
        for n, client in enumerate(clients):
            client.send_frame({"cmd": "echo"}, b"connection %d" % n)
        for n, client in enumerate(clients):
            self.assertEqual(client.recv_frame()[1], b"connection %d" % n)

    def test_requests_before_a_half_close_are_answered_and_then_the_server_closes(self):
        client = self.connect()
        for n in range(10):
            client.send_frame({"cmd": "echo"}, b"%d" % n)
        client.half_close()
        for n in range(10):
            self.assertEqual(client.recv_frame()[1], b"%d" % n)
        self.assertTrue(client.at_end())

    def test_a_request_with_an_id_outlives_a_half_close_and_says_so(self):
        client = self.connect()
        client.send_frame({"cmd": "exec", "id": 7, "shell": "sleep 2.5; echo done"})
        client.half_close()
        empty_frames = 0
        output = b""
        while True:
            header, body = client.recv_frame()
            self.assertEqual(header["id"], 7)
            output += body
            if "status" in header:
                break
            empty_frames += not body
        self.assert_ok(header)
        self.assertEqual(output, b"done\n")
        self.assertGreaterEqual(empty_frames, 2)
        self.assertTrue(client.at_end())

    def test_a_cancelled_request_answers_cancelled_and_the_connection_goes_on(self):
        client = self.connect()
        client.send_frame({"cmd": "exec", "id": 1, "argv": ["sleep", "100"]})
        client.send_frame({"cmd": "cancel", "id": 2, "target": 1})
        last = {}
        while len(last) < 2:
            header, _ = client.recv_frame()
            if not header.get("more"):
                last[header["id"]] = header
        self.assert_error(last[1], "cancelled")
        self.assert_ok(last[2])
        self.assert_echoes(client)

    def test_a_deadline_ends_a_request(self):
        client = self.connect()
        header, _ = client.request(
            {"cmd": "exec", "id": 1, "argv": ["sleep", "100"], "timeout_ms": 100})
        self.assert_error(header, "deadline_exceeded")
        self.assert_echoes(client)


class Memory(DaemonTest):
    def test_echo_to_a_client_that_does_not_read_takes_no_memory_and_comes_when_it_reads(self):
        size = 1024 * MIB if LONG else 64 * MIB
        block = os.urandom(MIB)
        client = self.connect(timeout=60)
        sent = [0]

        def send():
            client.send_frame({"cmd": "echo", "data_size": size})
            for _ in range(size // MIB):
                client.send_bytes(block)
                sent[0] += MIB

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        # The sender stands still as soon as every buffer on the way is full.
        seen = [-1, 0]

        def stands_still():
            seen[1] = seen[1] + 1 if sent[0] == seen[0] else 0
            seen[0] = sent[0]
            return seen[1] >= 50 and sent[0] > 0

        self.assertTrue(eventually(stands_still, 30))
        self.assertLess(sent[0], size)
        self.assert_small()
        header = client.recv_head()
        self.assertEqual(header["data_size"], size)
        for _ in range(size // MIB):
            self.assertEqual(client.recv_bytes(MIB), block)
        sender.join()
        self.assert_small()
        self.assert_echoes(client)

    def test_files_of_every_size_go_there_and_back(self):
        client = self.connect()
        for size in (0, 1, 5 * MIB):
            data = os.urandom(size)
            digest = hashlib.sha256(data).hexdigest()
            name = f"sizes/{size}.bin"
            header, _ = client.request(
                {"cmd": "put", "filename": name, "sha256": digest, "data_size": size}, data)
            self.assert_ok(header)
            self.assertEqual(header["file_size"], size)
            self.assertEqual((self.daemon.root / name).read_bytes(), data)
            header, body = client.request({"cmd": "get", "filename": name})
            self.assert_ok(header)
            self.assertEqual(header["file_size"], size)
            self.assertEqual(body, data)
        self.assert_small()

    @unittest.skipUnless(LONG, "writes 5 GiB; set CLEAVE_LONG_TESTS=1")
    def test_a_file_of_5_gib_goes_there_and_back_in_constant_memory(self):
        count = 5 * 1024
        block = os.urandom(MIB)

        def piece(n):  # every piece differs, so that none can stand in for another
            return struct.pack("<Q", n) + block[8:]

        client = self.connect(timeout=600)
        client.send_frame({"cmd": "put", "filename": "large", "data_size": count * MIB})
        for n in range(count):
            client.send_bytes(piece(n))
        header, _ = client.recv_frame()
        self.assert_ok(header)
        self.assertEqual(header["file_size"], count * MIB)
        client.send_frame({"cmd": "get", "filename": "large"})
        header = client.recv_head()
        self.assertEqual(header["data_size"], count * MIB)
        for n in range(count):
            self.assertEqual(client.recv_bytes(MIB), piece(n))
        self.assert_small()


if __name__ == "__main__":
    unittest.main()
