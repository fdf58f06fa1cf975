"""`clarion devices`: who can be notified."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scheduler.cli.output import Format, HowMany, confirmed, counted, print_json, remark
from scheduler.cli.session import InSession, Session
from scheduler.cli.tables import print_details, print_table, progress_bar
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.errors import OperatorError
from scheduler.runs import registering
from scheduler.runs.exporting import ExportFormat, export_devices
from scheduler.runs.importing import Progress, import_devices
from scheduler.store import registry
from scheduler.store.registry import Found


def import_file(file: Path, /, *, format: Format = Format.TEXT, session: InSession) -> int:
    """Import devices, adding new ones and changing known ones. Bad lines go to FILE.rejects.ndjson; the rest is
    imported, and the exit code is 1.

    CSV columns: app, token, user, locale, time_zone, topics (separated by |), attributes.NAME, user.attributes.NAME;
    an empty cell changes nothing, \\null removes. NDJSON: the same as objects.

    Example: clarion devices import devices.csv

    Parameters
    ----------
    file
        CSV or NDJSON.
    format
        How the result is printed.
    """
    workspace = session.without_rules
    with session.store() as store, progress_bar("import", None) as show_progress:

        def advance(progress: Progress) -> None:
            show_progress(progress.bytes, progress.total_bytes)

        done = import_devices(
            store, file, apps=workspace.settings.apps, schema=workspace.schema, clock=session.clock, progress=advance
        )
    if format is Format.JSON:
        print_json(done)
    else:
        print(f"{done.created} created, {done.updated} updated, {done.unchanged} unchanged, {done.rejected} rejected")
    if done.rejects is not None:
        remark(f"the rejected lines and why: {done.rejects}")
    return 1 if done.rejected else 0


def list_devices(
    *,
    app: str | None = None,
    topic: str | None = None,
    user: str | None = None,
    limit: HowMany = 20,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """Devices in the order of their numbers, retired ones too.

    Example: clarion devices list --topic team:FCB --limit 5

    Parameters
    ----------
    app
        Only of this app.
    topic
        Only members of this topic.
    user
        Only of this user.
    limit
        How many at the most.
    format
        How the result is printed.
    """
    _check_app(session, app)
    with session.store() as store, store.read() as tx:
        counts = registry.count_registry(tx)
        if user is not None:
            found = registry.devices_of_user(tx, user)
            found = [
                one for one in found if app in (None, one.device.app) and (not topic or topic in one.device.topics)
            ]
        else:
            found = registry.list_devices(tx, app=app, topic=topic, limit=limit)
    if format is Format.JSON:
        print_json([_object(one) for one in found[:limit]])
        return 0
    print_table(
        ("device", "app", "token", "user", "locale", "zone", "topics", "state"),
        [
            (
                one.device.id,
                one.device.app,
                _short(one.device.token),
                one.device.user,
                one.device.locale,
                one.device.time_zone,
                " ".join(one.device.topics),
                "active" if one.device.active else f"retired: {one.device.retired_reason}",
            )
            for one in found[:limit]
        ],
        texts=("user", "topics", "state"),
    )
    shown = f"{len(found[:limit])} of " if len(found[:limit]) < counts.devices else ""
    remark(
        f"{shown}{counted(counts.devices, 'device')}, {counts.active:,} active; {counted(counts.users, 'user')}, "
        f"{counted(counts.topics, 'topic')}"
    )
    for name in counts.apps:
        if name not in session.without_rules.settings.apps:
            remark(f"clarion.yaml has no app '{name}': its devices get nothing")
    return 0


def show(device: str, /, *, app: str | None = None, format: Format = Format.TEXT, session: InSession) -> int:
    """One device with everything that is known of it and of its user.

    Example: clarion devices show 42

    Parameters
    ----------
    device
        Its number, or its token.
    app
        The app of a token that several apps have.
    format
        How the result is printed.
    """
    _check_app(session, app)
    apps = [app] if app is not None else list(session.without_rules.settings.apps)
    with session.store() as store, store.read() as tx:
        found = registry.fetch_devices(tx, [int(device)]) if device.isdecimal() and len(device) < 16 else []
        if not found:
            by_token = [registry.find_device(tx, name, device.lower()) for name in apps]
            found = [one for one in by_token if one is not None]
    if not found:
        raise OperatorError(f"there is no device {device}", hint="'clarion devices list' shows numbers and tokens")
    if len(found) > 1:
        raise OperatorError("several apps have a device with this token", hint="choose one: --app APP")
    shown = _object(found[0])
    if format is Format.JSON:
        print_json(shown)
        return 0
    user = shown.pop("user_details")
    whose = {} if user is None else {f"user's {key}": value for key, value in user.items()}
    print_details({**shown, "active": "yes" if shown["active"] else "no", **whose})
    return 0


def export(file: Path | None = None, /, *, format: ExportFormat | None = None, session: InSession) -> int:
    """Write the active devices such that an import makes them again.

    Example: clarion devices export devices.csv

    Parameters
    ----------
    file
        Where to; without it, to the standard output.
    format
        Without it: by the file's ending, else ndjson.
    """
    if format is None:
        format = ExportFormat.CSV if file is not None and file.suffix == ".csv" else ExportFormat.NDJSON
    schema = session.without_rules.schema
    with session.store() as store:
        if file is None:
            count = export_devices(store, sys.stdout.buffer, form=format, schema=schema)
        else:
            try:
                with file.open("wb") as out:
                    count = export_devices(store, out, form=format, schema=schema)
            except OSError as problem:
                raise OperatorError(f"cannot be written: {problem.strerror}", where=str(file)) from problem
    remark(f"{counted(count, 'device')} written")
    return 0


def erase(*, user: str, yes: bool = False, session: InSession) -> int:
    """Erase a user and all devices of the user. What was sent stays counted, under device numbers that mean nobody.

    Example: clarion devices erase --user anna --yes

    Parameters
    ----------
    user
        The user's id.
    yes
        Do not ask.
    """
    with session.store() as store:
        with store.read() as tx:
            count = len(registry.devices_of_user(tx, user))
        if not yes and not confirmed(f"erase user {user} and {counted(count, 'device')}?"):
            remark("nothing was erased")
            return 1
        erased = registering.erase(store, user)
    if not erased.found:
        raise OperatorError(f"nothing is known of a user {user!r}", hint="'clarion devices list' shows users")
    remark(f"user {user} and {counted(erased.devices, 'device')} erased")
    return 0


def _check_app(session: Session, app: str | None) -> None:
    apps = session.without_rules.settings.apps
    if app is not None and app not in apps:
        raise OperatorError(f"clarion.yaml has no app {app!r}",
                            hint=did_you_mean(app, apps) or f"its apps are {', '.join(apps)}")  # fmt: skip


def _object(found: Found) -> dict[str, Any]:
    device, user = found.device, found.user
    return {
        "device": device.id,
        "app": device.app,
        "token": device.token,
        "user": device.user,
        "locale": device.locale,
        "time_zone": device.time_zone,
        "topics": list(device.topics),
        "attributes": dict(device.attributes),
        "active": device.active,
        "retired_reason": device.retired_reason,
        "registered_at": device.registered_at,
        "last_seen_at": device.last_seen_at,
        "user_details": None
        if user is None
        else {
            "attributes": dict(user.attributes),
            "opt_outs": sorted(user.opt_outs),
            "locale": user.locale,
            "time_zone": user.time_zone,
        },
    }


def _short(token: str) -> str:
    return token if len(token) <= 16 else f"{token[:8]}…{token[-4:]}"
