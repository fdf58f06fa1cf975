"""Whatever text stands in a condition: findings with places, or a condition that evaluates; never an exception."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode

WORDS = [
    "event.data.x", "user.attributes.y", "device.topics", "previous", "now", "nope", "exit", "true", "none", "1", "-2",
    "0x1f", "1_000", "1e5", "9" * 30, "1e999", "'a'", '"b"', "'\\N{bad}'", "'\\x'", "==", "!=", "<", ">=", "in", "not",
    "and", "or", "is", "defined", "if", "else", "+", "-", "*", "**", "/", "~", "|", "default", "default(1)",
    "default('', true)", "lower", "(", ")", "[", "]", "{", "}", ",", ":", ".", ".x", "['k']", "[0]", "[1:2]", "()",
    "ago('1 day')", "=", "&&", "!", "?", "#", "{{", "}}", "{%", "\n", "\r\n", "é", "\ud800", "\0", "_x", "a.0", "*x",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(max_size=30),
)


@given(texts)
def test_any_text_is_a_condition_or_findings_inside_it(text: str) -> None:
    node = ScalarNode(text, Source("r", text).span(0, len(text)), plain=True, places=tuple(range(len(text) + 1)))
    condition, findings = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert condition is not None or findings
    assert all(0 <= found.span.start <= len(text) for found in findings)
    if condition is not None:
        assert condition.evaluate({}) in (True, False, None)
        assert condition.bind(dict.fromkeys(ROOTS)).is_constant
