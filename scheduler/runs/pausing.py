"""Runs that stop and go on by hand, or because their rule is gone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from functools import partial

from scheduler.domain.errors import OperatorError
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import CALLED_OFF, Run, RunState
from scheduler.runs.audience_max import is_audience_max_note
from scheduler.runs.calling_off import record_called_off
from scheduler.runs.canary import is_canary_note
from scheduler.runs.fuse import is_fuse_note
from scheduler.runs.lifecycle import may_follow
from scheduler.runs.reports import find_run
from scheduler.runs.versions import Versions
from scheduler.store import ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.unfinished import note_rule_gone, note_rule_there, pause_version, unfinished_versions
from scheduler.workspace.loading import Workspace

RESUMED = "resumed by hand"
"""The note of a run that a hand resumed."""


def pause_what_cannot_run(store: Store, workspace: Workspace, versions: Versions) -> None:
    """Runs of a rule that is disabled or gone, whose app is gone, or whose version this Clarion no longer takes, pause
    until `runs resume` or `cancel`; the others go on.

    That its rule is gone pauses a run once: whoever resumes it then knows, and it goes on without its rule, also over
    restarts. Whoever resumed it before could not know.
    """
    with store.read() as tx:
        begun = unfinished_versions(tx)
    changes: list[Callable[[Transaction], None]] = []
    for which in begun:
        why = _obstacle(which.rule, which.version, which.app, workspace.settings.apps, versions)
        if why is not None:
            changes.append(partial(pause_version, which=which, note=why))
        if not workspace.is_enabled(which.rule):
            changes.append(partial(note_rule_gone, which=which, note="the rule is disabled or gone"))
        elif which.lacks_rule:
            changes.append(partial(note_rule_there, which=which))
    if changes:
        with store.write() as tx:
            for change in changes:
                change(tx)


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
        found = find_run(tx, prefix)
        before = RunState.PENDING if found.started_at is None else RunState.RUNNING
        resumed = _move(tx, prefix, before, RESUMED, now)
        if is_audience_max_note(found.note):
            run_rows.let_exceed(tx, found.seq)
        elif is_fuse_note(found.note):
            run_rows.let_past_fuse(tx, found.seq)
        elif is_canary_note(found.note):
            run_rows.let_past_canary(tx, found.seq)
        return resumed


def cancel(store: Store, prefix: str, now: datetime) -> Run:
    """End the run: what waits is suppressed (`cancelled`), what is in flight still gets its outcome."""
    with store.write() as tx:
        run = _move(tx, prefix, RunState.CANCELLED, "cancelled by hand", now)
        record_called_off(tx, ledger.waiting_in(tx, [run.seq]), RunState.CANCELLED, now)
        run_ends.end_called_off(tx, [run.seq], now)
        return run


def set_rate(store: Store, prefix: str, rate: Rate) -> Run:
    """Bound the starts of a run by this rate, in place of its rule's, until it is over."""
    with store.write() as tx:
        run = find_run(tx, prefix)
        if run.state in (*CALLED_OFF, RunState.FINISHED):
            raise OperatorError(
                f"run {run.id} is {run.state}: it starts nothing any more",
                hint="the rate of later runs is `delivery.rate` of the rule",
            )
        run_rows.set_rate(tx, run.seq, rate)
        return replace(run, rate=rate)


def _move(tx: Transaction, prefix: str, state: RunState, note: str | None, now: datetime) -> Run:
    run = find_run(tx, prefix)
    if not may_follow(run.state, state):
        raise OperatorError(
            f"run {run.id} is {run.state}: it cannot become {state}",
            hint="it is so already" if run.state is state else "'clarion runs show ID' says how it is",
        )
    run_rows.set_states(tx, [run.seq], state, note=note, now=now)
    return replace(run, state=state, note=note)
