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
    "unknown-member": '{"cmd":"echo","nobody":{"knows":["it"]}}',
    "size-2-63-less-1": '{"data_size":9223372036854775807}',
    "size-twice": r'{"data_size":1,"\u0064ata_size":2}',
    "full-precision": '{"a":2.2250738585072011e-308,"b":1.7976931348623157e308}',
    "bad-numbers": '{"a":[-,+1,.5,1.,1e,0x1]}',
    "number-minus": '{"a":-}',
    "number-point": '{"a":1.}',
    "number-exponent": '{"a":1e}',
    "many-values": '{"a":[' + ",".join("1" * 1023) + "]}",
    "too-many-values": '{"a":[' + ",".join("1" * 1024) + "]}",
    "long-string": '{"a":"' + "s" * 4097 + '"}',
    "longest-key": '{"' + "k" * 64 + '":1}',
    "longest-key-escaped": '{"' + r"\u006b" * 65 + '":1}',
    "depth-16": '{"a":' + "[" * 15 + "]" * 15 + "}",
    "depth-17": '{"a":' + "[" * 16 + "]" * 16 + "}",
    "wrong-escape": r'{"a":"\x"}',
    "short-escape": r'{"a":"\u12"}',
    "two-objects": "{}{}",
    "empty-name": '{"":1,"a":{"":2}}',
    "id-null": '{"id":null}',
    "more-false-alone": '{"more":false}',
    "more-number": '{"id":1,"more":1}',
    "inner-frame-members": '{"a":{"id":-1,"data_size":"x","more":5}}',
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

# In the directory that fuzz_file_name makes.
WAYS_OUT = ["f", "d", "d/f", "d/d", "l", "u", "u/secret", "r", "r/etc/passwd", "d/u", "d/u/etc/passwd", "i", "o", "o/f",
            "p", "p/cwd", "p/fd/0", "p/root/etc/passwd", "q", "q/x", "f/x", "d/nobody", "nobody/f", ".../f", ".. /f"]

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


def length(number):
    return struct.pack("<I", number)


ECHO = frame('{"cmd":"echo","data_size":5}', b"hello")
LONG = frame('{"cmd":"put","data_size":5368709120}', b"the first of 5 GiB")


def streams():
    """Of frames: what a length, a header and a body can be."""
    yield from {f"first-{name}": first for name, first in {
        "http": b"GET / HTTP/1.1\r\n", "post": b"POST / HTTP/1.1\r\n", "http2": b"PRI * HTTP/2.0\r\n",
        "tls": b"\x16\x03\x01\x02\x00", "ssh": b"SSH-2.0-x\r\n", "json": b'{"cmd":"echo"}',
        "big-endian": b"\0\0\0\x10", "zeros": bytes(64), "0": length(0), "1": length(1) + b"{",
        "above-most": length(65537), "7fffffff": length(0x7FFFFFFF), "80000000": length(0x80000000),
        "most": length(0xFFFFFFFF)}.items()}.items()
    yield "length-cut", ECHO + ECHO[:3]
    yield "header-cut", ECHO + ECHO[:12]
    yield "body-cut", ECHO + ECHO[:-2]
    yield "length-only", length(28)
    yield "three", ECHO + frame('{"cmd":"ping"}') + ECHO
    yield "pipelined", b"".join(frame(f'{{"cmd":"ping","id":{n}}}') for n in range(64))
    yield "empty-body", frame('{"cmd":"put","filename":"a","data_size":0}') + ECHO
    yield "extra-bytes", ECHO + b"extra" + ECHO
    yield "body-like-a-frame", frame('{"cmd":"echo","data_size":37}', ECHO) + ECHO
    yield "body-of-5-gib", LONG
    yield "body-of-2-63", frame('{"data_size":9223372036854775807}', b"abc")
    yield "body-of-8-bits", frame('{"cmd":"upper","data_size":256}', bytes(range(256)))
    yield "one-way", frame('{"cmd":"put","filename":"a","filesize":3}', b"abc") + ECHO
    yield "one-way-both", frame('{"cmd":"put","filesize":3,"data_size":1}', b"a") + ECHO
    yield "one-way-cut", frame('{"cmd":"put","filesize":9}', b"abc")
    yield "one-way-not-a-number", frame('{"cmd":"put","filesize":"9"}') + ECHO


def decoder_seeds():
    for name, stream in streams():
        save("decoder", name, bytes([0]) + stream)
        save("decoder", f"{name}-in-bytes", bytes([1, 1]) + stream)
    # With limits of 24 bytes, 2 levels, 4 values and 9 bytes of a name.
    for name, header in {"most": '{"a":1,"b":2,"c":[1]   }', "above": '{"a":1,"b":2,"c":[1]    }',
                         "deep": '{"a":{"b":{}}}', "values": '{"a":[1,2,3,4]}', "name": '{"abcdefghij":1}'}.items():
        save("decoder", f"narrow-{name}", bytes([128 + 2, 3, 1]) + frame(header) + frame("{}"))


def raw(*pieces):
    """A datagram as it stands, for fuzz_datagram."""
    data = b"".join(pieces)
    return bytes([128, min(len(data), 255)]) + data[:255] + bytes([0])


def datagram_seeds():
    reply = frame('{"status":"ok","data_size":2}', b"ok")
    both = frame('{"cmd":"echo","status":"ok"}')
    for name, data in {"empty": b"", "byte": b"x", "length-only": length(28), "header-cut": ECHO[:10], "echo": ECHO,
                       "body-cut": ECHO[:-1], "two": ECHO + ECHO, "extra": ECHO + b"x", "reply": reply,
                       "cmd-and-status": both, "no-cmd": frame("{}"), "cmd-number": frame('{"cmd":5}'),
                       "cmd-empty": frame('{"cmd":""}'), "cmd-long": frame('{"cmd":"' + "c" * 65 + '"}'),
                       "more": frame('{"cmd":"echo","id":1,"more":true}'), "exec": frame('{"cmd":"exec","shell":"id"}'),
                       "more-false": frame('{"cmd":"echo","id":1,"more":false}'),
                       "timeout": frame('{"cmd":"echo","timeout_ms":0}'), "http": b"GET / HTTP/1.1\r\n\r\n",
                       "size-2-63": frame('{"cmd":"echo","data_size":9223372036854775807}')}.items():
        save("datagram", name, bytes([0]) + raw(data))
    save("datagram", "together", bytes([0]) + raw(ECHO) + raw(reply) + raw(b"") + raw(ECHO))
    for kind in range(8):
        body = bytes([kind]) + b"abc"
        save("datagram", f"raw-{kind}", bytes([1, 128, 0, len(body)]) + body)
        save("datagram", f"mimic-{kind}", bytes([0, 32 | 2, 0, len(body)]) + body)
        save("datagram", f"mimic-{kind}-padded", bytes([0, 32 | 8 | 2, 200, 0, 0, len(body)]) + body)
        save("datagram", f"head-{kind}", bytes([0, kind, 0, 3]) + b"abc")
    save("datagram", "raw-empty", bytes([1]) + raw())
    save("datagram", "longest", bytes([1, 128 | 16, 0xFF, 0xFF, 0, 1, 1]))
    save("datagram", "long-echo", bytes([0, 16, 0, 0xF0, 0, 0]))
    save("datagram", "long-four", bytes([0, 16 | 2, 0, 0x70, 0, 1, 4]))
    save("datagram", "long-error", bytes([0, 16 | 8 | 2, 0, 16, 0, 4, 0, 1, 5]))
    save("datagram", "half", bytes([0, 3, 0, 200]) + b"\xc3\xa9" * 100)
    save("datagram", "picky", bytes([0, 4, 6]) + b',"n":6' + bytes([0]))


def wires_seeds():
    for name, reads in {"asked": b"ls|recv_ready|ls", "behind": b"ls|recv_readyls", "split": b"ls|recv|_ready",
                        "other": b"ls|no thanks|ls", "long": b"ls|nothing, thank you|ls",
                        "almost-long": b"ls|recv_|steady, thank you|ls", "almost": b"ls|recv_reads|ls", "twice": b"ls|recv_readyrecv_ready",
                        "nothing": b"ls"}.items():
        sizes = bytes(len(read) for read in reads.split(b"|"))
        for ready in (0, 1):
            save("wires", f"server-{name}-{ready}",
                 bytes([0, ready, 255, len(sizes)]) + sizes + reads.replace(b"|", b""))
    save("wires", "server-packets", bytes([0, 0, 3, 2, 7, 5]) + b"a message of several packets")
    replies = {
        0: {"all": (b"", b"HELLO"), "sized": (bytes([5, 3]), b"HELLOabcrest")},
        1: {"digits": (b"", b"5|HELLO|0|3|abc"), "together": (b"", b"5HELLO"), "minus": (b"", b"-5|HELLO"),
            "huge": (b"", b"18446744073709551615|x"), "too-huge": (b"", b"18446744073709551616|x"),
            "zeros": (b"", b"00000000000000000005|HELLO"), "too-many": (b"", b"000000000000000000005|HELLO"), "blank": (b"", b"5 |HELLO"), "behind": (b"", b"2|HI3|abc")},
        2: {"two": (b"", length(5) + b"HELLO|" + length(0) + b"|" + length(2) + b"HI"), "minus": (b"", length(0x80000000)),
            "most": (b"", length(0x7FFFFFFF) + b"x"), "cut": (b"", length(5)[:3])},
        3: {"two": (b"", frame('{"data_size":5}', b"HELLO") + b"|" + frame('{"data_size":0}')),
            "error": (b"", frame('{"data_size":0,"status":"error","code":"busy","message":"no"}')),
            "status": (b"", frame('{"data_size":0,"status":7}')), "no-size": (b"", frame("{}")),
            "more": (b"", frame('{"data_size":0,"id":1,"more":true}')), "length": (b"", length(1))},
    }
    for wire, cases in replies.items():
        for name, (expected, reads) in cases.items():
            sizes = bytes(max(len(read), 1) for read in reads.split(b"|"))
            bytes_read = reads.replace(b"|", b"")
            save("wires", f"client-{wire}-{name}",
                 bytes([1, wire, len(expected)]) + expected + bytes([len(sizes)]) + sizes + bytes_read)
        for size in (0, 5, 0x7FFFFFFF, 0x80000000, 2**63 - 1, 2**64 - 1):
            pieces = b"" if wire == 1 else bytes([1, 1])
            save("wires", f"both-{wire}-{size:x}",
                 bytes([2, wire]) + struct.pack("<Q", size) + bytes([0, 200]) + pieces + b"a text")


def client_seeds():
    """Decisions of fuzz_client: see its act(). A request, what the server says, and the end."""
    def said(shape, id_, body=b""):
        return bytes([2, shape | 1, id_, len(body)]) + body
    ask, settle = bytes([0, 0]), bytes([14])
    steps = {
        "answered": ask + settle + said(4, 1, b"hello") + settle,
        "unended": ask + settle + said(2, 1, b"a") + settle,
        "behind": ask + settle + said(4, 1, b"a") + said(4, 1, b"b") + settle + ask + settle + said(4, 2, b"c") + settle,
        "frames": ask + settle + said(2, 1, b"a") + said(2, 1, b"b") + said(4, 1) + settle,
        "interleaved": ask * 2 + settle + said(2, 1, b"a") + said(2, 2, b"b") + said(4, 1) + said(4, 2) + settle,
        "wrong-id": ask + settle + said(4, 9, b"x") + said(4, 1) + settle,
        "before-the-request": said(4, 1, b"x") + settle + ask + settle,
        "twice": ask + settle + said(4, 1) * 2 + settle,
        "refused": ask + settle + said(8, 1) + settle,
        "no-status": ask + settle + said(0, 1) + settle,
        "lying-size": ask + settle + bytes([2, 7 << 5 | 5, 1, 3]) + b"abc" + bytes([0xFF, 0xFF]) + settle + bytes([8]),
        "cut": ask + settle + bytes([2, 6 << 5 | 5, 1, 3]) + b"abc" + bytes([9]) + settle,
        "long": bytes([0, 6]) + settle + said(16 | 4, 1) + settle + said(8, 2) + settle,
        "error-for-all": ask * 3 + settle + bytes([2, 8, 0]) + settle,
        "ended": ask + settle + bytes([8]) + settle,
        "reset": ask + settle + said(2, 1, b"a") + bytes([9]) + settle,
        "cancelled": bytes([0, 16]) + settle + bytes([11, 0]) + settle + said(8, 1) + settle,
        "one-way": bytes([0, 7]) + settle + bytes([0, 15]) + bytes([10, 3, 0]) + settle + bytes([26]) + settle,
        "finished": ask + bytes([12]) + settle + said(4, 1) + settle,
        "stalled": bytes([10, 5, 0, 0, 8]) + settle + bytes([26]) + settle + said(4, 1) + settle,
        "reset-inside": bytes([0, 64]) + ask + settle + said(4, 1) + settle,
        "gone-inside": bytes([0, 128]) + ask + settle + said(4, 1) + settle,
        "again-inside": bytes([0, 192]) + settle + said(4, 1) + settle + said(4, 2) + settle,
        "garbage": ask + settle + bytes([5, 5]) + b"HTTP/" + settle,
        "kept": ask + settle + said(2, 1, b"abc") + said(2, 1, b"def") + settle + bytes([13]) + said(4, 1) + settle,
    }
    for name, choices in steps.items():
        save("client", f"frame-{name}", bytes([0]) + choices)
    asked = bytes([0, 2]) + settle
    prefix5 = bytes([6, 5])  # a byte of the length, and the three others
    bare = {
        "1-all": asked + bytes([5, 5]) + b"HELLO" + settle + bytes([8]) + settle,
        "1-sized": bytes([0, 0x46 & 0x3F]) + settle + bytes([5, 1]) + b"H" + settle,
        "2-answered": asked + bytes([7, 5]) + settle + bytes([5, 5]) + b"HELLO" + settle + asked,
        "2-no-digits": asked + bytes([5, 2]) + b"no" + settle,
        "2-nothing": asked + bytes([7, 0]) + settle + asked,
        "2-behind": asked + bytes([7, 2]) + settle + bytes([5, 5]) + b"HELLO" + settle,
        "3-answered": asked + bytes([5, 9]) + length(5) + b"HELLO" + settle + asked,
        "3-pieces": asked + prefix5 + settle + bytes([0x26, 0, 0, 0]) + settle + bytes([5, 5]) + b"HELLO" + settle,
        "3-behind": asked + bytes([5, 10]) + length(5) + b"HELLO!" + settle,
        "4-behind": asked + bytes([5, 23]) + frame('{"data_size":3}', b"abc") + b"!" + settle,
        "1-behind": bytes([0, 6]) + settle + bytes([5, 2]) + b"HI" + settle,
        "3-negative": asked + bytes([5, 4]) + length(0x80000000) + settle,
        "3-lying": asked + bytes([5, 5]) + length(9) + b"H" + settle + bytes([8]) + settle,
        "4-answered": asked + bytes([2, 0, 3]) + b"abc" + settle + asked,
        "4-error": asked + bytes([2, 8, 0]) + settle + asked,
        "4-more": asked + bytes([2, 3, 1, 0]) + settle,
        "4-unasked": bytes([2, 0, 0]) + settle + asked,
        "4-early": bytes([10, 1, 0]) + bytes([0, 8]) + settle + bytes([2, 0, 0]) + settle,
    }
    for name, choices in bare.items():
        save("client", f"bare-{name}", bytes([int(name[0])]) + choices)


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
    decoder_seeds()
    datagram_seeds()
    wires_seeds()
    client_seeds()
    for number, name in enumerate(WAYS_OUT):
        save("file_name", f"way-{number}", name)
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
