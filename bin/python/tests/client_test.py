# SPDX-License-Identifier: MIT
"""The client without asyncio, and what both share, against a cleaved."""
import contextlib
import gc
import io
import os
import pathlib
import resource
import threading
import tracemalloc
import unittest
from unittest import mock

from server import Cleaved, ServerTest

import cleave

MIB = 1024 * 1024


class ClientTest(ServerTest):
    def setUp(self):
        self.server = self.serve()
        self.client = self.connect(self.server.url)

    def connect(self, url, **options):
        client = cleave.Client(url, **options)
        self.addCleanup(client.close)
        return client

    def test_commands_about_the_server_say_what_it_says(self):
        self.assertEqual(self.client.ping()["protocol"], 1)
        self.assertIn("echo", [command["cmd"] for command in self.client.help()])
        self.assertEqual(self.client.limits()["max_in_flight"], 256)
        self.assertIn("requests", self.client.stats())

    def test_a_body_may_be_made_of_anything_that_gives_bytes(self):
        async def asynchronous():
            yield b"a"
            yield b"b"

        for body in (b"ab", bytearray(b"ab"), memoryview(b"ab"), io.BytesIO(b"ab"), [b"a", b"b"],
                     iter([b"", b"a", bytearray(b"b")]), asynchronous()):
            with self.subTest(type(body)):
                self.assertEqual(self.client.upper(body), b"AB")
        for body in ("ab", 5, ["a"]):
            with self.subTest(type(body)), self.assertRaises(TypeError):
                self.client.upper(body)
        self.assertEqual(self.client.echo(b"still here"), b"still here")

    def test_large_bodies_come_back_as_they_went(self):
        body = os.urandom(20 * MIB)
        self.assertTrue(self.client.echo(body) == body)
        self.assertTrue(self.client.echo(io.BytesIO(body)) == body)

    def test_a_reply_is_gathered_up_to_a_limit(self):
        body = bytes(MIB)
        self.assertEqual(self.client.call("echo", body=body, limit=MIB).body, body)
        with self.assertRaises(cleave.TooLarge):
            self.client.call("echo", body=body, limit=MIB - 1)
        self.assertEqual(self.client.echo(b"still here"), b"still here")

    def test_a_stream_goes_there_and_back_in_constant_memory(self):
        sizes = {"made": 0, "read": 0, "ahead": 0}

        def pieces():
            for _ in range(256):
                sizes["made"] += 256 * 1024
                sizes["ahead"] = max(sizes["ahead"], sizes["made"] - sizes["read"])
                yield bytes(256 * 1024)

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        with self.client.stream("echo", body=pieces()) as reply:
            for piece in reply:
                sizes["read"] += len(piece)
        self.assertEqual(sizes["read"], 64 * MIB)
        self.assertLess(tracemalloc.get_traced_memory()[1], 8 * MIB)
        # What the systems and the server hold is not ours; but somebody has waited for somebody.
        self.assertLess(sizes["ahead"], 48 * MIB)

    def test_a_stream_that_nobody_reads_holds_up_nobody_else(self):
        body = bytes(16 * MIB)
        self.client.call("put", {"filename": "a"}, body)
        with self.client.stream("get", {"filename": "a"}) as reply:
            first = reply.read()
            self.assertEqual(self.client.echo(b"short"), b"short")
            self.assertTrue(self.client.echo(body) == body)
            self.assertEqual(len(first) + sum(map(len, reply)), len(body))
        self.assertEqual(reply.members["file_size"], len(body))

    def test_without_descriptors_it_fails_and_does_not_hang(self):
        self.client.ping()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        with contextlib.ExitStack() as taken:
            taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
            with contextlib.suppress(OSError):
                while True:
                    taken.enter_context(open("/dev/null"))
            with self.assertRaises(cleave.ConnectionLost):
                self.client.exec(["cat"], body=iter([b"a connection of its own"]))
            self.assertEqual(self.client.echo(b"still here"), b"still here")
        with mock.patch("asyncio.events.new_event_loop", side_effect=OSError("no descriptors")):
            with self.assertRaisesRegex(OSError, "no descriptors"):
                cleave.Client(self.server.url)

    def test_leaving_a_stream_before_its_end_cancels_it(self):
        closed = threading.Event()

        def endless():
            try:
                while True:
                    yield bytes(1000)
            finally:
                closed.set()

        with self.client.stream("echo", body=endless()) as reply:
            self.assertTrue(reply.read())
        self.assertTrue(closed.wait(60))
        self.assertEqual(self.client.echo(b"still here"), b"still here")

    def test_a_refusal_ends_the_sending_of_a_body(self):
        def endless():
            while True:
                yield bytes(1000)

        with self.assertRaises(cleave.Refused) as caught:
            self.client.call("nope", body=endless())
        self.assertEqual(caught.exception.code, "unknown_command")
        self.assertEqual(self.client.echo(b"still here"), b"still here")

    def test_a_body_that_fails_is_its_callers_failure_and_nothing_is_stored(self):
        def failing():
            yield b"some"
            raise KeyError("as it happens")

        with self.assertRaisesRegex(KeyError, "as it happens"):
            self.client.call("put", {"filename": "a", "file_size": 9}, failing())
        with self.assertRaises(cleave.NotFound):
            self.client.stat("a")

    def test_a_thousand_requests_are_in_flight_at_once(self):
        futures = [self.client.submit("upper", body=b"request %d" % i) for i in range(1000)]
        for i, future in enumerate(futures):
            self.assertEqual(future.result().body, b"REQUEST %d" % i)

    def test_threads_share_a_client(self):
        wrong = []

        def work(name):
            for i in range(50):
                body = b"%d %d" % (name, i)
                if self.client.echo(body) != body:
                    wrong.append(body)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_the_server_is_not_sent_more_requests_than_it_takes(self):
        config = self.temporary() / "cleaved.toml"
        config.write_text("[limits]\nmax_in_flight = 4\n")
        client = self.connect(self.serve("--config", str(config)).url, max_in_flight=4)
        go_on = config.with_name("go_on")
        wait = {"shell": f"until test -e {go_on}; do sleep 0.01; done"}
        futures = [client.submit("exec", wait) for _ in range(8)]
        with self.assertRaises(cleave.DeadlineExceeded):
            client.upper(b"c", timeout=0.05)
        go_on.touch()
        self.assertEqual([future.result().members["exit_code"] for future in futures], [0] * 8)

    def test_a_server_that_goes_away_and_comes_back_is_found_again(self):
        # It outlives a server that is killed, so not for long.
        with self.client.start(["sleep", "60"]) as program:
            self.client.ping()  # that one was sent before
            self.server.kill()
            with self.assertRaises(cleave.ConnectionLost):
                program.read()
        with self.assertRaises(ConnectionError):
            self.connect(self.server.url, retries=0).ping()
        self.server.start()
        self.assertEqual(self.client.echo(b"again"), b"again")

    def test_a_deadline_is_kept_by_the_server(self):
        with self.assertRaises(TimeoutError) as caught:
            self.client.exec(["sleep", "1000"], timeout=0.05)
        self.assertIsInstance(caught.exception, cleave.DeadlineExceeded)
        self.assertIs(caught.exception.members["timed_out"], True)

    def test_the_client_has_a_timeout_of_its_own_for_calls_without_one(self):
        with self.assertRaises(cleave.DeadlineExceeded):
            self.connect(self.server.url, timeout=0.05).exec(["sleep", "1000"])

    def test_a_local_socket_does_as_well(self):
        server = self.serve(listen="unix:{}/a%3Fb")
        self.assertTrue((server.folder / "a?b").is_socket())
        self.assertEqual(self.connect(server.url).upper(b"local"), b"LOCAL")

    def test_ipv6_does_as_well(self):
        if not pathlib.Path("/proc/net/if_inet6").exists():
            self.skipTest("there is no IPv6 here")
        self.assertEqual(self.connect(self.serve(listen="tcp://[::1]:0").url).upper(b"6"), b"6")

    def test_the_environment_names_the_server(self):
        with mock.patch.dict(os.environ, CLEAVE_SERVER=self.server.url):
            self.assertEqual(self.connect(None).echo(b"there"), b"there")

    def test_an_address_that_is_none_is_said_at_once(self):
        for url in ("127.0.0.1:1", "tcp://127.0.0.1", "tcp://[::1", "udp://127.0.0.1:1", "unix:",
                    "tcp://127.0.0.1:70000", "tcp://127.0.0.1:1?wire=raw&cmd=upper"):
            with self.subTest(url), self.assertRaises(ValueError):
                cleave.Client(url)

    def test_closing_ends_what_is_in_flight(self):
        future = self.client.submit("exec", {"argv": ["sleep", "1000"]})
        self.client.ping()
        self.client.close()
        with self.assertRaises(cleave.ConnectionLost):
            future.result()
        with self.assertRaises(cleave.ConnectionLost):
            self.client.ping()
        self.client.close()

    def test_a_client_that_nobody_closes_ends_with_its_last_reference(self):
        client = cleave.Client(self.server.url)
        client.ping()
        thread = client._thread
        del client
        gc.collect()
        thread.join(60)
        self.assertFalse(thread.is_alive())

    def test_a_client_does_not_survive_a_fork(self):
        child = os.fork()
        if child == 0:
            try:
                self.client.ping()
            except cleave.ConnectionLost:
                os._exit(7)
            os._exit(1)
        self.assertEqual(os.WEXITSTATUS(os.waitpid(child, 0)[1]), 7)
        self.assertEqual(self.client.echo(b"the parent"), b"the parent")


class ListTest(ServerTest):
    def test_a_list_comes_page_by_page(self):
        server = self.serve("--durability", "none")
        names = ["d/%03d" % i for i in range(20)]
        with cleave.Client(server.url) as client:
            for future in [client.submit("put", {"filename": name}, b"x") for name in names]:
                future.result()
            real = client.call("list", {"filename": "d", "limit": 7})
            self.assertEqual(real.members["next"], "006")
            # As if the server gave no more at a time.
            with mock.patch.object(client._client, "call", self.pages_of_seven(client._client.call)):
                self.assertEqual([entry.name for entry in client.list("d")],
                                 [name[2:] for name in names])
            entry = client.stat("d/000")
            self.assertEqual((entry.type, entry.file_size), ("file", 1))
            self.assertEqual(client.stat("d").type, "directory")

    @staticmethod
    def pages_of_seven(call):
        return lambda cmd, members, **more: call(cmd, {**members, "limit": 7}, **more)


if __name__ == "__main__":
    unittest.main()
