"""The shards of runs: ranges of device ids, how far they were read, and when they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, func, insert, select, update

from scheduler.domain.ids import MAIN_STEP
from scheduler.domain.runs import RunState, Shard
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import LEDGER, RUNS, SHARDS, WORK


def start_sharded(tx: Transaction, run: int, shards: Sequence[Shard], *, last_device: int, now: datetime) -> None:
    """A run with a large audience begins: its range is fixed and cut into shards."""
    tx.execute(
        update(RUNS)
        .where(RUNS.c.seq == run)
        .values(state=RunState.RUNNING.value, started_at=to_ms(now), last_device=last_device, sharded=True)
    )
    add(tx, shards)


def add(tx: Transaction, shards: Sequence[Shard]) -> None:
    """Write shards that nothing was read of."""
    if shards:
        tx.execute(
            insert(SHARDS),
            [
                {
                    "run": shard.run,
                    "number": shard.number,
                    "last": shard.last,
                    "cursor": shard.cursor,
                    "intent": shard.intent,
                    "selected": 0,
                    "not_before": None if shard.not_before is None else to_ms(shard.not_before),
                    "zones": None if shard.zones is None else msgspec.json.encode(shard.zones).decode(),
                    "part": shard.part,
                }
                for shard in shards
            ],
        )


def shards_of(tx: Transaction, runs: Sequence[int]) -> list[Shard]:
    """The unfinished shards of these runs, in order."""
    query = (
        select(SHARDS)
        .where(SHARDS.c.run.in_(runs), SHARDS.c.cursor < SHARDS.c.last)
        .order_by(SHARDS.c.run, SHARDS.c.number)
    )
    return [_shard(row) for row in tx.execute(query)]


def commit_intent(tx: Transaction, shard: Shard, *, intent: int, selected: int) -> None:
    """Devices up to `intent` may be sent from now on; `selected` more of them are in the run."""
    values: dict[str, object] = {"intent": intent, "selected": SHARDS.c.selected + selected}
    if shard.zones is not None:
        values["not_before"] = None  # it has begun, whoever looks
    tx.execute(update(SHARDS).where(SHARDS.c.run == shard.run, SHARDS.c.number == shard.number).values(values))


def advance(tx: Transaction, cursors: Mapping[tuple[int, int], int]) -> None:
    """Every selected device of (run, shard number) up to the cursor has a ledger row or a work row."""
    for (run, number), cursor in cursors.items():
        tx.execute(update(SHARDS).where(SHARDS.c.run == run, SHARDS.c.number == number).values(cursor=cursor))


def close_range(tx: Transaction, shard: Shard) -> None:
    """After recovery: everything up to the intent has its row. What was selected is counted anew from the rows, as
    the windows that were open were decided again; not in a shard that shares its range: there nobody was."""
    if shard.number is None:
        counted = _rows_between(tx, shard.run, 0, shard.intent)
        tx.execute(update(RUNS).where(RUNS.c.seq == shard.run).values(selected=counted, intent=None))
        return
    if shard.shares_its_range:
        advance(tx, {(shard.run, shard.number): shard.intent})
        return
    of_run = SHARDS.c.run == shard.run
    first = select(func.coalesce(func.max(SHARDS.c.last), 0)).where(of_run, SHARDS.c.number < shard.number)
    after = int(tx.execute(first).scalar_one())
    tx.execute(
        update(SHARDS)
        .where(of_run, SHARDS.c.number == shard.number)
        .values(selected=_rows_between(tx, shard.run, after, shard.intent), cursor=shard.intent)
    )


def _rows_between(tx: Transaction, run: int, after: int, last: int) -> int:
    """Ledger rows and work rows of the devices in (after, last]."""
    return sum(
        int(
            tx.execute(
                select(func.count())
                .select_from(table)
                .where(table.c.run == run, table.c.step == MAIN_STEP, table.c.device > after, table.c.device <= last)
            ).scalar_one()
        )
        for table in (LEDGER, WORK)
    )


def selected_by_shards(tx: Transaction, run: int) -> int:
    """How many devices the shards of a run have selected so far."""
    query = select(func.coalesce(func.sum(SHARDS.c.selected), 0)).where(SHARDS.c.run == run)
    return int(tx.execute(query).scalar_one())


def _shard(row: Row[Any]) -> Shard:
    return Shard(
        row.run,
        row.number,
        row.last,
        row.cursor,
        row.intent,
        row.selected,
        not_before=None if row.not_before is None else from_ms(row.not_before),
        zones=None if row.zones is None else tuple(msgspec.json.decode(row.zones)),
        part=row.part,
    )
