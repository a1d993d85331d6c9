"""Questions by a client of ``httpx`` that the service has already: its proxies, certificates, limits and traces. Loaded only for who brings one.

The connections are its own, and nothing else of it is: its default headers, cookies, parameters, ``auth``, redirects and time limits
are for others, and may name a credential that is no business of a Tokenward server.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import aclosing, closing
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import httpx

from ._base import Asking, Settings
from ._http import answer_too_long, no_http
from ._wire import Reply, TokenwardError

#: How it says that the connection ended: it has one class for that and for what is no HTTP.
_ENDED = ("disconnected", "closed connection", "ConnectionTerminated")


class BySync:
    """Asks by an ``httpx.Client``."""

    def __init__(self, settings: Settings, client: httpx.Client, tls: ssl.SSLContext | None) -> None:
        _check(client, httpx.Client, tls)
        self._settings, self._client = settings, client

    def post(self, asking: Asking[Any]) -> Reply:
        """The answer to a question, in a thread of its own.

        The time limits of httpx are for each read, and the head of an answer that comes byte by byte has no other end. A pool of threads
        would be full of such answers, would not live on in a forked process, and would hold up the end of this one.
        """
        told: SimpleQueue[Reply | TokenwardError] = SimpleQueue()
        until = time.monotonic() + self._settings.timeout

        def ask() -> None:
            try:
                told.put(self._ask(asking, until))
            # Whoever waits must hear of whatever it is.
            except BaseException as cause:
                told.put(_error(self._settings, cause))

        try:
            # Traces find their context in it.
            Thread(target=copy_context().run, args=(ask,), name="tokenward", daemon=True).start()
            outcome = told.get(timeout=self._settings.timeout)
        except Empty:
            raise self._settings.too_slow() from None
        except RuntimeError as cause:
            raise self._settings.unreachable(cause) from cause
        if isinstance(outcome, TokenwardError):
            raise outcome
        return outcome

    def _ask(self, asking: Asking[Any], until: float) -> Reply:
        with closing(self._sent(asking, until)) as response:
            answer = _Answer(response, asking.most)
            for part in response.iter_bytes() if answer.plain else ():
                answer.take(part)
                _left(until)
            return answer.whole()

    def _sent(self, asking: Asking[Any], until: float) -> httpx.Response:
        way = _Way()
        try:
            return self._send(asking, until, way.note)
        except httpx.TransportError as error:
            if not way.was_idle or not _broken(error):
                raise
        return self._send(asking, until, way.note)

    def _send(self, asking: Asking[Any], until: float, trace: object) -> httpx.Response:
        request = _request(self._settings, asking, _left(until), trace)
        return self._client.send(request, stream=True, auth=None, follow_redirects=False)


class ByAsync:
    """Asks by an ``httpx.AsyncClient``."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient, tls: ssl.SSLContext | None) -> None:
        _check(client, httpx.AsyncClient, tls)
        self._settings, self._client = settings, client

    async def post(self, asking: Asking[Any]) -> Reply:
        try:
            return await asyncio.wait_for(self._ask(asking), self._settings.timeout)
        except Exception as cause:
            error = _error(self._settings, cause)
        # Here, where it has no context: an error of httpx has the request in it.
        raise error

    async def _ask(self, asking: Asking[Any]) -> Reply:
        async with aclosing(await self._sent(asking)) as response:
            answer = _Answer(response, asking.most)
            if answer.plain:
                async for part in response.aiter_bytes():
                    answer.take(part)
            return answer.whole()

    async def _sent(self, asking: Asking[Any]) -> httpx.Response:
        way = _Way()

        async def note(name: str, more: object) -> None:
            way.note(name, more)

        try:
            return await self._send(asking, note)
        except httpx.TransportError as error:
            if not way.was_idle or not _broken(error):
                raise
        return await self._send(asking, note)

    async def _send(self, asking: Asking[Any], trace: object) -> httpx.Response:
        request = _request(self._settings, asking, self._settings.timeout, trace)
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)


class _Way:
    """What is told of the connection that a question takes. Another transport than that of httpx tells nothing, and nothing is asked again."""

    def __init__(self) -> None:
        self._told = self._made = False

    def note(self, name: str, _: object) -> None:
        self._told = True
        self._made = self._made or "connect" in name

    @property
    def was_idle(self) -> bool:
        return self._told and not self._made


class _Answer:
    """An answer as it comes in."""

    def __init__(self, response: httpx.Response, most: int) -> None:
        self._response, self._most, self._body = response, most, bytearray()
        #: Is it to be read? What is packed was not asked for, and a few bytes of it can be unpacked to any number of them.
        self.plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"

    def take(self, part: bytes) -> None:
        if len(self._body) + len(part) > self._most:
            raise answer_too_long(self._most)
        self._body += part

    def whole(self) -> Reply:
        return Reply(self._response.status_code, self._response.headers.get("Retry-After"), bytes(self._body))


def _check(client: object, kind: type, tls: ssl.SSLContext | None) -> None:
    if not isinstance(client, kind):
        raise TokenwardError("question", f"`client` must be an httpx.{kind.__name__}.")
    if tls is not None:
        raise TokenwardError("question", "`ssl_context` stands beside a `client`, whose connections have their own: give it to that one.")


def _request(settings: Settings, asking: Asking[Any], seconds: float, trace: object) -> httpx.Request:
    more = {"timeout": httpx.Timeout(seconds).as_dict(), "trace": trace}
    return httpx.Request("POST", settings.base + asking.path, headers=settings.headers, content=asking.content, extensions=more)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _broken(error: Exception) -> bool:
    return isinstance(error, httpx.NetworkError) or isinstance(error, httpx.RemoteProtocolError) and any(it in str(error) for it in _ENDED)


def _error(settings: Settings, cause: BaseException) -> TokenwardError:
    """What is told of an error. One of httpx has the request in it, with both tokens, and is no part of what is told."""
    if isinstance(cause, TokenwardError):
        return cause
    if isinstance(cause, (httpx.TimeoutException, TimeoutError, asyncio.TimeoutError)):
        return settings.too_slow()
    if isinstance(cause, httpx.InvalidURL):
        return TokenwardError("question", "The address of the Tokenward server is none that httpx can ask.")
    if isinstance(cause, (httpx.NetworkError, httpx.ProxyError)) or isinstance(cause, Exception) and _broken(cause):
        return settings.unreachable(str(cause) or type(cause).__name__)
    if isinstance(cause, httpx.RemoteProtocolError):
        # Its text quotes what came.
        return no_http("httpx cannot read it")
    error = settings.unreachable(f"its `client` raised {type(cause).__name__}")
    if not isinstance(cause, httpx.HTTPError):
        # Of a hook or a transport that somebody has written, who has to find it.
        error.__cause__ = cause
    return error
