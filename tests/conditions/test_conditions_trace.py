"""The trace of a condition agrees with its result, and reads as a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from random_conditions import conditions, registry_names, scopes

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import Expression
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.trace import written
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode

SCOPE = {
    "event": {"id": "e", "time": datetime(2026, 11, 23, 12, tzinfo=UTC), "data": {"score": 2}},
    "previous": {"id": "d", "data": {"score": 1}},
    "device": {"attributes": {"alerts": "none", "unread": 3}, "topics": ["team:FCB"]},
    "user": {"attributes": {"plan": "free", "name": "Ann"}},
    "now": datetime(2026, 11, 23, 13, tzinfo=UTC),
    "zone": ZoneInfo("Europe/Berlin"),
}


def parsed(text: str) -> Condition:
    node = ScalarNode(text, Source("r", text).span(0, len(text)), plain=True, places=tuple(range(len(text) + 1)))
    condition, findings = parse_condition(node, Schema.undeclared(), names=ROOTS - {"slot"})
    assert condition is not None, findings
    return condition


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ('device.attributes.alerts in ["all", "goals"]',
         ["device.attributes.alerts is 'none', wanted one of 'all', 'goals': no"]),
        ("user.attributes.plan == 'pro' and device.attributes.unread > 5",
         ["user.attributes.plan is 'free', wanted 'pro': no"]),
        ("user.attributes.plan == 'pro' or device.attributes.unread > 5",
         ["user.attributes.plan is 'free', wanted 'pro': no", "device.attributes.unread is 3, wanted > 5: no"]),
        ("5 < device.attributes.unread", ["device.attributes.unread is 3, wanted > 5: no"]),
        ("user.attributes.spend > 100", ["user.attributes.spend is missing, wanted > 100: unknown"]),
        ("user.attributes.spend is not defined", ["user.attributes.spend is missing, wanted anything: no"]),
        ("'vip' in device.topics", ["device.topics is ['team:FCB'], wanted 'vip' in it: no"]),
        ("event.data.score > previous.data.score + 1",
         ["event.data.score is 2, wanted > previous.data.score + 1 (2): no"]),
        ("changed('score')", ["event.data.score is 2, wanted another than previous.data.score (1): yes"]),
        ("startswith(user.attributes.name | lower, 'b')",
         ["user.attributes.name | lower is 'ann', wanted 'b' at its beginning: no"]),
        ("event.time < ago('2 hours')",
         ["event.time is 2026-11-23 12:00:00+00:00, wanted < ago(\"2 hours\") (2026-11-23 11:00:00+00:00): no"]),
        ("event.time > '2026-11-23 14:00'",
         ["event.time is 2026-11-23 12:00:00+00:00, wanted > \"2026-11-23 14:00\" (2026-11-23 13:00:00+00:00): no"]),
        ("days_between(event.time, today) == 1",
         ["days_between(event.time, today) is 0, wanted 1: no"]),
        ("not (device.attributes.alerts == 'none')", ["device.attributes.alerts is 'none', wanted 'none': yes"]),
        ("device.attributes.muted | default(false)",
         ["device.attributes.muted | default(false) is false, wanted true: no"]),
    ],
)  # fmt: skip
def test_steps_say_what_was_wanted_and_what_was_seen(text: str, steps: list[str]) -> None:
    assert [str(step) for step in parsed(text).trace(SCOPE)[1]] == steps


@given(conditions(registry_names), scopes)
def test_trace_agrees_with_the_result(expression: Expression, scope: dict[str, object]) -> None:
    condition = Condition(expression, "")
    result, steps = condition.trace(scope)
    assert result is condition.evaluate(scope)
    assert all(str(step) for step in steps)


@pytest.mark.parametrize(
    "text",
    [
        "device.attributes.unread * 2 - 1 > 3 and not (user.attributes.plan == 'pro' or event.data.score == 2)",
        "event.id ~ 'x' == 'ex'",
        "event.data.score | default(0, true) == 2",
        "event.id | first | upper == 'E'",
        "changed('score') and today == '2026-11-23'",
        "event.time > ago('1 day')",
        "'e' in event.id and event.id in ['e', \"f'\"]",
    ],
)
def test_what_is_written_reads_back_as_the_same_condition(text: str) -> None:
    condition = parsed(text)
    assert parsed(written(condition.expression)).expression == condition.expression
