"""The sender of this process: renders the windows it is ordered to send and hands them to the pools of links."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import trio

from scheduler.apns.request import PushRequest
from scheduler.apns.results import Result
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane
from scheduler.engine.orders import Deliver, RateGrant, WindowOrder
from scheduler.engine.pools import pools_of
from scheduler.runs.preparing import Preparation
from scheduler.runs.versions import Versions
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.workspace.settings import App

CHUNK = 64
"""Devices that are rendered between two checkpoints: about a millisecond and a half."""
MAX_PREPARATIONS = 256


@dataclass(slots=True)
class _Queue:
    by_lane: dict[Lane, deque[WindowOrder]] = field(default_factory=lambda: {lane: deque() for lane in Lane})

    def next(self) -> WindowOrder | None:
        for orders in self.by_lane.values():
            if orders:
                return orders.popleft()
        return None


@dataclass(slots=True)
class _Rendering:
    """The order that is being rendered: its recipients from `position` on were not handed to the pool."""

    order: WindowOrder
    position: int = 0


class Sender:
    """Everything but `run` and `drain` is synchronous; call it from the Trio thread."""

    def __init__(
        self, apps: Mapping[str, App], versions: Versions, clock: Clock, jitter: Callable[[], float], deliver: Deliver
    ) -> None:
        self._apps = apps
        self._versions = versions
        self._clock = clock
        self._deliver = deliver
        self._pools = pools_of(apps, clock, jitter, self._take_results)
        self._queue = _Queue()
        self._rendering: _Rendering | None = None
        self._rendered = 0
        self._buckets: dict[str, TokenBucket] = {}
        self._preparations: OrderedDict[UUID, Preparation] = OrderedDict()
        self._wake = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the links up and render what is ordered, until cancelled."""
        async with trio.open_nursery() as nursery:
            for pool in dict.fromkeys(self._pools.values()):
                await nursery.start(pool.run)
            task_status.started()
            await self._render_orders()

    def send(self, order: WindowOrder) -> None:
        """Queue a window behind those of its lane."""
        self._queue.by_lane[order.lane].append(order)
        self._wake.set()

    def withdraw(self, number: int) -> set[int]:
        """Take a window back, all orders of it: the devices that were not started, and get no report any more."""
        queued = [order for orders in self._queue.by_lane.values() for order in orders if order.number == number]
        for order in queued:
            self._queue.by_lane[order.lane].remove(order)
        taken = {request.device for pool in dict.fromkeys(self._pools.values()) for request in pool.withdraw(number)}
        if self._rendering is not None and self._rendering.order.number == number:
            taken.update(recipient.id for recipient in self._rendering.order.recipients[self._rendering.position :])
            self._rendering.position = len(self._rendering.order.recipients)
        taken.update(recipient.id for order in queued for recipient in order.recipients)
        return taken

    def unstarted(self) -> set[object]:
        """The windows of which a part still waits for rendering, for tokens, or for room on a link."""
        numbers: set[object] = {order.number for orders in self._queue.by_lane.values() for order in orders}
        if self._rendering is not None:
            numbers.add(self._rendering.order.number)
        for pool in dict.fromkeys(self._pools.values()):
            numbers |= pool.unstarted()
        return numbers

    def pool_of(self, app: str) -> Pool:
        """The links of an app: for its state."""
        return self._pools[app]

    def starts_in(self, grants: Sequence[RateGrant]) -> float:
        """Seconds until the buckets of these grants let something start."""
        now = self._clock.monotonic()
        return max((self._bucket(grant, now).ready_in(now) for grant in grants), default=0.0)

    async def drain(self) -> None:
        """Start nothing more and wait for what is in flight."""
        async with trio.open_nursery() as nursery:
            for pool in dict.fromkeys(self._pools.values()):
                nursery.start_soon(pool.drain)

    async def _render_orders(self) -> None:
        while True:
            order = self._queue.next()
            if order is None:
                self._wake = trio.Event()
                await self._wake.wait()
            else:
                self._rendering = _Rendering(order)
                await self._render(self._rendering)
                self._rendering = None

    async def _render(self, rendering: _Rendering) -> None:
        order = rendering.order
        preparation = self._preparation(order)
        pool = self._pools[order.app]
        now = self._clock.monotonic()
        buckets = tuple(self._bucket(grant, now) for grant in order.grants)
        while chunk := order.recipients[rendering.position : rendering.position + CHUNK]:
            rendering.position += len(chunk)
            requests, failures = preparation.prepare(chunk)
            if failures:
                self._deliver(order.number, failures)
            if requests:
                pool.submit(Batch(preparation.headers, requests, lane=order.lane, buckets=buckets, tag=order.number))
            # Many small windows are rendered before the links get their turn, which then write them together.
            self._rendered += len(chunk)
            if self._rendered >= CHUNK:
                self._rendered = 0
                await trio.lowlevel.checkpoint()

    def _preparation(self, order: WindowOrder) -> Preparation:
        found = self._preparations.get(order.run)
        if found is None:
            found = self._preparations[order.run] = Preparation(
                self._versions.campaign(order.rule, order.version),
                order.run,
                order.scope,
                bundle_id=self._apps[order.app].bundle_id,
                expiration=order.expiration,
            )
            if len(self._preparations) > MAX_PREPARATIONS:
                self._preparations.popitem(last=False)
        return found

    def _bucket(self, grant: RateGrant, now: float) -> TokenBucket:
        bucket = self._buckets.get(grant.scope)
        if bucket is None:
            bucket = self._buckets[grant.scope] = TokenBucket(grant.rate, now, is_full=not grant.replaces_another)
        elif bucket.rate != grant.rate:
            bucket.change(grant.rate, now)
        return bucket

    def _take_results(self, tag: object, ended: list[tuple[PushRequest, Result]]) -> None:
        assert isinstance(tag, int)
        self._deliver(tag, [(request.device, result) for request, result in ended])
