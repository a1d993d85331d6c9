"""How much time of its own does a client take, and how much of what the server can do do 64 at once reach?

    scripts/clients bench

Compared with sockets that send a ready request and look for nothing but its end: no client of Python's is faster.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from urllib.parse import urlsplit

from tokenward_verify import AsyncTokenward, Tokenward

from .world import WORLD

TOKEN: str = WORLD["tokens"]["living"]
TIMES, AT_ONCE, EACH = 2_000, 64, 150


class Bare:
    """A connection that sends what is ready."""

    def __init__(self, url: str, credential: str) -> None:
        at = urlsplit(url)
        body = json.dumps({"token": TOKEN, "permission": "invoices:write"}).encode()
        head = f"POST /verify HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Token {credential}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._request = head.encode() + body
        self._socket = socket.create_connection((at.hostname or "", at.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        self._socket.sendall(self._request)
        answer = self._socket.recv(65_536)
        while not answer.endswith(b"}"):
            answer += self._socket.recv(65_536)
        assert b'"valid":true' in answer


def each(ask: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of one question, in the middle: by the clock, and of this thread's processor alone, which a busy machine does
    not change as much."""
    took, worked = [], []
    for _ in range(TIMES):
        clock, processor = time.perf_counter(), time.thread_time()
        ask()
        worked.append(time.thread_time() - processor)
        took.append(time.perf_counter() - clock)
    return median(took) * 1e6, median(worked) * 1e6


def many(asks: list[Callable[[], object]]) -> float:
    """Questions a second, each of these over and over in a thread of its own."""

    def over_and_over(ask: Callable[[], object]) -> None:
        for _ in range(EACH):
            ask()

    begun = time.perf_counter()
    with ThreadPoolExecutor(len(asks)) as pool:
        list(pool.map(over_and_over, asks))
    return len(asks) * EACH / (time.perf_counter() - begun)


async def coroutines() -> tuple[float, float]:
    async with AsyncTokenward(WORLD["url"], WORLD["credential"], timeout=30) as client:

        async def over_and_over(times: int) -> list[float]:
            took = []
            for _ in range(times):
                begun = time.perf_counter()
                assert (await client.verify(TOKEN, permission="invoices:write")).valid
                took.append(time.perf_counter() - begun)
            return took

        one = median(await over_and_over(TIMES)) * 1e6
        begun = time.perf_counter()
        await asyncio.gather(*(over_and_over(EACH) for _ in range(AT_ONCE)))
        return one, AT_ONCE * EACH / (time.perf_counter() - begun)


def main() -> None:
    url, credential = WORLD["url"], WORLD["credential"]
    with Tokenward(url, credential, timeout=30) as client:

        def ours() -> object:
            return client.verify(TOKEN, permission="invoices:write")

        bare = Bare(url, credential)
        # In turns, so that what else the machine does is the same for both.
        rounds = [each(ours) + each(bare.ask) for _ in range(3)]
        one, one_worked, least, least_worked = (median(it) for it in zip(*rounds))
        own, own_worked = one - least, one_worked - least_worked
        print(f"python: one connection {one:.0f} µs, bare socket {least:.0f} µs: {own:.0f} µs of its own, {own_worked:.0f} µs of the processor")
        reached, most = many([ours] * AT_ONCE), many([Bare(url, credential).ask for _ in range(AT_ONCE)])
        print(f"python: 64 threads {reached:.0f}/s, 64 bare sockets {most:.0f}/s: {reached / most:.0%}")
    one, reached = asyncio.run(coroutines())
    print(f"python: coroutines, one {one:.0f} µs ({one - least:.0f} µs of its own), 64 at once {reached:.0f}/s")


if __name__ == "__main__":
    main()
