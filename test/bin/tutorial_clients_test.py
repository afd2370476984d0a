# SPDX-License-Identifier: MIT
"""Every client of the tutorial against cleaved, on the tutorial's own addresses where they are free.

The one that sends datagrams is in udp_test.py."""

import hashlib
import os
import pathlib
import socket
import tempfile
import threading
import time
import unittest

import tutorial_clients as tutorial
from process_facts import eventually, processor_time
from support import Daemon

from adversary.peer import reset, reset_on_close

MIB = 1024 * 1024
TEXT = "hello, grüß dich, 粘包 😀 az{`"
UPPER = "HELLO, GRüß DICH, 粘包 😀 AZ{`"


def is_free(port):
    """Whether the tutorial's own port can be had; port 0 is as good where it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Served(unittest.TestCase):
    """A daemon with one listener."""

    listen = ""  # what follows the port
    port = 0
    options = ()

    def setUp(self):
        url = f"tcp://127.0.0.1:{self.port if is_free(self.port) else 0}{self.listen}"
        self.daemon = Daemon(*self.options, listen=(url,)).__enter__()
        self.addCleanup(self.daemon.__exit__)
        self.address = ("127.0.0.1", self.daemon.port)
        self.addCleanup(lambda: self.assertEqual(self.daemon.stop(), 0))


class UpperOneMessage(Served):
    """Program 1."""

    port, listen = 9000, "?wire=raw&cmd=upper"

    def test_a_text_comes_back_in_upper_case_and_only_ascii_letters_change(self):
        self.assertEqual(tutorial.upper_once(self.address, TEXT), UPPER)

    def test_every_length_up_to_the_clients_buffer(self):
        for size in (1, 2, 1023, 1024):
            self.assertEqual(tutorial.upper_once(self.address, "a" * size), "A" * size)

    def test_a_client_that_sends_nothing_and_closes_disturbs_nobody(self):
        tutorial.connect(self.address).close()
        self.assertEqual(tutorial.upper_once(self.address, "next"), "NEXT")

    def test_a_longer_text_comes_back_whole(self):
        with tutorial.connect(self.address) as peer:
            text = b"abc" * 100_000
            sender = threading.Thread(target=peer.sendall, args=(text,))
            sender.start()
            got = b""
            while len(got) < len(text):
                part = peer.recv(65536)
                self.assertTrue(part)
                got += part
            sender.join()
            self.assertEqual(got, text.upper())


class UpperInALoop(Served):
    """Program 2."""

    port, listen = 8081, "?wire=raw&cmd=upper"

    def test_many_messages_on_one_connection(self):
        with tutorial.Upper(self.address) as client:
            for n in range(100):
                self.assertEqual(client.say(f"{TEXT} {n}"), f"{UPPER} {n}")

    def test_clients_one_after_another_and_at_once(self):
        for n in range(5):
            with tutorial.Upper(self.address) as client:
                self.assertEqual(client.say(f"client {n}"), f"CLIENT {n}")
        clients = [tutorial.Upper(self.address) for _ in range(50)]
        for n, client in enumerate(clients):
            with client:
                self.assertEqual(client.say(f"client {n}"), f"CLIENT {n}")

    def test_a_client_that_vanishes_neither_disturbs_the_server_nor_makes_it_spin(self):
        for _ in range(20):
            with tutorial.Upper(self.address) as client:
                client.say("x")
            peer = tutorial.connect(self.address)
            peer.send(b"never read")
            reset(peer)
        with tutorial.Upper(self.address) as client:
            self.assertEqual(client.say("still here"), "STILL HERE")
            before = processor_time(self.daemon.process.pid)
            time.sleep(0.5)  # a span in which a server that spins would use half a second
            self.assertLess(processor_time(self.daemon.process.pid) - before, 0.2)


class ExecTests:
    """What programs 6 to 8 have in common; each runs these on its own wire."""

    port, options = 8080, ("--exec", "shell")

    def connect(self):
        return self.client(self.address)

    def test_output_of_many_sizes_arrives_whole(self):
        with self.connect() as client:
            for size in (0, 1, 1023, 1024, 1025, 5000, MIB):
                data = client.run(f"head -c {size} /dev/zero | tr '\\0' x")
                self.assertEqual(data, b"x" * size)

    def test_a_command_and_its_output_are_text_of_any_language(self):
        with self.connect() as client:
            self.assertEqual(client.run(f"printf %s '{TEXT}'"), TEXT.encode())

    def test_output_in_another_encoding_goes_through_untouched(self):
        with self.connect() as client:
            data = client.run("printf '\\326\\320\\316\\304'")
            self.assertEqual(data.decode("gbk"), "中文")

    def test_standard_error_comes_before_standard_output(self):
        with self.connect() as client:
            self.assertEqual(client.run("echo out; echo err >&2"), b"err\n")
            self.assertEqual(client.run("echo out"), b"out\n")
            self.assertIn(b"nosuchcommand", client.run("nosuchcommand"))

    def test_a_client_that_vanishes_at_any_step_leaves_nothing_behind(self):
        started = self.daemon.folder / "started"
        for steps in range(4):
            peer = tutorial.connect(self.address)
            if steps == 1:
                peer.send(f"echo > {started}; exec sleep 1000".encode())
                self.assertTrue(eventually(started.exists))
            if steps > 1:
                peer.send(b"head -c 1000000 /dev/zero")
                peer.recv(1)
            if steps > 2:
                peer.send(b"recv_ready")
            reset(peer)
        with self.connect() as client:
            self.assertEqual(client.run("echo still here"), b"still here\n")
        tasks = pathlib.Path(f"/proc/{self.daemon.process.pid}/task")
        self.assertTrue(
            eventually(lambda: all((task / "children").read_text() == "" for task in tasks.iterdir()))
        )

    def test_many_clients_at_once(self):
        clients = [self.connect() for _ in range(10)]
        for n, client in enumerate(clients):
            with client:
                self.assertEqual(client.run(f"echo {n}"), b"%d\n" % n)


class SilentErrors:
    """Of the wires that cannot say an error."""

    def test_bad_commands_end_the_connection_and_are_logged(self):
        for line, code in ((b"x" * 1025, "too_large"), (b"echo \xff", "invalid_argument")):
            with self.connect() as client:
                client.socket.send(line)
                self.assertEqual(client.socket.recv(1024), b"")
            self.daemon.wait_for_log(f"code={code}")


class ReadyExec(ExecTests, SilentErrors, Served):
    """Program 6."""

    listen, client = "?wire=ready&cmd=exec", tutorial.ReadyExec

    def test_a_client_that_counts_wrongly_is_survived(self):
        for size in (3000, 100_000, MIB):
            with self.connect() as client:
                client.run_as_the_tutorial_counts(f"head -c {size} /dev/zero")
                # What it now sends finds data that it has not read: for the server that is a command.
                client.socket.send(b"echo next")
        with self.connect() as client:
            self.assertEqual(client.run("echo still here"), b"still here\n")

    def test_another_answer_than_recv_ready_drops_the_data(self):
        with self.connect() as client:
            client.socket.send(b"echo secret")
            self.assertEqual(client.socket.recv(1024), b"7")
            client.socket.send(b"something else")
            self.daemon.wait_for_log("code=cancelled")
            self.assertEqual(client.run("echo next"), b"next\n")

    def test_recv_ready_may_come_split(self):
        with self.connect() as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.socket.send(b"echo hi")
            self.assertEqual(client.socket.recv(1024), b"3")
            for byte in b"recv_ready":
                client.socket.send(bytes([byte]))
            self.assertEqual(client._exactly(3), b"hi\n")

    def test_recv_ready_may_come_with_the_next_command_behind_it(self):
        with self.connect() as client:
            client.socket.send(b"echo one")
            self.assertEqual(client.socket.recv(1024), b"4")
            client.socket.send(b"recv_readyecho second")
            self.assertEqual(client._exactly(5), b"one\n7")
            client.socket.send(b"recv_ready")
            self.assertEqual(client._exactly(7), b"second\n")


class PrefixExec(ExecTests, SilentErrors, Served):
    """Program 7."""

    listen, client = "?wire=prefix&cmd=exec", tutorial.PrefixExec


class HeaderExec(ExecTests, Served):
    """Program 8."""

    listen, client = "?wire=header&cmd=exec", tutorial.HeaderExec

    def test_bad_commands_are_answered_and_the_connection_goes_on(self):
        with self.connect() as client:
            header, data = client.ask(b"echo \xff")
            self.assertEqual((header["status"], header["code"]), ("error", "invalid_argument"))
            self.assertTrue(header["message"])
            self.assertEqual(data, b"")
            header, data = client.ask("exit 3")
            self.assertEqual((header["exit_code"], data), (3, b""))

    def test_a_command_that_is_too_long_is_refused_whole_and_its_rest_is_never_run(self):
        for size in (1025, 1500, 70_000):
            with self.connect() as client:
                client.socket.sendall(b"echo " + b"x" * (size - 5) + b"\ntouch " + str(self.daemon.folder / "run").encode())
                header, _ = client.ask(b"echo behind it")
                self.assertEqual((header["status"], header["code"]), ("error", "too_large"))
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.socket.recv(1024), b"")
        self.assertFalse((self.daemon.folder / "run").exists())


class Put(Served):
    """Program 9."""

    port = 8080

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def stored(self, name):
        return self.daemon.root / name

    def assert_stored(self, name, content):
        self.assertTrue(eventually(self.stored(name).exists))
        self.assertEqual(self.stored(name).read_bytes(), content)

    def test_a_file_sent_line_by_line_is_stored_under_its_base_name(self):
        content = "".join(f"line {n} 粘包\n" for n in range(5000)).encode()
        with tutorial.Uploader(self.address) as client:
            client.put(self.file("a.txt", content))
        self.assert_stored("a.txt", content)

    def test_several_files_on_one_connection_closed_at_once_and_one_of_them_refused(self):
        contents = {f"{n}.bin": os.urandom(n * 100_000) for n in range(4)}
        with tutorial.Uploader(self.address) as client:
            for name, content in contents.items():
                client.put(self.file(name, content))
                if name == "1.bin":
                    client.put(self.file("evil", b"e" * 50_000), name="../evil")
                    client.put(self.file("evil", b"e" * 50_000), name="/etc/evil")
        for name, content in contents.items():
            self.assert_stored(name, content)
        self.daemon.wait_for_log("invalid_argument")
        self.assertFalse((self.daemon.root.parent / "evil").exists())
        self.assertEqual(
            sorted(each.name for each in self.daemon.root.iterdir() if each.name != ".cleave"),
            sorted(contents),
        )

    def test_the_tutorials_other_spelling_with_an_md5_to_check(self):
        content = b"hello world\n" * 1000
        good = hashlib.md5(content).hexdigest()
        with tutorial.Uploader(self.address) as client:
            for name, md5 in (("good", good), ("bad", "0" * 32), ("/a/b/c/d/e/a.txt", good)):
                client.put_header({"cmd": "put", "file_size": len(content), "file_name": name, "md5": md5})
                client.socket.sendall(content)
            client.put(self.file("last", b"last"))
        self.assert_stored("last", b"last")
        self.assert_stored("good", content)
        self.assertFalse(self.stored("bad").exists())

    def test_sizes_beyond_32_bits_are_understood(self):
        with tutorial.Uploader(self.address) as client:
            client.put_header({"cmd": "put", "filename": "huge", "filesize": 1073741824000})
            client.socket.sendall(b"x" * MIB)
        self.daemon.wait_for_log("reason=truncated")
        self.assertFalse(self.stored("huge").exists())

    def test_a_client_that_vanishes_in_the_middle_leaves_no_torn_file(self):
        for reset in (False, True):
            with tutorial.Uploader(self.address) as client:
                client.put(self.file("whole", b"whole"))
                client.put_header({"cmd": "put", "filename": "torn", "filesize": 1000})
                client.socket.sendall(b"x" * 999)
                if reset:
                    self.assert_stored("whole", b"whole")
                    reset_on_close(client.socket)
            self.daemon.wait_for_log("reason=reset" if reset else "reason=truncated")
        self.assert_stored("whole", b"whole")
        self.assertFalse(self.stored("torn").exists())

    def test_nothing_is_ever_sent_to_a_client_that_never_reads(self):
        with tutorial.Uploader(self.address) as client:
            client.put(self.file("quiet", b"x"))
            client.put(self.file("quiet", b"x"), name="../no")
            self.assert_stored("quiet", b"x")
            self.daemon.wait_for_log("code=invalid_argument")
            client.socket.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.socket.recv(1)


if __name__ == "__main__":
    unittest.main()
