"""Questions over the connections of somebody's client of httpx: what is theirs stays out of them, and what is ours does not get out."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
import unittest
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx

from tokenward_verify import AsyncTokenward, Question, Tokenward, TokenwardError, Verdict

from .world import TLS, WORLD, YES, Handler, listening, read_request, reset, serving

TOKENS: dict[str, str] = WORLD["tokens"]
#: What must stand in no error and no log.
SECRETS = ("twd_service", "twd_presented")


def ask(way: str, url: str, limit: float = 10.0, **theirs: Any) -> Verdict:
    """Asks once, by a client of httpx with these settings."""
    if way == "sync":
        with httpx.Client(**{"verify": TLS, **theirs}) as own:
            return Tokenward(url, SECRETS[0], timeout=limit, client=own).verify(SECRETS[1])

    async def coroutine() -> Verdict:
        async with httpx.AsyncClient(**{"verify": TLS, **theirs}) as own:
            return await AsyncTokenward(url, SECRETS[0], timeout=limit, client=own).verify(SECRETS[1])

    return asyncio.run(coroutine())


def silent(connection: socket.socket) -> None:
    read_request(connection)


def told(error: BaseException) -> str:
    """All that a log or a service for errors can find in an error, and in what it hangs on."""
    text, left = "".join(traceback.format_exception(error)), [error]
    while left:
        one = left.pop()
        text += repr(vars(one))
        if isinstance(one, httpx.HTTPError):
            text += repr(one.request.headers.raw) + repr(one.request.content)
        left += [it for it in (one.__cause__, one.__context__) if it is not None]
    return text


class Httpx(unittest.TestCase):
    WAYS = ("sync", "async")

    def refused(self, way: str, url: str, kind: str, **more: Any) -> TokenwardError:
        with self.assertRaises(TokenwardError) as caught:
            ask(way, url, **more)
        self.assertEqual(caught.exception.kind, kind, caught.exception)
        for secret in SECRETS:
            self.assertNotIn(secret, told(caught.exception))
        return caught.exception

    def test_a_real_server_is_asked(self) -> None:
        states = {"living": "valid", "revoked": "revoked", "weak": "permission_denied"}
        questions = [Question(TOKENS[it], permission="invoices:write", remote_ip="192.0.2.7") for it in states]

        async def coroutine() -> list[str]:
            async with httpx.AsyncClient(verify=TLS) as own, AsyncTokenward(WORLD["url"], WORLD["credential"], timeout=10, client=own) as client:
                one_by_one = [(await client.ask(it)).code for it in questions]
                self.assertEqual([it.code for it in await client.verify_batch(questions)], one_by_one)
                return one_by_one

        self.assertEqual(asyncio.run(coroutine()), list(states.values()))
        with httpx.Client(verify=TLS) as own:
            with Tokenward(WORLD["url"], WORLD["credential"], timeout=10, client=own) as client:
                self.assertEqual([client.ask(it).code for it in questions], list(states.values()))
                self.assertEqual([it.code for it in client.verify_batch(questions)], list(states.values()))
            self.assertFalse(own.is_closed, "it is theirs to close")

    def test_nothing_of_theirs_but_the_connection_is_taken(self) -> None:
        asked: list[Any] = []

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            names = sorted(it.lower() for it in handler.headers)
            asked.append((handler.path, handler.headers["Authorization"], names))
            return 200, {}, YES

        names = ["accept-encoding", "authorization", "content-length", "content-type", "host"]
        for way in self.WAYS:
            asked.clear()
            with self.subTest(way), serving(answer) as url:
                theirs: dict[str, Any] = {
                    "headers": {"Authorization": "Bearer other", "X-Api-Key": "other"}, "cookies": {"session": "other"}, "params": {"key": "other"},
                    "auth": ("other", "other"), "base_url": "http://elsewhere.example/", "timeout": 0.000_001,
                }
                self.assertTrue(ask(way, f"{url}/below", **theirs).valid)
                self.assertEqual(asked, [("/below/verify", "Token twd_service", names)])

    def test_a_proxy_of_theirs_is_taken(self) -> None:
        asked: list[str] = []

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append(handler.path)
            return 200, {}, YES

        for way in self.WAYS:
            with self.subTest(way), serving(answer) as proxy:
                self.assertTrue(ask(way, "http://tokens.acme.example", proxy=proxy).valid)
        self.assertEqual(asked, ["http://tokens.acme.example/verify"] * 2)

    def test_a_redirect_is_followed_for_nobody(self) -> None:
        asked: list[str] = []

        def elsewhere(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append(handler.path)
            return 200, {}, YES

        for way in self.WAYS:
            for status in (301, 302, 307, 308):
                with self.subTest(way, status=status), serving(elsewhere) as other:
                    with serving(lambda *_: (status, {"Location": f"{other}/verify"}, b"")) as url:
                        self.refused(way, url, "answer", follow_redirects=True)
        self.assertEqual(asked, [])

    def test_the_time_limit_is_for_all_of_a_question(self) -> None:
        def head(connection: socket.socket) -> None:
            self.drip(connection, b"HTTP/1.1 200 OK\r\nX: ")

        def body(connection: socket.socket) -> None:
            self.drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")

        for way in self.WAYS:
            for slow in (head, body):
                with self.subTest(way, slow=slow.__name__), listening(slow) as url:
                    begun = time.monotonic()
                    self.refused(way, url, "unavailable", limit=0.3)
                    self.assertTrue(0.25 < time.monotonic() - begun < 1.5)

    def drip(self, connection: socket.socket, begin: bytes) -> None:
        read_request(connection)
        try:
            connection.sendall(begin)
            for _ in range(40):
                connection.sendall(b"x")
                time.sleep(0.05)
            connection.close()
        except OSError:
            pass

    def test_waiting_for_a_connection_of_theirs_is_in_the_time_limit(self) -> None:
        with listening(silent) as url:
            with httpx.Client(verify=TLS, limits=httpx.Limits(max_connections=1)) as own:
                client = Tokenward(url, "x", timeout=0.3, client=own)
                begun = time.monotonic()
                kinds: list[str] = []

                def one() -> None:
                    try:
                        client.verify("x")
                    except TokenwardError as error:
                        kinds.append(error.kind)

                threads = [threading.Thread(target=one) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(kinds, ["unavailable"] * 4)
                self.assertLess(time.monotonic() - begun, 1.5)

    def test_what_is_packed_is_not_unpacked(self) -> None:
        for way in self.WAYS:
            for status, kind in ((200, "answer"), (503, "unavailable")):
                with self.subTest(way, status=status):
                    with serving(lambda *_: (status, {"Content-Encoding": "gzip"}, gzip.compress(YES))) as url:
                        self.refused(way, url, kind)

    def test_a_server_that_is_gone_or_ends_a_new_connection_is_asked_once(self) -> None:
        requests: list[bool] = []

        def breaks(connection: socket.socket) -> None:
            requests.append(read_request(connection))
            reset(connection)

        with socket.create_server(("127.0.0.1", 0)) as place:
            gone = f"http://127.0.0.1:{place.getsockname()[1]}"
        for way in self.WAYS:
            requests.clear()
            with self.subTest(way), listening(breaks) as url:
                self.refused(way, gone, "unavailable")
                self.refused(way, url, "unavailable")
                self.assertEqual(requests, [True])

    def test_a_transport_that_tells_nothing_of_connections_is_asked_once(self) -> None:
        requests: list[httpx.Request] = []

        def broken(request: httpx.Request) -> httpx.Response:
            requests.append(request)
            raise httpx.ReadError("broken")

        for way in self.WAYS:
            requests.clear()
            self.refused(way, "http://tokens.acme.example", "unavailable", transport=httpx.MockTransport(broken))
            self.assertEqual(len(requests), 1)

    def test_a_transport_of_a_test_of_theirs_answers(self) -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=YES))
        for way in self.WAYS:
            self.assertTrue(ask(way, "http://tokens.acme.example", transport=transport).valid)

    def test_errors_and_logs_hold_no_token(self) -> None:
        def raising(what: Exception) -> Callable[[httpx.Request], httpx.Response]:
            def handle(request: httpx.Request) -> httpx.Response:
                raise what

            return handle

        kinds: list[tuple[Exception, str]] = [
            (httpx.ConnectTimeout("slow"), "unavailable"),
            (httpx.PoolTimeout("slow"), "unavailable"),
            (httpx.ConnectError("refused"), "unavailable"),
            (httpx.ProxyError("407"), "unavailable"),
            (httpx.RemoteProtocolError("Server disconnected without sending a response."), "unavailable"),
            (httpx.RemoteProtocolError("<ConnectionTerminated error_code:0>"), "unavailable"),
            (httpx.RemoteProtocolError("illegal status line: bytearray(b'Authorization: Token twd_service')"), "answer"),
            (httpx.LocalProtocolError("Illegal header value b'Token twd_service'"), "unavailable"),
            (httpx.UnsupportedProtocol("no"), "unavailable"),
            (KeyError("a slip"), "unavailable"),
        ]
        with self.assertLogs(level=logging.DEBUG) as logs:
            for way in self.WAYS:
                for error, kind in kinds:
                    with self.subTest(way, error=repr(error)):
                        self.refused(way, "http://tokens.acme.example", kind, transport=httpx.MockTransport(raising(error)))
                with serving(lambda *_: (200, {}, YES)) as url:
                    ask(way, url)
        self.assertTrue(any("/verify" in it for it in logs.output), "httpx tells what it does")
        for secret in SECRETS:
            self.assertNotIn(secret, "\n".join(logs.output))

    def test_an_error_of_a_hook_of_theirs_is_no_verdict_and_leads_to_it(self) -> None:
        def hook(_: object) -> None:
            raise KeyError("a slip")

        async def async_hook(_: object) -> None:
            hook(_)

        with serving(lambda *_: (200, {}, YES)) as url:
            for way in self.WAYS:
                for event in ("request", "response"):
                    error = self.refused(way, url, "unavailable", event_hooks={event: [hook if way == "sync" else async_hook]})
                    self.assertIsInstance(error.__cause__, KeyError)

    def test_an_answer_that_a_hook_of_theirs_has_read_is_bounded_too(self) -> None:
        async def read(response: httpx.Response) -> None:
            await response.aread()

        for way in self.WAYS:
            hooks = {"response": [httpx.Response.read if way == "sync" else read]}
            with self.subTest(way):
                with serving(lambda *_: (200, {}, YES)) as url:
                    self.assertTrue(ask(way, url, event_hooks=hooks).valid)
                with serving(lambda *_: (200, {}, YES + b" " * 20_000)) as url:
                    self.refused(way, url, "answer", event_hooks=hooks)

    def test_no_more_of_an_answer_is_read_than_one_has(self) -> None:
        read: list[int] = []

        class Endless(httpx.SyncByteStream, httpx.AsyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                for _ in range(1_000):
                    read.append(1_000)
                    yield b" " * 1_000

            async def __aiter__(self) -> AsyncIterator[bytes]:
                for part in self:
                    yield part

        for way in self.WAYS:
            read.clear()
            self.refused(way, "http://tokens.acme.example", "answer", transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless())))
            self.assertLess(sum(read), 20_000)

    def test_a_trace_of_theirs_finds_its_context(self) -> None:
        trace: ContextVar[str] = ContextVar("trace")
        found: list[str | None] = []

        def handle(request: httpx.Request) -> httpx.Response:
            found.append(trace.get(None))
            return httpx.Response(200, content=YES)

        trace.set("here")
        for way in self.WAYS:
            ask(way, "http://tokens.acme.example", transport=httpx.MockTransport(handle))
        self.assertEqual(found, ["here", "here"])

    def test_a_question_that_nobody_waits_for_any_more_ends(self) -> None:
        async def coroutine() -> None:
            with listening(silent) as url:
                async with httpx.AsyncClient(verify=TLS) as own:
                    asking = asyncio.create_task(AsyncTokenward(url, "x", timeout=10, client=own).verify("x"))
                    await asyncio.sleep(0.1)
                    asking.cancel()
                    with self.assertRaises(asyncio.CancelledError):
                        await asking

        begun = time.monotonic()
        asyncio.run(coroutine())
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_closed_client_is_no_verdict(self) -> None:
        own = httpx.Client(verify=TLS)
        own.close()
        with self.assertRaises(TokenwardError) as caught:
            Tokenward("http://127.0.0.1:9", "x", client=own).verify("x")
        self.assertEqual(caught.exception.kind, "unavailable")

    def test_a_slip_of_the_pen_stops_the_start(self) -> None:
        wrong: list[Callable[[], object]] = [
            lambda: Tokenward("http://h", "x", client=httpx.AsyncClient(verify=TLS)),  # type: ignore[arg-type]
            lambda: AsyncTokenward("http://h", "x", client=httpx.Client(verify=TLS)),  # type: ignore[arg-type]
            lambda: Tokenward("http://h", "x", client=object()),  # type: ignore[arg-type]
            lambda: Tokenward("http://h", "x", client=httpx.Client(verify=TLS), ssl_context=TLS),
        ]
        for make in wrong:
            with self.assertRaises(TokenwardError) as caught:
                make()
            self.assertEqual(caught.exception.kind, "question")

    def test_an_address_that_httpx_cannot_ask_is_an_error(self) -> None:
        for way in self.WAYS:
            self.refused(way, f"http://{'é' * 70}.example", "question")

    def test_is_loaded_for_who_brings_a_client_alone(self) -> None:
        program = "import sys, tokenward_verify as it; it.Tokenward('http://h', 'x'); it.AsyncTokenward('http://h', 'x'); print('httpx' in sys.modules)"
        source = Path(__file__).parents[1] / "src"
        run = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, check=True, text=True)
        self.assertEqual(run.stdout, "False\n")

    def test_a_question_that_hangs_does_not_hold_up_the_end_of_the_process(self) -> None:
        program = """
import sys, httpx, tokenward_verify as it
try:
    it.Tokenward(sys.argv[1], "x", timeout=0.2, client=httpx.Client(verify=False)).verify("x")
except it.TokenwardError as error:
    print(error.kind)
"""
        source = Path(__file__).parents[1] / "src"

        def head(connection: socket.socket) -> None:
            read_request(connection)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.05)
            except OSError:
                pass

        with listening(head) as url:
            arguments = [sys.executable, "-c", program, url]
            env = {**os.environ, "PYTHONPATH": str(source)}
            run = subprocess.run(arguments, env=env, capture_output=True, check=True, text=True, timeout=20)
        self.assertEqual(run.stdout, "unavailable\n")


if __name__ == "__main__":
    unittest.main()
