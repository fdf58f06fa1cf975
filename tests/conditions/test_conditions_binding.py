"""Partial evaluation never changes what a condition means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_conditions import conditions, event_names, registry_names, scopes

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import (
    And,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    In,
    IsDefined,
    Name,
    Not,
    Or,
)

ROOTS = ["event", "previous", "now", "user", "device", "zone"]

SCORE = Name("event", ("data", "score"))
SPEND = Name("user", ("attributes", "spend"))
MATCHES = Compare(Comparison.GREATER, SPEND, Constant(5))


def condition(expression: Expression) -> Condition:
    return Condition(expression, "")


@pytest.mark.slow
@given(conditions(st.one_of(event_names, registry_names)), scopes, st.sets(st.sampled_from(ROOTS)))
def test_bound_condition_means_what_the_whole_one_means(
    expression: Expression, scope: dict[str, object], known: set[str]
) -> None:
    whole = condition(expression)
    bound = whole.bind({root: scope[root] for root in known})
    rest = {root: value for root, value in scope.items() if root not in known}
    assert bound.evaluate(rest) is whole.evaluate(scope)
    assert not {name.split(".")[0] for name in bound.names} & known
    assert bound.bind({root: scope[root] for root in rest}).constant is whole.evaluate(scope)


def test_condition_without_names_left_is_constant() -> None:
    bound = condition(Compare(Comparison.EQUAL, SCORE, Constant(2))).bind({"event": {"data": {"score": 2}}})
    assert bound.is_constant
    assert bound.constant is True


def test_unknown_and_false_stay_apart_under_not() -> None:
    unknown = condition(Not(Compare(Comparison.EQUAL, SCORE, Constant(2)))).bind({"event": None})
    assert unknown.is_constant
    assert unknown.constant is None


def test_folding_leaves_only_what_is_not_known() -> None:
    event = {"event": {"data": {"score": 2}}}
    is_two = Compare(Comparison.EQUAL, SCORE, Constant(2))
    assert condition(And((is_two, MATCHES))).bind(event).expression == MATCHES
    assert condition(Or((Not(is_two), MATCHES))).bind(event).expression == MATCHES
    assert condition(Or((is_two, MATCHES))).bind(event).constant is True
    assert condition(And((Not(is_two), MATCHES))).bind(event).constant is False
    assert condition(And((IsDefined(Name("previous")), MATCHES))).bind({"previous": None}).constant is False
    assert condition(Compare(Comparison.LESS, SPEND, Default(SCORE, Constant(0)))).bind(
        {"event": None}
    ).expression == Compare(Comparison.LESS, SPEND, Constant(0))
    assert condition(In(SPEND, Name("event", ("data", "list")))).bind(
        {"event": {"data": {"list": [1, 2]}}}
    ).expression == In(SPEND, Constant([1, 2]))
    unknown = Compare(Comparison.EQUAL, Name("previous", ("data", "score")), Constant(2))
    assert condition(And((unknown, MATCHES, unknown))).bind({"previous": None}).expression == And(
        (Constant(None), MATCHES)
    )


def test_names_that_remain_are_those_that_are_still_read() -> None:
    whole = condition(And((Compare(Comparison.EQUAL, SCORE, Constant(2)), MATCHES)))
    assert whole.names == {"event.data.score", "user.attributes.spend"}
    assert whole.bind({"event": {"data": {"score": 2}}}).names == {"user.attributes.spend"}


def test_single_name_left_of_an_and_is_not_taken_for_a_truth() -> None:
    text_is_text = Compare(Comparison.EQUAL, And((Constant(True), SPEND)), Constant("x"))
    assert condition(text_is_text).evaluate({"user": {"attributes": {"spend": "x"}}}) is None
    assert condition(text_is_text).bind({}).evaluate({"user": {"attributes": {"spend": "x"}}}) is None


def test_condition_that_reads_nothing_known_is_one_and_the_same_after_each_bind() -> None:
    whole = condition(And((MATCHES, Compare(Comparison.EQUAL, Constant(1), Constant(1)))))
    first, second = whole.bind({"event": {"data": {}}, "now": 1}), whole.bind({"event": None, "zone": None})
    assert first is second
    assert first.expression == MATCHES
    assert first.bind({"now": 2}).bind({"now": 3}).expression == MATCHES
