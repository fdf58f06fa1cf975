"""How runs end, and how they wait: a run that has nothing to do for a while is in nobody's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, case, exists, func, or_, select, update

from scheduler.domain.lanes import Lane
from scheduler.domain.runs import CALLED_OFF, RunState, WorkState
from scheduler.domain.stops import Stops
from scheduler.store.database import Asked, Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.runs import in_state, is_held
from scheduler.store.tables import RUNS, SHARDS, WORK

AT_ONCE: Final = timedelta(seconds=10)
"""What is due within this time is not worth a wait."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Of some runs, those that are over, and those that wait now, with the instants at which they are due."""

    over: set[int] = field(default_factory=set)
    waiting: dict[int, datetime] = field(default_factory=dict)


_WITHOUT_WORK = ~exists(select(WORK.c.run).where(WORK.c.run == RUNS.c.seq))
_FINISH = Prepared(
    update(RUNS)
    .where(
        RUNS.c.seq == bindparam("run"),
        or_(RUNS.c.state == RunState.RUNNING.value, RUNS.c.state == RunState.PAUSED.value),
        RUNS.c.started_at.is_not(None),
        _WITHOUT_WORK,
        ~exists(select(SHARDS.c.run).where(SHARDS.c.run == RUNS.c.seq, SHARDS.c.cursor < SHARDS.c.last)),
    )
    .values(state=RunState.FINISHED.value, finished_at=bindparam("now")),
    "now",
    "run",
)
_END_CALLED_OFF = Prepared(
    update(RUNS)
    .where(
        RUNS.c.seq == bindparam("run"),
        or_(*(RUNS.c.state == state.value for state in CALLED_OFF)),  # an IN cannot be executed for many at once
        RUNS.c.finished_at.is_(None),
        RUNS.c.intent.is_(None),
        _WITHOUT_WORK,
        ~exists(select(SHARDS.c.run).where(SHARDS.c.run == RUNS.c.seq, SHARDS.c.cursor < SHARDS.c.intent)),
    )
    .values(finished_at=bindparam("now")),
    "now",
    "run",
)
_IN_DOUBT = (WorkState.INTENDED.value, WorkState.AWAITING.value)
_NEVER = 2**62  # milliseconds: of a run that has none of the kind
_NEXT_WORK = (
    select(func.coalesce(func.min(WORK.c.not_before), _NEVER)).where(WORK.c.run == RUNS.c.seq).scalar_subquery()
)
_NEXT_SHARD = (
    select(func.coalesce(func.min(SHARDS.c.not_before), _NEVER))
    .where(SHARDS.c.run == RUNS.c.seq, SHARDS.c.cursor < SHARDS.c.last)
    .scalar_subquery()
)
_WAIT = Prepared(
    update(RUNS)
    .where(
        RUNS.c.seq == bindparam("run"),
        RUNS.c.state == RunState.RUNNING.value,
        RUNS.c.intent.is_(None),
        ~exists(
            select(WORK.c.run).where(
                WORK.c.run == RUNS.c.seq,
                or_(WORK.c.not_before <= bindparam("soon"), *(WORK.c.state == state for state in _IN_DOUBT)),
            )
        ),
        ~exists(
            select(SHARDS.c.run).where(
                SHARDS.c.run == RUNS.c.seq,
                SHARDS.c.cursor < SHARDS.c.last,
                or_(SHARDS.c.not_before.is_(None), SHARDS.c.not_before <= bindparam("soon")),
            )
        ),
    )
    .values(
        state=RunState.WAITING.value,
        waits_until=case((_NEXT_WORK < _NEXT_SHARD, _NEXT_WORK), else_=_NEXT_SHARD),
    ),
    "run",
    "soon",
)
_CLOSE_ONLY_WINDOW = Prepared(
    update(RUNS).where(RUNS.c.seq == bindparam("run"), RUNS.c.intent.is_not(None)).values(intent=None), "run"
)
_RUNS = RUNS.c.seq.in_(bindparam("runs", expanding=True))
_WAITS_UNTIL = select(RUNS.c.seq, RUNS.c.waits_until).where(_RUNS, RUNS.c.waits_until.is_not(None))
_WAKE = update(RUNS).where(_RUNS).values(state=RunState.RUNNING.value, waits_until=None)
_OVER = select(RUNS.c.seq).where(_RUNS, RUNS.c.finished_at.is_not(None))
_FIRST_WAITING = select(func.min(RUNS.c.waits_until)).where(
    RUNS.c.lane == bindparam("of_lane"), RUNS.c.waits_until.is_not(None)
)
_FIRST_WAITING_AFTER = select(func.min(RUNS.c.waits_until)).where(
    RUNS.c.lane == bindparam("of_lane"), RUNS.c.waits_until > bindparam("after")
)
_DUE_WAITING = (
    select(RUNS.c.seq)
    .where(
        RUNS.c.lane == bindparam("of_lane"),
        RUNS.c.waits_until <= bindparam("now"),
        RUNS.c.app.in_(bindparam("apps", expanding=True)),
    )
    .order_by(RUNS.c.waits_until)
    .limit(bindparam("most"))
)


def finish(tx: Transaction, runs: Sequence[int], now: datetime) -> Rest:
    """Finish those of these runs that have nothing left to do, and let those wait that have nothing to do for a while.
    None has a window open.

    A run is over when its shards are done and it has no work rows; one that was called off when nothing of it is in
    flight.
    """
    if not runs:
        return Rest()
    at = to_ms(now)
    _FINISH.run(tx, [(at, run) for run in runs])
    over = in_state(tx, runs, RunState.FINISHED)
    left = [run for run in runs if run not in over]
    if not left:
        return Rest(over)
    _CLOSE_ONLY_WINDOW.run(tx, [(run,) for run in left])
    return Rest(over | end_called_off(tx, left, now), put_to_wait(tx, left, now))


def put_to_wait(tx: Transaction, runs: Sequence[int], now: datetime) -> dict[int, datetime]:
    """Let those of these running runs wait of which nothing is open, in doubt, or due within `AT_ONCE`; returns them,
    with the instants at which they are due."""
    if not runs:
        return {}
    soon = to_ms(now + AT_ONCE)
    _WAIT.run(tx, [(run, soon) for run in runs])
    waiting: dict[int, datetime] = {}
    for start in range(0, len(runs), 500):
        rows = tx.execute(_WAITS_UNTIL, {"runs": runs[start : start + 500]}).all()
        waiting.update((run, from_ms(until)) for run, until in rows)
    return waiting


def first_waiting(tx: Transaction, lane: Lane, after: datetime | None = None) -> datetime | None:
    """When the first of the waiting runs of a lane is due, of those that are due after an instant."""
    at = tx.execute(*first_waiting_statement(lane, after)).scalar_one()
    return None if at is None else from_ms(at)


def first_waiting_statement(lane: Lane, after: datetime | None) -> Asked:
    """The query of `first_waiting`. Public for EXPLAIN QUERY PLAN."""
    if after is None:
        return _FIRST_WAITING, {"of_lane": lane.value}
    return _FIRST_WAITING_AFTER, {"of_lane": lane.value, "after": to_ms(after)}


def next_waking(tx: Transaction, stops: Stops) -> datetime | None:
    """When the first waiting run of all is due, of those that `stops` do not hold."""
    at = tx.execute(
        select(func.min(RUNS.c.waits_until)).where(RUNS.c.waits_until.is_not(None), ~is_held(stops))
    ).scalar_one()
    return None if at is None else from_ms(at)


def due_waiting(
    tx: Transaction, lane: Lane, apps: Sequence[str], stops: Stops, now: datetime, *, limit: int
) -> list[int]:
    """The numbers of the waiting runs of a lane that are due, the longest first, without those that `stops` hold."""
    return list(tx.execute(*due_waiting_statement(lane, apps, stops, now, limit=limit)).scalars())


def due_waiting_statement(lane: Lane, apps: Sequence[str], stops: Stops, now: datetime, *, limit: int) -> Asked:
    """The query of `due_waiting`. Public for EXPLAIN QUERY PLAN."""
    query = _DUE_WAITING.where(~is_held(stops)) if stops.in_force else _DUE_WAITING
    return query, {"of_lane": lane.value, "now": to_ms(now), "apps": apps, "most": limit}


def wake(tx: Transaction, lane: Lane, apps: Sequence[str], stops: Stops, now: datetime, *, limit: int) -> list[int]:
    """Let waiting runs go on that are due; returns their numbers."""
    due = due_waiting(tx, lane, apps, stops, now, limit=limit)
    for start in range(0, len(due), 500):
        tx.execute(_WAKE, {"runs": due[start : start + 500]})
    return due


def end_called_off(tx: Transaction, runs: Sequence[int], now: datetime) -> set[int]:
    """Say that those of these runs are over that were called off and have nothing waiting or in flight; returns
    which."""
    called_off = in_state(tx, runs, *CALLED_OFF)
    if not called_off:
        return set()
    at = to_ms(now)
    _END_CALLED_OFF.run(tx, [(at, run) for run in sorted(called_off)])
    return set(tx.execute(_OVER, {"runs": sorted(called_off)}).scalars())
