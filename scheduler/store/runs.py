"""Runs, and the versions they are pinned to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, insert, or_, select, true, update

from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Run, RunState
from scheduler.domain.stops import StopKind, Stops
from scheduler.store import events
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.tables import RUNS


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to insert, with the numbers of its event and of the event before."""

    run: Run
    event: int | None
    previous: int | None


_EXISTING = select(RUNS.c.id).where(RUNS.c.id.in_(bindparam("keys", expanding=True)))


def existing(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these runs exist already: their occasions were had."""
    found: set[UUID] = set()
    for start in range(0, len(ids), 500):
        keys = [run_id.bytes for run_id in ids[start : start + 500]]
        found.update(UUID(bytes=key) for key in tx.execute(_EXISTING, {"keys": keys}).scalars())
    return found


def next_seq(tx: Transaction) -> int:
    """The number of the next run. Only inside a write transaction."""
    return int(tx.execute(select(func.coalesce(func.max(RUNS.c.seq), 0))).scalar_one()) + 1


def add(tx: Transaction, new_runs: Sequence[NewRun]) -> None:
    """Insert runs as they are born: pending, or running with their intent."""
    rows = [
        {
            "seq": new.run.seq,
            "id": new.run.id.bytes,
            "rule": new.run.rule,
            "version": new.run.version,
            "occasion": new.run.occasion,
            "occasion_at": to_ms(new.run.occasion_at),
            "event": new.event,
            "previous": new.previous,
            "given_event": events.encode(new.run.event) if new.run.event is not None and new.event is None else None,
            "app": new.run.app,
            "category": new.run.category,
            "lane": new.run.lane.value,
            "supersede": new.run.supersede,
            "state": new.run.state.value,
            "note": new.run.note,
            "due": to_ms(new.run.due),
            "created_at": to_ms(new.run.created_at),
            "started_at": _ms(new.run.started_at),
            "finished_at": _ms(new.run.finished_at),
            "last_device": new.run.last_device,
            "intent": new.run.intent,
            "selected": new.run.selected,
            "sharded": new.run.sharded,
            "rate": new.run.rate.per_second if new.run.rate is not None else None,
            "may_exceed": new.run.may_exceed,
            "waits_until": _ms(new.run.waits_until),
            "wall": new.run.wall.isoformat() if new.run.wall is not None else None,
            "past_fuse": new.run.past_fuse,
            "past_canary": new.run.past_canary,
        }
        for new in new_runs
    ]
    if rows:
        tx.execute(insert(RUNS), rows)


def open_runs(
    tx: Transaction,
    state: RunState,
    *,
    app: str | None = None,
    lane: Lane | None = None,
    stops: Stops | None = None,
    limit: int = -1,
) -> list[Run]:
    """Runs in a state that are not over, in the order of their birth, without those that `stops` hold; `limit` -1 is
    all of them.

    A run that was called off is not over while something of it may be in flight.
    """
    query = open_runs_statement(state, app=app, lane=lane, limit=limit)
    if stops is not None and stops.in_force:
        query = query.where(~is_held(stops))
    return _runs(tx, tx.execute(query).all())


def open_runs_statement(state: RunState, *, app: str | None, lane: Lane | None, limit: int) -> Select[Any]:
    """The query of `open_runs`. Public for EXPLAIN QUERY PLAN."""
    query = select(RUNS).where(RUNS.c.state == state.value, RUNS.c.finished_at.is_(None))
    if lane is not None:
        query = query.where(RUNS.c.lane == lane.value)
    if app is not None:
        query = query.where(RUNS.c.app == app)
    return query.order_by(RUNS.c.seq).limit(limit)


def count_open(tx: Transaction, stops: Stops | None = None, *, state: RunState | None = None) -> int:
    """How many runs are not over; given stops, of those that they hold; given a state, of those that are in it."""
    query = select(func.count()).select_from(RUNS).where(RUNS.c.finished_at.is_(None))
    if state is not None:
        query = query.where(RUNS.c.state == state.value)
    return int(tx.execute(query if stops is None else query.where(is_held(stops))).scalar_one())


_BY_SEQ = select(RUNS).where(RUNS.c.seq.in_(bindparam("numbers", expanding=True)))


def by_seq(tx: Transaction, numbers: Sequence[int]) -> dict[int, Run]:
    """Runs by their numbers."""
    found: dict[int, Run] = {}
    for start in range(0, len(numbers), 500):
        rows = tx.execute(_BY_SEQ, {"numbers": numbers[start : start + 500]}).all()
        found.update((run.seq, run) for run in _runs(tx, rows))
    return found


def by_id_prefix(tx: Transaction, prefix: str) -> list[Run]:
    """Runs whose id begins with these hex digits; at most ten."""
    digits = prefix.replace("-", "").lower()
    low, high = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
    query = select(RUNS).where(RUNS.c.id >= low, RUNS.c.id <= high).limit(10)
    return _runs(tx, tx.execute(query).all())


def latest(tx: Transaction, limit: int, rule: str | None = None) -> list[Run]:
    """The newest runs first."""
    query = select(RUNS).order_by(RUNS.c.seq.desc()).limit(limit)
    if rule is not None:
        query = query.where(RUNS.c.rule == rule)
    return _runs(tx, tx.execute(query).all())


_IN_STATE = select(RUNS.c.seq).where(
    RUNS.c.seq.in_(bindparam("numbers", expanding=True)), RUNS.c.state.in_(bindparam("states", expanding=True))
)


def in_state(tx: Transaction, numbers: Sequence[int], *states: RunState) -> set[int]:
    """Which of these runs are in one of these states now."""
    found: set[int] = set()
    for start in range(0, len(numbers), 500):
        asked = {"numbers": numbers[start : start + 500], "states": [state.value for state in states]}
        found.update(tx.execute(_IN_STATE, asked).scalars())
    return found


def set_rate(tx: Transaction, run: int, rate: Rate) -> None:
    """Bound the starts of a run by a rate of its own."""
    tx.execute(update(RUNS).where(RUNS.c.seq == run).values(rate=rate.per_second))


def let_exceed(tx: Transaction, run: int) -> None:
    """The run may start although its audience is over `audience_max`."""
    tx.execute(update(RUNS).where(RUNS.c.seq == run).values(may_exceed=True))


def let_past_fuse(tx: Transaction, run: int) -> None:
    """The run may go on although it selects more than the rule's fuse takes."""
    tx.execute(update(RUNS).where(RUNS.c.seq == run).values(past_fuse=True))


def let_past_canary(tx: Transaction, run: int, *, note: str | None = None) -> None:
    """The rest of the run may go on: its canary was good enough, or a hand says so. `note`: where it has none."""
    tx.execute(update(RUNS).where(RUNS.c.seq == run).values(past_canary=True, note=func.coalesce(RUNS.c.note, note)))


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a run another process may have changed since it was read: whether it is running, and what it was let
    past."""

    is_running: bool
    past_fuse: bool
    past_canary: bool


_STANDING = select(RUNS.c.state, RUNS.c.past_fuse, RUNS.c.past_canary).where(RUNS.c.seq == bindparam("run"))


def standing(tx: Transaction, run: int) -> Standing:
    """How a run stands in this transaction."""
    state, past_fuse, past_canary = tx.execute(_STANDING, {"run": run}).one()
    return Standing(state == RunState.RUNNING.value, past_fuse, past_canary)


_SET_STATES = (
    update(RUNS)
    .where(RUNS.c.seq.in_(bindparam("numbers", expanding=True)))
    .values(state=bindparam("to"), note=bindparam("why"), finished_at=bindparam("at"), waits_until=None)
)


def set_states(tx: Transaction, numbers: Sequence[int], state: RunState, *, note: str | None, now: datetime) -> None:
    """Write a transition that `runs/lifecycle.py` has allowed. When a cancelled run is over, `finish` says."""
    at = to_ms(now) if state is RunState.FINISHED else None
    for start in range(0, len(numbers), 500):
        part = {"numbers": numbers[start : start + 500], "to": state.value, "why": note, "at": at}
        tx.execute(_SET_STATES, part)


_OPEN_ONE_WINDOW = Prepared(
    update(RUNS)
    .where(RUNS.c.seq == bindparam("run"))
    .values(
        state=RunState.RUNNING.value,
        started_at=bindparam("now"),
        last_device=bindparam("end"),
        intent=bindparam("end"),
        selected=bindparam("count"),
    ),
    "now",
    "end",
    "count",
    "run",
)


def open_single_windows(tx: Transaction, windows: Sequence[tuple[int, int, int]], now: datetime) -> None:
    """Commit the intent of runs of one window: (run, last device, devices selected) each."""
    at = to_ms(now)
    _OPEN_ONE_WINDOW.run(tx, [(at, end, count, run) for run, end, count in windows])


def is_held(stops: Stops) -> ColumnElement[bool]:
    """Whether the kill switch holds a run."""
    if stops.names(StopKind.ALL):
        return true()
    of_rules = RUNS.c.rule.in_(stops.names(StopKind.RULE))
    return or_(of_rules, RUNS.c.category.in_(stops.names(StopKind.CATEGORY)))


def _runs(tx: Transaction, rows: Sequence[Row[Any]]) -> list[Run]:
    numbers = {number for row in rows for number in (row.event, row.previous) if number is not None}
    known = events.by_seq(tx, sorted(numbers))
    return [_run(row, known) for row in rows]


def _run(row: Row[Any], known: Mapping[int, Any]) -> Run:
    return Run(
        seq=row.seq,
        id=UUID(bytes=row.id),
        rule=row.rule,
        version=row.version,
        occasion=row.occasion,
        occasion_at=from_ms(row.occasion_at),
        state=RunState(row.state),
        app=row.app,
        category=row.category,
        lane=Lane(row.lane),
        due=from_ms(row.due),
        event=known.get(row.event) if row.given_event is None else events.decode(row.given_event),
        previous=known.get(row.previous),
        supersede=row.supersede,
        note=row.note,
        created_at=from_ms(row.created_at),
        started_at=_instant(row.started_at),
        finished_at=_instant(row.finished_at),
        last_device=row.last_device,
        intent=row.intent,
        selected=row.selected,
        sharded=row.sharded,
        rate=None if row.rate is None else Rate.of(row.rate),
        may_exceed=row.may_exceed,
        waits_until=_instant(row.waits_until),
        wall=None if row.wall is None else datetime.fromisoformat(row.wall),
        past_fuse=row.past_fuse,
        past_canary=row.past_canary,
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)
