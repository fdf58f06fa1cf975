"""Events that rules listen to but could not judge, counted by rule, reason and the missing name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.tables import MISSES

_NEW = insert(MISSES)
_COUNT = Prepared(
    _NEW.on_conflict_do_update(set_={"count": MISSES.c.count + _NEW.excluded.count, "last_at": _NEW.excluded.last_at}),
    "rule",
    "reason",
    "detail",
    "count",
    "last_at",
)


def count(tx: Transaction, misses: Mapping[tuple[str, str, str], int], now: datetime) -> None:
    """Add to the counts of (rule, reason, detail): events that a rule could not judge."""
    at = to_ms(now)
    _COUNT.run(tx, [(*key, count, at) for key, count in misses.items()])


def all_misses(tx: Transaction) -> list[tuple[str, str, str, int, datetime]]:
    """(rule, reason, detail, count, last) of everything that could not be judged."""
    query = select(MISSES).order_by(MISSES.c.rule, MISSES.c.reason, MISSES.c.detail)
    return [(row.rule, row.reason, row.detail, row[3], from_ms(row.last_at)) for row in tx.execute(query)]
