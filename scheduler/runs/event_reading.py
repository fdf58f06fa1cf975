"""CloudEvents at the door: structured JSON mode (CloudEvents 1.0.2, JSON event format) → Event.

What an event may not be is decided here once, for HTTP and for files alike. Extension attributes are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from scheduler.conditions.types import Schema
from scheduler.conditions.value_checks import unsafe_text
from scheduler.domain.events import Event
from scheduler.domain.quantities import format_duration
from scheduler.runs.json_reading import FieldProblem, decode_fields, problem_of

EventProblem: TypeAlias = FieldProblem
"""Why an event is refused: its `field`, and a `message` that begins with it."""

HORIZON = timedelta(days=30)
"""The default of `retention.events`: older events are refused, as nobody knows any more whether they came before."""

MAX_NAME = 1024
"""Characters of id, source, type and subject: they are keys of an index."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII)


class _Fields(msgspec.Struct):
    """The attributes that mean something to us; null is the same as absent (JSON event format, section 2.2)."""

    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: str | None = None
    specversion: str | None = None
    data: dict[str, Any] | None = None
    data_base64: Raw | UnsetType = UNSET
    user_attributes: Raw | UnsetType = UNSET


_DECODER = msgspec.json.Decoder(_Fields)


def read_event(
    sent: bytes | str | Mapping[str, object], schema: Schema, now: datetime, horizon: timedelta
) -> Event | EventProblem:
    """One event, as JSON text or as the object in it.

    `time` is RFC 3339 and kept to the millisecond; absent it is `now`, and a time in the future is cut to `now`: an
    event is never later than its arrival. An event older than `horizon` is refused: whether it came before is no
    longer known.
    """
    if isinstance(sent, bytes | str):
        fields = decode_fields(_DECODER, sent)
        if isinstance(fields, FieldProblem):
            return fields
    else:
        try:
            fields = msgspec.convert(sent, _Fields)
        except msgspec.ValidationError as error:
            return problem_of(error)
    problem = (
        problem_of_name("id", fields.id)
        or problem_of_name("source", fields.source)
        or problem_of_name("type", fields.type)
        or (problem_of_name("subject", fields.subject) if fields.subject is not None else None)
        or _problem_of_kind(fields)
    )
    if problem is not None:
        return problem
    assert fields.id is not None
    assert fields.source is not None
    assert fields.type is not None
    time = _read_time(fields.time, now)
    if isinstance(time, FieldProblem):
        return time
    if time < now - horizon:
        return EventProblem("time", f"time is more than {format_duration(horizon)} ago: such events are not taken")
    data = {} if fields.data is None else fields.data
    problems = schema.check_event(fields.type, data)
    if problems:
        return EventProblem(problems[0].partition(" ")[0].rstrip(":"), "; ".join(problems))
    return Event(id=fields.id, source=fields.source, type=fields.type, subject=fields.subject, time=time, data=data)


def problem_of_name(field: str, text: str | None) -> EventProblem | None:
    """What keeps a text from being a name by which something is found again."""
    if text is None:
        return EventProblem(field, f"{field} is missing")
    if not text:
        return EventProblem(field, f"{field} is empty")
    if len(text) > MAX_NAME:
        return EventProblem(field, f"{field} has more than {MAX_NAME} characters")
    unsafe = unsafe_text(text)
    return EventProblem(field, f"{field} {unsafe}") if unsafe else None


def _problem_of_kind(fields: _Fields) -> EventProblem | None:
    if fields.specversion not in (None, "1.0"):
        return EventProblem("specversion", f"specversion is {fields.specversion!r}, and 1.0 is what is understood")
    if fields.data_base64 is not UNSET:
        return EventProblem("data_base64", "data_base64 is not understood: send data as a JSON object")
    if fields.user_attributes is not UNSET:
        return EventProblem(
            "user_attributes", "user_attributes cannot travel with an event yet: send them to /v1/users/{user} before"
        )
    return None


def _read_time(text: str | None, now: datetime) -> datetime | EventProblem:
    if text is None:
        return _to_milliseconds(now)
    if not _RFC3339.fullmatch(text):
        return _no_time(text)
    try:
        time = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return _no_time(text)
    return _to_milliseconds(min(time, now))


def _no_time(text: str) -> EventProblem:
    return EventProblem("time", f"time is {text[:40]!r}, not an instant of RFC 3339 such as '2026-11-27T09:00:00Z'")


def _to_milliseconds(time: datetime) -> datetime:
    rest = time.microsecond % 1000
    return time.replace(microsecond=time.microsecond - rest) if rest else time
