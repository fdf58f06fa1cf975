"""A daemon's synchronous parts under a test's hand: it opens, takes up and reports when the test says so.

The services, the open work and the settler are the real ones. The test is the dispatcher and the provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, RunState
from scheduler.engine.active import ActiveRun, OpenWindow
from scheduler.engine.open_work import OpenWork
from scheduler.engine.precedence import Precedence
from scheduler.engine.settler import Settler
from scheduler.engine.waiting_runs import WaitingRuns
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.opening import Opened, Started, open_window, start_runs
from scheduler.runs.recovery import recover
from scheduler.runs.taking_up import take_up_work
from scheduler.runs.verdicts import Report
from scheduler.runs.waiting import wake_due
from scheduler.runs.windows import Window
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from support.worlds import World


class Driver:
    """One process's life. To crash, drop it; the next one is made with `recovers`."""

    def __init__(self, world: World, *, process: str = "p") -> None:
        self.world = world
        self.process = process
        settings = world.workspace.settings
        self.versions = world.versions()
        self.recovered = recover(world.store, self.versions, settings, world.now, process=process)
        self.work = OpenWork(settings.apps, world.clock, WaitingRuns(world.store, settings.apps))
        self.precedence = Precedence(world.clock)
        self.settler = Settler(
            world.store,
            self.work,
            self.precedence,
            world.clock,
            lambda: 0.0,
            process=process,
            on_settled=lambda: None,
        )
        self.load()

    def context(self, run: Run) -> RunContext:
        """The context of a run that means somebody."""
        found = context_of(run, self.versions.campaign(run.rule, run.version), self.world.workspace.settings)
        assert isinstance(found, RunContext), found
        return found

    def load(self) -> None:
        """Take the running runs of the store in hand."""
        with self.world.store.read() as tx:
            for run in run_rows.open_runs(tx, RunState.RUNNING):
                if run.seq not in self.work.runs:
                    shards = shard_rows.shards_of(tx, [run.seq]) if run.sharded else []
                    self.work.activate(self.context(run), shards).work_due = ledger.next_work(tx, run.seq)

    def wake(self) -> None:
        """Let the waiting runs go on that are due."""
        for lane in Lane:
            for one in wake_due(self.world.store, lane, self.work.apps, self.world.now, limit=1_000).begun:
                self.work.activate(self.context(one.run), one.shards).work_due = one.work_due

    def start(self, *, limit: int = 1_000, room: int = 10**6) -> Started:
        """Begin the pending runs with a window limit."""
        settings = self.world.workspace.settings
        contexts = [
            (context_of(run, self.versions.campaign(run.rule, run.version), settings), limit)
            for run in self.world.runs(RunState.PENDING)
        ]
        started = start_runs(self.world.store, contexts, self.world.now, room=room)
        for context, shards in started.sharded:
            self.work.activate(context, shards)
        self.adopt(started.windows)
        return started

    def adopt(self, windows: Sequence[Window]) -> None:
        """Take decided windows in hand, those of which somebody is not final."""
        for window in windows:
            if not window.is_over:
                self._take(window)

    def open(self, run: ActiveRun, *, limit: int) -> Window | None:
        """Open the next window of a run; None if it may not go on, or was paused in place of it."""
        found = self.open_or_pause(run, limit=limit)
        return found if isinstance(found, Window) else None

    def open_or_pause(self, run: ActiveRun, *, limit: int) -> Opened:
        """Open the next window of a run."""
        shard = run.shard_to_read(self.world.now)
        assert shard is not None
        found = open_window(
            self.world.store, run.context, shard.value, self.world.now, limit=limit,
            in_flight=self.work.in_flight(run),
        )  # fmt: skip
        if isinstance(found, Window):
            return self._take(found)
        if found is not None:  # what a hand stopped, a hand lets go on: the test's
            self.work.not_opened(run, found)
        if run.stopped and not run.outstanding:
            self.work.forget(run)
        return found

    def take_up(self, run: ActiveRun, *, limit: int = 1_000) -> Window | None:
        """Take up the due work rows of a run, which may have waited."""
        self.wake()
        run = self.work.runs.get(run.seq, run)
        (taken,) = take_up_work(
            self.world.store, [(run.context, limit)], self.world.now, process=self.process, room=limit
        ).values()
        run.work_due = taken.next_due
        return self._take(taken.window)

    def _take(self, window: Window | None) -> Window | None:
        if window is not None:
            order = self.work.open(window)
            if not order.recipients:
                self.settler.deliver(order.number, ())
        return window

    def report(self, window: OpenWindow, reports: Sequence[tuple[int, Report]]) -> None:
        """The provider answered, or did not."""
        self.settler.deliver(window.number, reports)

    def accept_all(self) -> None:
        """Every device in every open window is accepted."""
        for window in list(self.work.windows.values()):
            if window.waiting:
                self.report(window, [(device, ACCEPTED_ANSWER) for device in window.waiting])

    def settle(self) -> None:
        """Write everything that was reported."""
        trio.run(partial(_settle, self.settler))

    def finish_everything(self, *, limit: int = 1_000) -> None:
        """Open, send and accept until nothing is left; time passes where work is due later."""
        for _ in range(10_000):
            self.start(limit=limit)
            for run in list(self.work.runs.values()):
                if run.work_due is not None:
                    wait = (run.work_due - self.world.now).total_seconds()
                    self.world.advance(max(0.0, wait))
                    self.take_up(run)
                later = [shard.not_before for shard in run.shards if shard.not_before is not None]
                if run.shards and len(later) == len(run.shards):
                    self.world.advance(max(0.0, (min(later) - self.world.now).total_seconds()))
                if not run.stopped and run.shard_to_read(self.world.now) is not None:
                    self.open(run, limit=limit)
            self.accept_all()
            self.settle()
            if not self.work.runs:
                waits = [run.waits_until for run in self.world.runs(RunState.WAITING) if run.waits_until is not None]
                if not waits:
                    return
                self.world.advance(max(0.0, (min(waits) - self.world.now).total_seconds()))
                self.wake()
        raise AssertionError(f"runs that do not end: {list(self.work.runs.values())}")


async def _settle(settler: Settler) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settler.run)
        await settler.settled()
        nursery.cancel_scope.cancel()
