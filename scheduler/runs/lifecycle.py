"""The one table of a run's life: which state may follow which."""

from __future__ import annotations

from scheduler.domain.runs import CALLED_OFF, RunState

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.WAITING, RunState.PAUSED, *CALLED_OFF, RunState.FINISHED}),
    RunState.RUNNING: frozenset({RunState.WAITING, RunState.PAUSED, *CALLED_OFF, RunState.FINISHED}),
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.PAUSED, *CALLED_OFF}),
    RunState.PAUSED: frozenset({RunState.PENDING, RunState.RUNNING, *CALLED_OFF, RunState.FINISHED}),
    RunState.CANCELLED: frozenset(),
    RunState.SUPERSEDED: frozenset(),
    RunState.FINISHED: frozenset(),
}
"""Pending → finished without running: nobody can be meant (`audience_missing`). Paused → finished: what was in flight
was the last of it."""


def may_follow(before: RunState, after: RunState) -> bool:
    return after in TRANSITIONS[before]
