"""The client for threads."""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from threading import Lock, get_ident, main_thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ._base import Asking, Settings, one, several
from ._http import HEAD_BYTES, Answer, Route, route
from ._wire import Question, Reply, Request, Resource, Verdict

if TYPE_CHECKING:
    import httpx

    from ._httpx import BySync

#: Idle connections that are kept for the next question, and for how many seconds.
KEPT = 64
KEPT_FOR = 60.0
#: Most bytes that are read at once.
READ_BYTES = 65_536
#: What is no longer never waits to be sent on a connection whose questions were all answered.
SHORT = 4_096


def poll(made: socket.socket) -> Callable[[int], object]:
    """Waits for so many milliseconds until something can be read; is there?"""
    if not hasattr(select, "poll"):
        return lambda wait: select.select([made], [], [], wait / 1_000)[0]
    asked = select.poll()
    asked.register(made, select.POLLIN)
    return asked.poll


class _Connection:
    """A connection, and the way by which it leads to the server."""

    def __init__(self, way: Route, made: socket.socket) -> None:
        self.way, self.socket = way, made
        self.poll = poll(made)
        #: Until when it may be used again.
        self.until = 0.0

    def allow(self, seconds: float) -> None:
        """So long may sending take, and then as long whatever comes first."""
        self.socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> bytes:
        return self.socket.recv(READ_BYTES)

    def read(self, answer: Answer, until: float) -> Reply:
        """The answer. What was allowed to send is still allowed to its first part."""
        while True:
            part = self.receive()
            if not part:
                if not answer.begun:
                    raise ConnectionResetError("it closed the connection without an answer")
                return answer.closed()
            reply = answer.feed(part)
            if reply is not None:
                return reply
            self.allow(_left(until))


class _ByKernel(_Connection):
    """One whose time is kept by the kernel. Where Python keeps it, it waits before each call that sends or reads, and each wait gives another
    thread its turn: among many threads that takes most of a question's time.
    """

    def __init__(self, way: Route, made: socket.socket) -> None:
        super().__init__(way, made)
        #: In milliseconds; none is as yet.
        self._allowed = 0

    def allow(self, seconds: float) -> None:
        # Whole ones, so that it is nearly always the same. Nothing would be without end.
        wanted = max(math.ceil(seconds * 1_000), 1)
        if wanted != self._allowed:
            limit = struct.pack("ll", wanted // 1_000, wanted % 1_000 * 1_000)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._allowed = wanted

    # The kernel's time is that of one call: what goes in parts would have it anew for each, so that Python keeps the time of it. A signal
    # makes Python read once more, too; signals go to the main thread, where Python waits.

    def send(self, data: bytes) -> None:
        if len(data) > SHORT:
            self.socket.settimeout(self._allowed / 1_000)
            try:
                self.socket.sendall(data)
            finally:
                self.socket.settimeout(None)
        else:
            self.socket.sendall(data)

    def receive(self) -> bytes:
        if _is_main() and not self.poll(self._allowed):
            raise TimeoutError
        return self.socket.recv(READ_BYTES)


def _is_main() -> bool:
    return get_ident() == main_thread().ident


def _connection(way: Route, made: socket.socket) -> _Connection:
    # TLS asks again and again where the kernel says that the time is over; and a time of the kernel has another form below 64 bits.
    if sys.platform == "linux" and struct.calcsize("l") == 8 and not isinstance(made, ssl.SSLSocket):
        limit = made.gettimeout()
        made.settimeout(None)
        # What stands in the place of sockets for another kind of threads keeps the time itself.
        if os.get_blocking(made.fileno()):
            return _ByKernel(way, made)
        made.settimeout(limit)
    return _Connection(way, made)


class Tokenward:
    """Asks one server. Make one for the whole process: its connections are shared, by threads too.

    A proxy is taken from ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, as ``urllib`` reads them.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        timeout: float = 1.0,
        revoked_tokens_live_for: float = 0,
        ssl_context: ssl.SSLContext | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        """``credential`` is a token of the role ``verifier``, ``timeout`` the longest that a question may take in seconds.

        ``revoked_tokens_live_for``: remember a yes for so long, 1 second at most. **A token that was revoked lives that
        long for this process.** Off where nothing is said.

        ``client``: an ``httpx.Client`` of yours, over whose connections questions go; it stays yours to close. The limits and guarantees
        of this one stand. It needs the extra ``httpx``.
        """
        self._settings = Settings(url, credential, timeout, revoked_tokens_live_for)
        self.base = self._settings.base
        self._tls = ssl_context
        self._idle: list[_Connection] = []
        self._lock = Lock()
        self._by_client: BySync | None = None
        if client is not None:
            from ._httpx import BySync

            self._by_client = BySync(self._settings, client, ssl_context)

    def verify(
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
        return self.ask(Question(token, permission, resource, api, request, remote_ip, user_agent, at_least, include))

    def ask(self, question: Question) -> Verdict:
        asking = one(self._settings, question)
        return asking if isinstance(asking, Verdict) else asking.read(self.post(asking))

    def verify_batch(self, questions: Iterable[Question], *, at_least: str | None = None) -> list[Verdict]:
        """The same for up to 1,000 tokens at once, answered in their order."""
        asking = several(self._settings, questions, at_least)
        return asking if isinstance(asking, list) else asking.read(self.post(asking))

    def close(self) -> None:
        """Closes the connections that nothing uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.socket.close()

    def __enter__(self) -> Tokenward:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def post(self, asking: Asking[Any]) -> Reply:
        """The answer to a question, whatever it says."""
        if self._by_client is not None:
            return self._by_client.post(asking)
        now = time.monotonic()
        until = now + self._settings.timeout
        idle = self._take(now)
        try:
            if idle is not None:
                answer = Answer(asking.most)
                try:
                    return self._once(idle, asking, answer, until)
                except ConnectionError:
                    # The other end has closed it meanwhile: once more, with a new one. What was answered in part was no idle one.
                    if answer.begun:
                        raise
            way = route(self.base, self._settings.headers)
            return self._once(self._connected(way, until), asking, Answer(asking.most), until)
        # The second is how the kernel says that the time is over.
        except (TimeoutError, BlockingIOError) as cause:
            raise self._settings.too_slow() from cause
        except OSError as cause:
            raise self._settings.unreachable(cause) from cause

    def _take(self, now: float) -> _Connection | None:
        """The idle connection that was used last, where one still looks good."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            # An end of it, or an answer that nobody has asked for.
            if now < connection.until and not connection.poll(0):
                return connection
            connection.socket.close()

    def _once(self, connection: _Connection, asking: Asking[Any], answer: Answer, until: float) -> Reply:
        try:
            connection.allow(_left(until))
            connection.send(connection.way.request(asking.path, asking.content))
            if len(asking.content) > READ_BYTES:
                # Whatever is shorter goes at once.
                connection.allow(_left(until))
            return connection.read(answer, until)
        finally:
            self._give_back(connection, answer.reusable)

    def _give_back(self, connection: _Connection, reusable: bool) -> None:
        if reusable:
            now = time.monotonic()
            connection.until = now + KEPT_FOR
            with self._lock:
                # Who was used longest ago is first.
                if self._idle and self._idle[0].until < now:
                    self._idle.pop(0).socket.close()
                if len(self._idle) < KEPT:
                    self._idle.append(connection)
                    return
        connection.socket.close()

    def _connected(self, way: Route, until: float) -> _Connection:
        made = socket.create_connection((way.host, way.port), timeout=_left(until))
        try:
            # A small request must not wait for the acknowledgement of the one before.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if way.tunnel is not None:
                made.sendall(way.tunnel)
                reply = _Connection(way, made).read(Answer(HEAD_BYTES, tunnel=True), until)
                if not 200 <= reply.status < 300:
                    raise OSError(f"the proxy {way.host}:{way.port} answers {reply.status}")
            if way.secure is not None:
                made.settimeout(_left(until))
                made = (self._tls or usual_tls()).wrap_socket(made, server_hostname=way.secure)
            return _connection(way, made)
        except BaseException:
            made.close()
            raise


@lru_cache(maxsize=1)
def usual_tls() -> ssl.SSLContext:
    """The authorities of the machine. Reading them takes longer than a question."""
    return ssl.create_default_context()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
