# SPDX-License-Identifier: MIT
"""Runs of programs: the processes that run some, and the points."""

import pathlib

import measure
from measure import Line, Server

MIB = 1024 * 1024

# How much memory a process holds that starts programs. A short run is about no numbers, and half a
# GiB takes long to fork.
HELD = {"small": 10 * MIB, "large": 512 * MIB}
HELD_SHORT = {"small": 10 * MIB, "large": 16 * MIB}

CORES = {"one": "one core", "both": "both cores"}

# Each: its title, the process that runs the programs, and how it is asked.
WAYS = {
    "posix_spawn": ("bare posix_spawn", "bench_posix_spawn_runs", "--wire", "raw"),
    "exec": ("Cleave, four connections", "bench_cleave_runs"),
    "exec_ids": ("Cleave, one connection, with ids", "bench_cleave_runs", "--ids"),
    "uv_spawn": ("uv_spawn", "bench_uv_spawn_runs", "--wire", "raw"),
    "subprocess": ("Python's subprocess", "subprocess_runs.py", "--wire", "raw"),
}
# With both cores those two alone, which the target is about.
BOTH_CORES = ["posix_spawn", "exec"]

COMMANDS = """
[commands.nothing]
summary = "does nothing"
argv = ["/bin/true"]
"""
DAEMON = {
    "exec_daemon": Line("cleaved, which holds what it needs", "exec_daemon"),
    "exec_named": Line("cleaved, a named command", "exec_named", "--name", "nothing"),
}


class Point:
    """Programs that one process runs, four at once."""

    group = "exec"
    kind = "exec"
    connections = 1
    depth = 4
    share = None

    def __init__(self, held, cores, short):
        self.body = (HELD_SHORT if short else HELD)[held]  # the memory
        self.held = held
        self.cores = cores
        self.lines = [f"{way}_{held}_{cores}"
                      for way in (WAYS if cores == "one" else BOTH_CORES)]
        self.results = {}

    @property
    def name(self):
        return f"/bin/true, {self.body // MIB} MiB held, {CORES[self.cores]}"


def points(short):
    result = [Point(held, cores, short) for held in HELD for cores in CORES]
    result[0].lines += DAEMON
    return result


def _lines():
    for point in points(short=False):
        for way, (title, program, *arguments) in WAYS.items():
            server = f"{program} {point.held} {point.cores}"
            yield f"{way}_{point.held}_{point.cores}", Line(title, server, *arguments)


LINES = dict(_lines()) | DAEMON


class RunServer(Server):
    """A process that runs programs; its kind has its program, what it holds, and its cores."""

    KINDS = {line.server: (line.server.split()[0], None) for line in LINES.values()} | {
        server: ("cleaved", None) for server in DAEMON
    }
    LOAD = "bench_run_load"

    @classmethod
    def program(cls, kind, folder):
        if cls.KINDS[kind][0] == "subprocess_runs.py":
            folder = pathlib.Path(__file__).resolve().parent / "peers"
        return super().program(kind, folder)

    def __init__(self, kind, program, short):
        self.short = short
        super().__init__(kind, program, 0)

    def arguments(self, _):
        if self.kind not in DAEMON:
            held = self.kind.split()[1]
            return [str((HELD_SHORT if self.short else HELD)[held])]
        commands = "shell"
        if self.kind == "exec_named":
            commands = pathlib.Path(self.scratch.name, "commands.toml")
            commands.write_text(COMMANDS, encoding="utf-8")
        return ["--listen", "tcp://127.0.0.1:0", "--root", self.scratch.name + "/root",
                "--exec", str(commands)]

    def cores(self):
        cores = super().cores()
        return cores + [measure.LOAD_CORE] if self.kind.endswith(" both") else cores

    def others(self, result):
        """The programs run where the server does."""
        served = result["server_busy"] + result["children_busy"]
        if self.kind.endswith(" both"):
            both = result["server_core_busy"] + result["load_core_busy"]
            return both - served - result["load_busy"]
        return max(result["server_core_busy"] - served,
                   result["load_core_busy"] - result["load_busy"])
