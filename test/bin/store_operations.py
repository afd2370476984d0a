# SPDX-License-Identifier: MIT
"""Operations of a store whose every step is tried: what is to be there before and after each."""

import dataclasses
import hashlib
import os
import random

from daemon_case import MIB, DaemonTest
from process_facts import eventually
from python_client import Client
from support import PATIENCE
from tracing import ONE_THREAD, steps

OLD, NEW = b"the old content", b"what is new" * 1000


@dataclasses.dataclass(frozen=True)
class Operation:
    name: str
    request: dict
    body: bytes
    effects: dict  # what it makes of which names
    first: bytes = b""  # of an upload: what was acknowledged of it before


OPERATIONS = [
    Operation("a put over an old file", {"cmd": "put", "filename": "d/old", "mtime_ms": 1000}, NEW,
              {"d/old": NEW}),
    Operation("a put into a new folder", {"cmd": "put", "filename": "new/e/f"}, NEW,
              {"new/e/f": NEW}),
    Operation("a put to a free name", {"cmd": "put", "filename": "d/f", "overwrite": False}, NEW,
              {"d/f": NEW}),
    Operation("a delete", {"cmd": "delete", "filename": "d/old"}, b"", {"d/old": None}),
    Operation("a move over a file", {"cmd": "move", "filename": "d/old", "to": "other"}, b"",
              {"d/old": None, "other": OLD}),
    Operation("a move to a free name", {"cmd": "move", "filename": "d/old", "to": "new/f",
                                        "overwrite": False}, b"", {"d/old": None, "new/f": OLD}),
]
UPLOAD = {"cmd": "put", "upload": "u", "file_size": len(NEW)}
UPLOADS = [
    Operation("an upload at once", UPLOAD | {"filename": "d/old"}, NEW, {"d/old": NEW}),
    Operation("the first part of an upload", UPLOAD | {"filename": "d/old"}, NEW[:5000], {}),
    Operation("the last part of an upload", UPLOAD | {"filename": "new/e/f", "offset": 5000},
              NEW[5000:], {"new/e/f": NEW}, NEW[:5000]),
    Operation("an upload that is dropped", {"cmd": "delete", "upload": "u"}, b"", {}, NEW[:5000]),
]
BEFORE = {"d/old": OLD, "other": b"another one"}


class StoreTest(DaemonTest):
    def serve_by_steps(self, **more):
        """A daemon whose calls come in an order that is always the same."""
        self.serve(env=os.environ | ONE_THREAD, **more)
        self.client = self.connect()
        # The folder of uploads is there from now on.
        self.assert_ok(self.client.request(UPLOAD | {"filename": "f"}, NEW)[0])
        self.assert_ok(self.client.request({"cmd": "delete", "filename": "f"})[0])

    def contents(self):
        """Of all files but the store's own."""
        return {str(file.relative_to(self.daemon.root)): file.read_bytes()
                for file in self.daemon.root.rglob("*")
                if file.is_file() and ".cleave" not in file.parts}

    def set_contents(self, client, contents):
        """Makes the store hold these files and no others."""
        for name, content in self.contents().items():
            if contents.get(name) != content:
                self.assert_ok(client.request({"cmd": "delete", "filename": name})[0])
        for name in ("new/e", "new"):
            client.request({"cmd": "delete", "filename": name})
        have = self.contents()
        for name, content in contents.items():
            if name not in have:
                self.assert_ok(client.request({"cmd": "put", "filename": name}, content)[0])
        self.assertEqual(self.contents(), contents)

    def prepare(self, operation):
        """All is as it is to be before the operation."""
        self.set_contents(self.client, BEFORE)
        self.client.request({"cmd": "delete", "upload": "u"})
        for left in self.temporaries():
            left.unlink()  # by a step before, which has been told to have failed
        if operation.first:
            name = operation.request.get("filename", "d/old")
            header, _ = self.client.request(UPLOAD | {"filename": name}, operation.first)
            self.assert_ok(header)
            self.assertEqual(header["offset"], len(operation.first))

    def assert_can_be_gone_on_with(self, operation):
        """An upload is kept up to what was acknowledged at least, and becomes what it was to be."""
        header, _ = self.client.request({"cmd": "stat", "upload": "u"})
        if header["status"] == "error":
            self.assert_error(header, "not_found")
            # Its bytes may have become the file, of which nobody can say whether its name stays.
            self.assertTrue(not operation.first or operation.request["cmd"] == "delete"
                            or self.contents() == BEFORE | operation.effects)
            return
        if header.get("complete"):
            self.assertEqual(self.contents(), BEFORE | operation.effects)
            return
        offset = header["offset"]
        self.assertGreaterEqual(offset, len(operation.first))
        name = header["filename"]
        header, _ = self.client.request(UPLOAD | {"filename": name, "offset": offset}, NEW[offset:])
        self.assert_ok(header)
        self.assertEqual(self.contents(), BEFORE | {name: NEW})

    def steps(self, operation):
        """The calls of which it consists."""
        self.client = self.connect()
        self.prepare(operation)
        found = steps(self.daemon, lambda: self.assert_ok(
            self.client.request(operation.request, operation.body)[0]))
        self.assertEqual(sum(each.happens() for each in found), bool(operation.effects), found)
        return found

    def assert_old_or_new(self, operation, new=None):
        """Its effects are there or not, all of them, and nothing else; with `new` it is known which.
        True if they are."""
        contents = self.contents()
        after = {name: content for name, content in (BEFORE | operation.effects).items()
                 if content is not None}
        self.assertIn(contents, (BEFORE, after))
        self.assertEqual(self.temporaries(), [])
        if operation.effects and new is not None:
            self.assertEqual(contents == after, new)
        return contents == after

    def strike_upload(self, strike, size=70 * MIB):
        """Something strikes in the middle of an upload whose first part is durable; after the daemon
        was started again it goes on behind that part, and becomes whole."""
        content = random.Random(size).randbytes(size)
        request = {"cmd": "put", "upload": "large", "filename": "large", "file_size": size}
        stat = {"cmd": "stat", "upload": "large"}
        with Client(self.daemon.address) as client, Client(self.daemon.address) as other:
            client.send_frame(request | {"id": 1, "more": True})
            for at in range(0, size - MIB, MIB):
                client.send_frame({"id": 1, "more": True}, content[at:at + MIB])
            self.assertTrue(eventually(lambda: other.request(stat)[0].get("offset", 0) > 0, PATIENCE))
            durable = other.request(stat)[0]["offset"]
            strike()
        self.pid = self.daemon.process.pid
        self.assertFalse((self.daemon.root / "large").exists())
        client = self.connect()
        header, _ = client.request(stat)
        self.assert_ok(header)
        self.assertGreaterEqual(header["offset"], durable)
        self.assertLess(header["offset"], size)
        header, _ = client.request(
            request | {"offset": header["offset"], "sha256": hashlib.sha256(content).hexdigest()},
            content[header["offset"]:])
        self.assert_ok(header)
        self.assertEqual((self.daemon.root / "large").read_bytes(), content)
        self.assertTrue(client.request(stat)[0]["complete"])
