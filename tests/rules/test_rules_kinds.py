"""Fields: strict reading, and the JSON Schema that is made of the same table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.rules.compiler import compile_rule
from scheduler.rules.fields import Field
from scheduler.rules.json_schema import rule_json_schema
from scheduler.rules.reference import filled
from scheduler.rules.rule import Collapse, OnUnknown, Rule
from scheduler.rules.rule_table import RULE_TABLE

SMALLEST = """\
category: sports
trigger: {event: com.example.goal}
audience: {everyone: true}
message: {template: goal}
"""


def rule_with(one: Field, value: str) -> str:
    """The smallest rule with one field more, or another value of it."""
    sections: dict[str, dict[str, str]] = {
        "category": {"": "sports"},
        "trigger": {"event": "com.example.goal"},
        "audience": {"everyone": "true"},
        "message": {"template": "goal"},
    }
    section, _, key = one.path.partition(".")
    sections.setdefault(section, {})[key] = value
    lines = []
    for name, fields in sections.items():
        inner = "\n".join(f"  {key}: {value}" for key, value in fields.items())
        lines.append(f"{name}: {fields['']}" if "" in fields else f"{name}:\n{inner}")
    return "\n".join(lines) + "\n"


def root_of(text: str) -> MappingNode:
    root = read_yaml(Source("rules/goal.yaml", text)).root
    assert isinstance(root, MappingNode)
    return root


def compiled(text: str) -> Rule:
    rule, findings = compile_rule(read_yaml(Source("rules/goal.yaml", text)), "goal", Schema.undeclared())
    assert rule is not None, findings
    return rule


def messages(text: str) -> list[str]:
    _, findings = compile_rule(read_yaml(Source("rules/goal.yaml", text)), "goal", Schema.undeclared())
    return [f"{one.severity} {one.code}" for one in findings]


def test_the_smallest_rule_has_every_default() -> None:
    rule = compiled(SMALLEST)
    delivery = rule.delivery
    assert (rule.name, rule.description, rule.owner, rule.category, rule.enabled) == ("goal", "", "", "sports", True)
    assert (rule.trigger.event, rule.trigger.when, rule.trigger.once_per, rule.trigger.manual) == (
        "com.example.goal", None, None, False,
    )  # fmt: skip
    assert rule.audience.app is None
    assert (delivery.push_type, delivery.priority, delivery.lane) == ("alert", 10, Lane.NORMAL)
    assert (delivery.expires_after, delivery.max_age) == (timedelta(days=1), None)
    assert (delivery.collapse, delivery.supersede, delivery.rate) == (Collapse.DERIVED, None, None)
    assert delivery.on_unknown is OnUnknown.RESEND


def test_values_are_typed_by_their_fields() -> None:
    delivery = compiled(
        SMALLEST + "delivery: {priority: 5, expires_after: never_store, collapse: none, lane: urgent, rate: 30/min,"
        " max_age: 2 h, on_unknown: drop}"
    ).delivery
    assert (delivery.priority, delivery.expires_after, delivery.collapse) == (5, None, Collapse.NONE)
    assert (delivery.lane, delivery.rate, delivery.max_age) == (Lane.URGENT, Rate(0.5, 1), timedelta(hours=2))
    assert delivery.on_unknown is OnUnknown.DROP


def test_apostrophes_on_both_sides_of_a_comment_cut_nothing() -> None:
    assert messages(SMALLEST + "description: It's on  # don't move\n") == []


def test_background_has_its_own_defaults() -> None:
    delivery = compiled(SMALLEST + "delivery: {type: background}").delivery
    assert (delivery.push_type, delivery.priority, delivery.collapse) == ("background", 5, Collapse.NONE)


@pytest.mark.parametrize("push_type", ["voip", "pushtotalk", "location"])
def test_what_must_not_come_twice_is_dropped_when_its_outcome_is_unknown(push_type: str) -> None:
    assert compiled(SMALLEST + f"delivery: {{type: {push_type}}}").delivery.on_unknown is OnUnknown.DROP


def test_all_problems_come_at_once() -> None:
    text = "trigger: {x: y}\naudience: {}\nmessage: {template: [a]}\ndelivery: {priority: 7, rate: x}\n"
    assert messages(text) == [
        "error unknown-key", "error wrong-value", "error wrong-value", "error wrong-value", "error missing-key",
        "error missing-key", "error no-audience",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "switched_off",
    ["limits: {caps: ignore, fuse: ignore, reentry: always, per_user: all}",
     "timing: {quiet_hours: ignore, recheck: true, delay: 0 s}"],
)  # fmt: skip
def test_values_that_switch_a_thing_off_are_accepted(switched_off: str) -> None:
    assert messages(SMALLEST + switched_off) == []


@pytest.mark.parametrize("one", [one for one in RULE_TABLE.fields if not one.reserved], ids=lambda one: one.path)
def test_example_of_every_field_is_read(one: Field) -> None:
    values, _ = RULE_TABLE.read(root_of(rule_with(one, one.example)))
    assert values.has(one.path)


def test_json_schema_knows_every_field_and_nothing_else() -> None:
    def paths(schema: dict[str, object], path: str) -> set[str]:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or RULE_TABLE.field(path[1:]) is not None:
            return {path}
        assert schema["additionalProperties"] is False
        return {found for key, inner in properties.items() for found in paths(inner, f"{path}.{key}")}

    assert paths(rule_json_schema(), "") == {f".{one.path}" for one in RULE_TABLE.fields}
    assert "oneOf" in str(rule_json_schema())
    assert rule_json_schema()["required"] == ["category", "message"]


def test_tables_are_filled_between_their_marks() -> None:
    page = "a\n<!-- table: one -->\nold\n<!-- end -->\nb\n"
    assert filled(page, {"one": "new\n"}) == "a\n<!-- table: one -->\nnew\n<!-- end -->\nb\n"
