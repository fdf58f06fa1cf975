"""Runs that are pending, running or waiting, by the rule version that they are pinned to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update

from scheduler.domain.runs import RunState
from scheduler.store.database import Transaction
from scheduler.store.tables import RUNS

_UNFINISHED = [RunState.PENDING.value, RunState.RUNNING.value, RunState.WAITING.value]


@dataclass(frozen=True, slots=True)
class UnfinishedVersion:
    """A rule version with runs that are pending, running or waiting."""

    rule: str
    version: str
    app: str


def unfinished_versions(tx: Transaction) -> list[UnfinishedVersion]:
    """The rule versions that have such runs."""
    query = select(RUNS.c.rule, RUNS.c.version, RUNS.c.app).where(_is_unfinished()).distinct()
    return [UnfinishedVersion(*row) for row in tx.execute(query)]


def pause_version(tx: Transaction, which: UnfinishedVersion, *, note: str, unless: str | None) -> None:
    """Pause the runs of a rule version that are pending, running or waiting, unless they have a certain note."""
    of_version = and_(RUNS.c.rule == which.rule, RUNS.c.version == which.version, RUNS.c.app == which.app)
    query = (
        update(RUNS)
        .where(of_version, _is_unfinished())
        .values(state=RunState.PAUSED.value, note=note, waits_until=None)
    )
    tx.execute(query if unless is None else query.where(RUNS.c.note.is_distinct_from(unless)))


def _is_unfinished() -> ColumnElement[bool]:
    # finished_at is said as the partial index says it, or SQLite would read all runs there ever were.
    return and_(RUNS.c.state.in_(_UNFINISHED), RUNS.c.finished_at.is_(None))
