from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.domain.events import Event
from scheduler.runs.event_reading import EventProblem, read_event

NOW = datetime(2026, 11, 20, 12, 0, 0, 250_999, tzinfo=UTC)
HORIZON = timedelta(days=30)
OPEN = Schema.undeclared()
DECLARED = Schema(
    events={"score.changed": Section({"home": FieldType(ValueType.STRING), "minute": FieldType(ValueType.INTEGER)})},
    open_events=False,
)
GOAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/scores",
    "type": "score.changed",
    "subject": "g1",
    "time": "2026-11-20T12:59:00.5+01:00",
    "data": {"home": "FCB", "minute": 59},
    "traceparent": "00-0af7",
}


def read(fields: object, schema: Schema = OPEN) -> Event | EventProblem:
    return read_event(json.dumps(fields).encode(), schema, NOW, HORIZON)


def changed(**fields: object) -> dict[str, Any]:
    return {key: value for key, value in {**GOAL, **fields}.items() if value is not ...}


def test_a_cloudevent_is_read_and_extensions_are_ignored() -> None:
    expected = Event(
        id="e1",
        source="/scores",
        type="score.changed",
        subject="g1",
        time=datetime(2026, 11, 20, 11, 59, 0, 500_000, tzinfo=UTC),
        data={"home": "FCB", "minute": 59},
    )
    assert read(GOAL, DECLARED) == expected
    assert read_event(json.dumps(GOAL), DECLARED, NOW, HORIZON) == expected
    assert read_event(GOAL, DECLARED, NOW, HORIZON) == expected


def test_null_is_the_same_as_absent() -> None:
    bare = read({"id": "1", "source": "s", "type": "t"})
    assert bare == read({"id": "1", "source": "s", "type": "t", "subject": None, "time": None, "data": None})
    assert isinstance(bare, Event)
    assert (bare.subject, bare.data) == (None, {})


def test_an_event_is_never_later_than_its_arrival_and_kept_to_the_millisecond() -> None:
    arrival = NOW.replace(microsecond=250_000)
    for time in (..., "2026-11-20T12:00:01Z", "9999-12-31T23:59:59.999999999z"):
        event = read(changed(time=time))
        assert isinstance(event, Event)
        assert event.time == arrival
    event = read(changed(time="2026-11-20T11:59:59.9999999Z"))
    assert isinstance(event, Event)
    assert event.time.microsecond == 999_000


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        (changed(id=...), "id", "id is missing"),
        (changed(id=""), "id", "id is empty"),
        (changed(id=7), "id", "id must be a string or null, not an integer"),
        (changed(source=...), "source", "source is missing"),
        (changed(source="a\0b"), "source", "source contains a NUL character"),
        (changed(type=None), "type", "type is missing"),
        (changed(type="x" * 1025), "type", "type has more than 1024 characters"),
        (changed(subject=""), "subject", "subject is empty"),
        (changed(specversion="0.3"), "specversion", "specversion is '0.3', and 1.0 is what is understood"),
        (changed(data=[1]), "data", "data must be an object or null, not a list"),
        (changed(data_base64="AA=="), "data_base64", "data_base64 is not understood: send data as a JSON object"),
        (
            changed(user_attributes={"a": 1}),
            "user_attributes",
            "user_attributes cannot travel with an event yet: send them to /v1/users/{user} before",
        ),
        (
            changed(time="2026-11-20 12:00"),
            "time",
            "time is '2026-11-20 12:00', not an instant of RFC 3339 such as '2026-11-27T09:00:00Z'",
        ),
        (
            changed(time="2026-13-20T12:00:00Z"),
            "time",
            "time is '2026-13-20T12:00:00Z', not an instant of RFC 3339 such as '2026-11-27T09:00:00Z'",
        ),
        (
            changed(time="0001-01-01T00:00:00+01:00"),
            "time",
            "time is '0001-01-01T00:00:00+01:00', not an instant of RFC 3339 such as '2026-11-27T09:00:00Z'",
        ),
        (
            changed(time="2026-10-20T12:00:00Z"),
            "time",
            "time is more than 30 days ago: such events are not taken",
        ),
        (
            changed(data={"home": "FCB", "minute": 2**63}),
            "data.minute",
            "data.minute is 9223372036854775808, beyond 64 bits",
        ),
        (changed(data={"home": "F\0B", "minute": 1}), "data.home", "data.home contains a NUL character"),
        (
            changed(data={"home": "FCB", "minute": "59"}),
            "data.minute",
            "data.minute is '59', not an integer",
        ),
        (changed(type="game.over"), "type", "type: events of type 'game.over' are not declared in schema.yaml"),
        ([], "", "this must be an object, not a list"),
    ],
)
def test_a_refusal_names_the_field(fields: object, field: str, message: str) -> None:
    assert read(fields, DECLARED) == EventProblem(field, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON: it ends too early"),
        (b"{", "not JSON: it ends too early"),
        (b"{id: 1}", "not JSON: object keys must be strings (byte 1)"),
        (b'{"id": NaN}', "not JSON: invalid character (byte 7)"),
        (b'{"data": {"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"id": "\xff"}', "not JSON: the text is not UTF-8"),
    ],
)
def test_what_is_not_json_is_a_problem_of_the_whole(text: bytes, message: str) -> None:
    assert read_event(text, OPEN, NOW, HORIZON) == EventProblem("", message)


def test_mappings_are_refused_like_text() -> None:
    assert read_event({"id": 7}, OPEN, NOW, HORIZON) == EventProblem(
        "id", "id must be a string or null, not an integer"
    )


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps({"id": text, "data": {text: 1}}).encode())
)
def test_no_bytes_can_break_the_reader(text: bytes) -> None:
    result = read_event(text, OPEN, NOW, HORIZON)
    assert isinstance(result, EventProblem)
    assert result.message


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOAL, "data_base64", "extension"]), _json))
def test_whatever_is_sent_becomes_a_sound_event_or_a_named_problem(fields: dict[str, Any]) -> None:
    result = read({**GOAL, **fields})
    if isinstance(result, Event):
        assert NOW - HORIZON <= result.time <= NOW
        assert result.id
        assert result.source
        assert result.type
        json.dumps(result.data).encode()
    else:
        assert result.field == "" or result.message.startswith(result.field)
