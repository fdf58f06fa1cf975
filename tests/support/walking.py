"""A random life of runs: opened, answered, handed over, taken up, paused, cancelled, and crashed at any point.

The walk keeps its own account of which devices could have been sent without anybody knowing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random

from sqlalchemy import select

from scheduler.apns.results import Answer, Unanswered, Unsent, UnsentCause
from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.runs import CALLED_OFF, Run, RunState
from scheduler.domain.stops import StopKind
from scheduler.engine.active import OpenWindow
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.runs.reports import report_of
from scheduler.runs.stopping import start, stop, stops_in_force
from scheduler.runs.verdicts import Report
from scheduler.store import runs as run_rows
from scheduler.store.database import Store
from scheduler.store.tables import LEDGER, WORK
from support.driving import Driver
from support.worlds import APP, NOW, World, event, set_user

_REPORTS: tuple[Report, ...] = (
    Answer(200),
    Answer(200),
    Answer(410, "Unregistered", 1),
    Answer(503, "ServiceUnavailable"),
    Answer(429, "TooManyRequests"),
    Unsent(UnsentCause.REFUSED),
    Unanswered(UnknownCause.NO_ANSWER),
)
OVER = (RunState.FINISHED, *CALLED_OFF)


class Walk:
    """Steps by name; `settle` checks that the sums hold."""

    def __init__(self, world: World, chance: Random) -> None:
        self.world = world
        self.chance = chance
        self.doubted: set[tuple[int, int]] = set()
        """(run, device): the rule decides about these, as nobody knows whether they were sent."""
        self.crashes = 0
        self._events = 0
        self._in_doubt: dict[int, set[int]] = {}
        """Window → devices that were given to the provider and whose fate is not on disk."""
        self._reported: list[tuple[OpenWindow, int, Report]] = []
        self._withdrawn: list[tuple[OpenWindow, int]] = []
        self._closing: list[OpenWindow] = []
        self.driver = Driver(world, process="p0")

    def step(self) -> None:
        """One random step."""
        steps = [self.start, self.open, self.open, self.answer, self.answer, self.answer, self.hand_over]
        steps += [self.settle, self.settle, self.take_up, self.take_up, self.pass_time, self.stop, self.start_again]
        steps += [self.event, self.clear_superseded]
        self.chance.choice([*steps, self.pause, self.resume, self.resume, self.cancel, self.crash, self.opt_out])()

    def event(self) -> None:
        self._events += 1
        room = {APP: self.chance.choice([0, 3, 100])}
        user, ago = self.chance.choice(["ann", "ben"]), timedelta(seconds=self.chance.choice([0, 1, 3]))
        happened = event(f"e{self._events}", subject=self.chance.choice("gh"), at=NOW - ago, user=user)
        windows = self.world.ingest(happened, room=room).windows
        self.driver.adopt(windows)
        self._given_out()

    def start(self) -> None:
        self.driver.start(limit=self.chance.choice([1, 3, 1000]), room=self.chance.choice([1, 10, 1000]))
        self._given_out()

    def open(self) -> None:
        runs = [run for run in self.driver.work.runs.values() if run.shard_to_read(self.world.now) is not None]
        if runs:
            self.driver.open(self.chance.choice(runs), limit=self.chance.choice([1, 2, 5]))
            self._given_out()

    def take_up(self) -> None:
        runs = list(self.driver.work.runs.values())
        if runs:
            self.driver.take_up(self.chance.choice(runs), limit=self.chance.choice([1, 3, 1000]))
            self._given_out()

    def answer(self) -> None:
        window = self._window()
        if window is None:
            return
        gone = {device for of, device in self._withdrawn if of is window}
        gone |= {device for of, device, _ in self._reported if of is window}
        devices = sorted(window.waiting.keys() - gone)
        if not self.chance.getrandbits(1):
            devices = [device for device in devices if self.chance.getrandbits(1)]
        reports = [(device, self.chance.choice(_REPORTS)) for device in devices]
        if reports:
            self.driver.report(window, reports)
            self._reported += [(window, device, report) for device, report in reports]

    def hand_over(self) -> None:
        window = self._window()
        if window is None or window.handed_over or window in self._closing:
            return  # a dispatcher closes a window once: the sender has nothing of it left to give back
        self._closing.append(window)
        settled = {device for of, device, _ in self._reported if of is window}
        unsent = {d for d in window.waiting.keys() - settled if self.chance.random() < 0.4}
        self.driver.settler.hand_over(window, unsent)
        self._withdrawn += [(window, device) for device in unsent]

    def settle(self) -> None:
        self.driver.settle()
        run_of = {number: window.run.seq for number, window in self.driver.work.windows.items()}
        for window, device, report in self._reported:
            self._in_doubt[window.number].discard(device)
            if isinstance(report, Unanswered):
                self.doubted.add((window.run.seq, device))
        for window, device in self._withdrawn:
            self._in_doubt[window.number].discard(device)
        self._reported.clear()
        self._withdrawn.clear()
        self._closing.clear()
        self._in_doubt = {number: devices for number, devices in self._in_doubt.items() if number in run_of}
        self.check_sums()

    def check_sums(self) -> None:
        """selected = accepted + rejected + suppressed + expired + unknown + pending, with pending counted by hand."""
        open_devices: Counter[int] = Counter()
        for window in self.driver.work.windows.values():
            if not window.from_work and not window.handed_over:
                open_devices[window.run.seq] += len(window.waiting)
        with self.world.store.read() as tx:
            work = Counter(tx.execute(select(WORK.c.run)).scalars())
            final = Counter(tx.execute(select(LEDGER.c.run)).scalars())
            reports = [report_of(tx, run) for run in run_rows.latest(tx, 100)]
        for run, counts in [(report.run, report.counts) for report in reports]:
            assert counts.pending == work[run.seq] + open_devices[run.seq], (run, counts)
            assert counts.selected == final[run.seq] + counts.pending
            if run.state is RunState.FINISHED:
                assert counts.pending == 0

    def pass_time(self) -> None:
        self.world.advance(self.chance.choice([1, 5, 1000]))
        self.driver.wake()

    def pause(self) -> None:
        self._by_hand(pause)

    def resume(self) -> None:
        self._by_hand(partial(resume, apps=[APP]))
        self.driver.load()

    def cancel(self) -> None:
        if self.chance.random() < 0.3:
            self._by_hand(cancel)

    def stop(self) -> None:
        """The kill switch. It is read in every transaction that opens something."""
        kind, name = self.chance.choice([(StopKind.ALL, ""), (StopKind.RULE, "topic"), (StopKind.CATEGORY, "sports")])
        stop(self.world.store, kind, name, self.world.now, known=lambda: {"topic", "sports"})

    def start_again(self) -> None:
        for one in stops_in_force(self.world.store).in_force:
            start(self.world.store, one.kind, one.name)

    def clear_superseded(self) -> None:
        clear_superseded(self.world.store, self.world.now)

    def opt_out(self) -> None:
        set_user(self.world.store, self.chance.choice(["ann", "ben"]), opt_outs=["sports"])

    def crash(self) -> None:
        """The process is gone; another one recovers. What was reported and not settled was never known."""
        self.crashes += 1
        states = {run.seq: run.state for run in self.world.runs()}
        runs = {number: window.run.seq for number, window in self.driver.work.windows.items()}
        for number, devices in self._in_doubt.items():
            if states[runs[number]] not in CALLED_OFF:
                self.doubted.update((runs[number], device) for device in devices)
        self._in_doubt.clear()
        self._reported.clear()
        self._withdrawn.clear()
        self._closing.clear()
        self.driver = Driver(self.world, process=f"p{self.crashes}")
        self.check_sums()

    def end(self) -> None:
        """Answer what is open, resume what is paused, and let everything come to its end."""
        self.settle()
        self.start_again()
        self.clear_superseded()
        paused = self.world.runs(RunState.PAUSED)
        while True:
            for run in paused:
                resume(self.world.store, run.id.hex, self.world.now, apps=[APP])
            self.crash()
            self.driver.finish_everything()
            paused = self.world.runs(RunState.PAUSED)
            if not paused:
                return  # a canary may have paused its run only now

    def _window(self) -> OpenWindow | None:
        windows = list(self.driver.work.windows.values())
        return self.chance.choice(windows) if windows else None

    def _given_out(self) -> None:
        for number, window in self.driver.work.windows.items():
            self._in_doubt.setdefault(number, set(window.waiting))

    def _by_hand(self, move: Callable[[Store, str, datetime], Run]) -> None:
        runs = [run for run in self.world.runs() if run.state not in OVER]
        if runs:
            with suppress(OperatorError):  # a run that is paused cannot be paused
                move(self.world.store, self.chance.choice(runs).id.hex, self.world.now)
