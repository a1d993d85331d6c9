"""The client for coroutines of asyncio, without a thread: its connections belong to the loop that made them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from ._base import Asking, Settings, one, several
from ._http import Answer, Route, route
from ._sync import KEPT, KEPT_FOR, Tokenward, poll, usual_tls
from ._wire import Question, Reply, Request, Resource, TokenwardError, Verdict

if TYPE_CHECKING:
    import httpx

    from ._httpx import ByAsync


#: What is read at once: nearly always a whole answer about one token. What is longer comes in pieces.
ROOM = 16_384


class _Connection(asyncio.BufferedProtocol):
    """A connection, and the way by which it leads to the server. A stream of asyncio's takes longer, and keeps what nobody has asked for."""

    transport: asyncio.Transport

    def __init__(self, way: Route) -> None:
        self.way = way
        #: Until when it may be used again.
        self.until = 0.0
        self._answer: Answer | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        # The same room for each answer: asyncio makes a quarter of a megabyte for each reading anew, which the system has to be asked for.
        self._room = memoryview(bytearray(ROOM))
        #: When the answer is late.
        self._limit = 0.0
        #: Looks whether it is. The limits of questions come in the order of these, so that one timer does for many.
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, asking: Asking[Any], answer: Answer, until: float) -> Reply:
        loop = asyncio.get_running_loop()
        self._answer, self._waiting, self._limit = answer, loop.create_future(), until
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)
        try:
            self.transport.write(self.way.request(asking.path, asking.content))
            return await self._waiting
        finally:
            self._waiting = None
            # What was answered before all of it was sent is no order in which a next one could be asked.
            if self.transport.get_write_buffer_size() > 0:
                answer.reusable = False

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        loop = self._waiting.get_loop()
        if loop.time() < self._limit:
            self._timer = loop.call_at(self._limit, self._look)
        else:
            self._fail(TimeoutError())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._poll = poll(transport.get_extra_info("socket"))

    def is_good(self, now: float) -> bool:
        """Can it be used again? What its loop has not read yet is an end of it, or an answer that nobody has asked for."""
        return now < self.until and not self.transport.is_closing() and not self._poll(0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        waiting, answer = self._waiting, self._answer
        if waiting is None or waiting.done() or answer is None:
            # An answer to nothing.
            self.transport.abort()
            return
        try:
            reply = answer.feed(bytes(self._room[:nbytes]))
        except TokenwardError as error:
            self._fail(error)
            return
        if reply is not None:
            waiting.set_result(reply)

    def eof_received(self) -> None:
        waiting, answer = self._waiting, self._answer
        if waiting is None or waiting.done() or answer is None:
            return
        try:
            waiting.set_result(answer.closed())
        except ConnectionError as cause:
            waiting.set_exception(cause)

    def connection_lost(self, cause: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fail(cause or ConnectionResetError("it closed the connection"))

    def _fail(self, cause: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(cause)


class AsyncTokenward:
    """Asks one server from coroutines. Make one for the whole process; the settings are those of :class:`Tokenward`,
    with an ``httpx.AsyncClient`` as ``client``."""

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        timeout: float = 1.0,
        revoked_tokens_live_for: float = 0,
        ssl_context: ssl.SSLContext | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._settings = Settings(url, credential, timeout, revoked_tokens_live_for)
        self.base = self._settings.base
        self._tls = ssl_context
        # A service may have several loops, one after the other or in threads of their own.
        self._idle: WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Connection]] = WeakKeyDictionary()
        self._threads: tuple[Tokenward, ThreadPoolExecutor] | None = None
        self._by_client: ByAsync | None = None
        if client is not None:
            from ._httpx import ByAsync

            self._by_client = ByAsync(self._settings, client, ssl_context)

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
        include: Sequence[str] | None = None,
    ) -> Verdict:
        """Whose token is this, and may it do that? Raises a ``TokenwardError`` where there is no verdict."""
        return await self.ask(Question(token, permission, resource, api, request, remote_ip, user_agent, at_least, include))

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
            connection.transport.close()
        if self._threads is not None:
            client, pool = self._threads
            pool.shutdown(wait=False)
            client.close()

    async def __aenter__(self) -> AsyncTokenward:
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        await self.aclose()

    async def _post(self, asking: Asking[Any]) -> Reply:
        if self._by_client is not None:
            return await self._by_client.post(asking)
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = now + self._settings.timeout
        idle = self._idle_of(loop)
        connection = _good(idle, now)
        way = connection.way if connection is not None else route(self.base, self._settings.headers)
        if way.tunnel is not None:
            return await self._by_thread(asking)
        try:
            if connection is not None:
                answer = Answer(asking.most)
                try:
                    return await self._once(connection, asking, answer, until, idle)
                except ConnectionError:
                    # The other end has closed it meanwhile: once more, with a new one. What was answered in part was no idle one.
                    if answer.begun:
                        raise
            connection = await asyncio.wait_for(self._connected(way), until - loop.time())
            return await self._once(connection, asking, Answer(asking.most), until, idle)
        except (asyncio.TimeoutError, TimeoutError) as cause:
            raise self._settings.too_slow() from cause
        except OSError as cause:
            raise self._settings.unreachable(cause) from cause

    def _idle_of(self, loop: asyncio.AbstractEventLoop) -> list[_Connection]:
        idle = self._idle.get(loop)
        if idle is None:
            for ended in [it for it in self._idle if it.is_closed()]:
                del self._idle[ended]
            idle = self._idle[loop] = []
        return idle

    async def _by_thread(self, asking: Asking[Any]) -> Reply:
        """Through a proxy to a server with TLS: asyncio can begin TLS on an open connection only from Python 3.11 on."""
        if self._threads is None:
            client = Tokenward(self.base, self._settings.credential, timeout=self._settings.timeout, ssl_context=self._tls)
            self._threads = (client, ThreadPoolExecutor(KEPT, thread_name_prefix="tokenward"))
        client, pool = self._threads
        return await asyncio.get_running_loop().run_in_executor(pool, client.post, asking)

    async def _connected(self, way: Route) -> _Connection:
        tls = None if way.secure is None else self._tls or usual_tls()
        # asyncio lets no small request wait for the acknowledgement of the one before.
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: _Connection(way), way.host, way.port, ssl=tls, server_hostname=way.secure)
        return made

    async def _once(self, connection: _Connection, asking: Asking[Any], answer: Answer, until: float, idle: list[_Connection]) -> Reply:
        try:
            return await connection.ask(asking, answer, until)
        finally:
            if answer.reusable and len(idle) < KEPT and not connection.transport.is_closing():
                connection.until = asyncio.get_running_loop().time() + KEPT_FOR
                idle.append(connection)
            else:
                connection.transport.abort()


def _good(idle: list[_Connection], now: float) -> _Connection | None:
    """The idle connection that was used last, where one still looks good."""
    while idle:
        connection = idle.pop()
        if connection.is_good(now):
            return connection
        connection.transport.abort()
    return None
