"""The client for asyncio: on httpx where it is installed (the extra ``httpx``), else on threads with the other client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from ._base import ANSWER_BYTES, Settings, answer_too_long, batch, encoded, merged
from ._sync import KEPT, Tokenward
from ._wire import MALFORMED, Question, Reply, Request, Resource, Verdict, read_batch, read_reply, read_verdict

if TYPE_CHECKING:
    import httpx


def _has_httpx() -> bool:
    try:
        import httpx  # noqa: F401
    except ImportError:
        return False
    return True


def _over_httpx(settings: Settings, tls: ssl.SSLContext | None) -> httpx.AsyncClient:
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT)
    return httpx.AsyncClient(timeout=settings.timeout, limits=limits, verify=tls or True, follow_redirects=False, headers=settings.headers)


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
        self._http: httpx.AsyncClient | None = None
        self._threads: tuple[Tokenward, ThreadPoolExecutor] | None = None
        if _has_httpx():
            self._http = _over_httpx(self._settings, ssl_context)
        else:
            client = Tokenward(url, credential, timeout=timeout, ssl_context=ssl_context)
            self._threads = (client, ThreadPoolExecutor(KEPT, thread_name_prefix="tokenward"))
        #: Has a connection brought an answer since one broke? Then the next one that breaks was idle.
        self._answered = False

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
        content = encoded(question.body())
        if not question.presentable:
            return MALFORMED
        known = self._settings.yeses.get(content)
        if known is not None:
            return known
        value, throttled = read_reply(await self._post("/verify", content, ANSWER_BYTES))
        verdict = throttled or read_verdict(value, self.base)
        self._settings.yeses.note(content, verdict)
        return verdict

    async def verify_batch(self, questions: Iterable[Question], *, at_least: str | None = None) -> list[Verdict]:
        """The same for up to 1,000 tokens at once, answered in their order."""
        every, asked, content = batch(questions, at_least)
        if not asked:
            return merged(every, [])
        value, throttled = read_reply(await self._post("/verify/batch", content, ANSWER_BYTES * len(asked)))
        return merged(every, [throttled] * len(asked) if throttled else read_batch(value, self.base, len(asked)))

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._http is not None:
            await self._http.aclose()
        if self._threads is not None:
            client, pool = self._threads
            pool.shutdown(wait=False)
            client.close()

    async def __aenter__(self) -> AsyncTokenward:
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        await self.aclose()

    async def _post(self, path: str, content: bytes, most: int) -> Reply:
        if self._http is not None:
            try:
                return await asyncio.wait_for(self._ask_httpx(self._http, path, content, most), self._settings.timeout)
            except asyncio.TimeoutError as cause:
                raise self._settings.too_slow() from cause
        assert self._threads is not None
        client, pool = self._threads
        return await asyncio.get_running_loop().run_in_executor(pool, client._post, path, content, most)

    async def _ask_httpx(self, http: httpx.AsyncClient, path: str, content: bytes, most: int) -> Reply:
        import httpx

        try:
            return await self._once(http, path, content, most)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as cause:
            again, self._answered = self._answered, False
            if not again:
                raise self._settings.unreachable(cause) from cause
        except httpx.HTTPError as cause:
            raise self._settings.unreachable(cause) from cause
        try:
            return await self._once(http, path, content, most)
        except httpx.HTTPError as cause:
            raise self._settings.unreachable(cause) from cause

    async def _once(self, http: httpx.AsyncClient, path: str, content: bytes, most: int) -> Reply:
        async with http.stream("POST", f"{self.base}{path}", content=content) as answer:
            self._answered = True
            parts: list[bytes] = []
            held = 0
            async for part in answer.aiter_raw():
                held += len(part)
                if held > most:
                    raise answer_too_long(most)
                parts.append(part)
            return Reply(answer.status_code, answer.headers.get("retry-after"), b"".join(parts))
