"""`clarion stop` and `clarion start`: the kill switch."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from cyclopts import Parameter

from scheduler.cli.output import local, remark
from scheduler.cli.session import InSession, Session
from scheduler.domain.errors import OperatorError
from scheduler.domain.stops import StopKind
from scheduler.runs.stopping import start, stop
from scheduler.workspace.folder import read_folder

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
        A rule, by its name.
    category
        All rules of a category.
    """
    kind, name = _meant("stop", everything=everything, rule=rule, category=category)
    now = session.clock.now()
    with session.store() as store:
        done = stop(store, kind, name, now, known=lambda: _known(session, kind))
    since = "" if done.since == now else f" since {local(done.since)}"
    remark(f"{done} is stopped{since}; 'clarion start {done.option}' lets it go on")
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
        A rule, by its name.
    category
        A category.
    """
    kind, name = _meant("start", everything=everything, rule=rule, category=category)
    with session.store() as store:
        left = start(store, kind, name)
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


def _known(session: Session, kind: StopKind) -> set[str]:
    """The rules or categories of the workspace. A broken rule must not keep an operator from stopping another: then
    rules go by their files, and categories by clarion.yaml."""
    loaded = session.loaded.workspace
    if kind is StopKind.RULE:
        paths = [PurePosixPath(path) for path in read_folder(session.root)]
        return {path.stem for path in paths if path.parts[0] == "rules" and path.suffix == ".yaml"}
    declared = session.without_rules.settings.opt_outs or {}
    return {*declared, *(() if loaded is None else (one.category for one in loaded.campaigns.values()))}
