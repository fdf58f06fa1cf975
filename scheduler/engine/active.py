"""What the dispatcher keeps in memory of runs that are under way: shards, open windows, and when work is due."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Recipient, Shard
from scheduler.engine.orders import RateGrant
from scheduler.runs.context import RunContext
from scheduler.runs.first_answers import FirstAnswers
from scheduler.runs.windows import MAX_WINDOW

MAX_OPEN_WINDOWS = 4
"""Windows of one run that are open at once."""
MAX_OPEN_DEVICES = 8_000
"""Devices in the open windows of one app: with half a second of the rate, the bound of what a crash may repeat."""


@dataclass(slots=True, eq=False)
class OpenWindow:
    """A window whose devices are not all settled. `touched`: monotonic seconds of its last sign of life."""

    number: int
    run: ActiveRun
    shard: ActiveShard | None
    end: int
    waiting: dict[int, Recipient]
    from_work: bool
    touched: float
    held: dict[int, Recipient] = field(default_factory=dict)
    """Of `waiting`, those that wait for their answer in a superseded run before they are sent."""
    withdrawn: set[int] = field(default_factory=set)
    """Of `waiting`, those that certainly are not sent: the settler puts them back."""
    handed_over: bool = False
    """Closed for the shard: what still comes replaces work rows."""

    @property
    def is_done(self) -> bool:
        return self.handed_over or not self.waiting


@dataclass(slots=True, eq=False)
class ActiveShard:
    """A shard that is being worked off. Windows are in the order of their devices."""

    run: int
    number: int
    last: int
    cursor: int
    intent: int
    origin: Shard
    windows: deque[OpenWindow] = field(default_factory=deque)

    @classmethod
    def of(cls, shard: Shard) -> ActiveShard:
        assert shard.number is not None
        return cls(shard.run, shard.number, shard.last, shard.cursor, shard.intent, shard)

    @property
    def value(self) -> Shard:
        return replace(self.origin, cursor=self.cursor, intent=self.intent)

    @property
    def not_before(self) -> datetime | None:
        """No window of it is opened earlier."""
        return self.origin.not_before

    @property
    def is_read(self) -> bool:
        """Every device was decided."""
        return self.intent >= self.last

    def advance(self) -> int | None:
        """The end of the longest finished prefix, if it has moved."""
        before = self.cursor
        while self.windows and self.windows[0].is_done:
            self.cursor = self.windows.popleft().end
        if not self.windows:
            self.cursor = self.intent
        return self.cursor if self.cursor > before else None


@dataclass(slots=True, eq=False)
class ActiveRun:
    """A run with open windows, shards to read, or work rows."""

    context: RunContext
    grants: tuple[RateGrant, ...]
    shards: deque[ActiveShard] = field(default_factory=deque)
    open_windows: int = 0
    outstanding: int = 0
    """Windows that are open, or were handed over and still await an answer."""
    open_devices: int = 0
    work_due: datetime | None = None
    stopped: bool = False
    """Paused, called off, or held by the kill switch: nothing more is opened."""
    superseded: bool = False
    """Stopped for good."""
    first_answers: FirstAnswers = field(default_factory=FirstAnswers)
    reported: set[str] = field(default_factory=set)
    """Reasons of refusals that were said in the log."""

    @property
    def seq(self) -> int:
        return self.context.run.seq

    @property
    def shares_ranges(self) -> bool:
        """Whether its shards share ranges of device ids: then the devices that are in flight are asked for."""
        return self.context.run.wall is not None or self.context.campaign.canary is not None

    @property
    def key(self) -> tuple[str, str] | None:
        """What the run is superseded by: its rule and its key."""
        run = self.context.run
        return None if run.supersede is None else (run.rule, run.supersede)

    @property
    def rival_keys(self) -> list[tuple[str, str]]:
        """The keys of those that it supersedes: its own, and under the names that its rule had."""
        key = self.context.run.supersede
        return [] if key is None else [(name, key) for name in self.context.campaign.names_had]

    @property
    def rank(self) -> tuple[datetime, int]:
        """Newer runs have more."""
        return self.context.run.occasion_at, self.context.run.seq

    @property
    def app(self) -> str:
        return self.context.audience.app

    def postpone(self, until: datetime) -> None:
        """No shard is read before this instant."""
        for shard in self.shards:
            shard.origin = replace(shard.origin, not_before=until)

    def has_due_work(self, now: datetime) -> bool:
        """Whether work rows may be taken up."""
        return self.work_due is not None and self.work_due <= now

    def shard_to_read(self, now: datetime) -> ActiveShard | None:
        """The first of its shards that has devices to decide and may be read by now."""
        for shard in self.shards:
            if not shard.is_read and (shard.not_before is None or shard.not_before <= now):
                return shard
        return None

    @property
    def effective_rate(self) -> float | None:
        """The lowest of the rates that bound this run, in starts per second."""
        return min((grant.rate.per_second for grant in self.grants), default=None)

    @property
    def window_limit(self) -> int:
        """Devices in a window: at most a quarter of a second of the effective rate, at least one."""
        return _share(self.effective_rate, 4, MAX_WINDOW)

    @property
    def open_limit(self) -> int:
        """Devices in the open windows of this run: at most half a second of its effective rate."""
        return _share(self.effective_rate, 2, MAX_OPEN_DEVICES)


def app_open_limit(rate: Rate | None) -> int:
    """Devices in the open windows of an app: at most half a second of its rate, and 8,000."""
    return _share(rate.per_second if rate else None, 2, MAX_OPEN_DEVICES)


def _share(rate: float | None, parts: int, at_most: int) -> int:
    return at_most if rate is None else max(1, min(at_most, int(rate / parts)))
