#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where cleaved listens: sockets in the file system, and those that it is started with."""

import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

from support import CLEAVE, CLEAVED, PATIENCE, Daemon, Peer, run

# Starts a program as a service manager does: the descriptors of the first argument become 3, 4 …,
# and LISTEN_PID is the program's.
ACTIVATE = """
import fcntl, os, sys
passed = [int(number) for number in sys.argv[1].split(",") if number]
copies = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in passed]
for number in passed:
    os.set_inheritable(number, False)
for index, copy in enumerate(copies):
    os.dup2(copy, 3 + index)
os.environ["LISTEN_PID"] = os.environ.get("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activation(sockets, names=None, **environment):
    """The command and the options of subprocess for a program that inherits sockets."""
    numbers = [each.fileno() for each in sockets]
    command = [sys.executable, "-c", ACTIVATE, ",".join(map(str, numbers))]
    environment = os.environ | {"LISTEN_FDS": str(len(sockets))} | environment
    if names is not None:
        environment["LISTEN_FDNAMES"] = names
    return command, {"pass_fds": numbers, "env": environment}


def target(link):
    """What a link leads to; None where it has gone meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return None


class Activated(Daemon):
    """A cleaved that inherits sockets."""

    def __init__(self, sockets, *options, names=None, listen=(), **others):
        command, popen = activation(sockets, names)
        super().__init__(*options, listen=listen, **(popen | others))
        self.command = command + self.command

    def holds(self, inherited):
        """True while the daemon has the socket among its descriptors."""
        inode = f"socket:[{os.fstat(inherited.fileno()).st_ino}]"
        folder = pathlib.Path(f"/proc/{self.process.pid}/fd")
        return any(inode == target(each) for each in folder.iterdir())


def tcp_listener(host="127.0.0.1"):
    return socket.create_server((host, 0))


def url_of(listener, scheme="tcp"):
    return "%s://%s:%d" % (scheme, *listener.getsockname()[:2])


class Test(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cleave-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = self.folder / "socket"
        self.url = f"unix:{self.path}"

    def keep(self, closable):
        self.addCleanup(closable.close)
        return closable

    def refused(self, *options, status, sockets=(), names=None, **environment):
        """The one sentence that cleaved gives up with."""
        command, popen = activation(sockets, names, **environment) if sockets else ([], {})
        done = run(*command, CLEAVED, "--root", self.folder / "root", *options, **popen)
        self.assertEqual(done.returncode, status, done)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Acleaved: [^\n]+\n\Z")
        return done.stderr

    def echoes(self, url):
        with Peer(url) as peer:
            header, body = peer.call("echo", b"still there")
            self.assertEqual((header["status"], body), ("ok", b"still there"))

    def mode(self):
        return stat.S_IMODE(os.lstat(self.path).st_mode)


class UnixSockets(Test):
    def test_frames_are_served_there_as_anywhere(self):
        with Daemon(listen=[self.url]) as daemon:
            self.assertEqual(daemon.url, f"{self.url}?wire=frame")
            with daemon.connect() as peer:
                self.assertEqual(peer.call("upper", "straße".encode())[1], "STRAßE".encode())
                body = os.urandom(3_000_000)
                self.assertEqual(peer.call("put", body, filename="a/b")[0]["status"], "ok")
                header, stored = peer.call("get", filename="a/b")
                self.assertEqual((header["status"], stored), ("ok", body))

    def test_one_way_puts_are_stored_though_their_client_closes_at_once(self):
        with Daemon(listen=[self.url]) as daemon:
            bodies = {f"file-{number}": os.urandom(200_000 + number) for number in range(20)}
            with daemon.connect() as peer:
                for name, body in bodies.items():
                    peer.send({"cmd": "put", "filename": name, "filesize": len(body)}, body)
                    # A refused one costs nothing but itself.
                    peer.send({"cmd": "put", "filename": "../out", "filesize": 3}, b"out")
            for _ in bodies:
                daemon.wait_for_log("served_one_way peer=unix cmd=put code=ok")
            for name, body in bodies.items():
                self.assertEqual((daemon.root / name).read_bytes(), body)
            self.assertEqual(daemon.stop(), 0)

    def test_a_client_that_vanishes_in_a_request_disturbs_nobody(self):
        with Daemon(listen=[self.url]) as daemon:
            with daemon.connect() as peer:
                peer.send({"cmd": "put", "filename": "torn", "data_size": 1000}, b"half")
            with daemon.connect() as peer:
                peer.send({"cmd": "echo", "id": 1, "data_size": 10}, b"half")
                self.assertEqual(peer.receive()[1], b"half")
            self.assertIn("peer=unix", daemon.wait_for_log("close"))
            self.echoes(daemon.url)
            self.assertFalse((daemon.root / "torn").exists())

    def test_the_client_reaches_it(self):
        with Daemon(listen=[self.url]) as daemon:
            (self.folder / "file").write_bytes(b"content")
            done = run(CLEAVE, "-s", self.url, "put", self.folder / "file", "stored")
            self.assertEqual(done.returncode, 0, done)
            done = run(CLEAVE, "-s", daemon.url, "get", "stored", "-")
            self.assertEqual((done.returncode, done.stdout), (0, "content"))
        self.assertEqual(run(CLEAVE, "-s", self.url, "ping").returncode, 5)

    def test_the_file_is_private_whatever_the_umask(self):
        for umask in (0o000, 0o022, 0o077):
            with Daemon(listen=[self.url], umask=umask):
                self.assertEqual(self.mode(), 0o600)
                self.assertTrue(stat.S_ISSOCK(os.lstat(self.path).st_mode))
            self.path.unlink()

    def test_another_mode_is_asked_for(self):
        for umask in (0o000, 0o077):
            with Daemon(listen=[f"{self.url}?mode=0666"], umask=umask) as daemon:
                self.assertEqual(self.mode(), 0o666)
                self.echoes(daemon.url)
            self.path.unlink()

    def test_it_is_removed_at_the_end(self):
        for second_signal in (False, True):
            with Daemon(listen=[self.url]) as daemon, daemon.connect() as peer:
                peer.send({"cmd": "echo", "id": 1, "data_size": 2}, b"h")
                self.assertEqual(peer.receive()[1], b"h")
                daemon.kill(signal.SIGTERM)
                daemon.wait_for_log("draining")
                # As soon as nobody is accepted any more.
                self.assertFalse(self.path.exists())
                if second_signal:
                    daemon.kill(signal.SIGTERM)
                else:
                    peer.socket.sendall(b"i")
                self.assertEqual(daemon.wait(), 1 if second_signal else 0)

    def test_what_a_killed_daemon_left_is_replaced(self):
        with Daemon(listen=[self.url]) as killed:
            killed.kill(signal.SIGKILL)
            killed.wait()
        self.assertTrue(self.path.is_socket())
        with self.assertRaises(ConnectionRefusedError):
            Peer(self.url).close()
        with Daemon(listen=[self.url]) as daemon:
            self.echoes(daemon.url)
            self.assertEqual(daemon.stop(), 0)
        self.assertFalse(self.path.exists())

    def test_a_live_one_is_not_taken_over(self):
        with Daemon(listen=[self.url]) as daemon:
            said = self.refused("--listen", self.url, status=1)
            self.assertIn(f"cannot listen on {self.url}?wire=frame: somebody listens there", said)
            self.echoes(daemon.url)
            self.assertEqual(daemon.stop(), 0)

    def test_what_is_no_socket_is_left_alone(self):
        self.path.write_text("precious", encoding="utf-8")
        self.assertIn("no socket", self.refused("--listen", self.url, status=1))
        self.assertEqual(self.path.read_text(encoding="utf-8"), "precious")
        self.path.unlink()
        self.path.symlink_to(self.folder / "elsewhere")
        self.assertIn("no socket", self.refused("--listen", self.url, status=1))
        self.assertTrue(self.path.is_symlink())

    def test_what_another_has_put_in_its_place_survives_it(self):
        with Daemon(listen=[self.url]) as daemon:
            self.path.unlink()
            with self.keep(socket.socket(socket.AF_UNIX)) as other:
                other.bind(str(self.path))
                self.assertEqual(daemon.stop(), 0)
                self.assertTrue(self.path.is_socket())

    def test_of_many_daemons_that_start_at_once_one_serves(self):
        command = [CLEAVED, "--root", self.folder / "root", "--listen", self.url]
        daemons = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(5)
        ]
        try:
            ready = [each for each in daemons if b"ready\n" in each.stdout]
            self.assertEqual(len(ready), 1)
            self.echoes(self.url)
            self.assertTrue(all(each.wait(PATIENCE) == 1 for each in daemons if each not in ready))
        finally:
            for each in daemons:
                each.kill()
                each.communicate()

    def test_a_path_is_never_cut(self):
        long_url = f"unix:/{'x' * 107}"
        for options in ((), ("--check",)):
            said = self.refused("--listen", long_url, *options, status=2)
            self.assertIn("the path has 108 bytes, and the system takes 107", said)
        done = run(CLEAVE, "-s", long_url, "ping")
        self.assertIn("108 bytes", done.stderr)
        self.assertNotEqual(done.returncode, 0)

    def test_a_folder_that_is_not_there_is_a_failure_with_a_sentence(self):
        said = self.refused("--listen", f"unix:{self.folder}/nowhere/socket", status=1)
        self.assertIn("No such file or directory", said)


class Options(Test):
    def test_two_daemons_share_a_port_where_both_want_to(self):
        with Daemon(listen=["tcp://127.0.0.1:0?reuse_port=on"]) as first:
            self.assertIn("reuse_port=on", first.url)
            with Daemon(listen=[first.url]) as second:
                self.assertEqual(second.url, first.url)
            self.assertIn("in use", self.refused("--listen", first.url.split("?")[0], status=1))

    def test_a_wrong_option_is_2(self):
        for option, part in (
            ("backlog=0", "expected backlog from 1 to 65535, got '0'"),
            ("mode=0600", "the option mode is not one of this kind of socket"),
            ("colour=red", "there is no option 'colour'"),
            ("wire=raw", "needs a command"),
            ("wire=raw&cmd=put", "cannot be asked for with bare messages"),
            ("wire=raw&cmd=sing", "there is no command 'sing'"),
        ):
            said = self.refused("--listen", f"tcp://127.0.0.1:0?{option}", status=2)
            self.assertIn(part, said)


class InheritedSockets(Test):
    def unix_listener(self):
        listener = self.keep(socket.socket(socket.AF_UNIX))
        listener.bind(str(self.path))
        listener.listen()
        return listener

    def test_all_are_served_where_nothing_else_is_said(self):
        tcp, local = self.keep(tcp_listener()), self.unix_listener()
        with Activated([tcp, local]) as daemon:
            self.assertEqual(
                daemon.urls, [f"{url_of(tcp)}?wire=frame", f"{self.url}?wire=frame"]
            )
            for url in daemon.urls:
                self.echoes(url)
            self.assertEqual(daemon.stop(), 0)
        # Whoever made it removes it.
        self.assertTrue(self.path.is_socket())

    def test_connections_that_waited_for_the_daemon_are_served(self):
        tcp = self.keep(tcp_listener())
        with Peer(url_of(tcp)) as early:
            early.send({"cmd": "echo", "data_size": 2}, b"hi")
            with Activated([tcp]):
                self.assertEqual(early.receive()[1], b"hi")

    def test_they_are_named_by_name_or_by_number(self):
        sockets = [self.keep(tcp_listener()) for _ in range(3)]
        listen = ["fd:web", "fd:5?no_delay=off", "tcp://127.0.0.1:0"]
        with Activated(sockets, names="web:other:web2", listen=listen) as daemon:
            self.assertEqual(daemon.urls[0], f"{url_of(sockets[0])}?wire=frame")
            self.assertEqual(daemon.urls[1], f"{url_of(sockets[2])}?wire=frame&no_delay=off")
            self.assertEqual(len(daemon.urls), 3)
            for url in daemon.urls:
                self.echoes(url)
            line = daemon.wait_for_log("inherited_socket_unused")
            self.assertIn("name=other descriptor=4", line)
            self.assertFalse(daemon.holds(sockets[1]))
            self.assertTrue(daemon.holds(sockets[0]))

    def test_a_name_stands_for_all_sockets_that_have_it(self):
        sockets = [self.keep(tcp_listener()) for _ in range(2)]
        with Activated(sockets, names="both:both", listen=["fd:both"]) as daemon:
            self.assertEqual(
                daemon.urls, [f"{url_of(each)}?wire=frame" for each in sockets]
            )

    def test_a_file_may_name_them(self):
        tcp = self.keep(tcp_listener())
        config = "listen = ['fd:web']\n"
        with Activated([tcp], names="web", config=config) as daemon:
            self.echoes(url_of(tcp))
            daemon.set_config("listen = ['fd:web']\nlog_level = 'debug'\n")
            daemon.kill(signal.SIGHUP)
            daemon.wait_for_log("reloaded")
            self.echoes(url_of(tcp))

    def test_one_for_datagrams_is_taken_as_such(self):
        datagrams = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        with Activated([datagrams], listen=["fd:3?wire=raw&cmd=upper"]) as daemon:
            self.assertEqual(daemon.urls, [f"{url_of(datagrams, 'udp')}?wire=raw&cmd=upper"])

    def test_what_was_not_passed_is_2(self):
        tcp = self.keep(tcp_listener())
        said = self.refused("--listen", "fd:wib", status=2, sockets=[tcp], names="web")
        self.assertIn("there is no inherited socket 'wib'; passed were web (3)", said)
        said = self.refused("--listen", "fd:4", status=2, sockets=[tcp])
        self.assertIn("passed were unknown (3)", said)
        said = self.refused("--listen", "fd:web", status=2)
        self.assertIn("there is no inherited socket 'web'; none was passed", said)
        said = self.refused(
            "--listen", "fd:web", "--listen", "fd:3", status=2, sockets=[tcp], names="web"
        )
        self.assertIn("the inherited socket '3' is named twice", said)

    def test_a_configuration_is_checked_without_them(self):
        self.assertEqual(run(CLEAVED, "--check", "--listen", "fd:web").returncode, 0)

    def test_variables_that_are_wrong_are_2(self):
        tcp = self.keep(tcp_listener())
        for count, part in (("x", "expected LISTEN_FDS to be a number"), ("9", "is not open")):
            self.assertIn(part, self.refused(status=2, sockets=[tcp], LISTEN_FDS=count))

    def test_variables_that_are_for_another_process_are_none(self):
        tcp = self.keep(tcp_listener())
        said = self.refused("--listen", "fd:3", status=2, sockets=[tcp], LISTEN_PID="1")
        self.assertIn("none was passed", said)

    def test_off_loopback_they_need_insecure(self):
        everywhere = self.keep(tcp_listener("0.0.0.0"))
        said = self.refused(status=2, sockets=[everywhere])
        self.assertIn("is not a loopback address", said)
        self.assertIn("--insecure", said)
        with Activated([everywhere], "--insecure") as daemon:
            self.echoes(f"tcp://127.0.0.1:{daemon.port}")

    def test_what_cannot_be_served_is_2_and_says_why(self):
        idle = self.keep(socket.socket())
        local = self.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        for each, reason in ((idle, "does not listen"), (local, "served as a stream only")):
            said = self.refused(status=2, sockets=[each])
            self.assertIn("cannot serve fd:3?wire=frame: it ", said)
            self.assertIn(reason, said)


class Notifying(Test):
    def setUp(self):
        super().setUp()
        self.manager = self.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.manager.settimeout(PATIENCE)

    def daemon(self, name, **others):
        return Daemon(env=os.environ | {"NOTIFY_SOCKET": name}, **others)

    def heard(self):
        """The next message, as a dictionary."""
        return dict(line.split("=", 1) for line in self.manager.recv(4096).decode().split("\n"))

    def test_says_when_it_serves_reloads_and_stops(self):
        self.manager.bind(str(self.folder / "notify"))
        with self.daemon(str(self.folder / "notify"), config="") as daemon:
            serving = {"READY": "1", "STATUS": f"listening on {daemon.url}"}
            self.assertEqual(self.heard(), serving)

            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            daemon.kill(signal.SIGHUP)
            reloading = self.heard()
            self.assertEqual(reloading.pop("RELOADING"), "1")
            self.assertGreaterEqual(int(reloading.pop("MONOTONIC_USEC")), before)
            self.assertEqual(reloading, {})
            self.assertEqual(self.heard(), serving)

            daemon.set_config("lissten = []\n")
            daemon.kill(signal.SIGHUP)
            self.assertIn("RELOADING", self.heard())
            refused = self.heard()
            self.assertEqual(refused["READY"], "1")
            self.assertRegex(refused["STATUS"], r"\Anot reloaded: .*:1: lissten")

            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(self.heard(), {"STOPPING": "1", "STATUS": "finishing what runs"})

    def test_the_manager_may_have_a_name_that_is_no_file(self):
        name = f"cleave-test-{os.getpid()}"
        self.manager.bind(f"\0{name}")
        with self.daemon(f"@{name}"):
            self.assertEqual(self.heard()["READY"], "1")

    def test_a_manager_that_cannot_be_reached_is_a_warning(self):
        for name in (str(self.folder / "nobody"), "nonsense", "/" + "x" * 200):
            with self.daemon(name) as daemon:
                self.assertIn("NOTIFY_SOCKET", daemon.wait_for_log("notify_failed"))
                self.echoes(daemon.url)


class Documentation(Test):
    def test_the_page_has_every_option_of_a_url(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        source = (root / "core" / "endpoint.h").read_text(encoding="utf-8")
        options = source[source.index("struct SocketOptions"):source.index("bool operator==")]
        names = re.findall(r"^  [\w:<>]+ (\w+) = ", options, re.MULTILINE)
        self.assertGreaterEqual(len(names), 10)
        for page in ("core/README.md", "bin/README.md"):
            text = (root / page).read_text(encoding="utf-8")
            self.assertEqual([name for name in names if f"| `{name}` |" not in text], [], page)


if __name__ == "__main__":
    unittest.main()
