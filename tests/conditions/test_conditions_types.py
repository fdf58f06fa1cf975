"""What schema.yaml declares, and what is checked at the door."""

from __future__ import annotations

import pytest

from scheduler.conditions.types import UNDECLARED, FieldType, Schema, Section, UnknownName, ValueType

STRING, INTEGER = FieldType(ValueType.STRING), FieldType(ValueType.INTEGER)
MAYBE = FieldType(ValueType.STRING, optional=True)
ALERTS = FieldType(ValueType.ENUM, values=("all", "goals", "none"))
SCHEMA = Schema(
    events={
        "game.goal": Section({"home": STRING, "score": INTEGER}),
        "game.end": Section({"home": STRING, "score": STRING, "winner": STRING}),
        "free": Section({"home": STRING}, open=True),
    },
    users=Section({"first_name": MAYBE, "spend": FieldType(ValueType.NUMBER)}),
    devices=Section({"alerts": ALERTS, "settings": FieldType(ValueType.OBJECT)}),
    open_events=False,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("event.id", STRING),
        ("event.subject", STRING),
        ("event.data.score", INTEGER),
        ("previous.data.score", FieldType(ValueType.INTEGER, optional=True)),
        ("previous.id", MAYBE),
        ("user", FieldType(ValueType.OBJECT, optional=True)),
        ("user.locale", MAYBE),
        ("user.attributes.first_name", MAYBE),
        ("device.attributes.alerts", ALERTS),
        ("device.attributes.settings.colour.dark", UNDECLARED),
        ("device.topics", FieldType(ValueType.LIST)),
        ("now", FieldType(ValueType.INSTANT)),
        ("evnt.id", UnknownName(0, ("event", "previous", "exit", "user", "device", "now", "today", "slot"))),
        ("now.year", UnknownName(1, ())),
        ("user.name", UnknownName(1, ("id", "attributes", "locale", "time_zone"))),
        ("user.id.x", UnknownName(2, ())),
        ("user.attributes.sped", UnknownName(2, ("first_name", "spend"))),
        ("user.attributes.spend.x", UnknownName(3, ())),
        ("event.data.winner", UnknownName(2, ("home", "score"))),
    ],
)
def test_type_of_a_name(name: str, expected: FieldType | UnknownName) -> None:
    assert SCHEMA.field(tuple(name.split(".")), "game.goal") == expected


def test_type_of_a_field_of_several_event_types_is_what_all_agree_on() -> None:
    assert SCHEMA.field(("event", "data", "home"), "game.*") == STRING
    assert SCHEMA.field(("event", "data", "score"), "game.*") == FieldType(ValueType.ANY)
    assert SCHEMA.field(("event", "data", "winner"), "game.*") == MAYBE
    assert SCHEMA.field(("event", "data", "loser"), "game.*") == UnknownName(2, ("home", "score", "winner"))


@pytest.mark.parametrize("event_type", [None, "other", "other.*", "free"])
def test_data_of_an_undeclared_or_open_event_type_may_be_anything(event_type: str | None) -> None:
    assert SCHEMA.field(("event", "data", "x"), event_type) == UNDECLARED


def test_without_a_schema_every_attribute_is_undeclared() -> None:
    assert Schema.undeclared().field(("user", "attributes", "x")) == UNDECLARED
    assert Schema.undeclared().field(("user", "name")) == UnknownName(1, ("id", "attributes", "locale", "time_zone"))


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        ({"home": "FCB", "score": 1}, []),
        ({"home": "FCB"}, ["data.score is missing"]),
        ({"home": None, "score": 1}, ["data.home must be there and is null"]),
        ({"home": 1, "score": "x"}, ["data.home is 1, not a string", "data.score is 'x', not an integer"]),
        ({"home": "FCB", "score": True}, ["data.score is True, not an integer"]),
        (
            {"home": "FCB", "score": 1, "scor": 2},
            ["data.scor is not declared in schema.yaml; did you mean 'score'?"],
        ),
    ],
)
def test_event_data_is_checked_at_the_door(data: dict[str, object], problems: list[str]) -> None:
    assert SCHEMA.check_event("game.goal", data) == problems  # type: ignore[arg-type]


def test_undeclared_event_type_is_a_problem_unless_events_are_open() -> None:
    assert SCHEMA.check_event("other", {}) == ["type: events of type 'other' are not declared in schema.yaml"]
    assert Schema.undeclared().check_event("other", {"a": [1, {"b": 2**63}]}) == [
        "data.a is 9223372036854775808, beyond 64 bits"
    ]
    assert SCHEMA.check_event("free", {"home": "x", "more": 1}) == []


def test_only_a_new_user_must_bring_what_is_required() -> None:
    assert SCHEMA.check_user_attributes({}, new=True) == ["attributes.spend is missing"]
    assert SCHEMA.check_user_attributes({}, new=False) == []
    assert SCHEMA.check_user_attributes({"first_name": None}, new=False) == []
    assert SCHEMA.check_user_attributes({"spend": None}, new=False) == ["attributes.spend must be there and is null"]
    assert SCHEMA.check_user_attributes({"spend": "1"}, new=False) == ["attributes.spend is '1', not a number"]


def test_enum_problem_names_the_values_and_the_nearest() -> None:
    assert SCHEMA.check_device_attributes({"alerts": "gols"}, new=False) == [
        "attributes.alerts is 'gols', not one of 'all', 'goals', 'none'; did you mean 'goals'?"
    ]
    assert FieldType(ValueType.ENUM, values=(1, 2)).problem_of(True) == "is True, not one of 1, 2"


NESTED: object = 1
for _ in range(51):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63 - 1, None),
        (-(2**63), None),
        (2**63, "attributes.x is 9223372036854775808, beyond 64 bits"),
        (float("nan"), "attributes.x is nan, not a finite number"),
        ({"a": [float("inf")]}, "attributes.x is inf, not a finite number"),
        ("a\0b", "attributes.x contains a NUL character"),
        ({"k\0": 1}, "attributes.x contains a NUL character"),
        ("\ud800", "attributes.x contains half of a surrogate pair"),
        ("é", None),
        (True, None),
        (None, None),
        (NESTED, "attributes.x is nested over 50 levels"),
    ],
)
def test_unsafe_values_are_refused_without_a_schema_too(value: object, problem: str | None) -> None:
    found = Schema.undeclared().check_device_attributes({"x": value}, new=True)  # type: ignore[dict-item]
    assert found == ([] if problem is None else [problem])


def test_unsafe_field_name_is_shown_escaped() -> None:
    assert Schema.undeclared().check_device_attributes({"a\0": 1}, new=True) == [
        "attributes.'a\\x00' contains a NUL character"
    ]


@pytest.mark.parametrize(
    ("kind", "good", "bad", "problem"),
    [
        ("date", "2026-02-28", "2026-02-30", "is '2026-02-30', not a date such as '2026-11-27'"),
        ("date", "2024-02-29", 5, "is 5, not a date such as '2026-11-27'"),
        ("instant", "2026-11-27T09:00:00Z", "2026-11-27", "is '2026-11-27', not an instant such as "),
        ("instant", "2026-11-27t09:00:00.5+01:00", "2026-11-27T29:00:00Z", "is '2026-11-27T29:00:00Z', not an instant"),
        ("boolean", True, 1, "is 1, not a boolean"),
        ("number", 1.5, True, "is True, not a number"),
        ("integer", 1, 1.0, "is 1.0, not an integer"),
        ("list", [1], {}, "is {}, not a list"),
        ("object", {}, "x" * 60, "is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..., not an object"),
        ("any", None, None, ""),
    ],
)
def test_value_is_checked_against_its_declared_type(kind: str, good: object, bad: object, problem: str) -> None:
    field = FieldType(ValueType(kind))
    assert field.problem_of(good) is None
    assert (field.problem_of(bad) or "").startswith(problem)
