"""Runs that stop and go on by hand, or because their rule is gone."""

from __future__ import annotations

from collections.abc import Collection
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

RESUMED = "resumed by hand"
"""The note of a run that a hand resumed. It goes on without its rule: who resumed it knew."""


def pause_what_cannot_run(store: Store, workspace: Workspace, versions: Versions) -> None:
    """Runs of a rule that is disabled or gone, whose app is gone, or whose version this Clarion no longer takes, pause
    until `runs resume` or `cancel`; the others go on."""
    with store.read() as tx:
        begun = run_rows.unfinished_versions(tx)
    impossible: list[tuple[UnfinishedVersion, str]] = []
    unwanted: list[UnfinishedVersion] = []
    for which in begun:
        why = _obstacle(which.rule, which.version, which.app, workspace.settings.apps, versions)
        if why is not None:
            impossible.append((which, why))
        elif not workspace.is_enabled(which.rule):
            unwanted.append(which)
    if not impossible and not unwanted:
        return
    with store.write() as tx:
        for which, why in impossible:
            run_rows.pause_version(tx, which, note=why, unless=None)
        for which in unwanted:
            run_rows.pause_version(tx, which, note="the rule is disabled or gone", unless=RESUMED)


def _obstacle(rule: str, version: str, app: str, apps: Collection[str], versions: Versions) -> str | None:
    """Why runs of this version cannot go on, whoever wants it."""
    if app not in apps:
        return f"clarion.yaml has no app {app} any more"
    try:
        versions.campaign(rule, version)
    except OperatorError:
        return f"this Clarion cannot compile rule version {version} any more"
    return None


def pause(store: Store, prefix: str, now: datetime) -> Run:
    """Nothing new of this run is sent until it is resumed."""
    with store.write() as tx:
        return _move(tx, prefix, RunState.PAUSED, "paused by hand", now)


def resume(store: Store, prefix: str, now: datetime, *, apps: Collection[str]) -> Run:
    """Go on where the run was paused, also if its rule is disabled or gone. OperatorError if its app is gone or its
    version cannot be compiled: no daemon could send it."""
    with store.read() as tx:
        run = find_run(tx, prefix)
    why = _obstacle(run.rule, run.version, run.app, apps, Versions(store))
    if why is not None and run.state is RunState.PAUSED:
        raise OperatorError(
            f"run {run.id} cannot go on: {why}", hint=f"put it right, or end it: 'clarion runs cancel {run.id}'"
        )
    with store.write() as tx:
        before = RunState.PENDING if find_run(tx, prefix).started_at is None else RunState.RUNNING
        return _move(tx, prefix, before, RESUMED, now)


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
