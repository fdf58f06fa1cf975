"""What is remembered of the schedules of rules: up to when their slots were handled, and what ran last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select

from scheduler.domain.wall_times import Moment
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import SCHEDULES


@dataclass(frozen=True, slots=True)
class Remembered:
    """Of one rule: see ScheduleRow."""

    rule: str
    signature: str | None
    handled: datetime
    ran_on: Moment | None = None
    several: bool = False
    blocked_on: Moment | None = None
    since: datetime | None = None


def all_remembered(tx: Transaction) -> dict[str, Remembered]:
    """By rule: every rule that ever had a schedule."""
    return {row.rule: _remembered(row) for row in tx.execute(select(SCHEDULES))}


def remember(tx: Transaction, rows: Iterable[Remembered]) -> None:
    """Write these, in place of what was known of their rules."""
    for row in rows:
        tx.execute(delete(SCHEDULES).where(SCHEDULES.c.rule == row.rule))
        values = {
            "rule": row.rule,
            "signature": row.signature,
            "handled": to_ms(row.handled),
            "ran_on": None if row.ran_on is None else row.ran_on.isoformat(),
            "several": row.several,
            "blocked_on": None if row.blocked_on is None else row.blocked_on.isoformat(),
            "since": None if row.since is None else to_ms(row.since),
        }
        tx.execute(insert(SCHEDULES), values)


def _remembered(row: Row[Any]) -> Remembered:
    return Remembered(
        rule=row.rule,
        signature=row.signature,
        handled=from_ms(row.handled),
        ran_on=_moment(row.ran_on),
        several=row.several,
        blocked_on=_moment(row.blocked_on),
        since=None if row.since is None else from_ms(row.since),
    )


def _moment(text: str | None) -> Moment | None:
    if text is None:
        return None
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
