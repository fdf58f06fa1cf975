"""Runs that end before all of it was sent: what becomes of the devices that wait in them."""

from __future__ import annotations

from datetime import datetime

from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, RunState, WorkEntry
from scheduler.runs.claiming import give_back
from scheduler.store import ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, Transaction

MAX_CLEARED = 1_000
"""Devices in one transaction."""


def clear_superseded(store: Store, now: datetime) -> bool:
    """Put on the ledger what waits in superseded runs, up to `MAX_CLEARED` devices; whether there may be more.

    A run is superseded by one row write, in the transaction in which the newer run is born, however many devices wait
    in it: from then on nobody takes them up. This is the rest, in pieces that keep no other writer waiting.
    """
    with store.read() as tx:
        runs = [run.seq for run in run_rows.open_runs(tx, RunState.SUPERSEDED)]
    if not runs:
        return False
    with store.write() as tx:
        waiting = ledger.waiting_in(tx, runs, limit=MAX_CLEARED)
        record_called_off(tx, waiting, RunState.SUPERSEDED, now)
        run_ends.end_called_off(tx, runs, now)
    return len(waiting) == MAX_CLEARED


def record_called_off(tx: Transaction, waiting: list[WorkEntry], state: RunState, now: datetime) -> None:
    """Devices that waited in runs that were called off become final."""
    ledger.drop_work(tx, [(entry.run, entry.device) for entry in waiting])
    entries = [called_off_entry(entry, state) for entry in waiting]
    ledger.record(tx, entries, now)
    give_back(tx, entries)


def called_off_entry(entry: WorkEntry, state: RunState) -> LedgerEntry:
    """What becomes of a device that waited in a run in one of the states `CALLED_OFF`."""
    reason = SuppressReason(state.value)
    return LedgerEntry(entry.run, entry.device, OutcomeKind.SUPPRESSED, reason, entry.attempts, entry.maybe_repeated)
