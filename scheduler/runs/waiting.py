"""Runs that wait: begun, and nothing of them is due for a while. Half a million of them cost nothing until then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, Shard
from scheduler.store import ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that goes on: its unfinished shards, and when its next work row is due."""

    run: Run
    shards: list[Shard]
    work_due: datetime | None


def begun(tx: Transaction, runs: Sequence[Run]) -> list[Begun]:
    """What is left of each of these runs."""
    next_work = ledger.next_work_of(tx, [run.seq for run in runs])
    return [
        Begun(run, shard_rows.shards_of(tx, [run.seq]) if run.sharded else [], next_work.get(run.seq)) for run in runs
    ]


@dataclass(frozen=True, slots=True)
class Woken:
    """Waiting runs of a lane that go on, and when to look again; None: there are no more. `without_link`: the apps of
    others that are due."""

    begun: list[Begun]
    next_at: datetime | None
    without_link: frozenset[str] = frozenset()


def wake_due(
    store: Store, lane: Lane, apps: Collection[str], now: datetime, *, limit: int, without_link: Collection[str] = ()
) -> Woken:
    """Let up to `limit` waiting runs of a lane go on that are due, those of these apps that nothing stops. What is due
    and cannot go on is passed over: who lets it go on again has to look again. Which of the apps `without_link` have
    such runs is told when no other is left."""
    with store.read() as tx:
        any_due = _any_due(tx, lane, apps, now)
        next_at = run_ends.first_waiting(tx, lane, after=now)
    found: list[Begun] = []
    if any_due:
        with store.write() as tx:
            numbers = run_ends.wake(tx, lane, sorted(apps), stop_rows.read(tx), now, limit=limit)
            runs = run_rows.by_seq(tx, numbers)
            found = begun(tx, [runs[number] for number in numbers])
    if len(found) == limit:
        return Woken(found, now)
    if not without_link:
        return Woken(found, next_at)
    with store.read() as tx:
        return Woken(found, next_at, frozenset(app for app in without_link if _any_due(tx, lane, [app], now)))


def _any_due(tx: Transaction, lane: Lane, apps: Collection[str], now: datetime) -> bool:
    return bool(run_ends.due_waiting(tx, lane, sorted(apps), stop_rows.read(tx), now, limit=1))


def let_wait(store: Store, runs: Sequence[int], now: datetime) -> dict[int, datetime]:
    """Let those of these running runs wait that have nothing to do for a while; returns them, with the instants at
    which they are due."""
    with store.write() as tx:
        return run_ends.put_to_wait(tx, runs, now)


def first_waking(tx: Transaction) -> dict[Lane, datetime | None]:
    """When the first waiting run of each lane is due."""
    return {lane: run_ends.first_waiting(tx, lane) for lane in Lane}
