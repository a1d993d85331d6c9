"""The client for coroutines of asyncio, without a thread: its connections belong to the loop that made them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from ._base import Asking, Settings, one, several
from ._http import Answer, Route, route
from ._sync import KEPT, READ_BYTES, Tokenward, usual_tls
from ._wire import Question, Reply, Request, Resource, Verdict


@dataclass(frozen=True)
class _Connection:
    """A connection, and the way by which it leads to the server."""

    way: Route
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class AsyncTokenward:
    """Asks one server from coroutines. Make one for the whole process; the settings are those of :class:`Tokenward`."""

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        timeout: float = 1.0,
        revoked_tokens_live_for: float = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = Settings(url, credential, timeout, revoked_tokens_live_for)
        self.base = self._settings.base
        self._tls = ssl_context
        # A service may have several loops, one after the other or in threads of their own.
        self._idle: WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Connection]] = WeakKeyDictionary()
        self._threads: tuple[Tokenward, ThreadPoolExecutor] | None = None

    async def verify(
        self,
        token: str,
        *,
        permission: str | None = None,
        resource: Resource | None = None,
        api: str | None = None,
        request: Request | None = None,
        remote_ip: str | None = None,
        user_agent: str | None = None,
        at_least: str | None = None,
    ) -> Verdict:
        """Whose token is this, and may it do that? Raises a ``TokenwardError`` where there is no verdict."""
        return await self.ask(Question(token, permission, resource, api, request, remote_ip, user_agent, at_least))

    async def ask(self, question: Question) -> Verdict:
        asking = one(self._settings, question)
        return asking if isinstance(asking, Verdict) else asking.read(await self._post(asking))

    async def verify_batch(self, questions: Iterable[Question], *, at_least: str | None = None) -> list[Verdict]:
        """The same for up to 1,000 tokens at once, answered in their order."""
        asking = several(self._settings, questions, at_least)
        return asking if isinstance(asking, list) else asking.read(await self._post(asking))

    async def aclose(self) -> None:
        """Closes the connections that nothing uses."""
        for connection in self._idle.pop(asyncio.get_running_loop(), []):
            connection.writer.close()
        if self._threads is not None:
            client, pool = self._threads
            pool.shutdown(wait=False)
            client.close()

    async def __aenter__(self) -> AsyncTokenward:
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        await self.aclose()

    async def _post(self, asking: Asking[Any]) -> Reply:
        idle = self._idle.setdefault(asyncio.get_running_loop(), [])
        connection = idle.pop() if idle else None
        way = connection.way if connection is not None else route(self.base, self._settings.headers)
        if way.tunnel is not None:
            return await self._by_thread(asking)
        try:
            return await asyncio.wait_for(self._ask(connection, way, asking, idle), self._settings.timeout)
        except (asyncio.TimeoutError, TimeoutError) as cause:
            raise self._settings.too_slow() from cause
        except OSError as cause:
            raise self._settings.unreachable(cause) from cause

    async def _by_thread(self, asking: Asking[Any]) -> Reply:
        """Through a proxy to a server with TLS: asyncio can begin TLS on an open connection only from Python 3.11 on."""
        if self._threads is None:
            client = Tokenward(self.base, self._settings.credential, timeout=self._settings.timeout, ssl_context=self._tls)
            self._threads = (client, ThreadPoolExecutor(KEPT, thread_name_prefix="tokenward"))
        client, pool = self._threads
        return await asyncio.get_running_loop().run_in_executor(pool, client.post, asking)

    async def _ask(self, connection: _Connection | None, way: Route, asking: Asking[Any], idle: list[_Connection]) -> Reply:
        if connection is not None:
            answer = Answer(asking.most)
            try:
                return await self._once(connection, asking, answer, idle)
            except ConnectionError:
                # The other end has closed it meanwhile: once more, with a new one. What was answered in part was no idle one.
                if answer.begun:
                    raise
        tls = None if way.secure is None else self._tls or usual_tls()
        reader, writer = await asyncio.open_connection(way.host, way.port, ssl=tls, server_hostname=way.secure)
        # A small request must not wait for the acknowledgement of the one before.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await self._once(_Connection(way, reader, writer), asking, Answer(asking.most), idle)

    async def _once(self, connection: _Connection, asking: Asking[Any], answer: Answer, idle: list[_Connection]) -> Reply:
        try:
            connection.writer.write(connection.way.request(asking.path, asking.content))
            await connection.writer.drain()
            while True:
                part = await connection.reader.read(READ_BYTES)
                if not part:
                    if not answer.begun:
                        raise ConnectionResetError("it closed the connection without an answer")
                    return answer.closed()
                reply = answer.feed(part)
                if reply is not None:
                    return reply
        finally:
            if answer.reusable and len(idle) < KEPT:
                idle.append(connection)
            else:
                connection.writer.close()
