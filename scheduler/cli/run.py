"""`clarion run`: the daemon."""

from __future__ import annotations

import logging
import os
from datetime import datetime

import trio

from scheduler.api.daemon_intake import serve_daemon
from scheduler.cli.output import Format, counted, local, print_json, remark
from scheduler.cli.session import InSession, Session
from scheduler.diagnostics.printers import as_text
from scheduler.engine.daemon import Daemon, Ended, Ending
from scheduler.engine.garbage import seldom_collected
from scheduler.engine.looking import Remaining
from scheduler.store.database import Store
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import Workspace, load


def run(
    *,
    until_idle: bool = False,
    verbose: bool = False,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """The daemon: takes events in, sends what they start, keeps every outcome. SIGTERM drains, SIGHUP reads the rules
    again.

    Example: clarion run --until-idle

    Parameters
    ----------
    until_idle
        End when no window is open and nothing is due within 60 s (for cron). Then nothing listens to HTTP.
    verbose
        Log links and reloads too, not only what is wrong.
    format
        How the summary at the end is printed.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    workspace = session.to_be_obeyed
    with session.store() as store:
        daemon = make_daemon(session, store, workspace)
        with seldom_collected():
            ended = trio.run(lambda: daemon.run(until_idle=until_idle))
    if format is Format.JSON:
        print_json(_object(ended))
    else:
        _print(ended, session.clock.now())
    return ended.exit_code


def make_daemon(session: Session, store: Store, workspace: Workspace) -> Daemon:
    """A daemon that reads the workspace's folder again when it is told to reload, and serves HTTP if it says where."""

    def reload() -> Workspace | None:
        again = load(read_folder(session.root), session.root, os.environ, session.credential_files)
        errors = again.findings if again.workspace is None else again.not_built
        if errors:
            remark(as_text(errors))
            return None
        return again.workspace

    serve = _serve_and_say_where if workspace.settings.listen is not None else None
    return Daemon(store, workspace, session.clock, reload_workspace=reload, serve=serve)


async def _serve_and_say_where(daemon: Daemon, *, task_status: trio.TaskStatus[list[str]]) -> None:
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve_daemon, daemon)
        remark(f"listens at {', '.join(addresses)}; Ctrl-C ends it when what is in flight is answered")
        task_status.started(addresses)


def _object(ended: Ended) -> dict[str, object]:
    return {
        "ending": ended.ending,
        "detail": ended.detail,
        "outcomes": {kind.value: count for kind, count in ended.progress.outcomes.items()},
        "retired": ended.progress.retired,
        "recovered": ended.recovered,
        "remaining": ended.remaining,
        "next_slot": ended.next_slot,
    }


def _print(ended: Ended, now: datetime) -> None:
    outcomes = ", ".join(f"{count} {kind}" for kind, count in sorted(ended.progress.outcomes.items())) or "nothing"
    print(f"settled: {outcomes}; {counted(ended.progress.retired, 'token')} retired")
    if ended.ending is Ending.APP_STOPPED:
        remark(
            f"error: {ended.detail}\n  hint: put right apps.*.auth in clarion.yaml, or the machine's clock if that is "
            "named; what waits is sent after the next start"
        )
    if ended.ending is Ending.NO_LINK:
        remark(f"error: {ended.detail}\n  hint: check apps.*.endpoint in clarion.yaml; is 'clarion simulator' running?")
    for one in ended.remaining.stopped:
        remark(f"stopped since {local(one.stop.since)}: {one.stop}; {counted(one.runs, 'run')} waiting; "
               f"'clarion start {one.stop.option}' lets it go on")  # fmt: skip
    if ended.remaining.runs:
        due = ended.remaining.next_due
        is_due = "" if due is None else f"; the next is due {local(due) if due > now else 'now'}"
        remark(f"not over yet: {counted(ended.remaining.runs, 'run')}{_of_them_paused(ended.remaining)}{is_due}")
    if ended.next_slot is not None:
        remark(f"the next slot of a schedule is due {local(ended.next_slot)}")


def _of_them_paused(remaining: Remaining) -> str:
    if not remaining.paused:
        return ""
    if remaining.paused < remaining.runs:
        return f", {remaining.paused:,} of them paused"
    return ", paused" if remaining.runs == 1 else ", all paused"
