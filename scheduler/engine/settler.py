"""Outcomes on their way to the ledger: reports are judged as they come and written in batches."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import trio

from scheduler.apns.link_laws import RESPONSE_DEADLINE
from scheduler.apns.reasons import advice
from scheduler.apns.results import Answer
from scheduler.domain.clock import Clock
from scheduler.domain.errors import Bug
from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import LedgerEntry, Part, Recipient, WorkEntry, WorkState
from scheduler.engine.active import ActiveRun, OpenWindow
from scheduler.engine.alarms import runs_paused
from scheduler.engine.open_work import OpenWork
from scheduler.engine.precedence import Precedence
from scheduler.runs.first_answers import strangers_note
from scheduler.runs.pausing import RESUMED
from scheduler.runs.settling import MAX_SETTLED, Settled, Settlement, settle
from scheduler.runs.verdicts import Report, judge, proves_environment
from scheduler.store.database import Store

log = logging.getLogger("clarion.engine")


@dataclass(slots=True)
class Progress:
    """What this process has settled so far, for people who watch."""

    outcomes: Counter[OutcomeKind] = field(default_factory=Counter)
    retries: int = 0
    retired: int = 0


@dataclass(slots=True)
class _Batch:
    """What is settled in one transaction, and what changes in memory once it is."""

    settlement: Settlement = field(default_factory=Settlement)
    closed: Counter[int] = field(default_factory=Counter)
    runs: dict[int, ActiveRun] = field(default_factory=dict)
    devices: dict[int, set[int]] = field(default_factory=dict)
    """By run, those whose windows have let go of them; of runs whose shards share ranges."""
    size: int = 0


class Settler:
    """The only one who writes outcomes. `deliver` and `hand_over` are synchronous and cheap."""

    def __init__(
        self,
        store: Store,
        work: OpenWork,
        precedence: Precedence,
        clock: Clock,
        jitter: Callable[[], float],
        *,
        process: str,
        on_settled: Callable[[], None],
    ) -> None:
        self.progress = Progress()
        self._store = store
        self._work = work
        self._precedence = precedence
        self._clock = clock
        self._jitter = jitter
        self._process = process
        self._on_settled = on_settled
        self._reports: deque[tuple[OpenWindow, Sequence[tuple[int, Report]]]] = deque()
        self._handed_over: deque[tuple[OpenWindow, set[int]]] = deque()
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        precedence.on_free(lambda: self._wake.set())

    def deliver(self, number: int, reports: Sequence[tuple[int, Report]]) -> None:
        """Reports of a window; none at all closes a window that had nobody to send to."""
        window = self._work.windows[number]
        window.touched = self._clock.monotonic()
        self._reports.append((window, reports))
        self._signal()

    def hand_over(self, window: OpenWindow, unsent: set[int]) -> None:
        """Close a window before its time: `unsent` devices go back as they are, the others await their answers as
        work rows."""
        self._handed_over.append((window, unsent))
        self._signal()

    async def run(self) -> None:
        """Settle until cancelled. What was delivered and is not settled then is unknown after a restart."""
        while True:
            batch = self._collect()
            if batch.size == 0:
                if not self._reports and not self._handed_over:
                    self._idle.set()
                self._wake = trio.Event()
                with trio.move_on_after(self._precedence.patience):
                    await self._wake.wait()
                continue
            self._work.settling = batch.devices
            settled = await trio.to_thread.run_sync(self._settle, batch.settlement)
            self._work.settling = {}
            self._apply(batch, settled)

    async def settled(self) -> None:
        """Wait until everything that was delivered is on disk."""
        await self._idle.wait()

    def _signal(self) -> None:
        self._idle = self._idle if not self._idle.is_set() else trio.Event()
        self._wake.set()

    def _settle(self, settlement: Settlement) -> Settled:
        return settle(self._store, settlement, self._clock.now(), process=self._process)

    def _collect(self) -> _Batch:
        batch = _Batch()
        while self._reports and batch.size < MAX_SETTLED:
            window, reports = self._reports[0]
            if not self._precedence.allows(window.run.context.run.lane):
                break
            self._reports.popleft()
            batch.size += max(1, len(reports))
            self._judge(batch, window, reports)
        while self._handed_over and not self._reports and batch.size < MAX_SETTLED:  # what was answered comes first
            window, unsent = self._handed_over.popleft()
            batch.size += max(1, len(window.waiting))
            if window.number in self._work.windows and not window.handed_over:  # neither answered meanwhile, nor twice
                self._give_up(batch, window, unsent)
        return batch

    def _judge(self, batch: _Batch, window: OpenWindow, reports: Sequence[tuple[int, Report]]) -> None:
        context, run = window.run.context, window.run
        settlement, now = batch.settlement, self._clock.now()
        replaces = window.from_work or window.handed_over
        first, proved = run.first_answers, run.app in self._work.proved
        for device, report in reports:
            recipient = window.waiting.pop(device, None)
            if recipient is None:
                raise Bug(f"run {run.seq}, device {device}: reported twice")
            if not proved and proves_environment(report):
                self._work.proved.add(run.app)
                proved = True
            if first.are_watched and first.show_strangers(report) and context.run.note != RESUMED:
                settlement.pauses[run.seq] = strangers_note(run.app, self._work.apps[run.app].environment)
            verdict = judge(context, recipient, report, now, self._jitter(), environment_proved=proved)
            if isinstance(report, Answer) and report.status >= 400:
                self._report_once(run, report)
            if replaces:
                settlement.closed_work.append((run.seq, device))
            match verdict.entry:
                case LedgerEntry() as entry:
                    settlement.ledger.append(entry)
                case WorkEntry() as entry:
                    batch.settlement.work.append(entry)
            if verdict.retirement is not None:
                settlement.retirements.append(verdict.retirement)
        if run.shares_ranges:
            batch.devices.setdefault(run.seq, set()).update(device for device, _ in reports)
        if not window.handed_over:
            batch.closed[run.seq] += len(reports)
        batch.runs[run.seq] = run
        if not window.waiting:
            self._close(batch, window)

    def _report_once(self, run: ActiveRun, answer: Answer) -> None:
        """Say once a run what a reason asks someone to put right."""
        reason = answer.reason or ""
        hint = advice(reason)
        if hint is not None and reason not in run.reported:
            run.reported.add(reason)
            log.warning("request.refused rule=%s run=%s reason=%s hint=%r",
                        run.context.run.rule, run.context.run.id, reason, hint)  # fmt: skip

    def _give_up(self, batch: _Batch, window: OpenWindow, unsent: set[int]) -> None:
        if window.number not in self._work.windows:
            return  # its last reports came in the meantime
        run = window.run
        now = self._clock.now()
        batch.runs[run.seq] = run
        batch.closed[run.seq] += len(window.waiting)
        if run.shares_ranges:
            batch.devices.setdefault(run.seq, set()).update(unsent)
        for device in unsent:
            recipient = window.waiting.pop(device)
            batch.settlement.work.append(_entry(run, recipient, WorkState.UNSENT, now))
        deadline = now + timedelta(seconds=RESPONSE_DEADLINE)
        for recipient in window.waiting.values():
            batch.settlement.work.append(_entry(run, recipient, WorkState.AWAITING, deadline))
        window.handed_over = True
        run.open_windows -= 1
        self._advance(batch, window)
        if not window.waiting:
            self._close(batch, window)
        else:
            self._perhaps_over(batch, run)

    def _close(self, batch: _Batch, window: OpenWindow) -> None:
        run = window.run
        del self._work.windows[window.number]
        run.outstanding -= 1
        if not window.handed_over:
            run.open_windows -= 1
            self._advance(batch, window)
        self._perhaps_over(batch, run)

    def _perhaps_over(self, batch: _Batch, run: ActiveRun) -> None:
        if run.open_windows == 0:
            batch.settlement.perhaps_over.append(run.seq)

    def _advance(self, batch: _Batch, window: OpenWindow) -> None:
        shard = window.shard
        if shard is None:
            return
        cursor = shard.advance()
        if cursor is not None:
            batch.settlement.cursors[shard.run, shard.number] = cursor
        if shard.cursor >= shard.last and shard in window.run.shards:
            window.run.shards.remove(shard)
            canary = window.run.context.campaign.canary
            if canary is not None and shard.origin.part == Part.CANARY:
                batch.settlement.canaries[shard.run] = canary

    def _apply(self, batch: _Batch, settled: Settled) -> None:
        rest = settled.rest
        for seq, count in batch.closed.items():
            self._work.close_devices(batch.runs[seq], count)
        for seq, why in batch.settlement.pauses.items():
            batch.runs[seq].stopped = True
            runs_paused([(batch.runs[seq].context.run, why)])
        for entry in batch.settlement.work:  # now that it is on disk: who looked before would have found nothing
            if entry.state is not WorkState.AWAITING:
                self._work.expect_work(entry.run, entry.not_before)
        for seq, run in batch.runs.items():
            if seq in rest.over or seq in rest.waiting or (run.stopped and not run.outstanding):
                self._work.forget(run)
            elif settled.shards.get(seq):
                self._work.activate(run.context, settled.shards[seq])
            self._work.waiting.expect(run.context.run.lane, rest.waiting.get(seq))
        progress, settlement = self.progress, batch.settlement
        for row in settlement.ledger:
            progress.outcomes[OutcomeKind(row.outcome)] += 1
        progress.retries += len(settlement.work)
        progress.retired += len(settlement.retirements)
        self._on_settled()


def _entry(run: ActiveRun, recipient: Recipient, state: WorkState, not_before: datetime) -> WorkEntry:
    attempts = recipient.attempts + (state is WorkState.AWAITING)
    return WorkEntry(run.seq, recipient.id, state, None, not_before, attempts, recipient.maybe_repeated)
