"""`clarion emit` and `clarion fire`: what starts rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

import msgspec
from cyclopts import Parameter

from scheduler.cli.obstacles import said_of_fuse, said_of_obstacles
from scheduler.cli.output import Format, confirmed, counted, local, print_json, remark
from scheduler.cli.session import InSession
from scheduler.domain.errors import OperatorError
from scheduler.domain.events import Event
from scheduler.rehearsal.preview import preview
from scheduler.runs.event_reading import HORIZON, EventProblem, read_event
from scheduler.runs.exits import find_exits_of
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.ingest import MAX_EVENTS, ingest
from scheduler.runs.stopping import stop_under_all_names

EventFile: TypeAlias = Annotated[Path, Parameter(allow_leading_hyphen=True)]
"""The type of a parameter that names a file of events, or - for the standard input."""


def emit(
    file: EventFile,
    /,
    *,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """Bring events: one CloudEvent, an array of them, or one a line. A daemon that runs takes them up at once.

    Good events are stored whatever the others are like; the exit code is 1 if any was refused.

    Example: clarion emit goal.json

    Parameters
    ----------
    file
        JSON or NDJSON; - reads the standard input.
    format
        How the result is printed.
    """
    name = "standard input" if str(file) == "-" else str(file)
    workspace = session.to_be_obeyed
    accepted = duplicates = runs = refused = 0
    with session.store() as store:
        find_exits_of(store, workspace)
        stop_under_all_names(store, workspace)
        namespace = store.namespace()
        batch: list[Event] = []

        def write() -> None:
            nonlocal accepted, duplicates, runs
            result = ingest(store, workspace, namespace, batch, session.clock.now())
            accepted, duplicates, runs = accepted + result.accepted, duplicates + result.duplicates, runs + result.runs
            batch.clear()

        with _opened(file) as stream:
            for place, sent in _items(stream, name):
                event = read_event(sent, workspace.schema, session.clock.now(), HORIZON)
                if isinstance(event, EventProblem):
                    refused += 1
                    remark(f"{place}: {event.message}")
                    continue
                batch.append(event)
                if len(batch) == MAX_EVENTS:
                    write()
        if batch:
            write()
    if format is Format.JSON:
        print_json({"accepted": accepted, "duplicates": duplicates, "refused": refused, "runs": runs})
    else:
        known = f", {duplicates} known already" if duplicates else ""
        bad = f", {refused} refused" if refused else ""
        begin = f"{counted(runs, 'run')} {'begins' if runs == 1 else 'begin'}"
        print(f"{counted(accepted, 'event')} stored{known}{bad}; {begin}")
    return 1 if refused else 0


def fire_rule(
    rule: str,
    /,
    *,
    event: EventFile | None = None,
    key: str | None = None,
    yes: bool = False,
    session: InSession,
) -> int:
    """Start a manual rule: prints how many it would reach and how long it takes at least, and asks.

    Example: clarion fire spring-sale --key 2026 --yes

    Parameters
    ----------
    rule
        Its name.
    event
        A file with an event for the rule's templates; - reads the standard input.
    key
        The occasion: the same key never runs twice. Default: the event's id, else today's date.
    yes
        Do not ask.
    """
    workspace = session.to_be_obeyed
    campaign = session.campaign(rule)
    if not campaign.manual:
        raise OperatorError(f"rule {rule} is not manual", hint="write `trigger: {manual: true}`, or emit its event")
    if not campaign.enabled:
        raise OperatorError(f"rule {rule} is not enabled", hint="write `enabled: true` in its file")
    now = session.clock.now()
    given = None if event is None else read_one_event(event, session, now)
    with session.store() as store:
        occasion = fired_occasion(campaign, key, given, workspace.settings, now)
        shown = preview(store, workspace, campaign, given, now, key=occasion.key, samples=0, as_fired=True)
        for note in (*([shown.note] if shown.note else []), *said_of_obstacles(shown, campaign)):
            remark(note)
        if shown.fuse is not None and shown.fuse.blows:
            remark(f"fuse: {said_of_fuse(shown.fuse)}")
        kept = f": {shown.kept_back:,} kept back ({', '.join(shown.obstacles.words)})" if shown.kept_back else ""
        at_least = f", in {timedelta(seconds=round(shown.seconds))} at least" if shown.seconds else ""
        when = "" if shown.due is None else f" at {local(shown.due)}"
        counts = f"{shown.would_send} of {shown.selected} selected devices"
        remark(f"{rule} ({occasion.key}) reaches {counts}{when}{at_least}{kept}")
        if not yes and not confirmed("start it?"):
            remark("nothing was started")
            return 1
        find_exits_of(store, workspace)
        stop_under_all_names(store, workspace)
        run = fire(store, campaign, occasion, given, now)
    if run is None:
        raise OperatorError(f"{rule} was fired with the key {occasion.key} before", hint="give another: --key KEY")
    print(run.id)
    return 0


def read_one_event(file: Path, session: InSession, now: datetime) -> Event:
    """The one event of a file, as if it came now. OperatorError says what is wrong with it."""
    with _opened(file) as stream:
        items = list(_items(stream, str(file)))
    if len(items) != 1:
        raise OperatorError(f"it holds {counted(len(items), 'event')}, and one is needed", where=str(file),
                            hint="write that one CloudEvent to a file of its own")  # fmt: skip
    event = read_event(items[0][1], session.workspace.schema, now, HORIZON)
    if isinstance(event, EventProblem):
        raise OperatorError(event.message, where=items[0][0])
    return event


def _opened(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as problem:
        raise OperatorError(f"cannot be read: {problem.strerror}", where=str(file),
                            hint="give a file with events, or - for the standard input") from problem  # fmt: skip


def _items(stream: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Each event's place and JSON text: a line each, or else the whole file as one value or an array."""
    first = stream.readline()
    whole = _decoded(first) if first.strip() else None
    if isinstance(whole, dict):
        yield f"{name}:1", first
        yield from ((f"{name}:{number}", line) for number, line in enumerate(stream, 2) if line.strip())
        return
    text = first + stream.read()
    if not text.strip():
        return
    try:
        is_array = text.lstrip().startswith(b"[")
        items = msgspec.json.decode(text, type=list[msgspec.Raw]) if is_array else [_one_value(text)]
    except msgspec.DecodeError as problem:
        raise OperatorError(
            f"not JSON: {problem}", where=name, hint="one CloudEvent, an array, or one a line"
        ) from problem
    if is_array:
        yield from ((f"{name}, event {number}", bytes(item)) for number, item in enumerate(items, 1))
    else:
        yield name, bytes(items[0])


def _one_value(text: bytes) -> msgspec.Raw:
    msgspec.json.decode(text)
    return msgspec.Raw(text)


def _decoded(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
