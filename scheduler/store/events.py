"""Events on disk: deduplicated by (source, id), and found again as `previous`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, func, insert, select

from scheduler.domain.events import Event
from scheduler.domain.json_values import JsonObject
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.tables import EVENTS

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

KNOWN = select(EVENTS.c.id).where(
    EVENTS.c.source == bindparam("source"), EVENTS.c.id.in_(bindparam("ids", expanding=True))
)
"""Which of these ids of a source are stored. Not asked in pairs: for those SQLite reads the whole index. Public for
EXPLAIN QUERY PLAN."""
_INSERT = Prepared(insert(EVENTS), "seq", "id", "source", "type", "subject", "time", "arrived_at", "data", "user")
_BY_SEQ = select(EVENTS).where(EVENTS.c.seq.in_(bindparam("numbers", expanding=True)))
_PREVIOUS = (
    select(EVENTS)
    .where(EVENTS.c.type == bindparam("t"), EVENTS.c.subject == bindparam("s"), EVENTS.c.time < bindparam("before"))
    .order_by(EVENTS.c.time.desc(), EVENTS.c.seq.desc())
    .limit(1)
)


def known(tx: Transaction, events: Sequence[Event]) -> set[tuple[str, str]]:
    """Which of these (source, id) are stored already."""
    by_source: dict[str, list[str]] = {}
    for event in events:
        by_source.setdefault(event.source, []).append(event.id)
    found: set[tuple[str, str]] = set()
    for source, ids in by_source.items():
        for start in range(0, len(ids), 500):
            asked = {"source": source, "ids": ids[start : start + 500]}
            found.update((source, id_) for id_ in tx.execute(KNOWN, asked).scalars())
    return found


def next_seq(tx: Transaction) -> int:
    """The number of the next event. Only inside a write transaction."""
    return int(tx.execute(select(func.coalesce(func.max(EVENTS.c.seq), 0))).scalar_one()) + 1


def add(
    tx: Transaction,
    events: Sequence[Event],
    *,
    first_seq: int,
    arrived_at: datetime,
    users: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Insert new events, numbered from `first_seq` in their order. `users`: by number, the users of those that are
    found by them."""
    arrived = to_ms(arrived_at)
    rows = [
        (
            number,
            event.id,
            event.source,
            event.type,
            event.subject,
            to_ms(event.time),
            arrived,
            _encode(event.data).decode(),
            users.get(number),
        )
        for number, event in enumerate(events, first_seq)
    ]
    _INSERT.run(tx, rows)


def previous(tx: Transaction, event: Event) -> tuple[int, Event] | None:
    """The stored event of the same type and subject with the greatest time before this one's."""
    if event.subject is None:
        return None
    row = tx.execute(_PREVIOUS, {"t": event.type, "s": event.subject, "before": to_ms(event.time)}).first()
    return None if row is None else (row.seq, event_of(row))


def latest(tx: Transaction, pattern: str) -> Event | None:
    """The newest stored event of a type; a final `*` of the pattern stands for any rest."""
    query = select(EVENTS).order_by(EVENTS.c.time.desc(), EVENTS.c.seq.desc()).limit(1)
    if pattern.endswith("*"):
        query = query.where(EVENTS.c.type.startswith(pattern.removesuffix("*"), autoescape=True))
    else:
        query = query.where(EVENTS.c.type == pattern)
    row = tx.execute(query).first()
    return None if row is None else event_of(row)


def by_seq(tx: Transaction, numbers: Sequence[int]) -> dict[int, Event]:
    """Events by their numbers."""
    found: dict[int, Event] = {}
    for start in range(0, len(numbers), 500):
        rows = tx.execute(_BY_SEQ, {"numbers": numbers[start : start + 500]}).all()
        found.update((row.seq, event_of(row)) for row in rows)
    return found


def encode(event: Event) -> str:
    """An event as JSON text in CloudEvents' structured form: what a manual run keeps of the event it was given."""
    return _encode(
        {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": to_ms(event.time),
            "data": event.data,
        }
    ).decode()


def decode(text: str) -> Event:
    """The reverse of `encode`."""
    fields = _decode(text)
    fields["time"] = from_ms(fields["time"])
    return Event(**fields)


def data_of(text: str) -> JsonObject:
    """The data of an event, as the table has it."""
    return _decode(text)


def event_of(row: Row[Any]) -> Event:
    """The event of a row of the table."""
    return Event(
        id=row.id,
        source=row.source,
        type=row.type,
        subject=row.subject,
        time=from_ms(row.time),
        data=_decode(row.data),
    )
