"""Clarion as a sender of `express.py`: its pool with one link, fed with windows as the engine does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import trio
from express_work import (
    KEY_ID,
    PAYLOAD,
    PRIVATE_KEY_PEM,
    TEAM,
    TOPIC,
    WARM_UP,
    Stopwatch,
    Target,
    apns_id,
    device_token,
)
from sink_process import WallClock

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Result
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint

WINDOW, WINDOWS = 1000, 4
"""Devices of a window, and windows that are open at once."""
CAMPAIGNS = 40
TICK = 0.005
"""Seconds between the portions of an even load."""
_MEMORY_STEP = 500_000

Window = list[PushRequest]


class Sender:
    """Submits windows, and counts what has come back for each."""

    def __init__(self, target: Target, campaigns: int) -> None:
        clock = WallClock()
        tokens = ProviderTokenSource(PRIVATE_KEY_PEM.encode(), team_id=TEAM, key_id=KEY_ID, clock=clock)
        endpoint = Endpoint("localhost", target.port, Path(target.ca_file))
        self.pool = Pool(
            endpoint, tokens, links=1, clock=clock, jitter=lambda: 0.5, on_results=self._take, name="benchmark"
        )
        self.headers = [_headers(number, campaigns) for number in range(campaigns)]
        self.accepted = 0
        self.others: list[Result] = []
        self.latencies: list[float] = []
        self._open_windows = trio.Semaphore(WINDOWS)
        self._remaining: dict[object, int] = {}
        self._submitted: dict[object, float] = {}

    def _take(self, tag: object, results: list[tuple[PushRequest, Result]]) -> None:
        for _, result in results:
            if result is ACCEPTED_ANSWER:
                self.accepted += 1
            else:
                self.others.append(result)
        submitted = self._submitted.get(tag)
        if submitted is not None:
            self.latencies += [time.perf_counter() - submitted] * len(results)
        self._remaining[tag] -= len(results)
        if not self._remaining[tag]:
            del self._remaining[tag]
            self._submitted.pop(tag, None)
            self._open_windows.release()

    def _submit(self, tag: object, window: Window) -> None:
        """A window, its devices in turn for each of the campaigns."""
        self._remaining[tag] = len(window)
        share = -(-len(window) // len(self.headers))
        for start, headers in zip(range(0, len(window), share), self.headers, strict=False):
            requests = window[start : start + share]
            self.pool.submit(Batch(headers, requests, lane=Lane.NORMAL, buckets=(), tag=tag))

    async def send(self, windows: Iterable[Window]) -> None:
        """All of them, as fast as it goes; a few are open at once."""
        self._open_windows = trio.Semaphore(WINDOWS)
        for number, window in enumerate(windows):
            await self._open_windows.acquire()
            self._submit(number, window)
        for _ in range(WINDOWS):
            await self._open_windows.acquire()

    async def send_evenly(self, portions: Sequence[Window]) -> None:
        """A portion at each tick, whatever has been answered; notes how long each request took."""
        self._open_windows = trio.Semaphore(0)
        begin = trio.current_time()
        for number, portion in enumerate(portions):
            self._submitted[number] = time.perf_counter()
            self._submit(number, portion)
            await trio.sleep_until(begin + (number + 1) * TICK)
        for _ in portions:
            await self._open_windows.acquire()


def _headers(number: int, campaigns: int) -> HeaderSet:
    topic = TOPIC if campaigns == 1 else f"{TOPIC}{number}"
    return HeaderSet(topic, PushType.ALERT, (10, 5)[number % 2])


def windows_of(first: int, until: int, size: int = WINDOW) -> Iterator[Window]:
    for start in range(first, until, size):
        numbers = range(start, min(start + size, until))
        yield [PushRequest(number, device_token(number), apns_id(number), PAYLOAD) for number in numbers]


async def send_at_full_speed(target: Target, campaigns: int = 1) -> None:
    """Every request at once; interleaved if there is more than one campaign."""
    sender = Sender(target, campaigns)
    total = WARM_UP + target.requests
    stopwatch = Stopwatch()
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.pool.run)
        await sender.send(windows_of(0, WARM_UP))
        stopwatch.start()
        windows = list(windows_of(WARM_UP, total))
        await sender.send(windows)
        stopwatch.report(target.requests)
        nursery.cancel_scope.cancel()
    _check(sender, total)


async def send_and_watch_memory(target: Target) -> None:
    """Many requests, made as they are needed; reports the resident memory after each half million."""
    sender = Sender(target, 1)
    stopwatch = Stopwatch()
    resident: list[int] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.pool.run)
        stopwatch.start()
        for first in range(0, target.requests, _MEMORY_STEP):
            for start in range(first, min(first + _MEMORY_STEP, target.requests), WINDOWS * WINDOW):
                await sender.send(
                    windows_of(start, min(start + WINDOWS * WINDOW, first + _MEMORY_STEP, target.requests))
                )
            resident.append(_resident())
        stopwatch.report(target.requests, resident=resident)
        nursery.cancel_scope.cancel()
    _check(sender, target.requests)


async def send_evenly(target: Target, rate: float) -> None:
    """At an even rate; reports how many milliseconds the requests took, from their submission to their result."""
    sender = Sender(target, 1)
    portion = max(1, round(rate * TICK))
    portions = list(windows_of(WARM_UP, WARM_UP + target.requests, portion))
    stopwatch = Stopwatch()
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.pool.run)
        await sender.send(windows_of(0, WARM_UP))
        stopwatch.start()
        await sender.send_evenly(portions)
        milliseconds = sorted(1000 * latency for latency in sender.latencies)
        stopwatch.report(target.requests, milliseconds=milliseconds)
        nursery.cancel_scope.cancel()
    _check(sender, WARM_UP + target.requests)


def _resident() -> int:
    """Bytes of resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _check(sender: Sender, total: int) -> None:
    assert sender.accepted == total, f"{sender.accepted} of {total} accepted; {sender.pool.last_failure}"
