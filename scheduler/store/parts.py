"""The two parts of a run that has a canary: shards over the same ranges of device ids, one part after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from sqlalchemy import func, select, update

from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import Part, Shard, WorkState
from scheduler.planning.canaries import CanaryCounts
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import LEDGER, SHARDS, WORK


@dataclass(frozen=True, slots=True)
class CanaryShards:
    """How far the canary of a run is: whether all of it was given its rows, how many devices it selected, and when the
    rest may begin, once that is known."""

    is_done: bool
    selected: int
    rest_at: datetime | None
    has_rest: bool


def canary_shards(tx: Transaction, run: int) -> CanaryShards | None:
    """The canary of a run as its shards say it; None if it has no canary."""
    columns = (SHARDS.c.part, SHARDS.c.cursor, SHARDS.c.last, SHARDS.c.selected, SHARDS.c.not_before)
    rows = tx.execute(select(*columns).where(SHARDS.c.run == run, SHARDS.c.part.is_not(None))).all()
    canary = [row for row in rows if row.part == Part.CANARY]
    if not canary:
        return None
    rest = [row for row in rows if row.part == Part.REST]
    at = max((row.not_before for row in rest if row.not_before is not None), default=None)
    return CanaryShards(
        is_done=all(row.cursor >= row.last for row in canary),
        selected=sum(row.selected for row in canary),
        rest_at=None if at is None else from_ms(at),
        has_rest=bool(rest),
    )


def has_rest(tx: Transaction, run: int) -> bool:
    """Whether a run that has a canary has come to its rest."""
    query = select(SHARDS.c.number).where(SHARDS.c.run == run, SHARDS.c.part == Part.REST.value).limit(1)
    return tx.execute(query).first() is not None


def rest_of(tx: Transaction, run: int, not_before: datetime) -> list[Shard]:
    """Shards of the rest, over the ranges of the canary's; not written yet."""
    query = select(SHARDS.c.last).where(SHARDS.c.run == run, SHARDS.c.part == Part.CANARY.value)
    edges = [0, *tx.execute(query.order_by(SHARDS.c.last)).scalars()]
    first = len(edges) - 1
    template = Shard(run, 0, 0, cursor=0, intent=0, not_before=not_before, part=Part.REST.value)
    return [
        replace(template, number=number, last=last, cursor=after, intent=after)
        for number, (after, last) in enumerate(pairwise(edges), first)
    ]


def postpone_rest(tx: Transaction, run: int, not_before: datetime) -> None:
    """The rest of a run begins later."""
    tx.execute(
        update(SHARDS).where(SHARDS.c.run == run, SHARDS.c.part == Part.REST.value).values(not_before=to_ms(not_before))
    )


def canary_counts(tx: Transaction, run: int) -> CanaryCounts:
    """What became of the canaries of a run, as long as nobody of the rest has a row."""
    counts = [
        func.count().filter(LEDGER.c.outcome == kind.value) for kind in (OutcomeKind.ACCEPTED, OutcomeKind.REJECTED)
    ]
    accepted, rejected = tuple(tx.execute(select(*counts).where(LEDGER.c.run == run)).one())
    waiting = select(func.count()).where(WORK.c.run == run, WORK.c.state != WorkState.DEFERRED.value)
    return CanaryCounts(accepted, rejected, tx.execute(waiting).scalar_one())
