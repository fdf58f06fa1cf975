"""The sender of this process: renders the windows it is ordered to send and hands them to the pools of links."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import trio

from scheduler.apns.request import PushRequest
from scheduler.apns.results import Result
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane
from scheduler.engine.orders import Deliver, RateGrant, WindowOrder
from scheduler.engine.pools import pools_of
from scheduler.engine.precedence import Precedence
from scheduler.runs.preparing import Preparation
from scheduler.runs.versions import Versions
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.workspace.settings import App

CHUNK = 64
"""Devices that are rendered between two checkpoints: about a millisecond and a half."""
MAX_PREPARATIONS = 256


@dataclass(slots=True, eq=False)
class _Rendering:
    """An order that is being rendered, or waits for it: its recipients from `position` on are not in the pool yet."""

    order: WindowOrder
    position: int = 0
    buckets: tuple[TokenBucket, ...] = ()


class _Queue:
    """What is to be rendered, by lane. Looked at anew for every chunk, so that an order overtakes those of lower lanes
    that have been begun."""

    def __init__(self) -> None:
        self._by_lane: dict[Lane, deque[_Rendering]] = {lane: deque() for lane in Lane}

    def add(self, order: WindowOrder) -> None:
        self._by_lane[order.lane].append(_Rendering(order))

    def first(self, lowest: Lane) -> _Rendering | None:
        """What goes next, of no lane below `lowest`."""
        for lane, renderings in self._by_lane.items():
            if renderings:
                return renderings[0]
            if lane is lowest:
                break
        return None

    def finished(self, rendering: _Rendering) -> None:
        self._by_lane[rendering.order.lane].popleft()

    def numbers(self) -> set[object]:
        return {rendering.order.number for renderings in self._by_lane.values() for rendering in renderings}

    def withdraw(self, number: int) -> set[int]:
        """Take a window out; the devices that were not rendered."""
        taken: set[int] = set()
        for lane, renderings in self._by_lane.items():
            for rendering in renderings:
                if rendering.order.number == number:
                    taken.update(recipient.id for recipient in rendering.order.recipients[rendering.position :])
            self._by_lane[lane] = deque(one for one in renderings if one.order.number != number)
        return taken


class Sender:
    """Everything but `run` and `drain` is synchronous; call it from the Trio thread."""

    def __init__(
        self,
        apps: Mapping[str, App],
        versions: Versions,
        clock: Clock,
        jitter: Callable[[], float],
        deliver: Deliver,
        precedence: Precedence,
    ) -> None:
        self._apps = apps
        self._versions = versions
        self._clock = clock
        self._deliver = deliver
        self._pools = pools_of(apps, clock, jitter, self._take_results)
        self._queue = _Queue()
        self._precedence = precedence
        self._rendered = 0
        self._buckets: dict[str, TokenBucket] = {}
        self._preparations: OrderedDict[UUID, Preparation] = OrderedDict()
        self._wake = trio.Event()
        precedence.on_free(lambda: self._wake.set())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the links up and render what is ordered, until cancelled."""
        async with trio.open_nursery() as nursery:
            for pool in dict.fromkeys(self._pools.values()):
                await nursery.start(pool.run)
            task_status.started()
            await self._render_orders()

    def send(self, order: WindowOrder) -> None:
        """Queue a window behind those of its lane, and before those of lower ones, begun or not."""
        self._queue.add(order)
        self._wake.set()

    def withdraw(self, number: int) -> set[int]:
        """Take a window back, all orders of it: the devices that were not started, and get no report any more."""
        taken = self._queue.withdraw(number)
        for pool in dict.fromkeys(self._pools.values()):
            taken.update(request.device for request in pool.withdraw(number))
        return taken

    def unstarted(self) -> set[object]:
        """The windows of which a part still waits for rendering, for tokens, or for room on a link."""
        numbers = self._queue.numbers()
        for pool in dict.fromkeys(self._pools.values()):
            numbers |= pool.unstarted()
        return numbers

    def is_rendering_above(self, lane: Lane) -> bool:
        """Whether something of a higher lane waits to be rendered: a window of this lane would only wait behind it."""
        rendering = self._queue.first(Lane.BULK)
        return rendering is not None and rendering.order.lane.rank < lane.rank

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
            rendering = self._queue.first(self._precedence.lowest)
            if rendering is None:
                self._wake = trio.Event()
                with trio.move_on_after(self._precedence.patience):
                    await self._wake.wait()
                continue
            self._rendered += self._render_chunk(rendering)
            # Many small windows are rendered before the links get their turn, which then write them together.
            if self._rendered >= CHUNK:
                self._rendered = 0
                await trio.lowlevel.checkpoint()

    def _render_chunk(self, rendering: _Rendering) -> int:
        """Render the next devices of an order and give them to its pool; how many they are."""
        order = rendering.order
        preparation = self._preparation(order)
        if not rendering.position:
            now = self._clock.monotonic()
            rendering.buckets = tuple(self._bucket(grant, now) for grant in order.grants)
        chunk = order.recipients[rendering.position : rendering.position + CHUNK]
        rendering.position += len(chunk)
        if rendering.position >= len(order.recipients):
            self._queue.finished(rendering)
        requests, failures = preparation.prepare(chunk)
        if failures:
            self._deliver(order.number, failures)
        if requests:
            batch = Batch(preparation.headers, requests, lane=order.lane, buckets=rendering.buckets, tag=order.number)
            self._pools[order.app].submit(batch)
        return len(chunk)

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
