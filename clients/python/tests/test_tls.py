"""With TLS: a server is asked when its certificate is good, and told nothing before."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
from contextlib import suppress
from pathlib import Path

from tokenward_verify import AsyncTokenward, Question, Tokenward, TokenwardError

from .world import TLS, YES, listening, read_request, reply

#: Longer than what is read at once.
LONG = b'{"results":[' + b",".join([YES] * 400) + b"]}"


def by_threads(url: str, tls: ssl.SSLContext, timeout: float) -> list[bool]:
    with Tokenward(url, "twd_service", timeout=timeout, ssl_context=tls) as client:
        short = [client.verify("twd_x").valid for _ in range(3)]
        return short + [it.valid for it in client.verify_batch([Question("twd_x")] * 400)]


def by_coroutines(url: str, tls: ssl.SSLContext, timeout: float) -> list[bool]:
    async def ask() -> list[bool]:
        async with AsyncTokenward(url, "twd_service", timeout=timeout, ssl_context=tls) as client:
            short = [(await client.verify("twd_x")).valid for _ in range(3)]
            return short + [it.valid for it in await client.verify_batch([Question("twd_x")] * 400)]

    return asyncio.run(ask())


class WithTLS(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        key, certificate = Path(place.name, "key.pem"), Path(place.name, "certificate.pem")
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
        files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(["openssl", "req", *kind, *files], check=True, capture_output=True)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(certificate, key)
        self.good = ssl.create_default_context(cafile=str(certificate))
        self.heard, self.connections = 0, 0

    def answer(self, connection: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError):
            secure = self.server.wrap_socket(connection, server_side=True)
            while read_request(secure):
                self.heard += 1
                reply(secure, LONG if self.heard % 4 == 0 else YES)

    def test_a_server_is_asked_when_its_certificate_is_good_and_told_nothing_before(self) -> None:
        for ask in (by_threads, by_coroutines):
            self.heard, self.connections = 0, 0
            with self.subTest(ask.__name__), listening(self.answer) as url:
                port = url.rsplit(":", 1)[1]
                for place, tls in ((f"https://localhost:{port}", TLS), (f"https://127.0.0.1:{port}", self.good)):
                    with self.assertRaises(TokenwardError) as caught:
                        ask(place, tls, 10)
                    self.assertEqual((caught.exception.kind, self.heard), ("unavailable", 0))
                before = self.connections
                self.assertEqual(ask(f"https://localhost:{port}", self.good, 10), [True] * 403)
                self.assertEqual((self.heard, self.connections - before), (4, 1))

    def test_a_slow_server_costs_no_more_than_the_time_limit(self) -> None:
        late = threading.Event()
        self.addCleanup(late.set)

        def silent(connection: socket.socket) -> None:
            with suppress(OSError):
                read_request(self.server.wrap_socket(connection, server_side=True))
                late.wait(60)

        for ask in (by_threads, by_coroutines):
            with self.subTest(ask.__name__), listening(silent) as url, self.assertRaises(TokenwardError) as caught:
                ask(url.replace("http://127.0.0.1", "https://localhost"), self.good, 0.5)
            self.assertEqual(caught.exception.kind, "unavailable")


if __name__ == "__main__":
    unittest.main()
