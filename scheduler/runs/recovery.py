"""After a crash: what a process that is gone may or may not have sent is unknown, and the rule says what follows.

A device between cursor and intent that has neither a ledger row nor a work row, and a work row that was taken up or
awaited its answer, is unknown. `on_unknown: resend` makes it a work row, which passes the whole decision again;
`drop` makes it final, and so does it that the run was cancelled or superseded. Where shards share a range, the devices
themselves were written with the intent: what they are about may be another shard's by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import OutcomeKind, UnknownCause
from scheduler.domain.runs import CALLED_OFF, LedgerEntry, Run, RunState, Shard, WorkEntry, WorkState
from scheduler.rules.rule import OnUnknown
from scheduler.runs.canary import open_rest
from scheduler.runs.context import NoAudience, RunContext, context_of
from scheduler.runs.versions import Versions
from scheduler.runs.windows import MAX_WINDOW, matching
from scheduler.store import audience as audiences
from scheduler.store import in_flight, ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store.database import Store, Transaction
from scheduler.workspace.settings import Settings

MAX_RECOVERED = 20
"""Runs in one transaction: small ones cost two milliseconds each."""
_BEGUN = (RunState.RUNNING, RunState.PAUSED, *CALLED_OFF)


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many devices were unknown, and what became of them."""

    resend: int = 0
    dropped: int = 0


def recover(store: Store, versions: Versions, settings: Settings, now: datetime, *, process: str) -> Recovered:
    """Settle what the process before left open. Call it once, before anything is opened, as the only daemon."""
    with store.read() as tx:
        runs = [run for state in _BEGUN for run in run_rows.open_runs(tx, state) if run.app in settings.apps]
    contexts = [_context(run, versions, settings) for run in runs]
    begun = [context for context in contexts if isinstance(context, RunContext)]
    resend = dropped = 0
    for start in range(0, len(begun), MAX_RECOVERED):
        batch = begun[start : start + MAX_RECOVERED]
        with store.write() as tx:
            for context in batch:
                unknown, ranges = _unknown_of(tx, context, now)
                if context.run.state in CALLED_OFF or context.campaign.on_unknown is OnUnknown.DROP:
                    dropped += len(unknown)
                    _drop(tx, unknown, now)
                else:
                    resend += len(unknown)
                    ledger.put_work(tx, [_unsent(entry, now) for entry in unknown], process)
                for shard in ranges:
                    shard_rows.close_range(tx, shard)
                if context.campaign.canary is not None and context.run.sharded:
                    open_rest(tx, context.run.seq, context.campaign.canary, now)
            run_ends.finish(tx, [context.run.seq for context in batch], now)
    return Recovered(resend, dropped)


def _context(run: Run, versions: Versions, settings: Settings) -> RunContext | NoAudience | None:
    """None for a version that this Clarion no longer takes: its run is paused, and waits for one that does."""
    try:
        return context_of(run, versions.campaign(run.rule, run.version), settings)
    except OperatorError:
        return None


def _unknown_of(tx: Transaction, context: RunContext, now: datetime) -> tuple[list[WorkEntry], list[Shard]]:
    """The devices of a run that nobody knows of, and the ranges that are open because of them."""
    unknown = ledger.left_behind(tx, context.run.seq)
    ranges = _open_ranges(tx, context.run)
    for shard in ranges:
        if not shard.shares_its_range:
            unknown.extend(_unknown_devices(tx, context, shard, now))
    if any(shard.shares_its_range for shard in ranges):
        unknown.extend(_without_rows(tx, context.run.seq, in_flight.devices_of(tx, context.run.seq), now))
    return unknown, ranges


def _open_ranges(tx: Transaction, run: Run) -> list[Shard]:
    """Where devices may have been sent without a trace: the shards of a run, or the one window of a small one."""
    if run.sharded:
        return [shard for shard in shard_rows.shards_of(tx, [run.seq]) if shard.intent > shard.cursor]
    return [] if run.intent is None else [Shard(run.seq, None, run.intent, cursor=0, intent=run.intent)]


def _unknown_devices(tx: Transaction, context: RunContext, shard: Shard, now: datetime) -> list[WorkEntry]:
    found: list[WorkEntry] = []
    after = shard.cursor
    while after < shard.intent:
        page = audiences.page(tx, context.audience, after=after, last=shard.intent, limit=MAX_WINDOW)
        selected = matching(context, page.recipients)
        found.extend(_without_rows(tx, shard.run, [recipient.id for recipient in selected], now))
        after = page.end
    return found


def _without_rows(tx: Transaction, run: int, devices: list[int], now: datetime) -> list[WorkEntry]:
    known = ledger.with_rows(tx, run, devices)
    return [WorkEntry(run, one, WorkState.INTENDED, None, now, 1, False) for one in devices if one not in known]


def _unsent(entry: WorkEntry, now: datetime) -> WorkEntry:
    return WorkEntry(
        entry.run, entry.device, WorkState.UNSENT, UnknownCause.CRASH, now, entry.attempts, maybe_repeated=True
    )


def _drop(tx: Transaction, unknown: list[WorkEntry], now: datetime) -> None:
    ledger.drop_work(tx, [(entry.run, entry.device) for entry in unknown])
    entries = [
        LedgerEntry(
            entry.run, entry.device, OutcomeKind.UNKNOWN, UnknownCause.CRASH, entry.attempts, entry.maybe_repeated
        )
        for entry in unknown
    ]
    ledger.record(tx, entries, now)
