# SPDX-License-Identifier: MIT
"""Servers that run beside each other on one core, and samples of what they do."""

import ctypes
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE = 0
LOAD_CORE = 1

# A sample is taken again where other processes had more than this share of either core, at most so
# often; then the one that was disturbed least is kept, and counted as disturbed.
OTHERS_MOST = 0.15
REPEATS = 2

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something did not run; its text is one sentence."""


def begin_on(*cores):
    """For a child: it runs on these cores and ends when this process ends."""

    def begin():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cores)

    return begin


def raise_descriptor_limit(wanted):
    """As many descriptors as wanted, or as the system allows; says how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(wanted, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            continue
    return soft


class Line:
    """What is measured at a point: a server, and how it is asked."""

    def __init__(self, title, server, *arguments):
        self.title = title
        self.server = server
        self.arguments = list(arguments)


def free_port():
    """For those that do not say which port they were given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A server in a process of its own; `kind` is a key of KINDS."""

    # Each: the program, its arguments, and the package without which it is not there.
    KINDS = {
        "epoll": ("bench_epoll_echo", None),
        "libuv": ("bench_libuv_echo", None),
        "cleaved": ("cleaved", None),
        "handlers": ("bench_cleave_handlers", None),
        "asio": ("bench_asio_framed", "libasio-dev"),
        "libevent": ("bench_libevent_framed", "libevent-dev"),
        "redis": ("redis-server", "redis-server"),
    }
    # The program that asks it.
    LOAD = "bench_load"

    @classmethod
    def program(cls, kind, folder):
        """Where its program is, or None."""
        name = cls.KINDS[kind][0]
        if kind == "redis":
            return shutil.which(name)
        path = pathlib.Path(folder, name)
        return str(path) if path.exists() else None

    def __init__(self, kind, program, connections):
        self.kind = kind
        self.port = None  # as long as it has to be told by the server
        self.scratch = tempfile.TemporaryDirectory(prefix="cleave-bench-")
        command = [program] + self.arguments(connections)
        # cleaved logs to its standard error.
        self.process = subprocess.Popen(
            command,
            cwd=self.scratch.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.port is None else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=begin_on(*self.cores()),
        )
        try:
            self._wait_until_it_serves()
        except (Failure, OSError):
            self.stop()
            raise

    def arguments(self, connections):
        """Of its command."""
        if self.kind == "cleaved":
            command = ["--listen", "tcp://127.0.0.1:0", "--root", self.scratch.name + "/root"]
            if connections > 10_000:  # the default
                config = pathlib.Path(self.scratch.name, "cleaved.toml")
                config.write_text(f"[limits]\nmax_connections = {connections}\n", encoding="utf-8")
                command += ["--config", str(config)]
            return command
        if self.kind == "redis":
            self.port = free_port()
            return ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--maxclients", str(connections + 100),
                    # Of the addresses of loopback it trusts one alone otherwise.
                    "--protected-mode", "no"]
        return []

    @property
    def pid(self):
        return self.process.pid

    def _wait_until_it_serves(self):
        if self.port is not None:
            for _ in range(200):
                self.check()
                try:
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    return
                except ConnectionRefusedError:
                    time.sleep(0.05)
            raise Failure(f"{self.kind} does not listen")
        line = self.process.stdout.readline().decode()
        digits = line.rpartition(":")[2].partition("?")[0].strip()
        if not digits.isdigit():
            raise Failure(f"{self.kind} did not start: it said {line!r}")
        self.port = int(digits)
        if self.KINDS[self.kind][0] == "cleaved" and self.process.stdout.readline() != b"ready\n":
            raise Failure("cleaved is not ready")

    def cores(self):
        """Where it runs."""
        return [SERVER_CORE]

    def others(self, result):
        """How much of a core other processes had during a sample."""
        return max(result["server_core_busy"] - result["server_busy"],
                   result["load_core_busy"] - result["load_busy"])

    def processor_time(self):
        """Seconds that its threads have run."""
        self.check()
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9

    def resident_bytes(self):
        """The memory that it has touched and still holds."""
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        raise Failure("no memory is told")

    def stop(self):
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.scratch.cleanup()

    def check(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.kind} has ended with {self.process.returncode}")


def settle(servers):
    """Waits until the servers are done with what the last sample left them, as its connections."""
    servers = [server for server in servers if server.process.poll() is None]
    before = sum(server.processor_time() for server in servers)
    for _ in range(100):
        time.sleep(0.02)
        after = sum(server.processor_time() for server in servers)
        if after - before < 0.001:
            return
        before = after


class Sampler:
    """Takes samples with a load; counts those that it had to drop."""

    def __init__(self, folder, repeats):
        self.folder = folder
        self.repeats = repeats
        self.taken = 0
        self.dropped = 0
        self.disturbed = 0

    def command(self, server, arguments):
        cores = f"{SERVER_CORE},{LOAD_CORE}"
        command = [pathlib.Path(self.folder, server.LOAD), "--port", server.port]
        command += ["--pid", server.pid, "--cores", cores]
        return [str(part) for part in command + arguments]

    def sample(self, server, arguments, run=None):
        """What the load says, undisturbed if that can be had; `run` is one try."""
        best = None
        for attempt in range(self.repeats + 1):
            if attempt > 0:
                self.dropped += 1
                time.sleep(0.3)
            result = run() if run is not None else self.run(server, arguments)
            self.taken += 1
            others = server.others(result)
            if best is None or others < best[0]:
                best = (others, result)
            if others <= OTHERS_MOST:
                return result
        self.disturbed += 1
        return best[1]

    def run(self, server, arguments):
        """One run of the load, whatever others do."""
        server.check()
        command = self.command(server, arguments)
        told = " ".join([server.LOAD] + command[1:])
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                preexec_fn=begin_on(LOAD_CORE),
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{told}: does not end") from late
        server.check()
        if done.returncode != 0:
            raise Failure(f"{told}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def idle(self, server, connections, arguments, seconds):
        """Memory and processor time of connections on which nothing happens any more."""
        # Whatever is made for the first connection is there before.
        self.run(server, arguments + ["--connections", 1, "--warm", 0, "--seconds", 0.01])
        time.sleep(0.05)
        before = server.resident_bytes()
        load = subprocess.Popen(
            self.command(server, arguments + ["--idle", "--connections", connections]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=begin_on(LOAD_CORE),
        )
        try:
            opened = json.loads(load.stdout.readline() or "null")
            if opened is None:
                raise Failure(f"{server.kind}: {connections} connections cannot be opened")
            time.sleep(0.1)
            held = server.resident_bytes() - before
            start, used = time.monotonic(), server.processor_time()
            time.sleep(seconds)
            used = (server.processor_time() - used) / (time.monotonic() - start)
            load.stdin.close()
            if load.wait(timeout=60) != 0:
                raise Failure(f"{server.kind}: the idle connections were not kept")
        finally:
            load.kill()
            load.wait()
            load.stdout.close()
        server.check()
        self.taken += 1
        return opened | {"bytes_per_connection": held / connections, "idle_busy": used}
