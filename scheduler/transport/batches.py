"""Work that waits for a link: batches, and a queue of them by lane."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.lanes import Lane

_SHORT_NAP: Final = 0.01


class Batch:
    """Prepared requests of one window that share their headers; requests from `position` on have not been started."""

    __slots__ = ("buckets", "headers", "lane", "position", "requests", "tag")

    def __init__(
        self,
        headers: HeaderSet,
        requests: list[PushRequest],
        *,
        lane: Lane,
        buckets: tuple[TokenBucket, ...],
        tag: object,
    ) -> None:
        """Every start takes a token from each of `buckets`. `tag` (hashable) comes back with the results."""
        self.headers = headers
        self.requests = requests
        self.lane = lane
        self.buckets = buckets
        self.tag = tag
        self.position = 0

    def share(self, requests: list[PushRequest]) -> Batch:
        """A part of it, for one link."""
        return Batch(self.headers, requests, lane=self.lane, buckets=self.buckets, tag=self.tag)

    @property
    def waiting(self) -> int:
        """Requests that have not been started."""
        return len(self.requests) - self.position

    def allowed(self, now: float) -> int:
        """How many of them may be started now."""
        allowed = self.waiting
        for bucket in self.buckets:
            allowed = min(allowed, bucket.available(now))
        return allowed

    def next(self, count: int) -> list[PushRequest]:
        """The next `count` that have not been started."""
        return self.requests[self.position : self.position + count]

    def ready_in(self, now: float) -> float:
        """Seconds until it is worth looking again.

        A link that woke for every single token would do little else, so a nap may last 10 ms; but never so long
        that a bucket runs over, which would cost rate.
        """
        wait = 0.0
        for bucket in self.buckets:
            nap = min(_SHORT_NAP, bucket.rate.burst / bucket.rate.per_second / 2)
            wait = max(wait, bucket.ready_in(now), nap)
        return wait


class LaneQueue:
    """Batches in the order in which they go: urgent before normal before bulk, first come first served in a lane."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Batch]] = {lane: deque() for lane in sorted(Lane, key=lambda lane: lane.rank)}

    @property
    def waiting(self) -> int:
        """Requests that have not been started."""
        return sum(batch.waiting for lane in self._lanes.values() for batch in lane)

    def add(self, batch: Batch) -> None:
        """Behind its lane. A batch has requests that wait."""
        self._lanes[batch.lane].append(batch)

    def add_first(self, batch: Batch) -> None:
        """Ahead of its lane: for what has been under way before."""
        self._lanes[batch.lane].appendleft(batch)

    def pick(self, now: float) -> tuple[Batch, int] | None:
        """The first batch of which something may be started, and how much. One without tokens is passed over."""
        for lane in self._lanes.values():
            for batch in lane:
                allowed = batch.allowed(now)
                if allowed:
                    return batch, allowed
        return None

    def started(self, batch: Batch, count: int, now: float) -> None:
        """So many of its `next` have been started: this is where tokens are taken. A finished batch leaves."""
        batch.position += count
        for bucket in batch.buckets:
            bucket.take(count, now)
        if not batch.waiting:
            self._lanes[batch.lane].remove(batch)

    def ready_in(self, now: float) -> float | None:
        """Seconds until tokens let something start; None if nothing waits."""
        waits = [batch.ready_in(now) for lane in self._lanes.values() for batch in lane]
        return min(waits, default=None)

    def tags(self) -> set[object]:
        """The tags of batches of which something has not been started."""
        return {batch.tag for lane in self._lanes.values() for batch in lane if batch.waiting}

    def withdraw(self, wanted: Callable[[Batch], bool]) -> list[PushRequest]:
        """Take out what has not been started of the wanted batches."""
        taken: list[PushRequest] = []
        for batch in [batch for lane in self._lanes.values() for batch in lane if wanted(batch)]:
            taken += batch.next(batch.waiting)
            self._lanes[batch.lane].remove(batch)
        return taken

    def take_all(self) -> list[Batch]:
        """Empty the queue."""
        batches = [batch for lane in self._lanes.values() for batch in lane]
        for lane in self._lanes.values():
            lane.clear()
        return batches
