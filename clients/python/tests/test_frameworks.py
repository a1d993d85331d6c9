"""The published example of each framework, with our middleware, asked over HTTP with a token in each state."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path as django_path
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tokenward_verify import AsyncTokenward, Needs, Passed
from tokenward_verify import django as guarded_django
from tokenward_verify.asgi import RequireToken, require_token

from .world import WORLD

TOKENS: dict[str, str] = {**WORLD["tokens"], "narrow": WORLD["bounded"]["scope_denied"]}
INVALID = 'Bearer realm="tokenward", error="invalid_token"'
METHODS = ["GET", "POST"]


def sync_view(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {request.tokenward.token.name}")


async def async_view(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {request.tokenward.token.name}")


@guarded_django.require_token("invoices:write")
async def alone(request: Any) -> HttpResponse:
    return HttpResponse(f"hello {request.tokenward.token.name}")


urlpatterns = [django_path("invoices", sync_view), django_path("async/invoices", async_view)]

settings.configure(
    SECRET_KEY="tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["tokenward_verify.django.RequireToken"],
    TOKENWARD={"url": WORLD["url"], "credential": WORLD["credential"], "timeout": 10.0, "api": "shop"},
)
django.setup()


def starlette_app(client: AsyncTokenward) -> Any:
    async def invoices(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"hello {request.state.tokenward.token.name}")

    app = Starlette(routes=[Route("/invoices", invoices, methods=METHODS)])
    app.add_middleware(RequireToken, client=client, needs=Needs(api="shop"))
    return app


def fastapi_app(client: AsyncTokenward) -> Any:
    app = FastAPI()
    needed = require_token(client, Needs(api="shop"))

    @app.api_route("/invoices", methods=METHODS, response_class=PlainTextResponse)
    async def invoices(passed: Passed = Depends(needed)) -> str:
        return f"hello {passed.token.name}"

    return app


@contextmanager
def asgi(app: Any) -> Iterator[int]:
    place = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    try:
        yield place.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def wsgi(app: Any) -> Iterator[int]:
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(port: int, headers: list[tuple[str, str]], method: str = "POST", path: str = "/invoices?a=b") -> tuple[int, Any, str | None, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path)
    for name, value in [*headers, ("Content-Length", "0")]:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    body: dict[str, Any] = json.loads(text) if text.startswith("{") else {"code": text}
    # FastAPI puts the body of an error into `detail`.
    if isinstance(body.get("detail"), dict):
        body = body["detail"]
    return answer.status, body["code"], answer.headers["WWW-Authenticate"], body.get("missing_permission")


class Frameworks(unittest.TestCase):
    def setUp(self) -> None:
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def asked(self, port: int, path: str = "/invoices?a=b") -> None:
        def bearer(state: str, method: str = "POST") -> tuple[int, Any, str | None, Any]:
            return ask(port, [("Authorization", f"Bearer {TOKENS[state]}")], method, path)

        self.assertEqual(bearer("living"), (200, "hello living", None, None))
        self.assertEqual(bearer("weak"), (403, "permission_denied", None, "invoices:write"))
        self.assertEqual(bearer("weak", "GET"), (200, "hello weak", None, None))
        self.assertEqual(bearer("narrow"), (403, "scope_denied", None, "invoices:write"))
        for state in ("revoked", "expired", "malformed", "replaced", "disabled", "not_yet_valid"):
            self.assertEqual(bearer(state), (401, state, INVALID, None))
        self.assertEqual(bearer("network_denied"), (403, "network_denied", None, None))
        self.assertEqual(ask(port, [], path=path), (401, "missing_credentials", 'Bearer realm="tokenward"', None))
        self.assertEqual(ask(port, [("X-API-Key", TOKENS["living"])], path=path), (200, "hello living", None, None))
        twice = [("Authorization", f"Token {TOKENS['living']}"), ("Authorization", "Token b")]
        self.assertEqual(ask(port, twice, path=path)[:2], (401, "ambiguous_credentials"))

    def test_starlette(self) -> None:
        with asgi(starlette_app(AsyncTokenward(WORLD["url"], WORLD["credential"], timeout=10))) as port:
            self.asked(port)

    def test_fastapi(self) -> None:
        with asgi(fastapi_app(AsyncTokenward(WORLD["url"], WORLD["credential"], timeout=10))) as port:
            self.asked(port)

    def test_a_service_whose_own_credential_is_revoked_answers_503(self) -> None:
        for app in (starlette_app, fastapi_app):
            with asgi(app(AsyncTokenward(WORLD["url"], WORLD["revoked_credential"], timeout=10))) as port:
                self.assertEqual(ask(port, [("Authorization", f"Token {TOKENS['living']}")]), (503, "unavailable", None, None))

    def test_a_websocket_is_refused_before_it_is_accepted(self) -> None:
        import asyncio

        sent: list[Any] = []

        async def run(token: str) -> None:
            async def send(message: Any) -> None:
                sent.append(message)

            async def receive() -> Any:
                return {}

            async def app(scope: Any, receive: Any, send: Any) -> None:
                sent.append(scope["state"]["tokenward"].token.name)

            async with AsyncTokenward(WORLD["url"], WORLD["credential"], timeout=10) as client:
                headers = [(b"authorization", f"Token {token}".encode())]
                scope = {"type": "websocket", "headers": headers, "path": "/invoices", "client": ("127.0.0.1", 1)}
                await RequireToken(app, client=client, needs=Needs(permission="invoices:read"))(scope, receive, send)

        for state in ("revoked", "living"):
            asyncio.run(run(TOKENS[state]))
        self.assertEqual(sent, [{"type": "websocket.close", "code": 1008}, "living"])

    def test_django_sync(self) -> None:
        with wsgi(get_wsgi_application()) as port:
            self.asked(port)

    def test_django_async(self) -> None:
        with asgi(get_asgi_application()) as port:
            self.asked(port)

    def test_a_service_of_django_whose_credential_is_revoked_answers_503(self) -> None:
        from tokenward_verify import Tokenward

        revoked = {Tokenward: Tokenward(WORLD["url"], WORLD["revoked_credential"], timeout=10)}
        before, guarded_django._clients = guarded_django._clients, revoked  # type: ignore[assignment]
        try:
            with wsgi(get_wsgi_application()) as port:
                self.assertEqual(ask(port, [("Authorization", f"Token {TOKENS['living']}")]), (503, "unavailable", None, None))
        finally:
            guarded_django._clients = before


if __name__ == "__main__":
    unittest.main()
