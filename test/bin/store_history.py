# SPDX-License-Identifier: MIT
"""What a store was asked and what it has said, to hold it to its word after a crash.

    history = History(seed)
    history.strike(100, lambda: daemon.kill(signal.SIGKILL))
    history.run(daemon.address)  # connections that put, move and delete, until that happens
    daemon.restart()
    history.check(daemon)

Every operation is noted before it is sent, and every acknowledgement as it comes. Then must hold:

- what was acknowledged is there and whole, unless something later may have taken its place;
- what is visible was sent in whole under that name, or was moved to it: old or new, never a mix;
- a move that was not acknowledged has happened or has not, and left its file under one name;
- of what was not finished there is no trace, but for the partials of uploads, which can be resumed
  at a place that is not before what was acknowledged.

The seed decides what is asked, and when it is struck; not what the system makes of it.
"""

import dataclasses
import hashlib
import os
import random
import threading
import time

from python_client import Client, frame

from adversary.peer import Closed

ABSENT = None  # in the place of a content's digest
KIB = 1024
MIB = 1024 * KIB
WORKERS = 4
# Names of one worker each, whose order of operations is known exactly; and names of all of them.
OWN = ("a", "b", "c", "d/e", "d/f", "g/h/i", "g/h/j", "g/k")
FOLDERS = ("d", "g/h")
SHARED = ("shared/x", "shared/y", "z")


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def seed_of_this_run():
    """What the run goes by: CLEAVE_SEED, or something new, and said in either case."""
    seed = os.environ.get("CLEAVE_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"CLEAVE_SEED={seed}", flush=True)
    return seed


@dataclasses.dataclass(eq=False)
class Operation:
    request: dict
    effects: dict  # what it makes of which names, if it succeeds
    expected: frozenset  # the codes that it may end with
    begun: int = 0
    whole: bool = False  # all of it was sent
    ended: int | None = None  # when its answer came
    code: str | None = None

    def may_have_happened(self):
        return self.code == "ok" or (self.ended is None and self.whole)


@dataclasses.dataclass
class Upload:
    """One that is sent in several puts."""

    name: str
    content: bytes
    durable: int = 0  # what was acknowledged
    sent: int = 0  # what may have come
    done: bool = False  # it was acknowledged as a whole
    dropping: bool = False  # it was asked to be forgotten


class Broken(AssertionError):
    """The store did not keep its word."""


class History:
    def __init__(self, seed, power=False, names=True, uploads=True):
        """`power`: it is the power that is struck. What is said after that would not have come, and
        counts for nothing: a system without its disk answers this and that (XFS calls it a success
        to sync a directory whose changes it has just given up). Without `names` a file may have
        none, or its old content, as durability = data has it."""
        self.seed = seed
        self.power = power
        self.names = names
        self.uploads = uploads
        self.acknowledged = 0  # operations, in all runs
        self.in_flight = 0  # those that a crash has met
        self.log = []
        self._base = {}  # what every name held at the last look
        self._operations = []
        self._lock = threading.Lock()
        self._moment = 0
        self._strike = None
        self._struck = False
        self._stop = threading.Event()
        self._failures = []
        self._workers = [Worker(self, number) for number in range(WORKERS)]

    # ---- Noting

    def _note(self, what):
        """The moment of something that happens. What is to strike just then does."""
        with self._lock:
            self._moment += 1
            moment = self._moment
            if what:
                self.log.append(f"{moment} {what}")
            strike = self._strike
            due = strike is not None and moment >= strike[0]
            if due:
                self._strike = None
                self._struck = True
                self.log.append(f"{moment} strike")
        if due:
            time.sleep(strike[2])
            strike[1]()
            self._stop.set()
        return moment

    def passes(self):
        """A piece was sent."""
        self._note("")

    def begins(self, operation):
        operation.begun = self._note(f"begin {operation.request}")
        with self._lock:
            self._operations.append(operation)

    def ends(self, operation, header):
        code = header.get("code", "ok")
        if self.power and self._struck:
            self.log.append(f"after the strike: {operation.request}: {code}")
            return False
        if code in operation.expected:
            # Not before the moment has passed: what begins after it comes after it.
            operation.ended = self._note(f"end {operation.request}: {code}")
            operation.code = code
            self.acknowledged += code == "ok"
            return True
        self.fails(f"{operation.request} was answered with {header}")
        return False

    def fails(self, sentence):
        self._failures.append(sentence)
        self._stop.set()

    # ---- Running

    def strike(self, moments, action, delay=0.0):
        """`action` is called when so much more has happened, within an operation; in run()."""
        self._strike = (self._moment + moments, action, delay)

    def run(self, address):
        """Lets the workers work until something strikes, or they lose their connections."""
        self._stop.clear()
        self._struck = False
        threads = [threading.Thread(target=worker.run, args=(address, self._stop))
                   for worker in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._strike is not None:
            self.fails("everybody has lost the connection before anything has struck")
        self._say_failures()

    # ---- Checking

    def check(self, daemon):
        """After daemon was started again."""
        found = self._contents(daemon.root)
        self.in_flight += sum(each.ended is None for each in self._operations)
        names = {name for each in self._operations for name in each.effects}
        for name in sorted(names | set(self._base) | set(found)):
            self._check_name(name, found.get(name))
        if self.names:
            for operation in self._operations:
                self._check_move(operation, found)
        with Client(daemon.address) as client:
            for worker in self._workers:
                worker.check_uploads(client)
            self._check_digests(client, found)
        self._check_leftovers(daemon.root)
        self._say_failures()
        self._base = found
        self._operations = []
        for worker in self._workers:
            worker.learn(found)
        self.log = self.log[-1000:]

    @staticmethod
    def _contents(root):
        found = {}
        for folder, folders, files in os.walk(root):
            if folder == str(root) and ".cleave" in folders:
                folders.remove(".cleave")
            for file in files:
                path = os.path.join(folder, file)
                with open(path, "rb") as content:
                    found[os.path.relpath(path, root)] = digest_of(content.read())
        return found

    def _possible(self, name):
        """What a name may hold: of all that may have happened to it what nothing has replaced."""
        writes = [(each.begun, each.ended, each.effects[name]) for each in self._operations
                  if name in each.effects and each.may_have_happened()]
        writes.append((-1, -1, self._base.get(name)))
        if not self.names:
            return {ABSENT, *(content for _, _, content in writes)}
        certain = [each for each in self._operations if name in each.effects and each.code == "ok"]
        return {content for _, ended, content in writes
                if ended is None or not any(each.begun > ended for each in certain)}

    def _check_name(self, name, content):
        if content in self._possible(name):
            return
        sent = [each for each in self._operations if content in each.effects.values()]
        if content is ABSENT:
            has = "nothing"
        elif sent:
            has = f"what was sent by {sent[0].request}"
        elif content == self._base.get(name):
            has = "its old content"
        else:
            has = "what nobody sent in whole"
        self.fails(f"{name} has {has}")

    def _check_move(self, operation, found):
        if operation.request["cmd"] != "move" or operation.ended is not None or not operation.effects:
            return
        source, target = operation.request["filename"], operation.request["to"]
        content = operation.effects[target]
        if [found.get(source), found.get(target)].count(content) != 1:
            self.fails(f"{operation.request} was done by half")

    def _check_digests(self, client, found):
        for name in found:
            header, _ = client.request({"cmd": "verify", "filename": name})
            if header.get("status") != "ok":
                self.fails(f"verify of {name}: {header}")

    def _check_leftovers(self, root):
        known = {each for worker in self._workers for each in worker.all_uploads}
        completed = {each for worker in self._workers for each in worker.completed}
        for folder, _, files in os.walk(root / ".cleave"):
            for file in files:
                path = os.path.relpath(os.path.join(folder, file), root)
                identifier, _, kind = file.rpartition(".")
                # A kill may have come before there was anything to go on with.
                upload = folder.endswith("uploads") and identifier in known
                if not upload or (kind == "data" and identifier in completed):
                    self.fails(f"{path} is left")

    def _say_failures(self):
        if self._failures:
            raise Broken("\n".join([f"CLEAVE_SEED={self.seed}", *self._failures, "",
                                    "The last of what has happened:", *self.log[-200:]]))


class Worker:
    """One connection after another, and what it knows of the names that are its own."""

    def __init__(self, history, number):
        self.history = history
        self.random = random.Random(f"{history.seed} {number}")
        self.folder = f"w{number}"
        self.names = [f"{self.folder}/{name}" for name in OWN]
        self.files = {}
        self.uploads = {}  # those that can be gone on with
        self.all_uploads = set()
        self.completed = set()
        self.dropped = set()
        self.count = 0

    def run(self, address, stop):
        try:
            with Client(address) as client:
                while not stop.is_set():
                    if not self.round(client):
                        return
        except (Closed, OSError):
            pass  # it was struck
        except BaseException as error:
            self.history.fails(f"{self.folder}: {error!r}")
            raise
        # Whoever has no connection any more, although nothing has struck, is noticed by run().

    def learn(self, found):
        self.files = {name: found[name] for name in self.names if name in found}

    def round(self, client):
        """Some operations at once, their frames in any order; False when one has failed."""
        free = self.random.sample(self.names, len(self.names))
        running = {}
        queues = []
        for identifier in range(self.random.randint(1, 6)):
            if len(free) < 2:
                break
            operation, body, parts = self.operation(free)
            self.history.begins(operation)
            running[identifier] = operation
            queues.append((operation, self.frames(operation, identifier, body, parts)))
        while queues:
            place = self.random.randrange(len(queues))
            operation, frames = queues[place]
            data = frames.pop(0)
            for at in range(0, len(data), 256 * KIB):
                client.send_bytes(data[at:at + 256 * KIB])
                self.history.passes()
            if not frames:
                operation.whole = True
                queues.pop(place)
        well = True
        while running:
            header, _ = client.recv_frame()
            operation = running.pop(header["id"])
            if self.history.ends(operation, header):
                self.learns(operation, header)
            else:
                well = False
        return well

    def learns(self, operation, header):
        if header["status"] != "ok":
            return
        for name, content in operation.effects.items():
            if name in self.names:
                self.files[name] = content
        if "sha256" in operation.request and header["sha256"] != operation.request["sha256"]:
            self.history.fails(f"{operation.request} was answered with {header}")
        upload = self.uploads.get(operation.request.get("upload"))
        if upload and upload.dropping:
            del self.uploads[operation.request["upload"]]
            self.dropped.add(operation.request["upload"])
        elif upload and operation.effects:
            upload.done = True
        elif upload:
            upload.durable = header["offset"]
            if upload.durable != upload.sent:
                self.history.fails(f"{operation.request} was answered with {header}")

    # ---- What is asked

    def operation(self, free):
        """An operation on names that are free, its body, and into how many frames it goes."""
        kinds = {self.put: 60, self.put_new: 10, self.delete: 10, self.move: 12,
                 self.delete_folder: 4, self.shared: 12}
        if self.history.uploads:
            kinds[self.upload] = 20
        make = self.random.choices(list(kinds), list(kinds.values()))[0]
        return make(free)

    def content(self):
        self.count += 1
        most = self.random.choice([1, 2, 4 * KIB, 4 * KIB, 4 * KIB, 200 * KIB, 5 * MIB // 2])
        size = self.random.randrange(most)
        # Unlike any other, so that it tells where it came from.
        own = f"{self.history.seed} {self.folder} {self.count} ".encode()
        return own + self.random.randbytes(size)

    def put(self, free, name=None, **members):
        name = name or free.pop()
        content = self.content()
        request = {"cmd": "put", "filename": name, "size": len(content)} | members
        if self.random.random() < 0.3:
            request["sha256"] = digest_of(content)
        if self.random.random() < 0.3:
            request["mtime_ms"] = self.random.randrange(10**12)
        operation = Operation(request, {name: digest_of(content)}, frozenset({"ok"}))
        return operation, content, self.random.choice([0, 0, 0, 1, 2, 5])

    def put_new(self, free):
        taken = self.files.get(free[-1]) is not ABSENT
        operation, content, parts = self.put(free, overwrite=False)
        operation.expected = frozenset({"already_exists" if taken else "ok"})
        return operation, content, parts

    def delete(self, free):
        name = free.pop()
        there = self.files.get(name) is not ABSENT
        return Operation({"cmd": "delete", "filename": name}, {name: ABSENT},
                         frozenset({"ok" if there else "not_found"})), b"", 0

    def delete_folder(self, free):
        folder = f"{self.folder}/{self.random.choice(FOLDERS)}"
        return Operation({"cmd": "delete", "filename": folder}, {},
                         frozenset({"ok", "not_found", "failed_precondition"})), b"", 0

    def move(self, free):
        source, target = free.pop(), free.pop()
        content = self.files.get(source)
        overwrite = self.random.random() < 0.5
        code = "ok"
        if content is ABSENT:
            code = "not_found"
        elif self.files.get(target) is not ABSENT and not overwrite:
            code = "already_exists"
        effects = {source: ABSENT, target: content} if code == "ok" else {}
        request = {"cmd": "move", "filename": source, "to": target, "overwrite": overwrite}
        return Operation(request, effects, frozenset({code})), b"", 0

    def shared(self, free):
        name = self.random.choice(SHARED)
        if self.random.random() < 0.2:
            return Operation({"cmd": "delete", "filename": name}, {name: ABSENT},
                             frozenset({"ok", "not_found"})), b"", 0
        overwrite = self.random.random() < 0.8
        operation, content, parts = self.put(free, name, overwrite=overwrite)
        operation.expected = frozenset({"ok"} if overwrite else {"ok", "already_exists"})
        return operation, content, parts

    @staticmethod
    def frames(operation, identifier, body, parts):
        """Of a request: one, or one and `parts` more."""
        head = {each: value for each, value in operation.request.items() if each != "size"}
        if parts == 0:
            return [frame(head | {"id": identifier, "data_size": len(body)}, body)]
        step = -(-len(body) // parts)
        frames = [frame(head | {"id": identifier, "more": True})]
        for number in range(parts):
            more = {"more": True} if number + 1 < parts else {}
            frames.append(frame({"id": identifier} | more, body[number * step:(number + 1) * step]))
        return frames

    # ---- Uploads

    def upload(self, free):
        """The next part of one that has begun, or the first of a new one."""
        open_ones = [each for each, upload in self.uploads.items()
                     if upload.name in free and not upload.done]
        if open_ones and self.random.random() < 0.8:
            identifier = self.random.choice(open_ones)
            upload = self.uploads[identifier]
            free.remove(upload.name)
            if self.random.random() < 0.05:
                upload.dropping = True
                return Operation({"cmd": "delete", "upload": identifier}, {},
                                 frozenset({"ok"})), b"", 0
        else:
            self.count += 1
            identifier = f"{self.folder}-{self.count}"
            self.all_uploads.add(identifier)
            upload = self.uploads[identifier] = Upload(free.pop(), self.content() + b"!")
        left = len(upload.content) - upload.durable
        # Of one that was struck as it took its name there may be nothing left to send.
        part = left if self.random.random() < 0.4 or left == 0 else self.random.randrange(left)
        body = upload.content[upload.durable:upload.durable + part]
        upload.sent = upload.durable + part
        request = {"cmd": "put", "upload": identifier, "filename": upload.name,
                   "file_size": len(upload.content), "offset": upload.durable, "size": part}
        if self.random.random() < 0.3:
            request["sha256"] = digest_of(upload.content)
        effects = {upload.name: digest_of(upload.content)} if part == left else {}
        if not effects:
            request.pop("sha256", None)
        return Operation(request, effects, frozenset({"ok"})), body, self.random.choice([0, 0, 2])

    def check_uploads(self, client):
        """Where each of them stands."""
        for identifier in self.dropped:
            header, _ = client.request({"cmd": "stat", "upload": identifier})
            if header.get("code") != "not_found":
                self.history.fails(f"upload {identifier} was dropped: {header}")
        self.dropped.clear()
        for identifier, upload in list(self.uploads.items()):
            size = len(upload.content)
            header, _ = client.request({"cmd": "stat", "upload": identifier})
            if header["status"] != "ok":
                # Nothing was acknowledged of it, or it was to be forgotten.
                right = header["code"] == "not_found" and not upload.done and (
                    upload.durable == 0 or upload.dropping)
                del self.uploads[identifier]
            elif header.get("complete"):
                right = upload.sent == size and not upload.dropping
                self.completed.add(identifier)
                del self.uploads[identifier]
            else:
                right = upload.durable <= header["offset"] <= upload.sent and not upload.done
                upload.durable = upload.sent = header["offset"]
                upload.dropping = False
            if not right:
                self.history.fails(f"{upload.durable} of the {size} bytes of upload {identifier} "
                                   f"were acknowledged, {upload.sent} sent: {header}")
