# SPDX-License-Identifier: MIT
"""A server of files in memory whose uploads go on after a break, and that breaks them on demand."""
import json
import struct

from python_client import frame
from scripted_server import ScriptedServer
from support import reset_on_close


class UploadServer(ScriptedServer):
    """Knows `put` with `upload`, `stat` and `delete` of uploads and files. `digest(data)` is its
    xxh3, or None to say none. `cut_at` are numbers of body bytes, one for each of the next puts, after
    which their connection is reset; what came is kept. `lose_reply`: the next put is done, and the
    connection is reset instead of an answer. `puts` has a pair of the header and the bytes of each."""

    def __init__(self, digest=lambda data: None):
        self.digest = digest
        self.files = {}
        self.partials = {}
        self.complete = {}
        self.cut_at = []
        self.lose_reply = False
        self.puts = []
        super().__init__(self.answer_other)

    def serve(self, connection):
        running = {}
        with connection, connection.makefile("rb") as stream:
            try:
                while prefix := stream.read(4):
                    header = json.loads(stream.read(struct.unpack("<I", prefix)[0]))
                    size, identifier = header.get("data_size", 0), header.get("id")
                    first = running.get(identifier, header)
                    if first["cmd"] != "put":
                        self.reply(connection, header, stream.read(size))
                    elif not self.serve_put(connection, stream, running, header, size):
                        return
            except OSError:
                pass

    def serve_put(self, connection, stream, running, header, size):
        """One frame of a put; False when its connection was broken on purpose."""
        identifier = header["id"]
        if identifier not in running:
            running[identifier] = header
            self.puts.append((header, bytearray()))
        first, (_, data) = running[identifier], self.puts[-1]
        partial = self.partials.setdefault(first.get("upload"), bytearray())
        refused = first.get("offset", 0) != len(partial) - len(data)
        if self.cut_at and len(data) + size >= self.cut_at[0] and not refused:
            piece = stream.read(self.cut_at.pop(0) - len(data))
            data += piece
            partial += piece
            if "upload" not in first:
                del self.partials[None]
            reset_on_close(connection)
            return False
        piece = stream.read(size)
        if not refused:
            data += piece
            partial += piece
        if header.get("more"):
            return True
        del running[identifier]
        if refused:
            self.reply_with(connection, first, {"status": "error", "code": "offset_mismatch",
                                                "message": "no", "offset": len(partial)})
            return True
        return self.finish(connection, first)

    def finish(self, connection, first):
        data = bytes(self.partials.pop(first.get("upload")))
        if first.get("overwrite") is False and first["filename"] in self.files:
            answer = {"status": "error", "code": "already_exists", "message": "there is one"}
        else:
            self.files[first["filename"]] = data
            answer = {"status": "ok", "filename": first["filename"], **self.facts(data)}
            if "upload" in first:
                self.complete[first["upload"]] = {"complete": True, **answer}
        if self.lose_reply:
            self.lose_reply = False
            reset_on_close(connection)
            return False
        self.reply_with(connection, first, answer)
        return True

    def facts(self, data):
        digest = self.digest(data)
        return {"file_size": len(data)} | ({"xxh3": digest} if digest else {})

    @staticmethod
    def reply_with(connection, header, answer):
        connection.sendall(frame({"id": header["id"], **answer}))

    def answer_other(self, header, body):
        upload, name = header.get("upload"), header.get("filename")
        if header["cmd"] == "stat" and upload in self.complete:
            return [(self.complete[upload], b"")]
        if header["cmd"] == "stat" and upload in self.partials:
            return [({"status": "ok", "offset": len(self.partials[upload])}, b"")]
        if header["cmd"] == "stat" and name in self.files:
            return [({"status": "ok", "type": "file", **self.facts(self.files[name])}, b"")]
        if header["cmd"] == "delete" and (upload in self.partials or upload in self.complete):
            self.partials.pop(upload, None)
            self.complete.pop(upload, None)
            return [({"status": "ok"}, b"")]
        return [({"status": "error", "code": "not_found", "message": "there is none"}, b"")]

    def asked(self, cmd):
        return [header for header, _ in self.requests if header["cmd"] == cmd]
