"""`clarion stop` and `clarion start`: the kill switch."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from scheduler.cli.output import local, remark
from scheduler.cli.session import InSession, Session
from scheduler.domain.errors import OperatorError
from scheduler.domain.rule_names import RuleNames
from scheduler.domain.stops import StopKind
from scheduler.runs.stopping import start, stop

Everything = Annotated[bool, Parameter(name="--all")]


def stop_sending(
    *, everything: Everything = False, rule: str | None = None, category: str | None = None, session: InSession
) -> int:
    """Send nothing more of a rule, of a category, or at all, until `start`: also of runs that begin later. What is in
    flight gets its outcome, what waits is kept.

    Example: clarion stop --category marketing

    Parameters
    ----------
    everything
        Everything.
    rule
        A rule, by its name or one that it had (`renamed_from`): all of them are stopped.
    category
        All rules of a category.
    """
    kind, name = _meant("stop", everything=everything, rule=rule, category=category)
    now, names = session.clock.now(), session.rule_names
    with session.store() as store:
        done = stop(store, kind, name, now, known=lambda: _known(session, kind, names), names=names)
    since = "" if done.since == now else f" since {local(done.since)}"
    others = sorted(names.of_the_rule(name) - {name}) if kind is StopKind.RULE else []
    also = f", and with it {' and '.join(others)}" if others else ""
    remark(f"{done} is stopped{since}{also}; 'clarion start {done.option}' lets it go on")
    return 0


def start_sending(
    *, everything: Everything = False, rule: str | None = None, category: str | None = None, session: InSession
) -> int:
    """Undo a `stop`: what waited goes on where it was, if it is not too late for it.

    Example: clarion start --category marketing

    Parameters
    ----------
    everything
        What `stop --all` stopped; rules and categories that were stopped by themselves stay so.
    rule
        A rule, by its name or one that it had.
    category
        A category.
    """
    kind, name = _meant("start", everything=everything, rule=rule, category=category)
    names = session.rule_names
    with session.store() as store:
        left = start(store, kind, name, names=names).told_once(names)
    remark(f"{'everything' if kind is StopKind.ALL else f'{kind} {name}'} goes on")
    for one in left.in_force:
        remark(f"still stopped: {one} (since {local(one.since)})")
    return 0


def _meant(command: str, *, everything: bool, rule: str | None, category: str | None) -> tuple[StopKind, str]:
    given = [
        (kind, name)
        for kind, name in (
            (StopKind.ALL, "" if everything else None),
            (StopKind.RULE, rule),
            (StopKind.CATEGORY, category),
        )
        if name is not None
    ]
    if len(given) != 1:
        raise OperatorError(
            "give one of --all, --rule and --category",
            hint=f"'clarion {command} --rule NAME'; 'clarion runs list' says what is stopped",
        )
    return given[0]


def _known(session: Session, kind: StopKind, names: RuleNames) -> set[str]:
    """The rules or categories of the workspace. A broken rule must not keep an operator from stopping another: then
    rules go by their files, and categories by clarion.yaml."""
    if kind is StopKind.RULE:
        return {name for had in names.had for name in had}
    loaded = session.loaded.workspace
    declared = session.without_rules.settings.opt_outs or {}
    return {*declared, *(() if loaded is None else (one.category for one in loaded.campaigns.values()))}
