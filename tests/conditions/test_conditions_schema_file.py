"""schema.yaml: what it declares, and what its errors say."""

from __future__ import annotations

import pytest

from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml


def read(text: str) -> tuple[Schema, list[str]]:
    schema, findings = read_schema(read_yaml(Source("schema.yaml", text)).root)
    return schema, [f"{found.span} {found.code}: {found.message}; {found.hint}" for found in findings]


def test_schema_file_declares_types() -> None:
    schema, problems = read("""
users:   {attributes: {first_name: "string?", spend: number, plan: {enum: [free, pro]}, birthday: "date?"}}
devices:
  open: true
  attributes: {alerts: {enum: [all, 1, true], optional: true}, unread: {type: integer, optional: true}}
events:
  score: {home: string, open: boolean}
  more: {open: true, a: any}
""")
    assert problems == []
    assert schema.users == Section(
        {
            "first_name": FieldType(ValueType.STRING, optional=True),
            "spend": FieldType(ValueType.NUMBER),
            "plan": FieldType(ValueType.ENUM, values=("free", "pro")),
            "birthday": FieldType(ValueType.DATE, optional=True),
        }
    )
    assert schema.devices == Section(
        {
            "alerts": FieldType(ValueType.ENUM, optional=True, values=("all", 1, True)),
            "unread": FieldType(ValueType.INTEGER, optional=True),
        },
        open=True,
    )
    assert schema.events["score"] == Section(
        {"home": FieldType(ValueType.STRING), "open": FieldType(ValueType.BOOLEAN)}
    )
    assert schema.events["more"] == Section({"a": FieldType(ValueType.ANY)}, open=True)
    assert not schema.open_events


def test_open_events_open_every_type() -> None:
    schema, problems = read("events: {open: true, score: {home: string}}")
    assert problems == []
    assert schema.open_events
    assert schema.events["score"].open


def test_empty_schema_file_declares_nothing_so_nothing_is_known() -> None:
    schema, problems = read("")
    assert problems == []
    assert schema == Schema(users=Section(), devices=Section(), open_events=False)
    assert read("users:\n")[1] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "user: {}",
            "schema.yaml:1:1 unknown-key: unknown key 'user'; did you mean 'users'?",
        ),
        (
            "users: {attributes: {a: stringg}}",
            "schema.yaml:1:25 schema: 'stringg' is not a type; did you mean 'string'?",
        ),
        (
            "users: {attributes: {a: {optional: true}}}",
            "schema.yaml:1:25 schema: a field needs a type; write a word such as `string`, or `{enum: [a, b]}`",
        ),
        (
            "users: {attributes: {a: {enum: x}}}",
            "schema.yaml:1:32 schema: an enum is a list of values; write `{enum: [free, pro]}`",
        ),
        (
            "users: {attributes: {a: {enum: [x, ~]}}}",
            "schema.yaml:1:36 schema: a value of an enum is a word, a number or true or false; "
            "leave it out; optional fields are written `{enum: […], optional: true}`",
        ),
        (
            "users: {attributes: {a: {enum: [x], type: string}}}",
            "schema.yaml:1:43 schema: a field has a type or an enum, not both; remove one of them",
        ),
        (
            "users: {open: maybe}",
            "schema.yaml:1:15 schema: this must be true or false; write `true`, or leave it out",
        ),
        (
            "users: {attributes: {a: [free, pro]}}",
            "schema.yaml:1:25 schema: a field needs a type, and this is a list; "
            "the possible values are written `{enum: [free, pro]}`",
        ),
        (
            "users: {attributes: {a: }}",
            "schema.yaml:1:25 schema: a field needs a type; write a word such as `string`, or `{enum: [a, b]}`",
        ),
        (
            "users: {attributes: {a: Float}}",
            "schema.yaml:1:25 schema: 'Float' is not a type; write `number`",
        ),
        (
            "users: [a]",
            "schema.yaml:1:8 schema: this must be names with their types; write `name: type` on lines of their own",
        ),
        (
            "devices: {a: string}",
            "schema.yaml:1:11 unknown-key: unknown key 'a'; attributes have a section: `attributes: {a: …}`",
        ),
        (
            "users: {attributes: {a: {type: string, required: true}}}",
            "schema.yaml:1:40 unknown-key: unknown key 'required'; the keys here are type, enum, optional",
        ),
        (
            "events: {score: {a: colour}}",
            "schema.yaml:1:21 schema: 'colour' is not a type; the types are string, integer, number, boolean, date, "
            "instant, list, object, any and {enum: […]}",
        ),
    ],
)
def test_error_in_the_schema_file_says_what_where_and_the_way_out(text: str, problem: str) -> None:
    assert read(text)[1] == [problem]
