"""Windows in virtual time: prepared as the daemon prepares them, answered at once, judged, and settled in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from scheduler.apns.request import PushRequest
from scheduler.apns.results import Result
from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import LedgerEntry, Part, WorkEntry
from scheduler.planning.decisions import expires_at
from scheduler.rehearsal.virtual_runs import RunInHand
from scheduler.runs.context import RunContext
from scheduler.runs.preparing import Preparation
from scheduler.runs.settling import MAX_SETTLED, Settled, Settlement, settle
from scheduler.runs.verdicts import Report, judge
from scheduler.runs.windows import Window
from scheduler.store.database import Store
from scheduler.store.run_ends import Rest
from scheduler.workspace.settings import Settings

Provider: TypeAlias = Callable[[PushRequest], Result]
"""What comes back for a request: the same for an equal one, or the rehearsal cannot be repeated. It answers nothing
that stops an app."""
JITTER: Final = 0.5
"""Chance is in the middle, always."""


class VirtualSender:
    """Sends windows to a provider. What came of them is on disk after `flush`."""

    def __init__(self, store: Store, clock: VirtualClock, provider: Provider, *, process: str) -> None:
        self._store = store
        self._clock = clock
        self._provider = provider
        self._process = process
        self._settlement = Settlement()

    @property
    def is_full(self) -> bool:
        """Whether as much waits as one transaction writes."""
        return len(self._settlement.ledger) + len(self._settlement.work) >= MAX_SETTLED

    def in_flight(self, run: int) -> frozenset[int]:
        """The devices of a run that were sent and have no outcome on disk."""
        settlement = self._settlement
        final = (entry.device for entry in settlement.ledger if entry.run == run)
        return frozenset(final).union(entry.device for entry in settlement.work if entry.run == run)

    def send(self, window: Window, run: RunInHand, settings: Settings) -> None:
        """Send a window of a run, and note when what is to be sent again is due."""
        settlement, seq = self._settlement, run.seq
        recipients = {recipient.id: recipient for recipient in window.recipients}
        for device, report in self._reports(window, run, settings) if recipients else ():
            verdict = judge(run.context, recipients[device], report, self._clock.now(), JITTER, environment_proved=True)
            if window.from_work:
                settlement.closed_work.append((seq, device))
            match verdict.entry:
                case LedgerEntry() as entry:
                    settlement.ledger.append(entry)
                case WorkEntry() as entry:
                    settlement.work.append(entry)
                    run.expect(entry.not_before)
            if verdict.retirement is not None:
                settlement.retirements.append(verdict.retirement)
        shard = window.shard
        if shard is not None and shard.number is not None:
            settlement.cursors[seq, shard.number] = window.end
            canary = run.context.campaign.canary
            if canary is not None and shard.part == Part.CANARY and window.end >= shard.last:
                settlement.canaries[seq] = canary
        settlement.perhaps_over.append(seq)

    def flush(self) -> Settled:
        """Settle what was sent; returns the runs that are over, and those that wait in the store from now on."""
        settlement, self._settlement = self._settlement, Settlement()
        if settlement.is_empty:
            return Settled(Rest(), {})
        settlement.perhaps_over = list(dict.fromkeys(settlement.perhaps_over))
        return settle(self._store, settlement, self._clock.now(), process=self._process)

    def _reports(self, window: Window, run: RunInHand, settings: Settings) -> list[tuple[int, Report]]:
        if run.preparation is None:
            run.preparation = _preparation(run.context, settings)
        requests, reports = run.preparation.prepare(window.recipients)
        reports.extend((request.device, self._provider(request)) for request in requests)
        return reports


def _preparation(context: RunContext, settings: Settings) -> Preparation:
    end = expires_at(context.terms, context.run.due)
    return Preparation(
        context.campaign,
        context.run.id,
        context.scope,
        bundle_id=settings.apps[context.campaign.app].bundle_id,
        expiration=0 if end is None else int(end.timestamp()),
    )
