"""What the kill switch holds: few rows, read whenever a window opens or a work row is taken up."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from scheduler.domain.stops import Stop, StopKind, Stops
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import RUNS, STOPS

_ALL = select(STOPS.c.kind, STOPS.c.name, STOPS.c.since).order_by(STOPS.c.kind, STOPS.c.name)


def read(tx: Transaction) -> Stops:
    """All stops that are in force."""
    return Stops(tuple(Stop(StopKind(kind), name, from_ms(since)) for kind, name, since in tx.execute(_ALL)))


def add(tx: Transaction, stop: Stop) -> None:
    """Put a stop in force that is not."""
    tx.execute(insert(STOPS).values(kind=stop.kind.value, name=stop.name, since=to_ms(stop.since)))


def remove(tx: Transaction, stop: Stop) -> None:
    """Take a stop away."""
    tx.execute(delete(STOPS).where(STOPS.c.kind == stop.kind.value, STOPS.c.name == stop.name))


def names_of_runs(tx: Transaction, kind: StopKind) -> set[str]:
    """The rules or categories that runs have had: a stop may be for one that is in no file any more."""
    column = RUNS.c.rule if kind is StopKind.RULE else RUNS.c.category
    return set(tx.execute(select(column).distinct()).scalars())
