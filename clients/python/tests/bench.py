"""How much time of its own does a client take, and how much of what load clients reach do 64 at once reach?

    scripts/clients bench

Beside both clients, in one run, by turns, of the same server, with 64 connections and the same body: what people load-test with
(`load.py`), and sockets that send a ready request and look for nothing but its end, which no client can beat.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from statistics import median

from tokenward_verify import AsyncTokenward, Tokenward

from .load import BODY, CLOSES, HEADERS, PLACE, TOKEN, URL, by_coroutines, by_threads, load_clients
from .world import WORLD

TIMES, ROUNDS = 2_000, 5


class Bare:
    """A connection that sends what is ready."""

    def __init__(self) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": PLACE.netloc, **HEADERS}.items())
        self._request = f"POST /verify HTTP/1.1\r\n{fields}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
        self._socket = socket.create_connection((PLACE.hostname or "", PLACE.port or 80))
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


def main() -> None:
    loop = asyncio.new_event_loop()
    threads, coroutines = Tokenward(URL, WORLD["credential"], timeout=30), AsyncTokenward(URL, WORLD["credential"], timeout=30)

    def ours() -> None:
        assert threads.verify(TOKEN, permission="invoices:write").valid

    async def ours_too() -> None:
        assert (await coroutines.verify(TOKEN, permission="invoices:write")).valid

    async def one_coroutine() -> float:
        took = []
        for _ in range(TIMES):
            begun = time.perf_counter()
            await ours_too()
            took.append(time.perf_counter() - begun)
        return median(took) * 1e6

    bare = Bare()
    # In turns, so that what else the machine does is the same for all.
    turns = [(*each(ours), *each(bare.ask), loop.run_until_complete(one_coroutine())) for _ in range(3)]
    one, worked, least, least_worked, of_loop = (median(it) for it in zip(*turns))
    print(f"python: one connection {one:.0f} µs, bare socket {least:.0f} µs: {one - least:.0f} µs of its own, {worked - least_worked:.0f} µs of the processor")
    print(f"python: one connection of coroutines {of_loop:.0f} µs, bare socket {least:.0f} µs: {of_loop - least:.0f} µs of its own and of its loop's")

    mine = {"threads": by_threads(lambda: ours), "coroutines": by_coroutines(loop, ours_too)}
    load = load_clients(loop)
    ways = {**mine, **load, "bare sockets": by_threads(lambda: Bare().ask)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    # The first round does not count: connections are made in it.
    for turn in range(ROUNDS + 1):
        for name, burst in ways.items():
            rate = burst()
            if turn > 0:
                found[name].append(rate)
    rates = {name: median(all_of_them) for name, all_of_them in found.items()}
    for name, rate in rates.items():
        print(f"python: 64 at once, {name}: {rate:.0f}/s")
    best = max(load, key=lambda name: rates[name])
    of_threads = max((name for name in load if name.endswith("threads")), key=lambda name: rates[name])
    for name in mine:
        share = {of: f"{rates[name] / rates[of]:.0%}" for of in (best, of_threads, "bare sockets")}
        print(f"python: {name}: {share[best]} of the best load client ({best}), {share['bare sockets']} of bare sockets", end="")
        print(f", {share[of_threads]} of the best one of threads ({of_threads})" if of_threads != best and name == "threads" else "")
    for close in [*CLOSES, coroutines.aclose]:
        loop.run_until_complete(close())
    loop.close()


if __name__ == "__main__":
    main()
