# SPDX-License-Identifier: MIT
"""Operations of a store whose every step is tried: what is to be there before and after each."""

import dataclasses
import os

from daemon_case import DaemonTest
from tracing import ONE_THREAD, steps

OLD, NEW = b"the old content", b"what is new" * 1000


@dataclasses.dataclass(frozen=True)
class Operation:
    name: str
    request: dict
    body: bytes
    effects: dict  # what it makes of which names


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
BEFORE = {"d/old": OLD, "other": b"another one"}


class StoreTest(DaemonTest):
    def serve_by_steps(self, **more):
        """A daemon whose calls come in an order that is always the same."""
        self.serve(env=os.environ | ONE_THREAD, **more)
        self.client = self.connect()

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

    def steps(self, operation):
        """The calls of which it consists."""
        self.set_contents(self.client, BEFORE)
        found = steps(self.daemon, lambda: self.assert_ok(
            self.client.request(operation.request, operation.body)[0]))
        self.assertEqual(sum(each.happens() for each in found), 1, found)
        return found

    def assert_old_or_new(self, operation):
        """True if it has happened: its effects are there or not, all of them, and nothing else."""
        contents = self.contents()
        after = {name: content for name, content in (BEFORE | operation.effects).items()
                 if content is not None}
        self.assertIn(contents, (BEFORE, after))
        self.assertEqual(self.temporaries(), [])
        return contents == after
