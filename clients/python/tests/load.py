"""What people load-test with in Python, each as its load generators use it, for `bench.py`: the parts of locust (requests, and the
faster geventhttpclient), of molotov (aiohttp), and what services ask with (urllib3, httpx). `scripts/clients bench` installs them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from .world import TLS, WORLD

URL: str = WORLD["url"]
TOKEN: str = WORLD["tokens"]["living"]
PLACE = urlsplit(URL)
BODY = json.dumps({"token": TOKEN, "permission": "invoices:write"}).encode()
HEADERS: dict[str, str] = {"Authorization": f"Token {WORLD['credential']}", "Content-Type": "application/json"}
AT_ONCE, SECONDS = 64, 1.0

#: What ends connections, by the loop that made them.
CLOSES: list[Callable[[], Awaitable[object]]] = []
#: Asks for a while, and says how many questions a second were answered.
Burst = Callable[[], float]


def check(status: int, content: bytes) -> None:
    assert status == 200 and b'"valid":true' in content, content


def by_threads(ask_of_one: Callable[[], Callable[[], object]]) -> Burst:
    """64 threads, each over and over with what was made for it."""
    asks = [ask_of_one() for _ in range(AT_ONCE)]
    pool = ThreadPoolExecutor(AT_ONCE)

    def burst() -> float:
        begun = time.perf_counter()

        def over_and_over(ask: Callable[[], object]) -> int:
            times = 0
            while time.perf_counter() - begun < SECONDS:
                ask()
                times += 1
            return times

        return sum(pool.map(over_and_over, asks)) / (time.perf_counter() - begun)

    return burst


def by_coroutines(loop: asyncio.AbstractEventLoop, ask: Callable[[], Awaitable[object]]) -> Burst:
    """64 coroutines of one loop."""

    async def together() -> float:
        begun = time.perf_counter()

        async def over_and_over() -> int:
            times = 0
            while time.perf_counter() - begun < SECONDS:
                await ask()
                times += 1
            return times

        return sum(await asyncio.gather(*(over_and_over() for _ in range(AT_ONCE)))) / (time.perf_counter() - begun)

    return lambda: loop.run_until_complete(together())


def by_geventhttpclient() -> Burst:
    import gevent
    from geventhttpclient import HTTPClient

    client = HTTPClient(PLACE.hostname, port=PLACE.port, concurrency=AT_ONCE, connection_timeout=30, network_timeout=30)

    def burst() -> float:
        begun = time.perf_counter()

        def over_and_over() -> int:
            times = 0
            while time.perf_counter() - begun < SECONDS:
                answer = client.post("/verify", body=BODY, headers=HEADERS)
                check(answer.status_code, answer.read())
                times += 1
            return times

        jobs = gevent.joinall([gevent.spawn(over_and_over) for _ in range(AT_ONCE)], raise_error=True)
        return sum(int(it.value) for it in jobs) / (time.perf_counter() - begun)

    return burst


def by_urllib3() -> Callable[[], Callable[[], None]]:
    import urllib3

    pool = urllib3.HTTPConnectionPool(PLACE.hostname, port=PLACE.port, maxsize=AT_ONCE, block=True, headers=HEADERS)

    def ask() -> None:
        answer = pool.request("POST", "/verify", body=BODY)
        check(answer.status, answer.data)

    return lambda: ask


def by_requests() -> Callable[[], None]:
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers.update(HEADERS)

    def ask() -> None:
        answer = session.post(f"{URL}/verify", data=BODY)
        check(answer.status_code, answer.content)

    return ask


async def by_aiohttp() -> Callable[[], Awaitable[None]]:
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE), headers=HEADERS)
    CLOSES.append(session.close)

    async def ask() -> None:
        async with session.post(f"{URL}/verify", data=BODY) as answer:
            check(answer.status, await answer.read())

    return ask


async def by_httpx() -> Callable[[], Awaitable[None]]:
    import httpx

    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    client = httpx.AsyncClient(verify=TLS, trust_env=False, limits=limits, headers=HEADERS, timeout=30)
    CLOSES.append(client.aclose)

    async def ask() -> None:
        answer = await client.post(f"{URL}/verify", content=BODY)
        check(answer.status_code, answer.content)

    return ask


def load_clients(loop: asyncio.AbstractEventLoop) -> dict[str, Burst]:
    """By their names, and what they are in this process."""
    return {
        "geventhttpclient, greenlets": by_geventhttpclient(),
        "aiohttp, coroutines": by_coroutines(loop, loop.run_until_complete(by_aiohttp())),
        "httpx, coroutines": by_coroutines(loop, loop.run_until_complete(by_httpx())),
        "urllib3, threads": by_threads(by_urllib3()),
        "requests, threads": by_threads(by_requests),
    }
