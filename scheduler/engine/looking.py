"""What the dispatcher reads of the store: the runs that it is to take in hand or stop, and what is left at the end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.domain.rule_names import RuleNames
from scheduler.domain.runs import RunState
from scheduler.domain.stops import Stop
from scheduler.runs.waiting import Begun, begun, first_waking, let_wait
from scheduler.store import ledger, run_ends
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
    """What a daemon leaves when it ends: runs that are not over, how many of these are paused, and when the next device
    of those is due that are neither paused nor stopped."""

    runs: int
    paused: int
    next_due: datetime | None
    stopped: tuple[StoppedRuns, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """Running runs of the store that were not in hand, and runs in hand that are paused, called off or held by the
    kill switch."""

    unknown: list[Begun]
    not_running: set[int]
    rates: dict[int, Rate | None]
    """Of the runs in hand, the rates that hands gave them."""
    any_superseded: bool
    first_waking: dict[Lane, datetime | None]
    """When the first waiting run of each lane is due."""


def read_running(store: Store, in_hand: set[int], apps: Collection[str], now: datetime) -> Running:
    """What of the store's running runs concerns a dispatcher that has these in hand. Those that were resumed and have
    nothing to do for a while are let wait."""
    with store.read() as tx:
        runs = run_rows.open_runs(tx, RunState.RUNNING, stops=stop_rows.read(tx))
        others = in_hand - {run.seq for run in runs}
        over = run_rows.in_state(tx, list(others), RunState.FINISHED)
        rates = {run.seq: run.rate for run in runs if run.seq in in_hand}
        any_superseded = bool(run_rows.open_runs(tx, RunState.SUPERSEDED, limit=1))
    unknown = [run for run in runs if run.seq not in in_hand and run.app in apps]
    waiting = let_wait(store, [run.seq for run in unknown], now) if unknown else {}
    with store.read() as tx:
        found = begun(tx, [run for run in unknown if run.seq not in waiting])
        return Running(found, others - over, rates, any_superseded, first_waking(tx))


def read_remaining(store: Store, names: RuleNames) -> Remaining:
    """What is not over. A rule that is stopped under several of its names is told of once, with the runs of all."""
    with store.read() as tx:
        stops = stop_rows.read(tx)
        told = stops.told_once(names).in_force
        stopped = tuple(
            StoppedRuns(stop, run_rows.count_open(tx, stops.of(stop.kind, stop.name, names))) for stop in told
        )
        dues = (ledger.next_due(tx, stops), run_ends.next_waking(tx, stops))
        next_due = min((due for due in dues if due is not None), default=None)
        paused = run_rows.count_open(tx, state=RunState.PAUSED)
        return Remaining(run_rows.count_open(tx), paused, next_due, stopped)
