# SPDX-License-Identifier: MIT
"""cleave on wires without frames and by datagrams: the tutorial's servers, and cleaved's own."""
import os
import signal
import socket
import subprocess
import threading
import unittest

from client_case import ClientTest
from process_facts import eventually
from support import Daemon
from tutorial_servers import (ExecHeader, ExecPrefix, ExecReady, Put, UpperDatagrams, UpperLoop,
                              UpperOnce)

MIB = 1024 * 1024
FATE_UNKNOWN = b"cleave: internal: the reply does not say how the program ended\n"


class WiresTest(ClientTest):
    def serve(self, server):
        self.enterContext(server)
        self.url = server.url
        return server

    def silent(self, kind=socket.SOCK_STREAM):
        """The URL, but for its options, of a socket that takes everything and says nothing."""
        quiet = self.enterContext(socket.socket(socket.AF_INET, kind))
        quiet.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            quiet.listen()
        scheme = "tcp" if kind == socket.SOCK_STREAM else "udp"
        return "%s://127.0.0.1:%d" % (scheme, quiet.getsockname()[1])


class Upper(WiresTest):
    SERVERS = (UpperOnce, UpperLoop, UpperDatagrams)

    def test_text_comes_back_with_ascii_letters_in_upper_case(self):
        for server in self.SERVERS:
            with self.subTest(server):
                self.serve(server())
                self.assertEqual(self.output("upper", "hello"), b"HELLO\n")
                self.assertEqual(self.output("upper", "grüß", "粘包 x"),
                                 "GRüß 粘包 X\n".encode())
                self.assertEqual(self.output("echo", "the server decides"),
                                 b"THE SERVER DECIDES\n")

    def test_lines_of_the_prompt_are_messages(self):
        for server in self.SERVERS:
            with self.subTest(server):
                self.serve(server())
                done = self.cleave(stdin="upper a\n\nupper 粘 b\nupper 'c  d'\nquit\n".encode())
                self.assertEqual((done.stdout, done.stderr), ("A\n粘 B\nC  D\n".encode(), b""))

    def test_a_prompt_keeps_its_connection_where_the_server_does(self):
        server = self.serve(UpperLoop())
        self.cleave(stdin=b"upper a\nupper b\nupper c\n")
        self.assertEqual(server.connections, 1)

    def test_a_reply_may_come_in_pieces(self):
        text = "粘" * 300
        for pieces in (1, 7, 100):
            self.serve(UpperLoop(pieces=pieces))
            self.assertEqual(self.output("upper", text), text.encode() + b"\n")

    def test_a_server_that_vanishes_is_5_with_what_was_expected_and_what_came(self):
        for count in (0, 1, 4):
            with self.subTest(count):
                server = self.serve(UpperLoop(vanish_after=count))
                self.assertIn(f"unavailable: the server closed the connection: expected 5 bytes, "
                              f"{count} byte", self.sentence("upper", "hello", status=5))
                self.assertEqual(server.messages, [b"hello"])

    def test_a_longer_reply_is_5(self):
        class Longer(UpperLoop):
            def reply(self, connection, message):
                connection.send(message + b"!!")

        self.serve(Longer())
        self.assertIn("protocol_error", self.sentence("upper", "hello", status=5))

    def test_silence_is_124_with_a_timeout(self):
        for url in (self.silent(), self.silent(socket.SOCK_DGRAM)):
            self.url = url + "?wire=raw"
            self.assertIn("deadline_exceeded",
                          self.sentence("--timeout", "0.3", "upper", "x", status=124))

    def test_an_empty_text_cannot_be_sent_on_a_stream(self):
        server = self.serve(UpperLoop())
        self.assertIn("an empty message", self.sentence("upper", "", status=1))
        self.assertEqual(server.messages, [])

    def stuck_server(self):
        """A server that never answers `stuck`, and events: it was asked, the client has gone."""
        asked = threading.Event()
        ended = threading.Event()

        class Stuck(UpperLoop):
            def reply(self, connection, message):
                if message != b"stuck":
                    return super().reply(connection, message)
                asked.set()
                try:
                    connection.recv(1)
                finally:
                    ended.set()

        self.serve(Stuck())
        return asked, ended

    def test_ctrl_c_ends_the_connection_at_once(self):
        asked, ended = self.stuck_server()
        process = self.start("upper", "stuck", stderr=subprocess.DEVNULL)
        self.assertTrue(asked.wait(20))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 130)
        self.assertTrue(ended.wait(20))

    def test_after_ctrl_c_the_prompt_goes_on(self):
        asked, ended = self.stuck_server()
        process = self.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        process.stdin.write(b"upper stuck\n")
        process.stdin.flush()
        self.assertTrue(asked.wait(20))
        process.send_signal(signal.SIGINT)
        self.assertTrue(ended.wait(20))
        self.assertEqual(process.communicate(b"upper on\n", timeout=20)[0], b"ON\n")
        self.assertEqual(process.returncode, 0)


class Datagrams(WiresTest):
    def test_a_client_may_start_before_its_server(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            first.settimeout(20)
            port = first.getsockname()[1]
            self.url = f"udp://127.0.0.1:{port}?wire=raw"
            process = self.start("upper", "early", stdout=subprocess.PIPE)
            self.assertEqual(first.recv(100), b"early")
        self.serve(UpperDatagrams(port))
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual(process.stdout.read(), b"EARLY\n")

    def test_text_that_does_not_fit_is_refused(self):
        self.serve(UpperDatagrams())
        self.assertIn("too_large", self.sentence("upper", "x" * 65_508, status=1))

    def test_nobody_there_is_124_after_the_timeout_and_says_so(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            self.url = "udp://127.0.0.1:%d" % taken.getsockname()[1]
        self.assertRegex(self.sentence("--timeout", "2", "ping", status=124),
                         "datagrams sent: [2-9]; the last error was: Connection refused")


class Exec(WiresTest):
    SERVERS = (ExecReady, ExecPrefix, ExecHeader)

    def exec(self, line, status=255, **options):
        return self.cleave("exec", "--shell", line, status=status, **options)

    def test_output_comes_through_and_the_programs_fate_stays_unknown(self):
        for server in self.SERVERS:
            with self.subTest(server):
                self.serve(server())
                done = self.exec("echo 粘包; exit 3")
                self.assertEqual(done.stdout, "粘包\n".encode())
                self.assertEqual(done.stderr, FATE_UNKNOWN)

    def test_standard_error_stands_for_the_result_where_there_is_one(self):
        for server in self.SERVERS:
            with self.subTest(server):
                self.serve(server())
                self.assertEqual(self.exec("echo out; echo wrong >&2").stdout, b"wrong\n")

    def test_output_of_any_size_and_in_any_pieces(self):
        for server in self.SERVERS:
            for pieces in (None, 1_000_003, 1000, 3):
                self.serve(server(pieces=pieces))
                for size in (0, 1, 1024) + (() if pieces == 3 else (MIB,)):
                    with self.subTest(server=server, size=size, pieces=pieces):
                        done = self.exec(f"head -c {size} /dev/zero | tr '\\0' x")
                        self.assertEqual(done.stdout, b"x" * size)
                        self.assertEqual(done.stderr, FATE_UNKNOWN)

    def test_bytes_of_another_encoding_go_through_untouched(self):
        data = "粘包问题".encode("gbk")
        for server in self.SERVERS:
            self.serve(server())
            escaped = "".join(f"\\{byte:03o}" for byte in data)
            self.assertEqual(self.exec(f"printf '{escaped}'").stdout, data)

    def test_standard_input_stays_where_it_is(self):
        for server in self.SERVERS:
            served = self.serve(server())
            self.exec("echo a", stdin=b"not for you")
            self.assertNotIn(b"not for you", served.messages)

    def test_recv_ready_is_said_for_every_length_also_for_0(self):
        server = self.serve(ExecReady())
        self.exec("echo a")
        self.exec("true")
        self.assertTrue(eventually(lambda: len(server.messages) == 4))
        self.assertEqual(server.messages, [b"echo a", b"recv_ready", b"true", b"recv_ready"])

    def test_lines_of_the_prompt_are_commands(self):
        for server in self.SERVERS:
            with self.subTest(server):
                served = self.serve(server())
                done = self.cleave(stdin=b"exec --shell 'echo a'\nexec --shell true\n"
                                         b"exec --shell 'echo b'\n", status=255)
                self.assertEqual(done.stdout, b"a\nb\n")
                lines = [m for m in served.messages if m != b"recv_ready"]
                self.assertEqual(lines, [b"echo a", b"true", b"echo b"])

    def test_what_a_header_says_of_the_end_is_the_exit_status(self):
        class Saying(ExecHeader):
            pass

        self.serve(Saying())
        for members, status in (({"exit_code": 0}, 0), ({"exit_code": 3}, 3), ({"signal": 9}, 137),
                                ({"timed_out": True}, 124)):
            Saying.members = members
            done = self.exec("echo a", status=status)
            self.assertEqual((done.stdout, done.stderr), (b"a\n", b""))
        Saying.members = {"status": "error", "code": "permission_denied", "message": "not \x1b you"}
        done = self.exec("echo a", status=255)
        self.assertEqual(done.stderr, b"cleave: permission_denied: not \\x1b you\n")

    def test_a_server_that_vanishes_is_255_wherever_it_does(self):
        # Lengths and headers: 1, 4, and 4 and 16 bytes.
        for server, counts in ((ExecReady, (0, 1, 3)), (ExecPrefix, (0, 2, 4, 6)),
                               (ExecHeader, (0, 2, 4, 10, 20, 22))):
            for count in counts:
                with self.subTest(server=server, count=count):
                    self.serve(server(vanish_after=count))
                    done = self.exec("echo abc")
                    self.assertIn(b"cleave: unavailable: the server closed the connection: "
                                  b"expected ", done.stderr)

    def test_a_wrong_length_is_said(self):
        for server in self.SERVERS:
            with self.subTest(server):
                self.serve(server(lie=2))  # more is awaited, and nothing comes
                done = self.cleave("--timeout", "3", "exec", "--shell", "echo abc", status=255)
                self.assertEqual(done.stdout, b"abc\n")
                self.assertIn(b"deadline_exceeded", done.stderr)
                self.serve(server(lie=-2))
                self.assertIn(b"protocol_error: the server sent more bytes than its reply has, 2 "
                              b"too many", self.exec("echo abc").stderr)
                self.serve(server(lie=-10))  # a negative one
                self.assertIn(b"protocol_error: the server's reply makes no sense",
                              self.exec("echo abc").stderr)

    def test_silence_is_255_after_a_timeout(self):
        url = self.silent()
        for wire in ("ready", "prefix", "header", "raw"):
            self.url = f"{url}?wire={wire}"
            self.assertIn("deadline_exceeded", self.sentence(
                "--timeout", "0.3", "exec", "--shell", "echo a", status=255))

    def test_a_slow_reader_slows_the_server_down(self):
        sent = []

        class Endless(ExecPrefix):
            def reply(self, connection, message):
                connection.send(b"\xff\xff\xff\x7f")
                while True:
                    connection.send(bytes(65_536))
                    sent.append(65_536)

        self.serve(Endless())
        process = self.start("exec", "--shell", "yes", stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.read(1), b"\0")

        def stands_still():
            before = len(sent)
            return not eventually(lambda: len(sent) > before, 0.5)

        self.assertTrue(eventually(stands_still, 20))
        self.assertLess(sum(sent), 64 * MIB)


class Puts(WiresTest):
    def write(self, name, data):
        (self.folder / name).write_bytes(data)

    def test_files_are_stored_by_a_server_that_never_answers(self):
        stored = self.folder / "stored"
        stored.mkdir()
        server = self.serve(Put(stored))
        for name, size in (("empty", 0), ("small", 10), ("粘包.bin", 5 * MIB)):
            with self.subTest(name):
                data = os.urandom(size)
                self.write(name, data)
                self.assertEqual(self.output("put", "--one-way", name), b"")
                self.assertEqual((stored / name).read_bytes(), data)
        self.assertEqual(server.messages[1], {"cmd": "put", "filename": "small", "filesize": 10})

    def test_several_at_the_prompt(self):
        self.serve(Put(self.folder))
        self.write("a", b"first")
        self.write("b", b"second")
        self.cleave(stdin=b"put --one-way a stored-a\nput --one-way b stored-b\n")
        self.assertEqual((self.folder / "stored-a").read_bytes(), b"first")
        self.assertEqual((self.folder / "stored-b").read_bytes(), b"second")

    def test_a_server_that_vanishes_in_the_middle_is_5(self):
        self.write("large", bytes(8 * MIB))
        self.serve(Put(self.folder, take_at_most=100_000))
        self.assertIn("unavailable", self.sentence("put", "--one-way", "large", status=5))
        # Small enough for the system to take it all, but not for the server.
        self.write("small", bytes(1000))
        self.serve(Put(self.folder, take_at_most=10))
        self.assertIn("unavailable", self.sentence("put", "--one-way", "small", status=5))

    def test_a_server_that_takes_nothing_is_124_after_a_timeout(self):
        self.url = self.silent()
        self.write("large", bytes(32 * MIB))
        self.assertIn("deadline_exceeded",
                      self.sentence("--timeout", "0.3", "put", "--one-way", "large", status=124))
        # The system has taken it all, the server nothing.
        self.write("small", b"data")
        self.assertIn("nobody knows",
                      self.sentence("--timeout", "0.3", "put", "--one-way", "small", status=124))

    def test_ctrl_c_gives_up_at_once(self):
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.url = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        self.write("large", bytes(32 * MIB))
        process = self.start("put", "--one-way", "large", stderr=subprocess.DEVNULL)
        with listener.accept()[0] as connection:
            self.assertNotEqual(connection.recv(1), b"")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=20), 130)

    def test_a_server_that_accepts_nobody_is_124_after_a_timeout(self):
        listener = self.enterContext(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # Until the kernel takes no more connections for it either.
        full = False
        while not full:
            waiting = self.enterContext(socket.socket())
            waiting.settimeout(0.3)
            full = waiting.connect_ex(listener.getsockname()) != 0
        address = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        self.write("a", b"data")
        for wire, command, status in (("frame", ["put", "--one-way", "a"], 124),
                                      ("frame", ["ping"], 124), ("raw", ["upper", "x"], 124),
                                      ("ready", ["exec", "--shell", "ls"], 255)):
            self.url = f"{address}?wire={wire}"
            self.assertIn("deadline_exceeded",
                          self.sentence("--timeout", "0.3", *command, status=status))


class Usage(WiresTest):
    def test_what_an_address_cannot_carry_is_2_and_said(self):
        self.url = "tcp://127.0.0.1:1?wire=ready"
        for words in (["put", "a"], ["put", "--one-way", "a"], ["get", "a"], ["ls"], ["ping"],
                      ["stats"], ["call", "echo"]):
            with self.subTest(words):
                self.assertIn("carries these commands alone: echo upper exec",
                              self.sentence(*words, status=2))
        self.assertIn("exec --shell LINE", self.sentence("exec", "ls", status=2))
        for url, commands in (("udp://127.0.0.1:1", "echo upper ping"),
                              ("udp://127.0.0.1:1?wire=raw", "echo upper")):
            self.url = url
            for words in (["exec", "--shell", "ls"], ["put", "a"], ["help"]):
                self.assertIn(f"carries these commands alone: {commands};",
                              self.sentence(*words, status=2))
        self.sentence("ping", status=2)

    def test_addresses_that_cannot_be_are_2(self):
        for self.url in ("udp://127.0.0.1:1?wire=prefix", "tcp://127.0.0.1:1?wire=smoke", "fd:3"):
            self.sentence("upper", "x", status=2)

    def test_help_of_a_command_is_given_all_the_same(self):
        self.url = "udp://127.0.0.1:1"
        self.assertIn(b"FILE [NAME]", self.output("put", "--help"))


class AgainstCleaved(WiresTest):
    """cleaved's own listeners of every wire."""

    STREAMS = ("raw", "ready", "prefix", "header")

    @classmethod
    def setUpClass(cls):
        listen = ["tcp://127.0.0.1:0"]
        listen += [f"tcp://127.0.0.1:0?wire={wire}&cmd={cmd}"
                   for cmd in ("upper", "exec") for wire in cls.STREAMS]
        listen += ["udp://127.0.0.1:0", "udp://127.0.0.1:0?wire=raw&cmd=upper"]
        cls.daemon = cls.enterClassContext(Daemon("--exec", "shell", listen=listen))

    def at(self, part):
        self.url = next(url for url in self.daemon.urls if part in url)

    def test_text_on_every_wire(self):
        for wire in self.STREAMS:
            with self.subTest(wire):
                self.at(f"wire={wire}&cmd=upper")
                self.assertEqual(self.output("upper", "grüß 粘包"), "GRüß 粘包\n".encode())
                done = self.cleave(stdin=b"upper a\nupper b\nupper c\n")
                self.assertEqual((done.stdout, done.stderr), (b"A\nB\nC\n", b""))

    def test_long_text_on_every_wire(self):
        text = "x" * 100_000
        self.at("wire=raw&cmd=upper")  # two messages for the server, one text for us
        self.assertEqual(self.output("upper", text), text.upper().encode() + b"\n")

    def test_datagrams(self):
        self.at("udp://127.0.0.1")
        self.assertRegex(self.output("ping"), rb'"protocol":1')
        self.assertEqual(self.output("upper", "grüß"), "GRüß\n".encode())
        self.assertEqual(self.output("echo", "x" * 9_000), b"x" * 9_000 + b"\n")
        self.url = self.daemon.urls[-1]
        self.assertEqual(self.output("upper", "grüß"), "GRüß\n".encode())

    def test_exec_on_every_wire(self):
        for wire in self.STREAMS:
            self.at(f"wire={wire}&cmd=exec")
            for size in (0, 1, 1024, MIB):
                with self.subTest(wire=wire, size=size):
                    status = 0 if wire == "header" else 255
                    done = self.cleave("exec", "--shell", f"head -c {size} /dev/zero",
                                       status=status)
                    self.assertEqual(done.stdout, bytes(size))
                    self.assertEqual(done.stderr, b"" if wire == "header" else FATE_UNKNOWN)
            self.assertEqual(self.cleave("exec", "--shell", "echo out; echo err >&2",
                                         status=status).stdout, b"err\n")

    def test_a_header_says_how_the_program_ended(self):
        self.at("wire=header&cmd=exec")
        self.cleave("exec", "--shell", "exit 3", status=3)
        self.cleave("exec", "--shell", "kill -9 $$", status=137)


if __name__ == "__main__":
    unittest.main()
