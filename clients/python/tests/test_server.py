"""A real server, and what may stand in its place."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
import unittest
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any
from unittest import mock

import httpx

from tokenward_verify import AsyncTokenward, Needs, Question, Tokenward, TokenwardError, _async, _http

from .world import TLS, WORLD, YES, Handler, listening, read_request, reply, reset, serving

TOKENS: dict[str, str] = WORLD["tokens"]
SERVICE: str = WORLD["credential"]
EXPECTED: dict[str, str | None] = {"living": None, "weak": "permission_denied"}


class ARealServer(unittest.TestCase):
    def setUp(self) -> None:
        logging.getLogger("tokenward").setLevel(logging.CRITICAL)

    def test_each_state_of_a_token_has_its_reason(self) -> None:
        with Tokenward(WORLD["url"], SERVICE, timeout=10) as client:
            for state, token in TOKENS.items():
                verdict = client.verify(token, permission="invoices:write", remote_ip="192.0.2.7")
                self.assertEqual(verdict.reason, EXPECTED.get(state, state), state)
                self.assertEqual(verdict.valid, state == "living")
            weak = client.verify(TOKENS["weak"], permission="invoices:write")
        assert weak.token is not None and weak.explain is not None
        self.assertEqual((weak.missing_permission, weak.token.role_name), ("invoices:write", "viewer"))
        page = urllib.request.Request(weak.explain, headers={"Authorization": f"Token {SERVICE}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(page) as answer:
            self.assertEqual(json.load(answer)["code"], "permission_denied")

    def test_a_batch_is_answered_in_its_order(self) -> None:
        asked = [Question(it, permission="invoices:write") for it in (TOKENS["weak"], "line\nbreak", TOKENS["living"], TOKENS["revoked"])]
        codes = ["permission_denied", "malformed", "valid", "revoked"]

        async def coroutines() -> list[str]:
            async with AsyncTokenward(WORLD["url"], SERVICE, timeout=10) as client:
                self.assertEqual(await client.verify_batch([]), [])
                return [it.code for it in await client.verify_batch(asked)]

        self.assertEqual(asyncio.run(coroutines()), codes)
        with Tokenward(WORLD["url"], SERVICE, timeout=10) as client:
            self.assertEqual([it.code for it in client.verify_batch(asked)], codes)
            self.assertEqual(client.verify_batch([]), [])
            self.assertEqual([it.code for it in client.verify_batch([Question("")])], ["malformed"])
            many = client.verify_batch([Question(TOKENS["living"])] * 1_000)
            self.assertTrue(len(many) == 1_000 and all(it.valid for it in many))
            with self.assertRaises(TokenwardError) as caught:
                client.verify_batch([Question("x")] * 1_001)
            self.assertEqual(caught.exception.kind, "question")

    def test_a_batch_with_fewer_verdicts_is_an_error(self) -> None:
        with serving(lambda *_: (200, {}, b'{"results":[{"valid":false,"code":"unknown"}]}')) as url:
            with Tokenward(url, "x", timeout=10) as client, self.assertRaises(TokenwardError) as caught:
                client.verify_batch([Question("a"), Question("b")])
            self.assertEqual(caught.exception.kind, "answer")

    def test_a_refused_credential_is_the_services_own_error(self) -> None:
        for own in (WORLD["revoked_credential"], WORLD["weak_credential"]):
            with Tokenward(WORLD["url"], own, timeout=10) as client, self.assertRaises(TokenwardError) as caught:
                client.verify(TOKENS["living"])
            self.assertEqual(caught.exception.kind, "credential")
            self.assertNotIn(own, str(caught.exception))
        for own in ("", "a\nb"):
            with self.assertRaises(TokenwardError):
                Tokenward(WORLD["url"], own)

    def test_a_slip_of_the_pen_in_what_is_needed_stops_the_start(self) -> None:
        wrong: list[dict[str, Any]] = [{}, {"permission": ""}, {"permission": "a:b", "api": "c"}, {"api": ""}, {"identity": "all"}, {"permission": "*"}]
        for needs in wrong:
            with self.assertRaises(TokenwardError, msg=str(needs)):
                Needs(**needs)

    def test_sixty_four_threads_share_connections(self) -> None:
        ports: set[int] = set()

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            ports.add(handler.client_address[1])
            return 200, {}, YES

        with serving(answer) as url, Tokenward(url, "x", timeout=10) as client:
            for _ in range(10):
                client.verify("x")
            self.assertEqual(len(ports), 1)
            with ThreadPoolExecutor(64) as pool:
                self.assertTrue(all(it.valid for it in pool.map(lambda _: client.verify("x"), range(640))))
            self.assertLessEqual(len(ports), 64)

    def test_a_proxy_is_taken_from_the_environment(self) -> None:
        asked: list[str] = []

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append(f"{handler.path} {handler.headers['Proxy-Authorization']}")
            return 200, {}, YES

        with serving(answer) as proxy:
            place = proxy.removeprefix("http://")
            with mock.patch.dict(os.environ, {"http_proxy": f"http://u:p@{place}", "no_proxy": ""}):
                with Tokenward("http://tokens.acme.example/below", "x") as client:
                    self.assertTrue(client.verify("x").valid)
            self.assertEqual(asked, ["http://tokens.acme.example/below/verify Basic dTpw"])
            with mock.patch.dict(os.environ, {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}):
                with Tokenward(proxy, "x") as client:
                    self.assertTrue(client.verify("x").valid)


class BadServers(unittest.TestCase):
    """By the main thread, by another one, by coroutines, by coroutines on threads, and by clients of httpx."""

    WAYS = ("threads", "another thread", "coroutines", "coroutines on threads", "httpx", "httpx coroutines")

    def asking(self, way: str, url: str, times: int = 1, timeout: float = 10.0, between: Callable[[], object] = lambda: None) -> list[Any]:
        """What each of several questions in a row came to: True for a yes, False for a no, or the kind of the error."""
        if way == "another thread":
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.asking, "threads", url, times, timeout, between).result()
        if way in ("threads", "httpx"):
            outcomes: list[Any] = []
            threads_own = httpx.Client(verify=TLS) if way == "httpx" else None
            with threads_own or nullcontext(), Tokenward(url, "x", timeout=timeout, client=threads_own) as client:
                for turn in range(times):
                    if turn > 0:
                        between()
                    try:
                        outcomes.append(client.verify("x").valid)
                    except TokenwardError as error:
                        outcomes.append(error.kind)
            return outcomes

        async def ask() -> list[Any]:
            outcomes: list[Any] = []
            own = httpx.AsyncClient(verify=TLS) if way == "httpx coroutines" else None
            async with own or nullcontext(), AsyncTokenward(url, "x", timeout=timeout, client=own) as client:
                for turn in range(times):
                    if turn > 0:
                        await asyncio.to_thread(between)
                    try:
                        outcomes.append((await client.verify("x")).valid)
                    except TokenwardError as error:
                        outcomes.append(error.kind)
            return outcomes

        def tunnelled(base: str, headers: dict[str, str]) -> _http.Route:
            return replace(_http.route(base, headers), tunnel=b"")

        # On threads is what leads through a proxy to a server with TLS.
        with mock.patch.object(_async, "route", tunnelled if way == "coroutines on threads" else _http.route):
            return asyncio.run(ask())

    def test_a_slow_server_costs_no_more_than_the_time_limit(self) -> None:
        def silent(connection: socket.socket) -> None:
            read_request(connection)

        def drips(connection: socket.socket) -> None:
            read_request(connection)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b" ")
                    time.sleep(0.05)
            except OSError:
                pass

        for way in self.WAYS:
            for slow in (silent, drips):
                with self.subTest(way, slow=slow.__name__), listening(slow) as url:
                    begun = time.monotonic()
                    self.assertEqual(self.asking(way, url, timeout=0.3), ["unavailable"])
                    took = time.monotonic() - begun
                    self.assertTrue(0.25 < took < 1.5, took)

    def test_signals_make_no_time_limit_longer(self) -> None:
        heard: list[int] = []

        def hear(number: int, _: object) -> None:
            heard.append(number)
            if len(heard) > 200:
                raise AssertionError("it has no end")

        before = signal.signal(signal.SIGALRM, hear)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        try:
            # Neither reads all of the longer one, nor answers.
            with listening(lambda connection: None) as url, Tokenward(url, "x", timeout=0.3) as client:
                for asked in ([Question("x")], [Question("x" * 60_000)] * 500):
                    heard.clear()
                    with self.assertRaises(TokenwardError) as caught:
                        client.verify_batch(asked)
                    self.assertEqual(caught.exception.kind, "unavailable")
                    self.assertTrue(heard)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def test_what_is_left_of_an_answer_that_came_too_late_answers_nothing(self) -> None:
        for way in self.WAYS:
            late = threading.Event()
            connections: list[socket.socket] = []

            def slow(connection: socket.socket) -> None:
                connections.append(connection)
                first = len(connections) == 1
                while read_request(connection):
                    if not first:
                        reply(connection, YES)
                        continue
                    with suppress(OSError):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(YES), YES[:9]))
                        late.wait(10)
                        connection.sendall(YES[9:])

            with self.subTest(way), listening(slow) as url:
                self.assertEqual(self.asking(way, url, times=2, timeout=2, between=late.set), ["unavailable", True])
                self.assertEqual(len(connections), 2)

    def test_a_server_that_is_gone_is_an_error_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as place:
            port = place.getsockname()[1]
        for way in self.WAYS:
            self.assertEqual(self.asking(way, f"http://127.0.0.1:{port}"), ["unavailable"])

    def test_a_broken_idle_connection_is_tried_once_more_and_nothing_else_is(self) -> None:
        for way in self.WAYS:
            requests: list[int] = []

            def once(connection: socket.socket) -> None:
                read_request(connection)
                requests.append(1)
                reply(connection, YES)
                if read_request(connection):
                    requests.append(2)
                    reset(connection)

            with self.subTest(way), listening(once) as url:
                self.assertEqual(self.asking(way, url, times=2), [True, True])
                self.assertEqual(requests, [1, 2, 1])
            requests.clear()

            def never(connection: socket.socket) -> None:
                read_request(connection)
                requests.append(1)
                reset(connection)

            with self.subTest(way), listening(never) as url:
                self.assertEqual(self.asking(way, url), ["unavailable"])
                self.assertEqual(requests, [1], "a new connection that breaks is no idle one")

    def test_what_nobody_asked_for_ends_its_connection_and_answers_nothing(self) -> None:
        no = b'{"valid":false,"code":"revoked"}'
        for way in self.WAYS:
            connections: list[socket.socket] = []
            sent = threading.Event()

            def twice(connection: socket.socket) -> None:
                connections.append(connection)
                first = len(connections) == 1
                while read_request(connection):
                    reply(connection, YES if first else no)
                    if first:
                        # Behind the answer, when it was read and the connection is idle.
                        time.sleep(0.05)
                        reply(connection, YES)
                        # Only here: the thread of a later connection could still be on its way when the next client has its own turn.
                        sent.set()

            with self.subTest(way), listening(twice) as url:
                outcomes = self.asking(way, url, times=2, between=sent.wait)
                self.assertEqual((outcomes, len(connections)), ([True, False], 2))

    def test_a_server_that_starts_again_between_two_questions_costs_none_of_them(self) -> None:
        for way in self.WAYS:
            with socket.create_server(("127.0.0.1", 0)) as place:
                port = place.getsockname()[1]
            served: list[socket.socket] = []
            places = [socket.create_server(("127.0.0.1", port))]

            def serve(place: socket.socket) -> None:
                connection, _ = place.accept()
                served.append(connection)
                while read_request(connection):
                    reply(connection, YES)

            def again() -> None:
                for ended in (*served, places[-1]):
                    with suppress(OSError):
                        ended.shutdown(socket.SHUT_RDWR)
                    ended.close()
                served.clear()
                places.append(socket.create_server(("127.0.0.1", port)))
                threading.Thread(target=serve, args=(places[-1],), daemon=True).start()

            threading.Thread(target=serve, args=(places[-1],), daemon=True).start()
            with self.subTest(way):
                self.assertEqual(self.asking(way, f"http://127.0.0.1:{port}", times=3, between=again), [True] * 3)
            for one in (*served, *places):
                one.close()

    def test_an_address_of_ipv6_is_asked(self) -> None:
        try:
            place = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            self.skipTest("this machine has no IPv6")

        def serve() -> None:
            while True:
                try:
                    connection, _ = place.accept()
                except OSError:
                    return
                read_request(connection)
                reply(connection, YES)

        threading.Thread(target=serve, daemon=True).start()
        for way in self.WAYS:
            with self.subTest(way):
                self.assertEqual(self.asking(way, f"http://[::1]:{place.getsockname()[1]}"), [True])
        place.shutdown(socket.SHUT_RDWR)
        place.close()

    def test_what_speaks_no_http_is_an_error(self) -> None:
        def babble(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")
            connection.close()

        for way in self.WAYS:
            with self.subTest(way), listening(babble) as url:
                (kind,) = self.asking(way, url)
                self.assertEqual(kind, "answer")


class Remembering(unittest.TestCase):
    def test_a_yes_is_remembered_only_where_somebody_wrote_that_revoked_tokens_live_so_long(self) -> None:
        answers = [YES]
        asked: list[bytes] = []

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append(body)
            return 200, {}, answers[0]

        with serving(answer) as url:
            with Tokenward(url, "x", timeout=10) as plain:
                plain.verify("x")
                plain.verify("x")
            self.assertEqual(len(asked), 2)
            with Tokenward(url, "x", revoked_tokens_live_for=0.5, timeout=10) as remembering:
                self.assertTrue(remembering.verify("x", permission="a:b").valid)
                answers[0] = b'{"valid":false,"code":"revoked"}'
                self.assertTrue(remembering.verify("x", permission="a:b").valid)
                self.assertEqual(len(asked), 3)
                self.assertFalse(remembering.verify("x", permission="a:c").valid, "another question")
                time.sleep(0.6)
                self.assertEqual(remembering.verify("x", permission="a:b").reason, "revoked")
            with self.assertRaises(TokenwardError):
                Tokenward(url, "x", revoked_tokens_live_for=1.1)


if __name__ == "__main__":
    unittest.main()
