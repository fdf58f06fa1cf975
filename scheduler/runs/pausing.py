"""Runs that stop and go on by hand, or because their rule is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Run, RunState, WorkEntry
from scheduler.runs.lifecycle import may_follow
from scheduler.runs.reports import find_run
from scheduler.runs.versions import Versions
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.runs import UnfinishedVersion
from scheduler.workspace.loading import Workspace


def pause_what_cannot_run(store: Store, workspace: Workspace, versions: Versions) -> int:
    """Runs of a rule that is disabled or gone, whose app is gone, or whose version this Clarion no longer takes, pause
    until `runs resume` or `cancel`; the others go on. Returns how many rule versions that concerns."""
    with store.read() as tx:
        begun = run_rows.unfinished_versions(tx)
    obstacles = {which: _obstacle(which, workspace, versions) for which in begun}
    paused = {which: why for which, why in obstacles.items() if why is not None}
    if paused:
        with store.write() as tx:
            for which, why in paused.items():
                run_rows.pause_version(tx, which, note=why)
    return len(paused)


def _obstacle(which: UnfinishedVersion, workspace: Workspace, versions: Versions) -> str | None:
    if not workspace.is_enabled(which.rule):
        return "the rule is disabled or gone"
    if which.app not in workspace.settings.apps:
        return f"clarion.yaml has no app {which.app} any more"
    try:
        versions.campaign(which.rule, which.version)
    except OperatorError:
        return f"this Clarion cannot compile rule version {which.version} any more"
    return None


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
