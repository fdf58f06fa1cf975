"""Events over HTTP: one CloudEvent, a batch as a JSON list, or NDJSON (CloudEvents 1.0.2, JSON event format)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from scheduler.api.intake import Intake
from scheduler.api.problems import json_response, of_field
from scheduler.api.requests import intake_of, media_type, read_body, require
from scheduler.domain.events import Event
from scheduler.runs.event_reading import EventProblem, read_event
from scheduler.runs.json_reading import FieldProblem, decode_fields
from scheduler.store.api_keys import Scope

MAX_BODY = 10_000_000
"""Bytes."""
MAX_REFUSED = 100
"""Refused events that an answer lists; `refused_count` counts all."""

_SINGLE = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_TYPES = ("application/json", "", _SINGLE, _BATCH, *_LINES)
_AT_ONCE = 250
"""Events that are read before others have a turn: about 3 ms."""
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)


@dataclass(slots=True)
class _Answer:
    accepted: int = 0
    duplicates: int = 0
    refused: list[dict[str, object]] = field(default_factory=list)
    refused_count: int = 0


async def post_events(request: Request) -> Response:
    """One event: 202, or a problem. Several: 202 if any of them is on disk now, else 422; both say what was refused."""
    await require(request, Scope.EVENTS_WRITE)
    body = await read_body(request, MAX_BODY, _TYPES)
    intake = intake_of(request)
    kind = media_type(request)
    if kind in _LINES or (kind in ("", "application/json") and _is_lines(body)):
        return await _take("line", _lines(body), intake)
    if kind == _BATCH or (kind != _SINGLE and body.lstrip().startswith(b"[")):
        items = decode_fields(_LIST, body)
        if isinstance(items, FieldProblem):
            raise of_field(items)
        return await _take("index", enumerate(items), intake)
    terms = intake.terms()
    event = read_event(body, terms.schema, terms.now, terms.horizon)
    if isinstance(event, EventProblem):
        raise of_field(event)
    result = await intake.events([event])
    return json_response({"accepted": result.accepted, "duplicates": result.duplicates}, 202)


async def _take(place: str, sent: Iterable[tuple[int, bytes | msgspec.Raw]], intake: Intake) -> Response:
    """Hand over what is sound, piece by piece; each piece is on disk before the next is read."""
    answer = _Answer()
    rest = iter(sent)
    while piece := list(islice(rest, _AT_ONCE)):
        terms = intake.terms()
        sound: list[Event] = []
        for number, text in piece:
            event = read_event(bytes(text), terms.schema, terms.now, terms.horizon)
            if isinstance(event, Event):
                sound.append(event)
                continue
            answer.refused_count += 1
            if answer.refused_count <= MAX_REFUSED:
                answer.refused.append({place: number, "field": event.field, "problem": event.message})
        if sound:
            result = await intake.events(sound)
            answer.accepted += result.accepted
            answer.duplicates += result.duplicates
    return json_response(answer, 202 if answer.accepted or answer.duplicates else 422)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            yield number, line


def _is_lines(body: bytes) -> bool:
    """Whether the first line is an object of its own and there is more below."""
    first, _, rest = body.lstrip().partition(b"\n")
    if not first.startswith(b"{") or not rest.strip():
        return False
    found = decode_fields(_ANYTHING, first)
    return not isinstance(found, FieldProblem)
