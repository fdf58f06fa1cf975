"""What is opened next: urgent before normal before bulk, the oldest first, within the room that rates leave.

Every decision is made at a window boundary, so urgent work overtakes a running send after at most one window.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run
from scheduler.engine.active import MAX_OPEN_WINDOWS, ActiveRun, OpenWindow
from scheduler.engine.alarms import runs_paused
from scheduler.engine.clearing import Clearing
from scheduler.engine.held_back import HeldBack
from scheduler.engine.looking import read_running
from scheduler.engine.open_work import OpenWork
from scheduler.engine.pending_runs import PendingRuns
from scheduler.engine.precedence import Precedence
from scheduler.engine.sender import Sender
from scheduler.engine.settler import Settler
from scheduler.runs.context import NoAudience, RunContext, context_of, under
from scheduler.runs.opening import Opened, open_window, start_runs
from scheduler.runs.taking_up import take_up_work
from scheduler.runs.versions import Versions
from scheduler.runs.waiting import Begun
from scheduler.runs.windows import Window
from scheduler.store.database import Store
from scheduler.workspace.settings import Settings

MAX_STARTS = 200
"""Pending runs that are begun in one transaction."""
MAX_TAKEN_UP = 200
"""Runs whose work rows are taken up in one transaction."""
_SOON = 0.25
"""Seconds: a window is opened this long before its first token is there, not earlier."""
_SILENCE = 1.0
"""Seconds after its last write or answer at which a window is closed and the rest handed to work rows."""
_LONGEST_NAP = 30.0


class Dispatcher:
    """Opens windows and orders the sender to send them."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        versions: Versions,
        work: OpenWork,
        sender: Sender,
        settler: Settler,
        precedence: Precedence,
        clock: Clock,
        *,
        process: str,
    ) -> None:
        self._store = store
        self.settings = settings
        """Of the workspace in force; its apps never change."""
        self._versions = versions
        self._work = work
        self._sender = sender
        self._settler = settler
        self._precedence = precedence
        self._clock = clock
        self._process = process
        self._pending = PendingRuns(store, settings.apps)
        self._waiting = work.waiting
        self._wake = trio.Event()
        self._draining = False
        self._waited_for: set[str] = set()
        """Apps in which a run waits for room."""
        self._opening = work.opening
        self._superseded_meanwhile: set[int] = set()
        """While something is opened, the runs that were superseded before they were in hand."""
        self._held = HeldBack(sender)
        self.clearing = Clearing(store, clock)

    def wake(self) -> None:
        """Something changed: outcomes were settled, a link came up, time passed."""
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether anything is in hand, waits to begin, or is due."""
        return bool(self._work.runs) or self._pending.may_be_any() or self._waiting.are_due(self._clock.now())

    def obey(self, settings: Settings) -> None:
        """The settings in force are these from now on, for runs in hand too."""
        self.settings = settings
        for run in self._work.runs.values():
            run.context = under(settings, run.context)

    def look_again(self) -> None:
        """The store may have new pending runs."""
        self._pending.look_again()
        self.wake()

    def adopt(self, windows: Sequence[Window]) -> None:
        """Send windows that were opened elsewhere: by an event's own transaction."""
        for window in windows:
            self._send(window)

    def stop_superseded(self, runs: Collection[int]) -> None:
        """These runs were superseded just now: what of them is not on a link is taken back."""
        for seq in runs:
            if seq in self._work.runs:
                self._stop_for_good(self._work.runs[seq])
            elif self._opening.locked():
                self._superseded_meanwhile.add(seq)
        self.clearing.want(bool(runs))

    def room(self) -> dict[str, int]:
        """Devices of each app that may be opened now; an app that cannot send has none, nor one whose room is waited
        for."""
        if self._draining:
            return dict.fromkeys(self.settings.apps, 0)
        return {
            app: max(0, self._work.room(app)) if self._can_send(app) and app not in self._waited_for else 0
            for app in self.settings.apps
        }

    async def load(self) -> None:
        """Take the running runs of the store in hand: after recovery, and after another process changed them."""
        async with self._opening:
            with self._work.noting_ends() as ended:
                active = await trio.to_thread.run_sync(
                    partial(read_running, self._store, set(self._work.runs), self.settings.apps, self._clock.now())
                )
            for one in active.unknown:
                if one.run.seq not in self._work.runs and one.run.seq not in ended:
                    self._take_in_hand(one)
            self._waiting.look_again(active.first_waking)
            for run in list(self._work.runs.values()):
                run.stopped = run.superseded or run.seq in active.not_running
                if run.stopped and not run.outstanding:
                    self._work.forget(run)
                elif run.context.run.rate != active.rates.get(run.seq, run.context.run.rate):
                    self._work.change_rate(run, active.rates[run.seq])
                    self._take_back(run)  # what waits for tokens of the old rate
            self.clearing.want(active.any_superseded)
            self._superseded_meanwhile.clear()
            self.look_again()
        self.close_silent_windows()

    def _take_in_hand(self, begun: Begun) -> None:
        context = self._context(begun.run)
        if isinstance(context, RunContext):
            self._work.activate(context, begun.shards)
            self._work.expect_work(begun.run.seq, begun.work_due)

    async def run(self) -> None:
        """Open what can be opened, until drained."""
        while True:
            self._wake = trio.Event()
            async with self._opening:
                if self._draining:
                    return
                self._held.release(self._clock.monotonic())
                opened = await self._open_next()
                self._superseded_meanwhile.clear()
            if not opened:
                with trio.move_on_after(self._nap()):
                    await self._wake.wait()

    async def stop_opening(self) -> None:
        """Drain: open nothing more. What was being opened is in the sender's hands when this returns."""
        self._draining = True
        self.wake()
        async with self._opening:
            pass

    def close_silent_windows(self, *, now_unsendable: bool = False) -> None:
        """Close windows that got neither a write nor an answer for a second, and all that cannot be sent."""
        now = self._clock.monotonic()
        silent = [
            window
            for window in self._work.windows.values()
            if window.waiting
            and not window.handed_over
            and (now_unsendable or window.run.stopped or now - window.touched >= _SILENCE)
        ]
        unstarted = self._sender.unstarted() if silent else set()
        for window in silent:
            is_queued = window.number in unstarted or window.held
            if is_queued and not (now_unsendable or window.run.stopped) and self._can_send(window.run.app):
                window.touched = now
            else:
                self._hand_over(window)

    def is_idle(self, now: datetime, within: timedelta, *, given_up: Collection[str] = ()) -> bool:
        """Whether no window is open, nothing waits to be opened or for a link, and nothing is due within this time.

        What waits in apps that were given up does not count.
        """
        if self._work.windows or self._pending.may_be_any(given_up) or self._waiting.want_link(given_up):
            return False
        if self.clearing.is_busy or self._opening.locked():
            return False
        if any(run.shards and not run.stopped and run.app not in given_up for run in self._work.openable.values()):
            return False
        dues = (*self._work.work_due(given_up), *self._waiting.due)
        return all(due > now + within for due in dues)

    async def _open_next(self) -> bool:
        """Open one window, or begin runs. A run that waits for nothing but room keeps later and lower ones of its app
        from taking it: small runs would take every device's room that comes free, and a large one never a window's."""
        now = self._clock.now()
        if self._work.has_slept(now):
            return False  # the next tick looks, and wakes us
        self._work.wake(now)
        self._waited_for = set()
        # Known before the first thread hop: a link that comes up between two lanes would let the lower one begin.
        sendable = frozenset(filter(self._can_send, self.settings.apps))
        for one in await self._waiting.wake(self._work.awake, sendable, now):
            self._take_in_hand(one)
        for lane in Lane:
            if self._sender.is_rendering_above(lane) or not self._precedence.allows(lane):
                return False  # answers will wake us, or the way that is free again
            for run in [run for run in self._work.openable.values() if run.context.run.lane is lane]:
                if not run.shards and not run.has_due_work(now):
                    del self._work.openable[run.seq]
                    continue
                is_due = run.has_due_work(now)
                if not is_due and run.shard_to_read(now) is None:
                    continue
                if run.app in self._waited_for or not self._may_open(run):
                    continue
                if self._work.open_devices[run.app] and self._work.room(run.app) < self._work.window_limit(run):
                    self._waited_for.add(run.app)
                    continue
                await (self._take_up(run, now) if is_due else self._open(run, now))
                return True
            for app in self.settings.apps:
                if app not in self._waited_for and await self._start(app, lane, sendable):
                    return True
            self._precedence.seen(lane)
        return False

    def _may_open(self, run: ActiveRun) -> bool:
        """Whether a run could open a window now, if there were room in its app."""
        if run.stopped or run.open_windows >= MAX_OPEN_WINDOWS or not self._can_send(run.app):
            return False
        if run.open_devices and run.open_devices + self._work.window_limit(run) > run.open_limit:
            return False
        return self._sender.starts_in(run.grants) <= _SOON

    def _can_send(self, app: str) -> bool:
        pool = self._sender.pool_of(app)
        return pool.stopped is None and pool.connected > 0

    async def _take_up(self, first: ActiveRun, now: datetime) -> None:
        """Take up what is due of a run, and of others with it where these are small: one transaction for many."""
        runs = self._due_with(first, now)
        for run in runs:
            run.work_due = None  # what is settled while the thread works says itself when it is due
        with self._precedence.of(first.context.run.lane), self._opening_of(runs):
            taken = await trio.to_thread.run_sync(
                partial(
                    take_up_work,
                    self._store,
                    [(run.context, self._work.window_limit(run)) for run in runs],
                    self._clock.now(),
                    process=self._process,
                    room=self._work.window_limit(first),
                )
            )
            for run in runs:
                one = taken.get(run.seq)
                self._work.expect_work(run.seq, now if one is None else one.next_due)
                if one is not None:
                    self._send_or_stop(run, one.window)

    def _due_with(self, first: ActiveRun, now: datetime) -> list[ActiveRun]:
        """A run and the others of its app and lane whose work rows can be taken up with it."""
        alike = (
            run
            for run in self._work.openable.values()
            if run is not first
            and run.app == first.app
            and run.context.run.lane is first.context.run.lane
            and run.has_due_work(now)
            and self._may_open(run)
        )
        return [first, *islice(alike, MAX_TAKEN_UP - 1)]

    async def _open(self, run: ActiveRun, now: datetime) -> None:
        shard = run.shard_to_read(now)
        assert shard is not None
        limit = self._work.window_limit(run)
        in_flight = self._work.in_flight(run)
        with self._precedence.of(run.context.run.lane), self._opening_of([run]):
            window = await trio.to_thread.run_sync(
                partial(open_window, self._store, run.context, shard.value, now, limit=limit, in_flight=in_flight)
            )
            self._send_or_stop(run, window)

    @contextmanager
    def _opening_of(self, runs: Sequence[ActiveRun]) -> Iterator[None]:
        """Keep runs in hand while a thread opens windows of them, whatever stops them meanwhile."""
        for run in runs:
            run.outstanding += 1
        try:
            yield
        finally:
            for run in runs:
                run.outstanding -= 1
                if run.stopped and not run.outstanding:
                    self._work.forget(run)

    def _send_or_stop(self, run: ActiveRun, opened: Opened) -> None:
        if isinstance(opened, Window):
            self._send(opened)
        else:
            self._work.not_opened(run, opened)

    async def _start(self, app: str, lane: Lane, sendable: Collection[str]) -> bool:
        pending = await self._pending.of(app, lane)
        if app not in sendable or not self._can_send(app) or self._work.room(app) <= 0:
            return False
        room = self._work.room(app)
        contexts = [self._context(run) for run in islice(pending, min(MAX_STARTS, room))]
        startable = [(context, self._window_limit(context)) for context in contexts]
        if not startable:
            return False
        with self._work.reserved({app: room}), self._precedence.of(lane):
            started = await trio.to_thread.run_sync(
                partial(start_runs, self._store, startable, self._clock.now(), room=room)
            )
        for _ in range(min(started.considered, len(pending))):
            pending.popleft()
        self._waiting.expect(lane, started.waits_until)
        runs_paused((context.run, why) for context, why in started.paused)
        for context, shards in started.sharded:
            self._work.activate(context, shards)
        for window in started.windows:
            if not window.is_over:
                self._send(window)
        return True

    def _window_limit(self, context: RunContext | NoAudience) -> int:
        if isinstance(context, NoAudience):
            return 1
        return self._work.window_limit(ActiveRun(context, self._work.grants(context)))

    def _send(self, window: Window) -> None:
        order = self._work.open(window)
        opened = self._work.windows[order.number]
        run = opened.run
        if run.seq in self._superseded_meanwhile:
            run.stopped = run.superseded = True
        older = self._work.older_with_key(run)
        for one in older:
            self._stop_for_good(one)
        if not order.recipients:
            self._settler.deliver(order.number, ())
        elif run.stopped:
            self._settler.hand_over(opened, set(opened.waiting))
        else:
            blockers = [window for window in self._work.windows.values() if window.run in older] if older else []
            self._held.send(order, opened, blockers, self._clock.monotonic())

    def _stop_for_good(self, run: ActiveRun) -> None:
        if not run.superseded:
            run.stopped = run.superseded = True
            self._take_back(run)

    def _take_back(self, run: ActiveRun) -> None:
        """Close the windows of a run; what is not on a link goes back."""
        for window in list(self._work.windows.values()):
            if window.run is run and window.waiting and not window.handed_over:
                self._hand_over(window)

    def _hand_over(self, window: OpenWindow) -> None:
        unsent = (self._sender.withdraw(window.number) | self._held.withdraw(window)) & window.waiting.keys()
        window.withdrawn |= unsent
        self._settler.hand_over(window, unsent)

    def _context(self, run: Run) -> RunContext | NoAudience:
        return context_of(run, self._versions.campaign(run.rule, run.version), self.settings)

    def _nap(self) -> float:
        """Until the next work row or shard is due. What is due waits for a link or a token: the daemon's tick wakes."""
        now = self._clock.now()
        dues = (*self._work.work_due(), *self._work.shards_due(), *self._waiting.due)
        waits = [(due - now).total_seconds() + 0.001 for due in dues if due > now]
        waits += self._held.waits(self._clock.monotonic())
        return min(_LONGEST_NAP, self._precedence.patience, *waits)
