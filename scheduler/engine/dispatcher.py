"""What is opened next: urgent before normal before bulk, the oldest first, within the room that rates leave.

Every decision is made at a window boundary, so urgent work overtakes a running send after at most one window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, RunState, Shard
from scheduler.engine.active import MAX_OPEN_WINDOWS, ActiveRun
from scheduler.engine.open_work import OpenWork
from scheduler.engine.sender import Sender
from scheduler.engine.settler import Settler
from scheduler.runs.context import NoAudience, RunContext, context_of
from scheduler.runs.opening import open_window, start_runs, take_up_work
from scheduler.runs.versions import Versions
from scheduler.runs.windows import Window
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store.database import Store
from scheduler.workspace.settings import Settings

MAX_STARTS = 200
"""Pending runs that are begun in one transaction."""
_PENDING_PAGE = 1_000
_SOON = 0.25
"""Seconds: a window is opened this long before its first token is there, not earlier."""
_SILENCE = 1.0
"""Seconds after its last write or answer at which a window is closed and the rest handed to work rows."""
_LONGEST_NAP = 30.0


@dataclass(slots=True)
class _Pending:
    """Runs of one app and lane that wait to begin, the oldest first. `complete`: there are no more in the store."""

    runs: deque[Run] = field(default_factory=deque)
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a daemon leaves when it ends: runs that are not over, and when the next of their devices is due."""

    runs: int
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class _Running:
    """Running runs of the store that were not in hand, and runs in hand that are paused or cancelled."""

    unknown: list[tuple[RunContext, list[Shard], datetime | None]]
    not_running: set[int]


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
        self._clock = clock
        self._process = process
        self._pending: dict[tuple[str, Lane], _Pending] = {}
        self._wake = trio.Event()
        self._draining = False
        self._waited_for: set[str] = set()
        """Apps in which a run waits for room."""
        self._opening = trio.Lock()
        """Held while windows are opened and while the running runs are read: neither sees half of the other."""

    def wake(self) -> None:
        """Something changed: outcomes were settled, a link came up, time passed."""
        self._wake.set()

    @property
    def has_work(self) -> bool:
        """Whether anything is in hand or waits to begin."""
        return bool(self._work.runs) or self._may_have_pending()

    def look_again(self) -> None:
        """The store may have new pending runs."""
        self._pending.clear()
        self.wake()

    def adopt(self, windows: Sequence[Window]) -> None:
        """Send windows that were opened elsewhere: by an event's own transaction."""
        for window in windows:
            self._send(window)

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
                active = await trio.to_thread.run_sync(self._read_running, set(self._work.runs))
            for context, shards, work_due in active.unknown:
                if context.run.seq not in self._work.runs and context.run.seq not in ended:
                    self._work.activate(context, shards)
                    self._work.expect_work(context.run.seq, work_due)
            for run in list(self._work.runs.values()):
                run.stopped = run.seq in active.not_running
                if run.stopped and not run.outstanding:
                    self._work.forget(run)
            self.look_again()

    async def run(self) -> None:
        """Open what can be opened, until drained."""
        while True:
            self._wake = trio.Event()
            async with self._opening:
                if self._draining:
                    return
                opened = await self._open_next()
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
            at_once = now_unsendable or window.run.stopped
            if not at_once and window.number in unstarted and self._can_send(window.run.app):
                window.touched = now
            else:
                unsent = self._sender.withdraw(window.number) & window.waiting.keys()
                self._settler.hand_over(window, unsent)

    async def remaining(self) -> Remaining:
        """What is not over, from the store."""
        return await trio.to_thread.run_sync(self._read_remaining)

    def is_idle(self, now: datetime, within: timedelta, *, given_up: Collection[str] = ()) -> bool:
        """Whether no window is open, nothing waits to be opened, and no work row is due within this time.

        What waits in apps that were given up does not count.
        """
        if self._work.windows or self._may_have_pending(given_up) or self._opening.locked():
            return False
        if any(run.shards and not run.stopped and run.app not in given_up for run in self._work.runs.values()):
            return False
        return all(due > now + within for due in self._work.work_due(given_up))

    def _may_have_pending(self, given_up: Collection[str] = ()) -> bool:
        """Whether runs wait to begin, or nobody has looked since something changed."""
        unseen = len(self._pending) < len(self.settings.apps) * len(Lane)
        looked_at = [pending for (app, _), pending in self._pending.items() if app not in given_up]
        return unseen or any(pending.runs or not pending.complete for pending in looked_at)

    async def _open_next(self) -> bool:
        """Open one window, or begin runs. A run that waits for nothing but room keeps later and lower ones of its app
        from taking it: small runs would take every device's room that comes free, and a large one never a window's."""
        now = self._clock.now()
        self._waited_for = set()
        # Known before the first thread hop: a link that comes up between two lanes would let the lower one begin.
        sendable = frozenset(filter(self._can_send, self.settings.apps))
        for lane in Lane:
            for run in [run for run in self._work.openable.values() if run.context.run.lane is lane]:
                if run.work_due is None and not run.shards:
                    del self._work.openable[run.seq]
                    continue
                is_due = run.work_due is not None and run.work_due <= now
                if not is_due and all(shard.is_read for shard in run.shards):
                    continue
                if run.app in self._waited_for or not self._may_open(run):
                    continue
                if not self._has_room(run):
                    self._waited_for.add(run.app)
                    continue
                await (self._take_up(run) if is_due else self._open(run))
                return True
            for app in self.settings.apps:
                if app not in self._waited_for and await self._start(app, lane, sendable):
                    return True
        return False

    def _may_open(self, run: ActiveRun) -> bool:
        """Whether a run could open a window now, if there were room in its app."""
        if run.stopped or run.open_windows >= MAX_OPEN_WINDOWS or not self._can_send(run.app):
            return False
        if run.open_devices and run.open_devices + self._work.window_limit(run) > run.open_limit:
            return False
        return self._sender.starts_in(run.grants) <= _SOON

    def _has_room(self, run: ActiveRun) -> bool:
        return not self._work.open_devices[run.app] or self._work.room(run.app) >= self._work.window_limit(run)

    def _can_send(self, app: str) -> bool:
        pool = self._sender.pool_of(app)
        return pool.stopped is None and pool.connected > 0

    async def _take_up(self, run: ActiveRun) -> None:
        run.work_due = None  # what is settled while the thread works says itself when it is due
        taken = await trio.to_thread.run_sync(
            partial(
                take_up_work,
                self._store,
                run.context,
                self._clock.now(),
                process=self._process,
                limit=self._work.window_limit(run),
            )
        )
        self._work.expect_work(run.seq, taken.next_due)
        if taken.window is None:
            run.stopped = True
        else:
            self._send(taken.window)

    async def _open(self, run: ActiveRun) -> None:
        shard = next(shard for shard in run.shards if not shard.is_read)
        limit = self._work.window_limit(run)
        window = await trio.to_thread.run_sync(
            partial(open_window, self._store, run.context, shard.value, self._clock.now(), limit=limit)
        )
        if window is None:
            run.stopped = True
        else:
            self._send(window)

    async def _start(self, app: str, lane: Lane, sendable: Collection[str]) -> bool:
        pending = self._pending.setdefault((app, lane), _Pending())
        if not pending.runs and not pending.complete:
            pending.runs.extend(await trio.to_thread.run_sync(self._read_pending, app, lane))
            pending.complete = len(pending.runs) < _PENDING_PAGE
        if app not in sendable or not self._can_send(app) or self._work.room(app) <= 0:
            return False
        room = self._work.room(app)
        contexts = [self._context(run) for run in islice(pending.runs, min(MAX_STARTS, room))]
        startable = [(context, self._window_limit(context)) for context in contexts]
        if not startable:
            return False
        with self._work.reserved({app: room}):
            started = await trio.to_thread.run_sync(
                partial(start_runs, self._store, startable, self._clock.now(), room=room)
            )
        for _ in range(min(started.considered, len(pending.runs))):
            pending.runs.popleft()
        for context, shards in started.sharded:
            self._work.activate(context, shards)
        for window in started.windows:
            if window.recipients:
                self._send(window)
        return True

    def _window_limit(self, context: RunContext | NoAudience) -> int:
        if isinstance(context, NoAudience):
            return 1
        return self._work.window_limit(ActiveRun(context, self._work.grants(context)))

    def _send(self, window: Window) -> None:
        order = self._work.open(window)
        if order.recipients:
            self._sender.send(order)
        else:
            self._settler.deliver(order.number, ())

    def _context(self, run: Run) -> RunContext | NoAudience:
        return context_of(run, self._versions.campaign(run.rule, run.version), self.settings)

    def _nap(self) -> float:
        """Until the next work row is due. What is due already waits for a link or a token: the daemon's tick wakes."""
        now = self._clock.now()
        waits = [(due - now).total_seconds() + 0.001 for due in self._work.work_due() if due > now]
        return min(_LONGEST_NAP, *waits) if waits else _LONGEST_NAP

    def _read_pending(self, app: str, lane: Lane) -> list[Run]:
        with self._store.read() as tx:
            return run_rows.open_runs(tx, RunState.PENDING, app=app, lane=lane, limit=_PENDING_PAGE)

    def _read_running(self, in_hand: set[int]) -> _Running:
        with self._store.read() as tx:
            runs = run_rows.open_runs(tx, RunState.RUNNING)
            found = []
            for run in runs:
                is_new = run.seq not in in_hand and run.app in self.settings.apps
                context = self._context(run) if is_new else None
                if isinstance(context, RunContext):
                    shards = run_rows.shards_of(tx, [run.seq]) if run.sharded else []
                    found.append((context, shards, ledger.next_work(tx, run.seq)))
            running = {run.seq for run in runs}
            stopped = run_rows.in_state(tx, list(in_hand - running), RunState.PAUSED)
            stopped |= run_rows.in_state(tx, list(in_hand - running), RunState.CANCELLED)
            return _Running(found, stopped)

    def _read_remaining(self) -> Remaining:
        with self._store.read() as tx:
            return Remaining(run_rows.count_open(tx), ledger.next_due(tx))
