"""Runs that are not over, by the rule version that they are pinned to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, func, select, update

from scheduler.domain.runs import RunState
from scheduler.store.database import Transaction
from scheduler.store.tables import RUNS

_GOING_ON = (RunState.PENDING.value, RunState.RUNNING.value, RunState.WAITING.value)
_UNFINISHED = (*_GOING_ON, RunState.PAUSED.value)


@dataclass(frozen=True, slots=True)
class UnfinishedVersion:
    """A rule version with runs that are pending, running, waiting or paused."""

    rule: str
    version: str
    app: str
    lacks_rule: bool
    """Whether the rule of any of these runs was gone when a daemon last looked."""


def unfinished_versions(tx: Transaction) -> list[UnfinishedVersion]:
    """The rule versions that have such runs."""
    which = (RUNS.c.rule, RUNS.c.version, RUNS.c.app)
    query = select(*which, func.max(RUNS.c.rule_is_gone)).where(_in_state(*_UNFINISHED)).group_by(*which)
    return [UnfinishedVersion(*row[:3], lacks_rule=bool(row[3])) for row in tx.execute(query)]


def pause_version(tx: Transaction, which: UnfinishedVersion, *, note: str) -> None:
    """Pause the runs of a rule version that are pending, running or waiting."""
    _pause(tx, _is_of(which), note)


def note_rule_gone(tx: Transaction, which: UnfinishedVersion, *, note: str) -> None:
    """The rule is gone: runs for which this is news pause."""
    _pause(tx, and_(_is_of(which), RUNS.c.rule_is_gone == false()), note)
    _set_gone(tx, which, to=True)


def note_rule_there(tx: Transaction, which: UnfinishedVersion) -> None:
    """The rule is there again."""
    _set_gone(tx, which, to=False)


def _pause(tx: Transaction, which: ColumnElement[bool], note: str) -> None:
    query = update(RUNS).where(which, _in_state(*_GOING_ON))
    tx.execute(query.values(state=RunState.PAUSED.value, note=note, waits_until=None))


def _set_gone(tx: Transaction, which: UnfinishedVersion, *, to: bool) -> None:
    tx.execute(update(RUNS).where(_is_of(which), _in_state(*_UNFINISHED)).values(rule_is_gone=to))


def _is_of(which: UnfinishedVersion) -> ColumnElement[bool]:
    return and_(RUNS.c.rule == which.rule, RUNS.c.version == which.version, RUNS.c.app == which.app)


def _in_state(*states: str) -> ColumnElement[bool]:
    # finished_at is said as the partial index says it, or SQLite would read all runs there ever were.
    return and_(RUNS.c.state.in_(states), RUNS.c.finished_at.is_(None))
