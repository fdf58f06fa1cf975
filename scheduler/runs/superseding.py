"""The newest run of a key stops what is unsent of the older ones (`delivery.supersede`).

Newer is: by the time of the occasion, then by arrival. Only runs of the same rule supersede each other, whatever
version of it they are pinned to and whichever of its names they were born under. A run that comes late begins
superseded. All of it is decided in the transaction in which the runs are born: whoever opens a window or takes up a
work row afterwards reads the state there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from scheduler.domain.runs import Run, RunState
from scheduler.store import run_ends, run_keys
from scheduler.store import runs as run_rows
from scheduler.store.database import Transaction
from scheduler.workspace.campaign import Campaign


@dataclass(frozen=True, slots=True)
class Superseded:
    """Who gives way when runs are born: `older` are numbers of runs that were there before, `late` are the newborn
    ones that begin superseded, by their numbers."""

    older: frozenset[int] = frozenset()
    late: dict[int, Run] = field(default_factory=dict)


def supersede(tx: Transaction, newborn: Sequence[Run], campaigns: Mapping[str, Campaign], now: datetime) -> Superseded:
    """Decide between runs that are about to be written and those of the same keys; the older ones are marked here.
    `campaigns` are those of the newborn runs, by the names of their rules.

    What waits in them follows by `clear_superseded`, what is open by their windows.
    """
    by_key: dict[tuple[str, str], list[Run]] = {}
    for run in newborn:
        if run.supersede is not None:
            by_key.setdefault((run.rule, run.supersede), []).append(run)
    older: set[int] = set()
    late: dict[int, Run] = {}
    for (rule, key), rivals in by_key.items():
        newest = max(rivals, key=lambda run: (run.occasion_at, run.seq))
        names = campaigns[rule].names_had
        before = superseded_by(tx, newest, names)
        if before is None:
            marked = run_keys.open_with_key(tx, names, key)
            run_rows.set_states(tx, marked, RunState.SUPERSEDED, note=_note(newest.id), now=now)
            run_ends.end_called_off(tx, marked, now)
            older.update(marked)
        winner = newest.id if before is None else before
        for run in rivals:
            if run.id != winner:
                late[run.seq] = replace(run, state=RunState.SUPERSEDED, note=_note(winner), finished_at=now)
    return Superseded(frozenset(older), late)


def superseded_by(tx: Transaction, run: Run, names: Sequence[str]) -> UUID | None:
    """The run of before that one which is about to be written gives way to; None where it is the newest of its key.
    `names` are those that its rule had."""
    if run.supersede is None:
        return None
    before = run_keys.newest_with_key(tx, names, run.supersede)
    return before.id if before is not None and run.occasion_at < before.occasion_at else None


def _note(by: UUID) -> str:
    return f"superseded by run {by}"
