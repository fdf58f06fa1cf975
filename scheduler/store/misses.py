"""Events that rules listen to but could not judge, counted by rule, reason and the missing name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import and_, insert, select, update

from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import MISSES


def count(tx: Transaction, misses: Mapping[tuple[str, str, str], int], now: datetime) -> None:
    """Add to the counts of (rule, reason, detail): events that a rule could not judge."""
    at = to_ms(now)
    for (rule, reason, detail), count in misses.items():
        known = and_(MISSES.c.rule == rule, MISSES.c.reason == reason, MISSES.c.detail == detail)
        changed = tx.execute(update(MISSES).where(known).values(count=MISSES.c.count + count, last_at=at))
        if changed.rowcount == 0:
            row = {"rule": rule, "reason": reason, "detail": detail, "count": count, "last_at": at}
            tx.execute(insert(MISSES), row)


def all_misses(tx: Transaction) -> list[tuple[str, str, str, int, datetime]]:
    """(rule, reason, detail, count, last) of everything that could not be judged."""
    query = select(MISSES).order_by(MISSES.c.rule, MISSES.c.reason, MISSES.c.detail)
    return [(row.rule, row.reason, row.detail, row[3], from_ms(row.last_at)) for row in tx.execute(query)]
