"""The kill switch: a rule, a category or everything is stopped until it is started again.

A stop is a row that is read when a window opens and when a work row is taken up. It changes no run: new ones are born
and wait, begun ones keep their state, and starting again undoes exactly what was stopped.

A run bears the name that its rule had when it was born, so a rule that was renamed has a row for each of its names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.errors import OperatorError
from scheduler.domain.rule_names import RuleNames
from scheduler.domain.stops import Stop, StopKind, Stops
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store, Transaction
from scheduler.workspace.loading import Workspace

NO_RENAMES = RuleNames()
_PLURAL = {StopKind.RULE: "rules", StopKind.CATEGORY: "categories"}


def stop(
    store: Store,
    kind: StopKind,
    name: str,
    now: datetime,
    *,
    known: Callable[[], Collection[str]],
    names: RuleNames = NO_RENAMES,
) -> Stop:
    """Stop something; it may be stopped already, then since before. `known` are the rules or categories of the
    workspace, `names` what its rules were called: a rule is stopped under all of them. OperatorError for a name that
    neither the workspace nor any run has."""
    with store.write() as tx:
        before = stop_rows.read(tx)
        wanted = Stop(kind, name, now)
        same = before.of(kind, name, names).in_force
        if same:
            wanted = Stop(kind, name, min(one.since for one in same))
        elif kind is not StopKind.ALL:
            _check(tx, kind, name, known())
        _add(tx, before, Stops((*same, wanted)).with_all_names(names))
    return wanted


def start(store: Store, kind: StopKind, name: str, *, names: RuleNames = NO_RENAMES) -> Stops:
    """Undo a stop, of a rule under all names that it had; returns those that are still in force. OperatorError if it
    is not stopped."""
    with store.write() as tx:
        in_force = stop_rows.read(tx)
        undone = in_force.of(kind, name, names).in_force
        for one in undone:
            stop_rows.remove(tx, one)
        if undone:
            return stop_rows.read(tx)
    wanted = "everything" if kind is StopKind.ALL else f"{kind} '{name}'"
    told = in_force.told_once(names)
    others = ", ".join(str(one) for one in told.in_force)
    hint = did_you_mean(name, told.names(kind)) or (f"stopped: {others}" if others else "nothing is stopped")
    raise OperatorError(f"{wanted} is not stopped", hint=hint)


def stop_under_all_names(store: Store, workspace: Workspace) -> None:
    """What is stopped under one name of a rule is stopped under all of them: before anything is opened by a workspace
    in which it may have been renamed since."""
    with store.read() as tx:
        before = stop_rows.read(tx)
    if len(before.with_all_names(workspace.names).in_force) > len(before.in_force):
        with store.write() as tx:
            before = stop_rows.read(tx)
            _add(tx, before, before.with_all_names(workspace.names))


def stops_in_force(store: Store) -> Stops:
    """What is stopped now."""
    with store.read() as tx:
        return stop_rows.read(tx)


def _add(tx: Transaction, before: Stops, wanted: Stops) -> None:
    known = {(one.kind, one.name) for one in before.in_force}
    for one in wanted.in_force:
        if (one.kind, one.name) not in known:
            stop_rows.add(tx, one)


def _check(tx: Transaction, kind: StopKind, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    names = sorted({*known, *stop_rows.names_of_runs(tx, kind)})
    if name in names:
        return
    there_are = f"the {_PLURAL[kind]} are {', '.join(names)}" if names else f"there are no {_PLURAL[kind]}"
    raise OperatorError(f"there is no {kind} '{name}'", hint=did_you_mean(name, names) or there_are)
