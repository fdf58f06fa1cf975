"""A pool of links and all that it has reported."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import Result, Unanswered
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import Clock, VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.push_types import PushType
from scheduler.transport.batches import Batch
from scheduler.transport.dialing import LookUp, look_up
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint

HEADERS = HeaderSet("com.example.app", PushType.ALERT, 10)
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
START = datetime(2026, 3, 1, tzinfo=UTC)
LOST = Unanswered(UnknownCause.LINK_LOST)


class RealClock(VirtualClock):
    """The calendar stands still, the stopwatch is real."""

    def monotonic(self) -> float:
        return time.monotonic()


class TrioClock(VirtualClock):
    """The calendar stands still, the stopwatch is Trio's: a test's MockClock moves it."""

    def monotonic(self) -> float:
        return trio.current_time()


def requests(devices: range, payload: bytes = b"{}") -> list[PushRequest]:
    return [
        PushRequest(device, f"{device:064x}", f"8f0c2f6e-3bf0-5a3c-9f4e-{device:012x}", payload) for device in devices
    ]


class Sender:
    """A pool and all that it has reported."""

    def __init__(
        self, endpoint: Endpoint, links: int = 1, clock: Clock | None = None, *, look_up: LookUp = look_up
    ) -> None:
        clock = clock or RealClock(START)
        tokens = ProviderTokenSource(KEY, team_id="TEAM123456", key_id="KEY1234567", clock=clock)
        self.pool = Pool(
            endpoint,
            tokens,
            links=links,
            clock=clock,
            jitter=lambda: 0.0,
            on_results=self._take,
            name="test",
            look_up=look_up,
        )
        self.results: list[tuple[object, int, Result]] = []
        self.calls = 0
        self.submitted = 0
        self._changed = trio.Event()

    def submit(
        self,
        devices: range,
        lane: Lane = Lane.NORMAL,
        *buckets: TokenBucket,
        tag: object = "run",
        headers: HeaderSet = HEADERS,
        payload: bytes = b"{}",
    ) -> None:
        self.submit_requests(requests(devices, payload), lane, *buckets, tag=tag, headers=headers)

    def submit_requests(
        self,
        made: list[PushRequest],
        lane: Lane = Lane.NORMAL,
        *buckets: TokenBucket,
        tag: object = "run",
        headers: HeaderSet = HEADERS,
    ) -> None:
        self.submitted += len(made)
        self.pool.submit(Batch(headers, made, lane=lane, buckets=buckets, tag=tag))

    def _take(self, tag: object, pairs: list[tuple[PushRequest, Result]]) -> None:
        self.calls += 1
        self.results += [(tag, request.device, result) for request, result in pairs]
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that changes without a result."""
        while not condition():
            await trio.lowlevel.checkpoint()

    async def until_ended(self, count: int) -> None:
        while len(self.results) < count:
            await self._changed.wait()

    def counted(self) -> Counter[Result]:
        devices = [(tag, device) for tag, device, _ in self.results]
        assert len(set(devices)) == len(devices), "one result for each request"
        return Counter(result for _, _, result in self.results)
