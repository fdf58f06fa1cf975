"""Events that may call a message off: found by their user or by their subject, each through an index."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select

from scheduler.domain.events import Event
from scheduler.store.database import Asked, Transaction
from scheduler.store.events import event_of
from scheduler.store.instants import to_ms
from scheduler.store.tables import EVENTS

MAX_ASKED = 500
"""Users or subjects in one query."""
_LAST = chr(0x10FFFF)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its number: of two of the same time the greater one came later."""

    seq: int
    event: Event


def of_users(
    tx: Transaction, users: Collection[str], type_: str, *, since: datetime, until: datetime
) -> dict[str, list[StoredEvent]]:
    """By user, their events of a type (a final `*` stands for any rest) with since ≤ time ≤ until."""
    return _found(tx, EVENTS.c.user, users, type_, since, until)


def of_subjects(
    tx: Transaction, subjects: Collection[str], type_: str, *, since: datetime, until: datetime
) -> dict[str, list[StoredEvent]]:
    """The same by subject."""
    return _found(tx, EVENTS.c.subject, subjects, type_, since, until)


_NUMBER = select(EVENTS.c.seq).where(EVENTS.c.source == bindparam("of_source"), EVENTS.c.id == bindparam("its_id"))


def number_of(tx: Transaction, event: Event) -> int | None:
    """The number of a stored event; None: it is not stored."""
    return tx.execute(_NUMBER, {"of_source": event.source, "its_id": event.id}).scalar_one_or_none()


_IN_TIME = (
    EVENTS.c.type.in_(bindparam("types", expanding=True)),
    EVENTS.c.time >= bindparam("since"),
    EVENTS.c.time <= bindparam("until"),
)
_OF_KEYS: dict[ColumnElement[Any], Select[Any]] = {
    column: select(EVENTS).where(column.in_(bindparam("keys", expanding=True)), *_IN_TIME)
    for column in (EVENTS.c.user, EVENTS.c.subject)
}


def statement(
    column: ColumnElement[Any], keys: Sequence[str], types: Sequence[str], since: datetime, until: datetime
) -> Asked:
    """The query for the events of some users or subjects. Public for EXPLAIN QUERY PLAN."""
    return _OF_KEYS[column], {"keys": keys, "types": types, "since": to_ms(since), "until": to_ms(until)}


def _found(
    tx: Transaction,
    column: ColumnElement[Any],
    keys: Collection[str],
    type_: str,
    since: datetime,
    until: datetime,
) -> dict[str, list[StoredEvent]]:
    found: dict[str, list[StoredEvent]] = {}
    types = list(_types(tx, type_)) if keys else []
    if not types:
        return found
    asked = sorted(set(keys))
    for start in range(0, len(asked), MAX_ASKED):
        for row in tx.execute(*statement(column, asked[start : start + MAX_ASKED], types, since, until)).all():
            key = row.user if column is EVENTS.c.user else row.subject
            found.setdefault(key, []).append(StoredEvent(row.seq, event_of(row)))
    return found


def _types(tx: Transaction, type_: str) -> Iterator[str]:
    """The types that a pattern stands for, of those that are stored: each is one step in the index."""
    if not type_.endswith("*"):
        yield type_
        return
    prefix = type_[:-1]
    bound, beyond = EVENTS.c.type >= prefix, prefix + _LAST
    while (
        found := tx.execute(select(func.min(EVENTS.c.type)).where(bound, EVENTS.c.type < beyond)).scalar()
    ) is not None:
        yield found
        bound = EVENTS.c.type > found
