"""A daemon in virtual time: what engine/ does with tasks, threads and links, one thing after the other on one file.

Every decision is made by the functions of runs/ that the daemon calls, in the transactions in which it calls them; only
the loop is another one. Time does not pass here: the clock jumps to the next instant at which anything is due. The
provider is a function from a request to its result, which comes at the instant of the request.

What it has not: links and what happens to them, windows that stay open while time passes, and the look at the first
answers of a run. The environment of the tokens counts as proved. Rates are the daemon's token buckets; a window starts
when all of its tokens are there.

Like a daemon it may be killed between any two transactions: another one for the same file recovers what it left.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from scheduler.domain.clock import VirtualClock
from scheduler.domain.events import Event
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, RunState
from scheduler.rehearsal.virtual_rates import VirtualRates
from scheduler.rehearsal.virtual_runs import Agenda, Bounds, PendingRuns, RunInHand
from scheduler.rehearsal.virtual_sending import Provider, VirtualSender
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.canary import Postponed
from scheduler.runs.context import NoAudience, RunContext, context_of, rate_bounds, under
from scheduler.runs.ingest import MAX_EVENTS, ingest
from scheduler.runs.opening import open_window, start_runs
from scheduler.runs.pausing import pause_what_cannot_run
from scheduler.runs.recovery import recover
from scheduler.runs.schedules import open_due, watch
from scheduler.runs.stopping import stop_under_all_names
from scheduler.runs.taking_up import take_up_work
from scheduler.runs.versions import Versions
from scheduler.runs.waiting import Begun, begun, first_waking, wake_due
from scheduler.runs.windows import MAX_WINDOW, Window
from scheduler.runs.zone_shards import skip_missed_zones
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store
from scheduler.workspace.loading import Workspace

MAX_ROOM: Final = 8_000
"""Devices of an app in the windows of one transaction."""
MAX_STARTS: Final = 200
"""Pending runs that are begun in one transaction."""
MAX_TAKEN_UP: Final = 500
"""Runs whose work rows are taken up in one transaction."""
MAX_WOKEN: Final = 500
"""Waiting runs that go on in one transaction."""


class VirtualDaemon:
    """Make one: it recovers and is up. `take` events when they arrive, `run_until` an instant, and drop it when the
    daemon ends."""

    def __init__(
        self, store: Store, workspace: Workspace, clock: VirtualClock, provider: Provider, *, process: str = "virtual"
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._clock = clock
        self._process = process
        self._namespace = store.namespace()
        self._versions = Versions(store, workspace.campaigns.values())
        self._rates = VirtualRates(clock)
        self._sender = VirtualSender(store, clock, provider, process=process)
        self._agenda = Agenda()
        self._has_looked = self._must_clear = False
        """Whether all pending runs are in hand, and whether devices may wait in superseded runs."""
        self._next_waking: dict[Lane, datetime | None] = dict.fromkeys(Lane)
        """By lane, when the first of the runs is due that wait in the store."""
        self._awake_since = clock.now()
        self._next_slot: datetime | None = None
        pause_what_cannot_run(store, workspace, self._versions)
        stop_under_all_names(store, workspace)
        self.recovered = recover(store, self._versions, workspace.settings, clock.now(), process=process)
        skip_missed_zones(store, self._versions, clock.now(), awake_since=clock.now())
        self._watch()
        self.look()

    @property
    def next_at(self) -> datetime | None:
        """When anything is due next: a slot, a run that waits, a device or a shard of a run that began."""
        dues = (self._next_slot, self._agenda.next_at, *self._next_waking.values())
        return min((at for at in dues if at is not None), default=None)

    def run_until(self, instant: datetime) -> None:
        """Do everything that is due up to an instant, in the order of time; the clock shows the instant then."""
        while True:
            self._work_off()
            at = self.next_at
            if at is None or at > instant:
                break
            self._go_on_to(at)
        self._go_on_to(instant)

    def take(self, events: Sequence[Event]) -> None:
        """Take events in that arrive now, and do what follows at once."""
        for start in range(0, len(events), MAX_EVENTS):
            part = events[start : start + MAX_EVENTS]
            now = self._clock.now()
            result = ingest(self._store, self._workspace, self._namespace, part, now, room=self._room())
            for window in result.windows:
                self._send(window)
            for lane, at in result.waits_until.items():
                self._expect_waking(lane, at)
            self._stop_superseded(result.superseded)
            self._has_looked = self._has_looked and not result.pending
        self._work_off()

    def use(self, workspace: Workspace) -> None:
        """Go by another workspace from now on, as after a reload."""
        self._versions.keep(workspace.campaigns.values())
        pause_what_cannot_run(self._store, workspace, self._versions)
        stop_under_all_names(self._store, workspace)
        self._workspace = workspace
        for run in self._agenda.runs:
            run.context = under(workspace.settings, run.context)
        self._watch()
        self.look()

    def look(self) -> None:
        """See what other processes wrote: runs that were fired, paused, resumed, stopped, or given another rate."""
        with self._store.read() as tx:
            running = begun(tx, run_rows.open_runs(tx, RunState.RUNNING, stops=stop_rows.read(tx)))
            self._next_waking.update(first_waking(tx))
            self._must_clear = bool(run_rows.open_runs(tx, RunState.SUPERSEDED, limit=1))
        self._agenda = Agenda()
        for one in running:
            self._go_on_with(one)
        self._has_looked = False

    def _go_on_to(self, instant: datetime) -> None:
        self._clock.advance(max(0.0, (instant - self._clock.now()).total_seconds()))

    def _watch(self) -> None:
        watch(self._store, self._workspace, self._clock.now())
        self._next_slot = self._clock.now()

    def _work_off(self) -> None:
        """Do everything that is due now."""
        while True:
            self._agenda.wake(self._clock.now())
            went_on = self._step()
            if not went_on or self._sender.is_full:
                self._settle()
            if not went_on:
                return

    def _settle(self) -> None:
        settled = self._sender.flush()
        rest = settled.rest
        for seq, shards in settled.shards.items():
            run = self._agenda.run(seq)
            if run is not None:
                run.shards += shards
                self._agenda.arrange(run, self._clock.now())
        for seq in rest.over | rest.waiting.keys():
            run = self._agenda.run(seq)
            if run is not None and seq in rest.waiting:
                self._expect_waking(run.lane, rest.waiting[seq])
            self._agenda.forget(seq)

    def _step(self) -> bool:
        """Do one thing: what the daemon would do first. False: there is nothing to do now."""
        now = self._clock.now()
        if self._next_slot is not None and self._next_slot <= now:
            self._open_slots(now)
            return True
        if self._must_clear:
            self._must_clear = clear_superseded(self._store, now)
            return True
        if not self._has_looked:
            self._look_for_pending()
        for lane in Lane:
            waking = self._next_waking[lane]
            if waking is not None and waking <= now:
                self._wake(lane, now)
                return True
            for one in self._agenda.ready_in(lane):
                self._go_on(one, now)
                return True
        return False

    def _open_slots(self, now: datetime) -> None:
        opened = open_due(self._store, self._workspace, self._namespace, now, awake_since=self._awake_since)
        self._next_slot = opened.next_at
        self._stop_superseded(opened.superseded)
        for run in opened.by_zone:
            self._expect_waking(run.lane, run.waits_until)
        self._has_looked = self._has_looked and not opened.runs

    def _look_for_pending(self) -> None:
        """Have all runs in hand that wait to begin."""
        with self._store.read() as tx:
            pending = run_rows.open_runs(tx, RunState.PENDING, stops=stop_rows.read(tx))
        groups: dict[Hashable, PendingRuns] = {}
        for run in pending:
            context = self._context(run)
            group = PendingRuns(run.lane, self._bounds(context) if isinstance(context, RunContext) else ())
            groups.setdefault(group.key, group).contexts.append(context)
        for group in groups.values():
            self._agenda.arrange(group, self._clock.now())
        self._has_looked = True

    def _wake(self, lane: Lane, now: datetime) -> None:
        """Take runs in hand that waited in the store."""
        woken = wake_due(self._store, lane, self._workspace.settings.apps, now, limit=MAX_WOKEN)
        self._next_waking[lane] = woken.next_at
        for one in woken.begun:
            self._go_on_with(one)

    def _go_on_with(self, one: Begun) -> None:
        context = self._context(one.run)
        if isinstance(context, RunContext):
            shards = [shard for shard in one.shards if shard.intent < shard.last]
            run = RunInHand(context, self._bounds(context), shards, one.work_due)
            self._agenda.arrange(run, self._clock.now())

    def _go_on(self, one: PendingRuns | RunInHand, now: datetime) -> None:
        """Begin runs, take up work, or open a window; or let that wait until its time has come, or it has tokens."""
        at = one.next_at(now)
        limit = self._rates.window(one.bounds)
        if at is None or at > now:
            self._agenda.arrange(one, now)
        elif limit == 0:
            self._agenda.arrange(one, now, not_before=self._rates.ready_at(one.bounds))
        elif isinstance(one, PendingRuns):
            self._begin(one, limit, now)
        elif one.has_due_work(now):
            self._take_up(one, limit, now)
        else:
            self._open(one, limit, now)

    def _begin(self, pending: PendingRuns, limit: int, now: datetime) -> None:
        """Begin runs, many at once. The last may go over the room by all but one device of its own limit."""
        own, room = (max(1, limit // 2), limit - max(1, limit // 2) + 1) if pending.bounds else (MAX_WINDOW, MAX_ROOM)
        contexts = [(context, own) for context in islice(pending.contexts, MAX_STARTS)]
        started = start_runs(self._store, contexts, now, room=room)
        for _ in range(started.considered):
            pending.contexts.popleft()
        self._agenda.arrange(pending, now)
        self._expect_waking(pending.lane, started.waits_until)
        for context, shards in started.sharded:
            self._agenda.arrange(RunInHand(context, self._bounds(context), shards), now)
        for window in started.windows:
            self._send(window)

    def _take_up(self, first: RunInHand, limit: int, now: datetime) -> None:
        """Take up what is due of a run, and of others of its lane with the same bounds."""
        others = (one for one in self._agenda.ready_in(first.lane) if one is not first and one.bounds == first.bounds)
        due = [one for one in others if isinstance(one, RunInHand) and one.has_due_work(now)]
        runs = [first, *due[: MAX_TAKEN_UP - 1]]
        contexts = [(run.context, limit) for run in runs]
        taken = take_up_work(self._store, contexts, now, process=self._process, room=limit)
        for run in runs:
            if run.seq in taken:
                run.work_due = taken[run.seq].next_due
                self._send_or_forget(run, taken[run.seq].window)

    def _open(self, run: RunInHand, limit: int, now: datetime) -> None:
        shard = run.shard_to_read(now)
        assert shard is not None
        in_flight = self._sender.in_flight(run.seq)
        opened = open_window(self._store, run.context, shard, now, limit=limit, in_flight=in_flight)
        if isinstance(opened, Window):
            self._send(opened)
        elif isinstance(opened, Postponed):
            self._postpone(run, opened, now)
        else:
            self._agenda.forget(run.seq)

    def _postpone(self, run: RunInHand, postponed: Postponed, now: datetime) -> None:
        """The rest of a run waits for its canary, in the store or in hand."""
        if postponed.waits:
            self._agenda.forget(run.seq)
            self._expect_waking(run.lane, postponed.until)
        else:
            run.shards = [replace(shard, not_before=postponed.until) for shard in run.shards]
            self._agenda.arrange(run, now)

    def _send_or_forget(self, run: RunInHand, window: Window | None) -> None:
        if window is None:
            self._agenda.forget(run.seq)
        else:
            self._send(window)

    def _send(self, window: Window) -> None:
        context = window.context
        run = self._agenda.run(context.run.seq) or RunInHand(context, self._bounds(context))
        if window.shard is not None:
            run.read(window.shard, up_to=window.end)
        self._rates.take(run.bounds, len(window.recipients))
        self._sender.send(window, run, self._workspace.settings)
        run.expect(window.next_due)
        self._agenda.arrange(run, self._clock.now())

    def _stop_superseded(self, runs: Collection[int]) -> None:
        for seq in runs:
            self._agenda.forget(seq)
        self._must_clear = self._must_clear or bool(runs)

    def _expect_waking(self, lane: Lane, at: datetime | None) -> None:
        known = self._next_waking[lane]
        self._next_waking[lane] = min((one for one in (known, at) if one is not None), default=None)

    def _context(self, run: Run) -> RunContext | NoAudience:
        return context_of(run, self._versions.campaign(run.rule, run.version), self._workspace.settings)

    def _bounds(self, context: RunContext) -> Bounds:
        return tuple(rate_bounds(context, self._workspace.settings.apps[context.audience.app]))

    def _room(self) -> dict[str, int]:
        """Devices of each app whose windows may be opened at once."""
        return {
            name: self._rates.available(f"app:{name}", app.rate, MAX_ROOM)
            for name, app in self._workspace.settings.apps.items()
        }
