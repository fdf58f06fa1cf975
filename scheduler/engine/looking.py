"""What the dispatcher reads of the store: the runs that it is to take in hand or stop, and what is left at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Run, RunState, Shard
from scheduler.domain.stops import Stop, Stops
from scheduler.runs.context import NoAudience, RunContext
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store


@dataclass(frozen=True, slots=True)
class StoppedRuns:
    """What the kill switch holds, and how many runs that are not over wait because of it."""

    stop: Stop
    runs: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a daemon leaves when it ends: runs that are not over, and when the next of their devices is due."""

    runs: int
    next_due: datetime | None
    stopped: tuple[StoppedRuns, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """Running runs of the store that were not in hand, and runs in hand that are paused, called off or held by the
    kill switch."""

    unknown: list[tuple[RunContext, list[Shard], datetime | None]]
    not_running: set[int]
    rates: dict[int, Rate | None]
    """Of the runs in hand, the rates that hands gave them."""
    any_superseded: bool


def read_running(
    store: Store, in_hand: set[int], context_of: Callable[[Run], RunContext | NoAudience], apps: Collection[str]
) -> Running:
    """What of the store's running runs concerns a dispatcher that has these in hand."""
    with store.read() as tx:
        runs = run_rows.open_runs(tx, RunState.RUNNING, stops=stop_rows.read(tx))
        found = []
        for run in runs:
            is_new = run.seq not in in_hand and run.app in apps
            context = context_of(run) if is_new else None
            if isinstance(context, RunContext):
                shards = run_rows.shards_of(tx, [run.seq]) if run.sharded else []
                found.append((context, shards, ledger.next_work(tx, run.seq)))
        others = in_hand - {run.seq for run in runs}
        over = run_rows.in_state(tx, list(others), RunState.FINISHED)
        rates = {run.seq: run.rate for run in runs if run.seq in in_hand}
        any_superseded = bool(run_rows.open_runs(tx, RunState.SUPERSEDED, limit=1))
        return Running(found, others - over, rates, any_superseded)


def read_remaining(store: Store) -> Remaining:
    """What is not over."""
    with store.read() as tx:
        in_force = stop_rows.read(tx).in_force
        stopped = tuple(StoppedRuns(stop, run_rows.count_open(tx, Stops((stop,)))) for stop in in_force)
        return Remaining(run_rows.count_open(tx), ledger.next_due(tx), stopped)
