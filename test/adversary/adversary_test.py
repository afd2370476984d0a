#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The adversary does to its victims what it says."""

import pathlib
import socket
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from adversary.peer import BytePeer, Closed, reset, splits
from adversary.proxy import Fault, Proxy


class Victim:
    """A listener, and the socket of whoever has connected to it."""

    def __init__(self, case, path=None):
        if path is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
        case.addCleanup(self.listener.close)
        self.case = case
        self.address = self.listener.getsockname()

    def accept(self):
        connection, _ = self.listener.accept()
        self.case.addCleanup(connection.close)
        connection.settimeout(60)
        return connection


class Peers(unittest.TestCase):
    def connected(self, path=None):
        victim = Victim(self, path)
        peer = self.enterContext(BytePeer(victim.address))
        return peer, victim.accept()

    def test_splits_are_the_whole_the_first_byte_and_the_middle(self):
        self.assertEqual(list(splits(b"abcdef")), [[b"abcdef"], [b"a", b"bcdef"], [b"abc", b"def"]])

    def test_what_was_sent_is_unread_until_it_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in (None, f"{folder}/socket"):
                peer, victim = self.connected(path)
                self.assertEqual(peer.unread(), 0)
                peer.send_bytes(b"abc")
                self.assertFalse(peer.until_read(0.01))
                victim.recv(3)
                self.assertTrue(peer.until_read())

    def test_a_reset_is_one(self):
        peer, victim = self.connected()
        peer.reset()
        with self.assertRaises(ConnectionResetError):
            victim.recv(1)

    def test_a_half_close_ends_one_direction_alone(self):
        peer, victim = self.connected()
        peer.half_close()
        self.assertEqual(victim.recv(1), b"")
        victim.sendall(b"late")
        victim.close()
        self.assertEqual(peer.recv_all(), b"late")

    def test_a_reset_of_the_other_end_is_told_from_its_end(self):
        for end, expected in ((reset, True), (socket.socket.close, False)):
            peer, victim = self.connected()
            end(victim)
            self.assertEqual(peer.was_reset(), expected)

    def test_it_comes_from_where_it_is_told(self):
        victim = Victim(self)
        with BytePeer(victim.address, source="127.0.0.9"):
            self.assertEqual(victim.accept().getpeername()[0], "127.0.0.9")


class Proxies(unittest.TestCase):
    def through(self, **faults):
        """A proxy, a client of it, and the server's side."""
        victim = Victim(self)
        proxy = self.enterContext(Proxy(victim.address, **faults))
        client = self.enterContext(BytePeer(proxy.address))
        return proxy, client, victim.accept()

    def test_without_faults_it_is_not_noticed(self):
        _, client, server = self.through()
        data = bytes(range(256)) * 1000
        client.send_bytes(data)
        client.half_close()
        got = b""
        while part := server.recv(65536):
            got += part
        self.assertEqual(got, data)
        server.sendall(b"reply")
        server.close()
        self.assertEqual(client.recv_all(), b"reply")

    def test_a_reset_is_passed_on_both_ways(self):
        _, client, server = self.through()
        client.reset()
        with self.assertRaises(ConnectionResetError):
            server.recv(1)
        _, client, server = self.through()
        client.send_bytes(b"x")
        server.recv(1)
        reset(server)
        self.assertTrue(client.was_reset())

    def test_nobody_behind_it_is_a_reset(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = gone.getsockname()
        with Proxy(address) as proxy:
            # It may come before connect() has returned.
            with self.assertRaises((Closed, ConnectionResetError)):
                with BytePeer(proxy.address) as client:
                    client.recv_bytes(1)

    def test_every_byte_is_under_way_for_the_delay(self):
        _, client, server = self.through(to_server=Fault(delay=0.1), to_client=Fault(delay=0.1))
        begin = time.monotonic()
        client.send_bytes(b"ping")
        server.sendall(server.recv(4))
        self.assertEqual(client.recv_bytes(4), b"ping")
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_a_delay_keeps_the_order_and_the_end(self):
        _, client, server = self.through(to_server=Fault(delay=0.02))
        for number in range(100):
            client.send_bytes(b"%3d" % number)
        client.half_close()
        got = b""
        while part := server.recv(65536):
            got += part
        self.assertEqual(got, b"".join(b"%3d" % number for number in range(100)))

    def test_the_bandwidth_is_a_limit(self):
        _, client, server = self.through(to_server=Fault(bytes_per_second=100_000))
        begin = time.monotonic()
        client.send_bytes(bytes(20_000))
        left = 20_000
        while left:
            left -= len(server.recv(left))
        self.assertGreaterEqual(time.monotonic() - begin, 0.15)

    def test_a_cut_comes_behind_exactly_so_many_bytes(self):
        for at in (0, 1, 7):
            proxy, client, server = self.through(to_server=Fault(cut_at=at))
            client.send_bytes(b"0123456789")
            got = b""
            while part := server.recv(100):
                got += part
            self.assertEqual(got, b"0123456789"[:at])
            self.assertTrue(proxy.was_cut.is_set())
            # The other direction goes on.
            server.sendall(b"still")
            self.assertEqual(client.recv_bytes(5), b"still")

    def test_a_cut_may_be_a_reset_of_both_ends(self):
        _, client, server = self.through(to_client=Fault(cut_at=3, cut="reset"))
        server.sendall(b"0123456789")
        self.assertTrue(client.was_reset())
        with self.assertRaises(ConnectionResetError):
            server.recv(1)

    def test_a_stall_holds_the_bytes_behind_it_until_it_is_released(self):
        proxy, client, server = self.through(to_server=Fault(stall_at=3))
        client.send_bytes(b"0123456789")
        self.assertTrue(proxy.stalled.wait(60))
        self.assertEqual(server.recv(100), b"012")
        server.setblocking(False)
        with self.assertRaises(BlockingIOError):
            server.recv(1)
        server.settimeout(60)
        proxy.release()
        got = b""
        while len(got) < 7:
            got += server.recv(100)
        self.assertEqual((got, proxy.passed), (b"3456789", [10, 0]))


if __name__ == "__main__":
    unittest.main()
