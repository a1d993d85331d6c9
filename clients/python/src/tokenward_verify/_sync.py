"""The client for threads, on the standard library's HTTP."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable
from threading import Lock
from types import TracebackType
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ._base import ANSWER_BYTES, Settings, answer_too_long, batch, encoded, merged
from ._wire import MALFORMED, Question, Reply, Request, Resource, TokenwardError, Verdict, read_batch, read_reply, read_verdict

#: Idle connections that are kept for the next question.
KEPT = 64


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
    ) -> None:
        """``credential`` is a token of the role ``verifier``, ``timeout`` the longest that a question may take in seconds.

        ``revoked_tokens_live_for``: remember a yes for so long, 1 second at most. **A token that was revoked lives that
        long for this process.** Off where nothing is said.
        """
        self._settings = Settings(url, credential, timeout, revoked_tokens_live_for)
        self.base = self._settings.base
        self._server = urlsplit(self.base)
        self._tls = ssl_context
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = Lock()

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
    ) -> Verdict:
        """Whose token is this, and may it do that? Raises a ``TokenwardError`` where there is no verdict."""
        return self.ask(Question(token, permission, resource, api, request, remote_ip, user_agent, at_least))

    def ask(self, question: Question) -> Verdict:
        content = encoded(question.body())
        if not question.presentable:
            return MALFORMED
        known = self._settings.yeses.get(content)
        if known is not None:
            return known
        value, throttled = read_reply(self._post("/verify", content, ANSWER_BYTES))
        verdict = throttled or read_verdict(value, self.base)
        self._settings.yeses.note(content, verdict)
        return verdict

    def verify_batch(self, questions: Iterable[Question], *, at_least: str | None = None) -> list[Verdict]:
        """The same for up to 1,000 tokens at once, answered in their order."""
        every, asked, content = batch(questions, at_least)
        if not asked:
            return merged(every, [])
        value, throttled = read_reply(self._post("/verify/batch", content, ANSWER_BYTES * len(asked)))
        return merged(every, [throttled] * len(asked) if throttled else read_batch(value, self.base, len(asked)))

    def close(self) -> None:
        """Closes the connections that nothing uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> Tokenward:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def _post(self, path: str, content: bytes, most: int) -> Reply:
        until = time.monotonic() + self._settings.timeout
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._once(connection, path, content, most, until)
            # The other end has closed it meanwhile: once more, with a new one.
            except (http.client.RemoteDisconnected, ConnectionError):
                pass
            except (OSError, http.client.HTTPException) as cause:
                raise self._failed(cause) from cause
        try:
            return self._once(self._connection(until), path, content, most, until)
        except (OSError, http.client.HTTPException) as cause:
            raise self._failed(cause) from cause

    def _failed(self, cause: Exception) -> TokenwardError:
        if isinstance(cause, TimeoutError):
            return self._settings.too_slow()
        if isinstance(cause, http.client.HTTPException) and not isinstance(cause, http.client.RemoteDisconnected):
            return TokenwardError("answer", f"What answered is no Tokenward server: it does not speak HTTP ({type(cause).__name__}).")
        return self._settings.unreachable(cause)

    def _once(self, connection: http.client.HTTPConnection, path: str, content: bytes, most: int, until: float) -> Reply:
        reusable = False
        try:
            self._allow(connection, until)
            target = f"{self._server.path}{path}"
            # Through a proxy a plain request names its whole address (RFC 9112 §3.2.2).
            if getattr(connection, "whole_address", False):
                target = f"{self.base}{path}"
            connection.request("POST", target, content, {**self._settings.headers, **getattr(connection, "proxy_headers", {})})
            answer = connection.getresponse()
            body = self._read(connection, answer, most, until)
            reusable = not answer.will_close
            # `read1` leaves it open at its end, and an open answer keeps the connection from the next question.
            answer.close()
            return Reply(answer.status, answer.getheader("Retry-After"), body)
        finally:
            self._give_back(connection, reusable)

    def _read(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, most: int, until: float) -> bytes:
        parts: list[bytes] = []
        held = 0
        while True:
            self._allow(connection, until)
            # One read of the socket at most, so that a slow one does not pass the limit.
            part = answer.read1(65_536)
            if not part:
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
                return b"".join(parts)
            held += len(part)
            if held > most:
                raise answer_too_long(most)
            parts.append(part)

    def _allow(self, connection: http.client.HTTPConnection, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is None:
            connection.timeout = left
        else:
            connection.sock.settimeout(left)

    def _give_back(self, connection: http.client.HTTPConnection, reusable: bool) -> None:
        if reusable and connection.sock is not None:
            with self._lock:
                if len(self._idle) < KEPT:
                    self._idle.append(connection)
                    return
        connection.close()

    def _connection(self, until: float) -> http.client.HTTPConnection:
        server = self._server
        host, secure = server.hostname or "", server.scheme == "https"
        port = server.port or (443 if secure else 80)
        tls = (self._tls or ssl.create_default_context()) if secure else None
        left = max(until - time.monotonic(), 0.001)
        proxy = None if proxy_bypass(host) else getproxies().get(server.scheme)
        if not proxy:
            made = http.client.HTTPSConnection(host, port, timeout=left, context=tls) if tls else http.client.HTTPConnection(host, port, timeout=left)
        else:
            made = self._through(proxy, host, port, tls, left)
        # A small request must not wait for the acknowledgement of the one before.
        made.connect()
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _through(self, proxy: str, host: str, port: int, tls: ssl.SSLContext | None, left: float) -> http.client.HTTPConnection:
        way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        headers: dict[str, str] = {}
        if way.username is not None:
            pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
            headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        way_host, way_port = way.hostname or "", way.port or 80
        if tls:
            tunnel = http.client.HTTPSConnection(way_host, way_port, timeout=left, context=tls)
            tunnel.set_tunnel(host, port, headers)
            return tunnel
        plain = http.client.HTTPConnection(way_host, way_port, timeout=left)
        setattr(plain, "whole_address", True)
        setattr(plain, "proxy_headers", headers)
        return plain
