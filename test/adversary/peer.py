# SPDX-License-Identifier: MIT
"""A peer that sends and reads bytes and does not know what they mean.

    with BytePeer(("127.0.0.1", 8080)) as peer:
        peer.send_apart([b"\x1c\0", b"\0\0"])   # two reads of the server
        peer.half_close()                       # or reset(), or nothing at all
        assert peer.at_end()

A stall is to send nothing more, and not to read is to call nothing that reads. Small buffers make a
server notice that sooner.
"""

import fcntl
import socket
import struct
import termios
import time

# Longer than anything takes on a busy machine under a sanitizer: whoever waits for so long failed.
PATIENCE = 60


class Closed(Exception):
    """The other end has closed the connection, or broken it."""


def splits(data):
    """The bytes in one part; cut after the first byte; cut in the middle."""
    yield [data]
    yield [data[:1], data[1:]]
    yield [data[:len(data) // 2], data[len(data) // 2:]]


def reset_on_close(connection):
    """Closing the socket from now on resets its connection, and so does the end of the process."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(connection):
    """Closes a socket so that the other end meets a reset."""
    reset_on_close(connection)
    connection.close()


class BytePeer:
    """One connection; `address` is a pair of host and port, or the path of a local socket.

    Calls block, with a time limit. `source` is an address to come from, `receive_buffer` the bytes
    that the system holds until they are read.
    """

    def __init__(self, address, source=None, receive_buffer=None, timeout=PATIENCE):
        family = socket.AF_INET
        if isinstance(address, str):
            family = socket.AF_UNIX
        elif ":" in address[0]:
            family = socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(timeout)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- Ends

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with a reset."""
        reset(self.socket)

    def half_close(self):
        """Ends what is sent, and still reads."""
        self.socket.shutdown(socket.SHUT_WR)

    # ---- Sending

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_apart(self, parts):
        """Each part alone: the one before it has been read by the other end, or refused.

        False if the other end took no more of it."""
        for part in parts:
            try:
                self.send_bytes(part)
            except (BrokenPipeError, ConnectionResetError):
                return False
            self.until_read()
        return True

    def trickle(self, data, size=1):
        """So many bytes at a time, each alone."""
        return self.send_apart(data[at:at + size] for at in range(0, len(data), size))

    def until_read(self, seconds=1.0):
        """Waits until the other end has read all that was sent; False if it does not."""
        end = time.monotonic() + seconds
        while self.unread() > 0:
            if time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True

    def unread(self):
        """How many of the sent bytes the other end's program has not read, on this machine."""
        # Of a local socket this is all that was not read, of TCP what was not acknowledged.
        waiting = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)))[0]
        if waiting > 0 or self.socket.family == socket.AF_UNIX:
            return waiting
        six = self.socket.family == socket.AF_INET6
        own, other = _table_name(self.socket.getsockname()), _table_name(self.socket.getpeername())
        with open("/proc/net/tcp6" if six else "/proc/net/tcp", encoding="ascii") as table:
            for line in table:
                fields = line.split()
                if fields[1] == other and fields[2] == own:
                    return int(fields[4].split(":")[1], 16)
        return 0  # nobody is there any more

    # ---- Reading

    def recv_some(self, limit=256 * 1024):
        """What has come; empty at the end of input."""
        try:
            return self.socket.recv(min(limit, 1 << 20))
        except ConnectionResetError as error:
            raise Closed(str(error)) from error

    def recv_bytes(self, count):
        """Exactly `count` bytes."""
        parts = bytearray()
        while len(parts) < count:
            part = self.recv_some(count - len(parts))
            if not part:
                raise Closed(f"end of input after {len(parts)} of {count} bytes")
            parts += part
        return bytes(parts)

    def recv_all(self):
        """What comes until the end of input."""
        parts = bytearray()
        while part := self.recv_some():
            parts += part
        return bytes(parts)

    def at_end(self):
        """True if the other end has closed its side and nothing is left to be read."""
        return self.recv_some(1) == b""

    def was_reset(self):
        """Reads what is left; True if a reset ends it."""
        try:
            self.recv_all()
        except Closed:
            return True
        return False


def _table_name(address):
    """An address as the system's table of connections writes it."""
    host, port = address[:2]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
