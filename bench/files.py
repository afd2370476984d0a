# SPDX-License-Identifier: MIT
"""Transfers of files: the servers that keep some, the points, and their samples."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import measure
from measure import Failure, Line, Server

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# So many times the largest file are asked for: two lie there at most, and all the small ones.
DISK_FILES = 4
# What a file begins with, over and over to its size.
CONTENT_BYTES = MIB
# No small file is begun after so long.
SECONDS_MOST = 4

DIGEST = object()  # stands for the md5 of the files of a point

STORE = "unsynced"  # which puts what is to be got
LINES = {
    "limit": Line("bare calls", "limits", "--wire", "raw"),
    "one_by_one": Line("one sync after another", "limits", "--wire", "raw", "--work", "synced"),
    "md5_alone": Line("md5 alone, no file", "limits", "--wire", "raw", "--work", "md5"),
    "none": Line("Cleave, durability none", "unsynced"),
    "none_md5": Line("Cleave, durability none, md5", "unsynced", "--md5", DIGEST),
    "none_md5_free": Line("Cleave, durability none, md5, both cores", "unpinned", "--md5", DIGEST),
    "full": Line("Cleave, durability full", "synced"),
    "full_md5": Line("Cleave, durability full, md5", "synced", "--md5", DIGEST),
    "nginx": Line("nginx", "nginx", "--wire", "http"),
    "nginx_1m": Line("nginx, buffers of 1 MiB", "nginx_1m", "--wire", "http"),
    "tutorial": Line("a tutorial's loop in Python", "tutorial", "--wire", "one_way"),
}
WHOLE = ["limit", "none", "none_md5", "none_md5_free", "full", "full_md5", "md5_alone", "nginx",
         "nginx_1m", "tutorial"]
PLAIN = ["limit", "none", "nginx"]


class Point:
    """Files that are put or got, and the lines that are measured with them in turn."""

    group = "files"
    depth = 1
    share = None

    def __init__(self, kind, lines, body, files, connections=1):
        self.kind = kind  # put, get, or one of them with many small files
        self.lines = lines
        self.body = body
        self.files = files
        self.connections = connections
        self.results = {}

    @property
    def gets(self):
        return self.kind.endswith("get")

    @property
    def small(self):
        return self.connections > 1

    @property
    def name(self):
        if not self.small:
            return f"{self.kind} {size_text(self.body)}"
        return (f"{self.kind}, {self.files:,} files of {size_text(self.body)}, "
                f"{self.connections} connections")


def size_text(count):
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} B"


def points(short):
    large, many = (4 * MIB, 64) if short else (GIB, 10_000)
    return [
        Point("put", WHOLE, large, 1),
        Point("get", PLAIN, large, 4),  # one is over too soon
        Point("small put", PLAIN, 4 * KIB, many, 16),
        Point("small synced put", ["one_by_one", "full"], 4 * KIB, many, 16),
        Point("small get", PLAIN, 4 * KIB, many, 16),
    ]


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {scratch}/pid;
error_log {scratch}/log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {temporary};
  client_body_buffer_size {buffer};
  proxy_temp_path {scratch}/proxy;
  fastcgi_temp_path {scratch}/fastcgi;
  scgi_temp_path {scratch}/scgi;
  uwsgi_temp_path {scratch}/uwsgi;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location / {{ dav_methods PUT; }}
  }}
}}
"""


class FileServer(Server):
    """A server that keeps files, in a folder of its own."""

    KINDS = {
        "limits": ("bench_file_limits", None),
        "unsynced": ("cleaved", None),
        "unpinned": ("cleaved", None),
        "synced": ("cleaved", None),
        "nginx": ("nginx", "nginx-light"),
        "nginx_1m": ("nginx", "nginx-light"),
        "tutorial": ("tutorial_put.py", None),
    }
    LOAD = "bench_file_load"

    @classmethod
    def program(cls, kind, folder):
        if cls.KINDS[kind][0] == "nginx":
            return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if kind == "tutorial":
            folder = pathlib.Path(__file__).resolve().parent / "peers"
        return super().program(kind, folder)

    def __init__(self, kind, program, place):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=place))
        super().__init__(kind, program, 0)

    def arguments(self, _):
        if self.KINDS[self.kind][0] == "nginx":
            self.port = measure.free_port()
            config = pathlib.Path(self.scratch.name, "nginx.conf")
            config.write_text(NGINX.format(scratch=self.scratch.name, port=self.port,
                                           root=self.root, temporary=self.root / "temporary",
                                           # 16k is its default.
                                           buffer="1m" if self.kind == "nginx_1m" else "16k"))
            return ["-p", self.scratch.name, "-c", str(config)]
        if self.KINDS[self.kind][0] == "cleaved":
            durability = "full" if self.kind == "synced" else "none"
            return ["--listen", "tcp://127.0.0.1:0", "--root", str(self.root),
                    "--durability", durability]
        return [str(self.root)]

    def cores(self):
        cores = super().cores()
        return cores + [measure.LOAD_CORE] if self.kind == "unpinned" else cores

    def others(self, result):
        if self.kind != "unpinned":
            return super().others(result)
        both = result["server_core_busy"] + result["load_core_busy"]
        return both - result["server_busy"] - result["load_busy"]

    def file(self, number):
        return self.root / f"f{number}"


class Files:
    """Where the servers keep their files, and samples of what they do with them."""

    def __init__(self, where, sampler, largest):
        if shutil.disk_usage(where).free < DISK_FILES * largest:
            raise Failure(f"{where} has no {size_text(DISK_FILES * largest)} for the files")
        self.sampler = sampler
        self.scratch = tempfile.TemporaryDirectory(prefix="bench-files-", dir=where)
        self.place = pathlib.Path(self.scratch.name)
        # A hint for ext4, which then keeps the folders in it apart, by their names: see end().
        subprocess.run(["chattr", "+T", self.place], stderr=subprocess.DEVNULL, check=False)
        self.content = self.place / "content"
        self.content.write_bytes(os.urandom(CONTENT_BYTES))
        self.digests = {}
        self.servers = set()
        self.next_file = 0
        self.first = 0  # of those that are got

    def stop(self):
        self.scratch.cleanup()

    def digest(self, size):
        """The md5 of a file of `size` bytes."""
        if size not in self.digests:
            content, digest = self.content.read_bytes(), hashlib.md5()
            for at in range(0, size, len(content)):
                digest.update(content[:size - at])
            self.digests[size] = digest.hexdigest()
        return self.digests[size]

    def renew_memory(self, size):
        """Memory that was given back is slow where the machine is a virtual one: its first touch
        costs more than all else. So as much as is needed next is touched and freed."""
        ballast, zeros = self.place / "ballast", bytes(MIB)
        with ballast.open("wb", buffering=0) as file:
            for _ in range(0, size, MIB):
                file.write(zeros)
        ballast.unlink()

    def arguments(self, point, line):
        result = ["--content", self.content, "--work", "get" if point.gets else "put"]
        result += ["--size", point.body, "--files", point.files]
        result += ["--connections", point.connections]
        if point.small:
            result += ["--seconds", SECONDS_MOST]
        return result + [self.digest(point.body) if part is DIGEST else part
                         for part in line.arguments]

    def take_numbers(self, count):
        """Numbers of files that nobody has used; says the first."""
        first = self.next_file
        self.next_file += count
        return first

    def begin(self, point, servers, store):
        """Before the samples of a point, which the servers are asked for. What is to be got is put
        into `store`, which is Cleave's, as its files have digests; and linked for the others, so
        that all read the same pages."""
        self.servers = {*servers, store}
        if not point.gets:
            return
        self.first = self.take_numbers(point.files)
        put = point.files if point.small else 1
        self.sampler.run(store, ["--content", self.content, "--size", point.body, "--files", put,
                                 "--first", self.first, "--connections", point.connections])
        for server in self.servers:
            for number in range(self.first, self.first + point.files):
                if not server.file(number).exists():
                    of = number if point.small else self.first
                    server.file(number).hardlink_to(store.file(of))
        os.sync()

    def end(self, point):
        """After them. Small files are left to the end of all: ext4 looks at every inode that was
        freed in the last minutes before it makes a new file, so a file is made ten times as
        slowly after ten thousand were deleted."""
        if point.gets and not point.small:
            for server in self.servers:
                for number in range(self.first, self.first + point.files):
                    server.file(number).unlink()

    def sample(self, point, line, server, extra):
        """One transfer of all files of the point."""
        arguments = self.arguments(point, line) + extra

        def put():
            first = self.take_numbers(point.files)
            os.sync()
            self.renew_memory(max(point.body * point.files, 64 * MIB))
            measure.settle(self.servers)
            result = self.sampler.run(server, arguments + ["--first", first])
            if line is not LINES["md5_alone"]:
                for number in range(first, first + result["messages"]):
                    self.look_at(server.file(number), point)
            return result

        def get():
            measure.settle(self.servers)
            return self.sampler.run(server, arguments + ["--first", self.first])

        return self.sampler.sample(server, arguments, get if point.gets else put)

    @staticmethod
    def look_at(file, point):
        """Whether it was stored whole; a large one is deleted then."""
        if not file.exists() or file.stat().st_size != point.body:
            raise Failure(f"{file} was not stored whole")
        if not point.small:
            file.unlink()
