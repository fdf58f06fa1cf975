"""Runs that stop and go on by hand, or because their rule is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Run, RunState, WorkEntry
from scheduler.runs.lifecycle import may_follow
from scheduler.runs.reports import find_run
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, Transaction
from scheduler.workspace.loading import Workspace


def pause_runs_of_absent_rules(store: Store, workspace: Workspace, now: datetime) -> int:
    """A rule that is disabled or gone, or whose app is gone, starts nothing; its runs pause until `runs resume` or
    `cancel`."""
    with store.write() as tx:
        runs = run_rows.open_runs(tx, RunState.PENDING) + run_rows.open_runs(tx, RunState.RUNNING)
        absent = [
            run.seq for run in runs if not workspace.is_enabled(run.rule) or run.app not in workspace.settings.apps
        ]
        run_rows.set_states(tx, absent, RunState.PAUSED, note="the rule is disabled or gone", now=now)
    return len(absent)


def pause(store: Store, prefix: str, now: datetime) -> Run:
    """Nothing new of this run is sent until it is resumed."""
    with store.write() as tx:
        return _move(tx, prefix, RunState.PAUSED, "paused by hand", now)


def resume(store: Store, prefix: str, now: datetime) -> Run:
    """Go on where the run was paused."""
    with store.write() as tx:
        before = RunState.PENDING if find_run(tx, prefix).started_at is None else RunState.RUNNING
        return _move(tx, prefix, before, None, now)


def cancel(store: Store, prefix: str, now: datetime) -> Run:
    """End the run: what waits is suppressed (`cancelled`), what is in flight still gets its outcome."""
    with store.write() as tx:
        run = _move(tx, prefix, RunState.CANCELLED, "cancelled by hand", now)
        waiting = ledger.waiting_work(tx, run.seq)
        ledger.drop_work(tx, [(entry.run, entry.device) for entry in waiting])
        ledger.record(tx, [cancelled_entry(entry) for entry in waiting], now)
        run_rows.end_cancelled(tx, [run.seq], now)
        return run


def cancelled_entry(entry: WorkEntry) -> LedgerEntry:
    """What becomes of a device that waited in a run that was cancelled."""
    return LedgerEntry(
        entry.run,
        entry.device,
        OutcomeKind.SUPPRESSED,
        SuppressReason.CANCELLED,
        entry.attempts,
        entry.maybe_repeated,
    )


def _move(tx: Transaction, prefix: str, state: RunState, note: str | None, now: datetime) -> Run:
    run = find_run(tx, prefix)
    if not may_follow(run.state, state):
        raise OperatorError(
            f"run {run.id} is {run.state}: it cannot become {state}",
            hint="it is so already" if run.state is state else "'clarion runs show ID' says how it is",
        )
    run_rows.set_states(tx, [run.seq], state, note=note, now=now)
    return replace(run, state=state, note=note)
