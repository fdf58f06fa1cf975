"""Outcomes: the ledger of what is final, and the work rows of what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, delete, func, insert, select, update

from scheduler.domain.ids import MAIN_STEP
from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import LedgerEntry, RunState, WorkEntry, WorkState
from scheduler.domain.stops import Stops
from scheduler.store.database import Asked, Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.runs import is_held
from scheduler.store.tables import LEDGER, RUNS, WORK

_WAITING = (WorkState.DEFERRED.value, WorkState.UNSENT.value, WorkState.RETRY.value)
_MAX_RUNS = 500
_MAX_COUNTS = 500
"""In one query. SQLite takes 2,000 columns (sqlite.org: Implementation Limits For SQLite)."""
# What is asked for each of many small runs is made once: to make a statement costs more than to run it.
_INSERT_LEDGER = Prepared(
    insert(LEDGER), "run", "step", "device", "outcome", "reason", "at", "attempts", "maybe_repeated", "variant"
)
_INSERT_WORK = Prepared(
    insert(WORK), "run", "step", "device", "state", "reason", "not_before", "attempts", "process", "maybe_repeated"
)
_IS_DEVICE = and_(WORK.c.run == bindparam("r"), WORK.c.step == MAIN_STEP, WORK.c.device == bindparam("d"))
_DELETE_WORK = Prepared(delete(WORK).where(_IS_DEVICE), "r", "d")
_INTEND_WORK = Prepared(
    update(WORK)
    .where(_IS_DEVICE)
    .values(state=WorkState.INTENDED.value, process=bindparam("by"), attempts=WORK.c.attempts + 1),
    "by",
    "r",
    "d",
)
_RUNS = WORK.c.run.in_(bindparam("runs", expanding=True))
_DUE = (
    select(WORK)
    .where(_RUNS, WORK.c.state.in_(_WAITING), WORK.c.not_before <= bindparam("now"))
    .order_by(WORK.c.run, WORK.c.not_before, WORK.c.device)
    .limit(bindparam("most"))
)
_NEXT = select(WORK.c.run, func.min(WORK.c.not_before)).where(_RUNS, WORK.c.state.in_(_WAITING)).group_by(WORK.c.run)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many devices of a run ended with this outcome and reason."""

    outcome: str
    reason: str | None
    count: int


def record(tx: Transaction, entries: Sequence[LedgerEntry], now: datetime) -> None:
    """Write final outcomes. A device that has one already is a bug, and the database refuses it."""
    at = to_ms(now)
    rows = [
        (
            entry.run,
            MAIN_STEP,
            entry.device,
            entry.outcome,
            entry.reason,
            at,
            entry.attempts,
            entry.maybe_repeated,
            entry.variant,
        )
        for entry in entries
    ]
    _INSERT_LEDGER.run(tx, rows)


def put_work(tx: Transaction, entries: Sequence[WorkEntry], process: str | None) -> None:
    """Write what is not final; a row of the same device is replaced. `process` is None for what none has sent."""
    drop_work(tx, [(entry.run, entry.device) for entry in entries])
    add_work(tx, entries, process)


def add_work(tx: Transaction, entries: Sequence[WorkEntry], process: str | None) -> None:
    """Write what is not final and has no row yet."""
    rows = [
        (
            entry.run,
            MAIN_STEP,
            entry.device,
            entry.state.value,
            entry.reason,
            to_ms(entry.not_before),
            entry.attempts,
            process,
            entry.maybe_repeated,
        )
        for entry in entries
    ]
    _INSERT_WORK.run(tx, rows)


def drop_work(tx: Transaction, devices: Sequence[tuple[int, int]]) -> None:
    """Remove the work rows of (run, device)."""
    _DELETE_WORK.run(tx, devices)


def intend_work(tx: Transaction, devices: Sequence[tuple[int, int]], process: str) -> None:
    """Work rows of (run, device) are taken up: they may be sent from now on."""
    _INTEND_WORK.run(tx, [(process, run, device) for run, device in devices])


def due_work(tx: Transaction, runs: Sequence[int], now: datetime, *, limit: int) -> dict[int, list[WorkEntry]]:
    """By run, the work rows that may be taken up, the longest waiting of each first; those of the first runs, up to
    `limit` rows together."""
    found: dict[int, list[WorkEntry]] = {}
    in_order = sorted(runs)
    for start in range(0, len(in_order), _MAX_RUNS):
        for row in tx.execute(*due_work_statement(in_order[start : start + _MAX_RUNS], now, limit=limit)).all():
            found.setdefault(row.run, []).append(_work(row))
            limit -= 1
    return found


def due_work_statement(runs: Sequence[int], now: datetime, *, limit: int) -> Asked:
    """The query of `due_work`. Public for EXPLAIN QUERY PLAN."""
    return _DUE, {"runs": runs, "now": to_ms(now), "most": limit}


def next_work_of(tx: Transaction, runs: Sequence[int]) -> dict[int, datetime]:
    """By run, when its next waiting work row may be taken up; without those that have none."""
    found: dict[int, datetime] = {}
    for start in range(0, len(runs), _MAX_RUNS):
        rows = tx.execute(_NEXT, {"runs": runs[start : start + _MAX_RUNS]}).all()
        found.update((run, from_ms(at)) for run, at in rows)
    return found


def left_behind(tx: Transaction, run: int) -> list[WorkEntry]:
    """Work rows of a run that a process which is gone had taken up, or whose answers it awaited."""
    states = (WorkState.INTENDED.value, WorkState.AWAITING.value)
    return [_work(row) for row in tx.execute(select(WORK).where(WORK.c.run == run, WORK.c.state.in_(states)))]


def waiting_in(tx: Transaction, runs: Sequence[int], *, limit: int = -1) -> list[WorkEntry]:
    """Work rows of these runs that wait to be taken up, due or not; `limit` -1 is all of them."""
    query = select(WORK).where(WORK.c.run.in_(runs), WORK.c.state.in_(_WAITING)).limit(limit)
    return [_work(row) for row in tx.execute(query)]


def next_work(tx: Transaction, run: int) -> datetime | None:
    """When the next waiting work row of a run may be taken up."""
    at = tx.execute(next_work_statement(run)).scalar_one()
    return None if at is None else from_ms(at)


def next_work_statement(run: int) -> Select[Any]:
    """The query of `next_work`. Public for EXPLAIN QUERY PLAN."""
    return select(func.min(WORK.c.not_before)).where(WORK.c.run == run, WORK.c.state.in_(_WAITING))


def next_due(tx: Transaction, stops: Stops) -> datetime | None:
    """When the next waiting work row of all runs may be taken up that are not over, neither paused nor held by `stops`,
    and do not wait themselves."""
    first_of_run = select(func.min(WORK.c.not_before)).where(WORK.c.run == RUNS.c.seq, WORK.c.state.in_(_WAITING))
    others = (RunState.WAITING, RunState.PAUSED, RunState.FINISHED)
    begun = [state.value for state in RunState if state not in others]
    query = select(func.min(first_of_run.scalar_subquery())).where(
        RUNS.c.state.in_(begun), RUNS.c.finished_at.is_(None), ~is_held(stops)
    )
    at = tx.execute(query).scalar_one()
    return None if at is None else from_ms(at)


def deferred_tallies(tx: Transaction, run: int) -> dict[str, int]:
    """How many devices of a run are decided again later, by reason."""
    query = (
        select(WORK.c.reason, func.count().label("devices"))
        .where(WORK.c.run == run, WORK.c.state == WorkState.DEFERRED.value)
        .group_by(WORK.c.reason)
        .order_by(WORK.c.reason)
    )
    return {row.reason: row.devices for row in tx.execute(query)}


_WITH_ROWS = [
    select(table.c.device).where(
        table.c.run == bindparam("r"),
        table.c.step == MAIN_STEP,
        table.c.device.in_(bindparam("devices", expanding=True)),
    )
    for table in (LEDGER, WORK)
]


def with_rows(tx: Transaction, run: int, devices: Sequence[int]) -> set[int]:
    """Which of these devices have a ledger row or a work row in the run."""
    found: set[int] = set()
    for query in _WITH_ROWS:
        for start in range(0, len(devices), 500):
            found.update(tx.execute(query, {"r": run, "devices": devices[start : start + 500]}).scalars())
    return found


def tallies(tx: Transaction, run: int) -> list[Tally]:
    """The outcomes of a run, counted by outcome and reason.

    SQLite groups by sorting. The many that were accepted are counted without: a million of them would take 50 MB.
    """
    of_run = LEDGER.c.run == run
    accepted = LEDGER.c.outcome == OutcomeKind.ACCEPTED.value
    taken = int(tx.execute(select(func.count()).where(of_run, accepted)).scalar_one())
    others = (
        select(LEDGER.c.outcome, LEDGER.c.reason, func.count())
        .where(of_run, ~accepted)
        .group_by(LEDGER.c.outcome, LEDGER.c.reason)
        .order_by(LEDGER.c.outcome, LEDGER.c.reason)
    )
    found = [Tally(outcome, reason, count) for outcome, reason, count in tx.execute(others)]
    return [Tally(OutcomeKind.ACCEPTED, None, taken), *found] if taken else found


def variant_tallies(tx: Transaction, run: int) -> dict[str, dict[str, int]]:
    """The outcomes of a run's variants: by name and outcome, how many.

    Counted side by side in one scan, since SQLite groups by sorting, which would take memory for each row.
    """
    of_run = LEDGER.c.run == run
    names = select(LEDGER.c.variant).where(of_run, LEDGER.c.variant.is_not(None)).distinct()
    cells = [(name, kind.value) for name in sorted(tx.execute(names).scalars()) for kind in OutcomeKind]
    found: dict[str, dict[str, int]] = {}
    for start in range(0, len(cells), _MAX_COUNTS):
        part = cells[start : start + _MAX_COUNTS]
        counts = [func.count().filter(LEDGER.c.variant == name, LEDGER.c.outcome == kind) for name, kind in part]
        for (name, kind), number in zip(part, tx.execute(select(*counts).where(of_run)).one(), strict=True):
            found.setdefault(name, {})[kind] = number
    return found


def maybe_repeated(tx: Transaction, run: int) -> int:
    """How many devices of a run may have been sent more than once."""
    return sum(
        int(
            tx.execute(
                select(func.count()).select_from(table).where(table.c.run == run, table.c.maybe_repeated)
            ).scalar_one()
        )
        for table in (LEDGER, WORK)
    )


def _work(row: Row[Any]) -> WorkEntry:
    return WorkEntry(
        row.run,
        row.device,
        WorkState(row.state),
        row.reason,
        from_ms(row.not_before),
        row.attempts,
        row.maybe_repeated,
    )
