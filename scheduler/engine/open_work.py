"""Everything that is under way in this process: runs in hand, windows that are open, room for more."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Shard
from scheduler.engine.active import ActiveRun, ActiveShard, OpenWindow, app_open_limit
from scheduler.engine.alarms import runs_paused
from scheduler.engine.orders import RateGrant, WindowOrder
from scheduler.engine.waiting_runs import WaitingRuns
from scheduler.runs.canary import Postponed
from scheduler.runs.context import RunContext, rate_bounds
from scheduler.runs.opening import Paused
from scheduler.runs.windows import Window
from scheduler.runs.zone_shards import Skipped
from scheduler.workspace.settings import App

PROBE_DEVICES = 50
"""Devices that are open at once in an app of which Apple has not known any token yet."""


class OpenWork:
    """Mutable state of the dispatcher and the settler, in the Trio thread alone."""

    def __init__(self, apps: Mapping[str, App], clock: Clock, waiting: WaitingRuns) -> None:
        self.apps = apps
        self.runs: dict[int, ActiveRun] = {}
        self.openable: dict[int, ActiveRun] = {}
        """Those of the runs that have shards to read or work rows that are due: few, where there are many runs."""
        self.windows: dict[int, OpenWindow] = {}
        self.open_devices: Counter[str] = Counter()
        self.proved: set[str] = set()
        """Apps of which an answer has shown that they send to the environment of their tokens."""
        self.by_key: dict[tuple[str, str], dict[int, ActiveRun]] = {}
        """The runs in hand by rule and supersede key."""
        self.waiting = waiting
        self.has_slept: Callable[[datetime], bool] = lambda now: False
        """Whether the clock has jumped, and what was missed is still to be decided: nothing is opened meanwhile."""
        """The runs that wait in the store."""
        self.settling: Mapping[int, Collection[int]] = {}
        """Of the runs whose shards share ranges, the devices whose outcomes are being written."""
        self.opening = trio.Lock()
        """Held while windows are opened, and while runs are read or zones skipped: neither sees half of the other."""
        self._clock = clock
        self._numbers = 0
        self._ended: set[int] | None = None
        self._sleeping: dict[int, ActiveRun] = {}
        """Those with work rows that are due later. Nobody looks at them until the first is: they may be many."""
        self._wakes_at: datetime | None = None
        """Not later than the first of them is due."""

    def activate(self, context: RunContext, shards: Sequence[Shard] = ()) -> ActiveRun:
        """Take a run in hand."""
        run = self.runs.get(context.run.seq)
        if run is None:
            run = self.runs[context.run.seq] = ActiveRun(context, self.grants(context))
            if run.key is not None:
                self.by_key.setdefault(run.key, {})[run.seq] = run
        run.shards.extend(ActiveShard.of(shard) for shard in shards)
        if run.shards:
            self.openable[run.seq] = run
        return run

    def forget(self, run: ActiveRun) -> None:
        """A run is over, or stopped with nothing outstanding."""
        if self.runs.get(run.seq) is run:
            del self.runs[run.seq]
            self.openable.pop(run.seq, None)
            if self._sleeping.pop(run.seq, None) is not None and run.work_due == self._wakes_at:
                self._reckon()
            if run.key is not None:
                self.by_key[run.key].pop(run.seq)
                if not self.by_key[run.key]:
                    del self.by_key[run.key]
        if self._ended is not None:
            self._ended.add(run.seq)

    def change_rate(self, run: ActiveRun, rate: Rate | None) -> None:
        """A hand gave a run in hand another rate."""
        run.context = replace(run.context, run=replace(run.context.run, rate=rate))
        run.grants = self.grants(run.context)

    def older_with_key(self, run: ActiveRun) -> list[ActiveRun]:
        """The runs in hand that this one supersedes, also under the names that its rule had."""
        rivals = (one for key in run.rival_keys for one in self.by_key.get(key, {}).values())
        return [one for one in rivals if one.rank < run.rank]

    @contextmanager
    def noting_ends(self) -> Iterator[set[int]]:
        """The numbers of the runs that end while the block runs: what a thread reads meanwhile may name them still."""
        self._ended = set()
        try:
            yield self._ended
        finally:
            self._ended = None

    def grants(self, context: RunContext) -> tuple[RateGrant, ...]:
        """The rates that bound a run: of its app, of the lane in its app, and its own."""
        bounds = rate_bounds(context, self.apps[context.audience.app])
        grants = [RateGrant(scope, rate) for scope, rate in bounds]
        if context.run.rate is not None:
            grants[-1] = replace(grants[-1], replaces_another=True)
        return tuple(grants)

    def room(self, app: str) -> int:
        """Devices that may be opened in an app now."""
        limit = app_open_limit(self.apps[app].rate)
        return (limit if app in self.proved else min(limit, PROBE_DEVICES)) - self.open_devices[app]

    def window_limit(self, run: ActiveRun) -> int:
        """Devices in the next window of a run."""
        return run.window_limit if run.app in self.proved else min(run.window_limit, PROBE_DEVICES)

    def open(self, window: Window) -> WindowOrder:
        """Take a decided window in hand; the order for the sender. A window without recipients is settled at once."""
        run = self.activate(window.context)
        shard = None
        if window.shard is not None:
            shard = next(shard for shard in run.shards if shard.number == window.shard.number)
            shard.intent = window.end
        self._numbers += 1
        opened = OpenWindow(
            number=self._numbers,
            run=run,
            shard=shard,
            end=window.end,
            waiting={recipient.id: recipient for recipient in window.recipients},
            from_work=window.from_work,
            touched=self._clock.monotonic(),
        )
        self.windows[opened.number] = opened
        if shard is not None:
            shard.windows.append(opened)
        run.open_windows += 1
        run.outstanding += 1
        run.open_devices += len(window.recipients)
        self.open_devices[run.app] += len(window.recipients)
        self.expect_work(run.seq, window.next_due)
        return WindowOrder(
            number=opened.number,
            app=run.app,
            rule=run.context.run.rule,
            version=run.context.run.version,
            lane=run.context.run.lane,
            run=run.context.run.id,
            scope=run.context.scope,
            expiration=run.context.sending(None).expiration,
            grants=run.grants,
            recipients=window.recipients,
        )

    def skip(self, skipped: Skipped) -> None:
        """Nothing of these shards is opened."""
        for seq in {run for run, _ in skipped.shards} & self.runs.keys():
            run = self.runs[seq]
            run.shards = deque(shard for shard in run.shards if (seq, shard.number) not in skipped.shards)
            if seq in skipped.at_rest:
                self.forget(run)

    def in_flight(self, run: ActiveRun) -> frozenset[int]:
        """The devices of a run that were given out and whose outcomes are not on disk, where anybody asks."""
        if not run.shares_ranges:
            return frozenset()
        waiting = (window.waiting for window in self.windows.values() if window.run is run)
        return frozenset(self.settling.get(run.seq, ())).union(*waiting)

    def not_opened(self, run: ActiveRun, why: Paused | Postponed | None) -> None:
        """No window of a run was opened: it may not go on, was paused, or the rest of it begins later."""
        match why:
            case None:
                run.stopped = True
            case Paused(note):
                run.stopped = True
                runs_paused([(run.context.run, note)])
            case Postponed(until, waits):
                run.stopped = waits  # then it is forgotten here, and woken
                run.postpone(until)
                self.waiting.expect(run.context.run.lane, until if waits else None)

    def close_devices(self, run: ActiveRun, count: int) -> None:
        """So many devices of a run are settled, or were handed over to work rows."""
        run.open_devices -= count
        self.open_devices[run.app] -= count

    def expect_work(self, seq: int, at: datetime | None) -> None:
        """A work row of a run in hand is due at this time; the earliest of the run is kept."""
        run = self.runs.get(seq)
        if run is not None and at is not None:
            run.work_due = at if run.work_due is None else min(at, run.work_due)
            self._sleeping[seq] = run
            if self._wakes_at is None or run.work_due < self._wakes_at:
                self._wakes_at = run.work_due

    def wake(self, now: datetime) -> None:
        """Runs with work rows that are due by now are openable."""
        if self._wakes_at is not None and self._wakes_at <= now:
            for run in [run for run in self._sleeping.values() if run.work_due is None or run.work_due <= now]:
                del self._sleeping[run.seq]
                self.openable[run.seq] = run
            self._reckon()

    def _reckon(self) -> None:
        dues = (run.work_due for run in self._sleeping.values() if run.work_due is not None)
        self._wakes_at = min(dues, default=None)

    def work_due(self, given_up: Collection[str] = ()) -> list[datetime]:
        """When work rows of the runs that go on may be taken up: of each that is awake, but of apps that were given up;
        and the first of the others."""
        going_on = [run for run in self.openable.values() if not run.stopped and run.app not in given_up]
        awake = [run.work_due for run in going_on if run.work_due is not None]
        return awake if self._wakes_at is None else [*awake, self._wakes_at]

    def shards_due(self) -> list[datetime]:
        """When shards of the runs in hand may be read that have a time of their own."""
        found = (shard.not_before for run in self.openable.values() for shard in run.shards)
        return [at for at in found if at is not None]

    def awake(self, now: datetime) -> Counter[Lane]:
        """How many runs in hand have something to do, by lane."""
        busy = (run for run in self.openable.values() if run.shards or run.has_due_work(now))
        return Counter(run.context.run.lane for run in busy)

    @contextmanager
    def reserved(self, room: Mapping[str, int]) -> Iterator[None]:
        """Keep this room of each app from others while a transaction runs that may fill it."""
        self.open_devices.update(room)
        try:
            yield
        finally:
            self.open_devices.subtract(room)
