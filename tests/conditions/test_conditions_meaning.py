"""The meaning of conditions, row by row: expression, scope, and true, false or unknown (None)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SCOPE = {
    "event": {"id": "e1", "source": "s", "type": "goal", "time": NOON, "data": {
        "home": "FCB", "score": 2, "ratio": 0.5, "big": 2**63 - 1, "small": -(2**63), "flag": True, "null": None,
        "empty": "", "zero": 0, "no": False, "one": 1, "list": ["a", "b"], "mixed": ["a", 1, None], "none_in": [],
        "deep": {"er": {"est": {"y": "x"}}}, "k-y": "v", "numbers": [1, 2.5], "huge": 1e308, "truths": [True],
    }},
    "previous": None,
    "user": {},
    "device": {"id": 7, "topics": ["team:FCB", "vip"], "attributes": {"alerts": "all"}, "registered_at": NOON},
    "now": NOON + timedelta(hours=1),
}  # fmt: skip


def value_of(text: str) -> bool | None:
    source = Source("rule.yaml", text)
    node = ScalarNode(text, source.span(0, len(text)), plain=True, places=tuple(range(len(text) + 1)))
    condition, findings = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert condition is not None, findings
    unbound = condition.evaluate(SCOPE)
    assert condition.bind({"event": SCOPE["event"], "previous": None}).evaluate(SCOPE) is unbound
    everything = condition.bind(SCOPE)
    assert everything.is_constant
    assert everything.constant is unbound
    return unbound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # literals and equality
        ("true", True),
        ("false", False),
        ("1 == 1.0", True),
        ("1 != 2", True),
        # comparison within one type
        ("event.data.home == 'FCB'", True),
        ("event.data['home'] == 'FCB'", True),
        ("event.data['k-y'] == 'v'", True),
        ("event.data.home == 'fcb'", False),
        ("event.data.score >= 2", True),
        ("event.data.score < 2", False),
        ("event.data.ratio < 1", True),
        ("event.data.deep.er.est.y == 'x'", True),
        ("1 < event.data.score < 3", True),
        ("1 < event.data.score < 2", False),
        ("3 > event.data.score", True),
        ("event.data.flag == true", True),
        ("event.data.flag", True),
        ("event.data.no", False),
        ("event.time < now", True),
        ("event.time == device.registered_at", True),
        # strings by code point
        ("'Z' < 'a'", True),
        ("'z' < 'é'", True),
        ("'\uffff' < '\U0001f600'", True),
        ("'' < 'a'", True),
        # missing and null
        ("event.data.nothing == 1", None),
        ("event.data.null == 1", None),
        ("event.data.nothing.deeper == 1", None),
        ("event.data.home.deeper == 1", None),
        ("previous.data.score == 1", None),
        ("user.attributes.x == 1", None),
        ("event.data.nothing == event.data.nothing", None),
        ("not event.data.nothing", None),
        ("event.data.nothing != 1", None),
        ("event.data.nothing in ['a']", None),
        ("event.data.nothing in []", None),
        ("event.data.nothing not in ['a']", None),
        ("'a' in event.data.nothing", None),
        ("event.data.nothing + 1 > 0", None),
        ("event.data.nothing is defined", False),
        ("event.data.null is defined", False),
        ("event.data.null is not defined", True),
        ("event.data.empty is defined", True),
        ("previous is defined", False),
        ("user is defined", False),
        ("device is defined", True),
        ("event is defined and event.data is defined", True),
        # default
        ("event.data.nothing | default(5) == 5", True),
        ("event.data.null | default(5) == 5", True),
        ("event.data.score | default(5) == 5", False),
        ("event.data.empty | default('x') == ''", True),
        ("event.data.empty | default('x', true) == 'x'", True),
        ("event.data.empty | default('x', false) == ''", True),
        ("event.data.zero | default(5, true) == 0", True),
        ("event.data.no | default(true, true) == false", True),
        ("event.data.nothing | default(none) == 5", None),
        ("event.data.nothing | default(event.data.score) == 2", True),
        ("(previous.data.score | default(0)) + 1 == 1", True),
        # Kleene
        ("event.data.nothing == 1 and false", False),
        ("event.data.nothing == 1 and true", None),
        ("event.data.nothing == 1 or true", True),
        ("event.data.nothing == 1 or false", None),
        ("not (event.data.nothing == 1 and false)", True),
        ("not (event.data.nothing == 1 or false)", None),
        ("event.data.nothing is defined and event.data.nothing != 1", False),
        ("event.data.nothing is not defined or event.data.nothing != 1", True),
        ("event.data.home and true", None),
        ("not event.data.home", None),
        ("event.data.home or true", True),
        # different types
        ("event.data.home == 2", None),
        ("event.data.score == '2'", None),
        ("event.data.flag == 1", None),
        ("event.data.one == true", None),
        ("event.data.no < event.data.flag", None),
        ("event.data.home < 3", None),
        ("event.data.list == event.data.list", None),
        ("event.data.deep == event.data.deep", None),
        ("event.data.home", None),
        ("event.data.time == now", None),
        # in
        ("event.data.home in ['FCB', 'BVB']", True),
        ("event.data.home in ('FCB', 'BVB')", True),
        ("event.data.home in ['BVB']", False),
        ("event.data.home not in ['BVB']", True),
        ("event.data.home in []", False),
        ("event.data.score in [1, 2.0]", True),
        ("event.data.score in ['a', 2]", True),
        ("event.data.score in ['a', 3]", None),
        ("event.data.score in ['a']", None),
        ("event.data.flag in [1]", None),
        ("event.data.home in ['FCB', event.data.nothing]", True),
        ("event.data.home in ['x', event.data.nothing]", None),
        ("1 in event.data.truths", None),
        ("'a' in event.data.list", True),
        ("'c' in event.data.list", False),
        ("'c' in event.data.mixed", None),
        ("'a' in event.data.mixed", True),
        ("'a' in event.data.none_in", False),
        ("2.5 in event.data.numbers", True),
        ("'team:FCB' in device.topics", True),
        ("'team:BVB' in device.topics", False),
        ("'CB' in event.data.home", True),
        ("'' in event.data.home", True),
        ("1 in event.data.home", None),
        ("'er' in event.data.deep", None),
        ("device.attributes.alerts in ['all', 'goals']", True),
        # arithmetic
        ("event.data.score + 1 == 3", True),
        ("event.data.score - 3 == -1", True),
        ("-event.data.score == -2", True),
        ("+event.data.score == 2", True),
        ("event.data.score + 0.5 == 2.5", True),
        ("event.data.big == 9223372036854775807", True),
        ("event.data.small == -9223372036854775808", True),
        ("event.data.big + 1 > 0", None),
        ("event.data.small - 1 < 0", None),
        ("-event.data.small > 0", None),
        ("event.data.big + 1.5 > 0", True),
        ("event.data.huge + event.data.huge > 0", None),
        ("event.data.home + 1 == 1", None),
        ("event.data.flag + 1 == 2", None),
        ("event.data.score + 1 + 1 - 4 == 0", True),
    ],
)
def test_meaning(text: str, expected: bool | None) -> None:
    assert value_of(text) is expected


def test_missing_names_are_told_once_in_the_order_of_the_text() -> None:
    text = "event.data.b == 1 and event.data.a == event.data.b and event.data.home == 'x'"
    source = Source("rule.yaml", text)
    node = ScalarNode(text, source.span(0), plain=True, places=tuple(range(len(text) + 1)))
    condition, _ = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert condition is not None
    assert condition.missing_names(SCOPE) == ("event.data.b", "event.data.a")
    assert condition.names == {"event.data.a", "event.data.b", "event.data.home"}
    assert condition.source_text == text
