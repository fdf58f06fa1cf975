"""The kill switch: a rule, a category or everything is stopped until it is started again.

A stop is a row that is read when a window opens and when a work row is taken up. It changes no run: new ones are born
and wait, begun ones keep their state, and starting again undoes exactly what was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.errors import OperatorError
from scheduler.domain.stops import Stop, StopKind, Stops
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store, Transaction

_PLURAL = {StopKind.RULE: "rules", StopKind.CATEGORY: "categories"}


def stop(store: Store, kind: StopKind, name: str, now: datetime, *, known: Callable[[], Collection[str]]) -> Stop:
    """Stop something; it may be stopped already, then since before. `known` are the rules or categories of the
    workspace. OperatorError for a name that neither it nor any run has."""
    with store.write() as tx:
        wanted = Stop(kind, name, now)
        for one in stop_rows.read(tx).in_force:
            if (one.kind, one.name) == (kind, name):
                return one
        if kind is not StopKind.ALL:
            _check(tx, kind, name, known())
        stop_rows.add(tx, wanted)
    return wanted


def start(store: Store, kind: StopKind, name: str) -> Stops:
    """Undo a stop; returns those that are still in force. OperatorError if it is not stopped."""
    with store.write() as tx:
        in_force = stop_rows.read(tx).in_force
        for one in in_force:
            if (one.kind, one.name) == (kind, name):
                stop_rows.remove(tx, one)
                return stop_rows.read(tx)
    wanted = "everything" if kind is StopKind.ALL else f"{kind} '{name}'"
    same_kind = [one.name for one in in_force if one.kind is kind]
    others = ", ".join(str(one) for one in in_force)
    hint = did_you_mean(name, same_kind) or (f"stopped: {others}" if others else "nothing is stopped")
    raise OperatorError(f"{wanted} is not stopped", hint=hint)


def stops_in_force(store: Store) -> Stops:
    """What is stopped now."""
    with store.read() as tx:
        return stop_rows.read(tx)


def _check(tx: Transaction, kind: StopKind, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    names = sorted({*known, *stop_rows.names_of_runs(tx, kind)})
    if name in names:
        return
    there_are = f"the {_PLURAL[kind]} are {', '.join(names)}" if names else f"there are no {_PLURAL[kind]}"
    raise OperatorError(f"there is no {kind} '{name}'", hint=did_you_mean(name, names) or there_are)
