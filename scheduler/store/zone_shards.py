"""Shards of zones whose time is still to come: released when it comes, closed when it was missed.

`not_before` is there as long as that was not decided. A shard without it is like any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from scheduler.domain.runs import RunState
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import RUNS, SHARDS

_TO_COME = (SHARDS.c.zones.is_not(None), SHARDS.c.not_before.is_not(None))
_OVER = (RunState.FINISHED.value, RunState.CANCELLED.value, RunState.SUPERSEDED.value)


@dataclass(frozen=True, slots=True)
class ZoneShards:
    """The shards of a run that are about one group of zones, by their numbers."""

    run: int
    at: datetime
    zones: tuple[str, ...]
    numbers: tuple[int, ...]


def next_at(tx: Transaction) -> datetime | None:
    """When the next of all is due."""
    at = tx.execute(select(func.min(SHARDS.c.not_before)).where(*_TO_COME)).scalar_one()
    return None if at is None else from_ms(at)


def release(tx: Transaction, now: datetime) -> None:
    """Those that are due by now may be opened from now on, whenever that is done."""
    tx.execute(update(SHARDS).where(*_TO_COME, SHARDS.c.not_before <= to_ms(now)).values(not_before=None))


def due_by(tx: Transaction, instant: datetime) -> list[ZoneShards]:
    """What is due by an instant and was not released, of runs that are not over."""
    query = (
        select(SHARDS.c.run, SHARDS.c.not_before, SHARDS.c.zones, SHARDS.c.number)
        .join(RUNS, RUNS.c.seq == SHARDS.c.run)
        .where(*_TO_COME, SHARDS.c.not_before <= to_ms(instant), RUNS.c.state.not_in(_OVER))
        .order_by(SHARDS.c.run, SHARDS.c.number)
    )
    found: dict[tuple[int, int, str], list[int]] = {}
    for run, at, zones, number in tx.execute(query):
        found.setdefault((run, at, zones), []).append(number)
    return [
        ZoneShards(run, from_ms(at), tuple(json.loads(zones)), tuple(numbers))
        for (run, at, zones), numbers in found.items()
    ]


def wake(tx: Transaction, runs: Sequence[int]) -> None:
    """Those of these runs that wait are running: what they wait for has changed."""
    for start in range(0, len(runs), 500):
        tx.execute(
            update(RUNS)
            .where(RUNS.c.seq.in_(runs[start : start + 500]), RUNS.c.state == RunState.WAITING.value)
            .values(state=RunState.RUNNING.value, waits_until=None)
        )


def close(tx: Transaction, run: int, numbers: Sequence[int]) -> None:
    """Nobody of these shards is selected."""
    for start in range(0, len(numbers), 500):
        tx.execute(
            update(SHARDS)
            .where(SHARDS.c.run == run, SHARDS.c.number.in_(numbers[start : start + 500]))
            .values(cursor=SHARDS.c.last, intent=SHARDS.c.last, not_before=None)
        )
