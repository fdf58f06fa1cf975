"""Runs by their supersede key: the newest there ever was, and those that are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from scheduler.domain.runs import CALLED_OFF
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms
from scheduler.store.tables import RUNS


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The newest run with a supersede key, whatever became of it."""

    id: UUID
    occasion_at: datetime
    seq: int

    @property
    def rank(self) -> tuple[datetime, int]:
        """Newer runs have more."""
        return self.occasion_at, self.seq


_NEWEST_WITH_KEY = (
    select(RUNS.c.id, RUNS.c.occasion_at, RUNS.c.seq)
    .where(RUNS.c.rule == bindparam("rule"), RUNS.c.supersede == bindparam("key"))
    .order_by(RUNS.c.occasion_at.desc(), RUNS.c.seq.desc())
    .limit(1)
)
_OPEN_WITH_KEY = select(RUNS.c.seq).where(
    RUNS.c.rule == bindparam("rule"),
    RUNS.c.supersede == bindparam("key"),
    RUNS.c.finished_at.is_(None),
    RUNS.c.state.not_in([state.value for state in CALLED_OFF]),
)


def newest_with_key(tx: Transaction, rules: Sequence[str], key: str) -> KeyHolder | None:
    """The newest run of a rule with a supersede key: by the time of its occasion, then by arrival. `rules` are the
    names that the rule had; each is looked up by itself, so that a key with many runs behind it costs the same."""
    rows = (tx.execute(_NEWEST_WITH_KEY, {"rule": rule, "key": key}).first() for rule in rules)
    found = (KeyHolder(UUID(bytes=row.id), from_ms(row.occasion_at), row.seq) for row in rows if row is not None)
    return max(found, key=lambda one: one.rank, default=None)


def open_with_key(tx: Transaction, rules: Sequence[str], key: str) -> list[int]:
    """The runs of a rule, by the names that it had, with a supersede key that are not over and were not called off."""
    found = (tx.execute(_OPEN_WITH_KEY, {"rule": rule, "key": key}).scalars() for rule in rules)
    return [number for numbers in found for number in numbers]
