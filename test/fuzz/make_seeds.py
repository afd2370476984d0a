#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzzers' corpora: one file per case, named after it.

Run it again after a case was added; what fuzzing has found lies beside the seeds, under names of
its own, and is not touched.
"""

import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
PAGE = (HERE.parents[1] / "protocol" / "README.md").read_text(encoding="utf-8")


def save(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")
    (folder / f"seed-{name}").write_bytes(content)


HEADERS = {
    "empty": "{}",
    "echo": '{"cmd":"echo","data_size":5}',
    "python": '{"cmd": "put", "filename": "a.txt", "filesize": 123123}',
    "every-member": '{"cmd":"exec","id":9007199254740991,"more":true,"data_size":9223372036854775807,"timeout_ms":1}',
    "nested": '{"a":[1,[2,{"b":null,"c":[true,false]}]],"d":{"e":{"f":"g"}}}',
    "escapes": r'{"\u0063md":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}',
    "array-root": "[1]",
    "string-root": '"cmd"',
    "number-root": "17",
    "null-root": "null",
    "cmd-number": '{"cmd":5}',
    "duplicate": '{"cmd":"a","cmd":"b"}',
    "duplicate-escaped": r'{"cmd":"a","\u0063md":"b"}',
    "nul-behind": "{}\0garbage",
    "nul-in-name": r'{"a\u0000":1}',
    "deep": "[" * 40,
    "deep-object": '{"a":' * 20 + "1" + "}" * 20,
    "exponent": '{"a":0.00000000000001e-2147483639}',
    "huge-exponent": '{"a":1e2147483648}',
    "many-digits": '{"a":' + "7" * 400 + "}",
    "sizes": '{"data_size":-1}',
    "size-float": '{"data_size":1.0}',
    "size-exponent": '{"data_size":1e3}',
    "size-string": '{"data_size":"5"}',
    "size-true": '{"data_size":true}',
    "size-null": '{"data_size":null}',
    "size-2-63": '{"data_size":9223372036854775808}',
    "size-2-64": '{"data_size":18446744073709551616}',
    "size-minus-0": '{"data_size":-0}',
    "size-01": '{"data_size":01}',
    "id-2-53": '{"id":9007199254740992}',
    "more-alone": '{"more":true}',
    "overlong": b'{"a":"\xc0\xaf"}',
    "surrogate-bytes": b'{"a":"\xed\xa0\x80"}',
    "f5": b'{"a":"\xf5\x80\x80\x80"}',
    "truncated": b'{"a":"\xe2\x82"}',
    "lone-low": r'{"a":"\udc00"}',
    "lone-high": r'{"a":"\ud83d"}',
    "control": b'{"a":"\x01"}',
    "bom": b"\xef\xbb\xbf{}",
    "comment": "{/**/}",
    "trailing-comma": '{"a":1,}',
    "nan": '{"a":NaN}',
    "long-key": '{"' + "k" * 65 + '":1}',
    "many-keys": "{" + ",".join(f'"k{n}":{n}' for n in range(300)) + "}",
    "spaces": ' \t\r\n{ "a" : 1 } \n',
    "bidi": '{"cmd":"a\u202eb\\n\\u001b"}',
}

NAMES = {
    "plain": "a.txt",
    "nested": "a/b/c.txt",
    "text": "grüß/粘包",
    "dotdot": "../x",
    "middle": "a/../b",
    "dot": ".",
    "hidden": ".a",
    "absolute": "/etc/x",
    "double": "a//b",
    "trailing": "a/",
    "empty": "",
    "nul": "a\0b",
    "backslash": "a\\b",
    "reserved": ".cleave/x",
    "reserved-like": ".cleaved",
    "reserved-deep": "a/.cleave",
    "c1": "a\u0085b",
    "newline": "a\nb",
    "del": "a\x7fb",
    "long-part": "x" * 256,
    "longest-part": "x" * 255,
    "long": "/".join(["x" * 200] * 6),
    "not-utf8": b"a\xff",
    "c2-at-the-end": b"a\xc2",
}

URLS = {
    "tcp": "tcp://127.0.0.1:8080",
    "tcp6": "tcp://[::1]:0?wire=frame",
    "udp": "udp://127.0.0.1:9000?wire=raw&cmd=upper",
    "unix": "unix:/run/cleave.sock?mode=0660&backlog=64",
    "unix-escaped": "unix:a%3Fb%25c",
    "fd": "fd:3?wire=header&cmd=exec",
    "options": "tcp://[::]:1?wire=prefix&cmd=exec&dual_stack=on&reuse_port=on&no_delay=off&keep_alive=off"
    "&reuse_address=off&receive_buffer=65536&send_buffer=65536&packet_bytes=1024&backlog=1",
    "bad": "http://x",
    "bad-escape": "unix:a%zz",
    "long-path": "unix:/" + "x" * 120,
}

CONFIGS = {
    "empty": "",
    "limits": "[limits]\nheader_bytes = 65536\nmax_connections = 10\nexec_max_running = 4\n",
    "bad-value": "listen = 5\n",
    "bad-limit": "[limits]\nheader_bytes = -1\n",
    "not-toml": "= = =\n",
    "unterminated": 'root = "',
    "deep": "a = " + "[" * 300,
}


def frame(header, body=b""):
    header = header.encode()
    return struct.pack("<I", len(header)) + header + body


def main():
    for name, header in HEADERS.items():
        save("header", name, header)
        content = header if isinstance(header, bytes) else header.encode()
        save("decoder", f"header-{name}", bytes([3, 1, 2, 60]) + struct.pack("<I", len(content)) + content)
    for number, line in enumerate(re.findall(r"^.* \| [0-9a-f ]+ \| \{.*$", PAGE, re.M)):
        stream = bytes.fromhex(line.split(" | ")[1])
        save("decoder", f"vector-{number}", bytes([0]) + stream)
        save("decoder", f"vector-{number}-in-pieces", bytes([4, 1, 3, 2, 7]) + stream)
        if len(stream) < 250:
            save("connection", f"vector-{number}", bytes([0, len(stream)]) + stream + bytes([11]))
    for name, first in {"http": b"GET / HTTP/1.1\r\n", "tls": b"\x16\x03\x01\x02\x00", "ssh": b"SSH-2.0-x\r\n",
                        "json": b'{"cmd":"echo"}', "big-endian": b"\0\0\0\x10", "zeros": bytes(64),
                        "0": bytes(4), "1": b"\1\0\0\0", "most": b"\xff\xff\xff\xff"}.items():
        save("decoder", f"first-{name}", bytes([0]) + first)
    for name, text in NAMES.items():
        save("file_name", name, text)
    for name, url in URLS.items():
        save("endpoint", name, url)
    for name, toml in CONFIGS.items():
        save("config", name, toml)
    example = HERE.parents[1] / "bin" / "cleaved.example.toml"
    save("config", "example", example.read_bytes())
    for flags in range(16):
        save("encoder", f"flags-{flags}",
             bytes([flags]) + struct.pack("<QQ", 7 + flags, 5 * flags) + bytes([4]) + b"echo"
             + struct.pack("<H", 6) + b"a\"\\\n\xff\0" + b"what came")
    # Decisions of fuzz_connection: see its act().
    echo = frame('{"cmd":"echo","data_size":5}', b"hello")
    steps = {
        "echo": bytes([0, len(echo)]) + echo + bytes([11]),
        "frames": b"".join(bytes([2, 64 | 8 | cmd, cmd, 3]) + b"abc" for cmd in range(8)) + bytes([11]),
        "more": b"".join(bytes([2, 64 | 16 | 8 | 3, 1, 3]) + b"abc" for _ in range(3)) + bytes([11, 13, 11]),
        "large": bytes([2, 128 | 64 | 0, 0, 8, 0, 1, 11, 9, 11]),
        "deadline": bytes([2, 64 | 32 | 8 | 3, 1, 100, 0, 0, 11, 10, 20, 10, 60, 11]),
        "one-way": bytes([2, 6, 3, 3]) + b"abc" + bytes([11, 13, 6, 11]),
        "half-close": bytes([2, 64 | 8 | 3, 1, 0, 6, 11, 10, 30, 11, 13, 11]),
        "reset": bytes([2, 64 | 8 | 3, 1, 0, 11, 7, 11]),
        "slow-reader": bytes([8, 10, 0, 2, 128 | 64, 0, 11, 10, 255, 10, 255, 10, 255, 11]),
        "trickle": bytes([0, 1, 5, 11, 10, 50, 0, 1, 0, 11, 10, 60, 11]),
    }
    for wire in range(5):
        steps[f"wire-{wire}"] = bytes([12, wire, 0x10, 3]) + b"abc" + bytes([11, 0x15, 11, 0x10, 4]) + b"fail" + bytes([11])
    for name, choices in steps.items():
        save("connection", name, choices)


if __name__ == "__main__":
    main()
