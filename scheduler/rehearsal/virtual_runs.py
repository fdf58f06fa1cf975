"""What a virtual daemon has in hand: runs that began and runs that are to begin, and when each has something to do."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Shard
from scheduler.runs.context import NoAudience, RunContext
from scheduler.runs.preparing import Preparation

Bounds: TypeAlias = tuple[tuple[str, Rate], ...]
"""The rates that bound a run, each with the name of what it bounds."""


@dataclass(slots=True, eq=False)
class PendingRuns:
    """Runs of a lane that are to begin and have the same bounds, the oldest first."""

    lane: Lane
    bounds: Bounds
    contexts: deque[RunContext | NoAudience] = field(default_factory=deque)

    @property
    def key(self) -> Hashable:
        return self.lane, self.bounds

    def next_at(self, now: datetime) -> datetime | None:
        return now if self.contexts else None


@dataclass(slots=True, eq=False)
class RunInHand:
    """A run that has shards to read or work rows."""

    context: RunContext
    bounds: Bounds
    shards: list[Shard] = field(default_factory=list)
    """Those that were not read to their end."""
    work_due: datetime | None = None
    preparation: Preparation | None = None

    @property
    def key(self) -> Hashable:
        return self.context.run.seq

    @property
    def seq(self) -> int:
        return self.context.run.seq

    @property
    def lane(self) -> Lane:
        return self.context.run.lane

    def read(self, shard: Shard, *, up_to: int) -> None:
        """A window of a shard was opened, which ends there."""
        place = self.shards.index(shard)
        self.shards[place : place + 1] = [replace(shard, intent=up_to)] if up_to < shard.last else []

    def expect(self, at: datetime | None) -> None:
        """A work row of it is due at this instant; the earliest is kept."""
        if at is not None:
            self.work_due = at if self.work_due is None else min(at, self.work_due)

    def next_at(self, now: datetime) -> datetime | None:
        """When it has something to do; None: not before something of it is settled."""
        dues = [shard.not_before or now for shard in self.shards]
        return min((*dues, self.work_due) if self.work_due is not None else dues, default=None)

    def has_due_work(self, now: datetime) -> bool:
        return self.work_due is not None and self.work_due <= now

    def shard_to_read(self, now: datetime) -> Shard | None:
        """The first of its shards of which a window may be opened."""
        return next((shard for shard in self.shards if shard.not_before is None or shard.not_before <= now), None)


class Agenda:
    """Everything in hand by its key. What has nothing to do is not looked at before its time."""

    def __init__(self) -> None:
        self._all: dict[Hashable, PendingRuns | RunInHand] = {}
        self._ready: dict[Lane, dict[Hashable, PendingRuns | RunInHand]] = {lane: {} for lane in Lane}
        self._asleep: list[tuple[datetime, int, Hashable]] = []
        """A heap, of equal instants the first that was put to sleep. What is forgotten stays in it until its time."""
        self._turn = 0

    @property
    def next_at(self) -> datetime | None:
        """Not later than the first that is asleep has something to do."""
        return self._asleep[0][0] if self._asleep else None

    @property
    def runs(self) -> list[RunInHand]:
        """Those that began."""
        return [one for one in self._all.values() if isinstance(one, RunInHand)]

    def run(self, seq: int) -> RunInHand | None:
        """The run with a number, if it is in hand."""
        found = self._all.get(seq)
        assert found is None or isinstance(found, RunInHand)
        return found

    def arrange(self, one: PendingRuns | RunInHand, now: datetime, *, not_before: datetime | None = None) -> None:
        """Take it in hand and look at it when it has something to do next: at once or later, and not before an
        instant where one is given."""
        self._all[one.key] = one
        at = one.next_at(now)
        if at is not None and not_before is not None:
            at = max(at, not_before)
        ready = self._ready[one.lane]
        if at is not None and at <= now:
            ready[one.key] = one
        else:
            ready.pop(one.key, None)
            if at is not None:
                self._turn += 1
                heapq.heappush(self._asleep, (at, self._turn, one.key))

    def forget(self, key: Hashable) -> None:
        """It is over, waits in the store, or was stopped."""
        one = self._all.pop(key, None)
        if one is not None:
            self._ready[one.lane].pop(key, None)

    def wake(self, now: datetime) -> None:
        """What has something to do by now is ready."""
        while self._asleep and self._asleep[0][0] <= now:
            _, _, key = heapq.heappop(self._asleep)
            one = self._all.get(key)
            if one is not None:
                self._ready[one.lane][key] = one

    def ready_in(self, lane: Lane) -> Iterator[PendingRuns | RunInHand]:
        """What is ready of a lane, the longest first."""
        yield from self._ready[lane].values()
