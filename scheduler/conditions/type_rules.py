"""Which types may stand beside each other: pure rules, without positions."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.conditions.expressions import Comparison, Constant, Expression
from scheduler.conditions.types import FieldType, ValueType
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.json_values import JsonScalar


@dataclass(frozen=True, slots=True)
class Missing:
    """What may be missing, as it is written, where it stands, and whether the schema says so (else nobody declared
    it). `computed`: it is no name but the result of a filter, which has none for some values."""

    name: str
    start: int
    end: int
    declared: bool
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression with its type, and the names whose absence would make it unknown."""

    expression: Expression
    type: ValueType
    values: tuple[JsonScalar, ...] = ()
    missing: tuple[Missing, ...] = ()


ANYTHING = Typed(Constant(None), ValueType.ANY)
"""Stands where a finding was made: fits everywhere, and is unknown should it ever be evaluated."""

_COMPARABLE = {
    ValueType.STRING: "string",
    ValueType.INTEGER: "number",
    ValueType.NUMBER: "number",
    ValueType.BOOLEAN: "boolean",
    ValueType.DATE: "date",
    ValueType.INSTANT: "instant",
}
_ORDER = (Comparison.LESS, Comparison.AT_MOST, Comparison.GREATER, Comparison.AT_LEAST)


def type_of_scalar(value: object) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOLEAN
        case int():
            return ValueType.INTEGER
        case float():
            return ValueType.NUMBER
        case str():
            return ValueType.STRING
        case _:
            return ValueType.ANY


def type_of_field(field: FieldType) -> ValueType:
    """The type a name has in a condition: that of its values, if it is an enum of one type."""
    if field.type is ValueType.ENUM:
        kinds = {type_of_scalar(value) for value in field.values}
        return kinds.pop() if len(kinds) == 1 else ValueType.ANY
    return field.type


def is_number(kind: ValueType) -> bool:
    return kind in (ValueType.INTEGER, ValueType.NUMBER, ValueType.ANY)


def comparison_problem(comparison: Comparison, left: Typed, right: Typed, sign: str) -> str | None:
    """Why two types cannot be compared; None when they can. `sign` is how the comparison is written."""
    for side in (left, right):
        if side.type in (ValueType.LIST, ValueType.OBJECT):
            return f"{with_article(side.type)} cannot be compared with `{sign}`"
    if ValueType.ANY not in (left.type, right.type) and _COMPARABLE[left.type] != _COMPARABLE[right.type]:
        return f"`{sign}` compares {with_article(left.type)} with {with_article(right.type)}"
    if comparison in _ORDER and ValueType.BOOLEAN in (left.type, right.type):
        return f"true and false have no order for `{comparison}`"
    return None


def comparison_hint(left: Typed, right: Typed) -> str | None:
    """What to write in place of a comparison of two types, where many people go wrong."""
    kinds = {left.type, right.type}
    if ValueType.LIST in kinds and ValueType.OBJECT not in kinds:
        return "to ask whether a list has a value: `… in …`, the list behind `in`"
    if kinds == {ValueType.DATE, ValueType.INSTANT}:
        return 'beside a time stands `now` or `ago("1 day")`, beside a date `today`; `days_between(a, b)` counts days'
    if kinds in ({ValueType.STRING, ValueType.INTEGER}, {ValueType.STRING, ValueType.NUMBER}):
        text, number = (left, right) if left.type is ValueType.STRING else (right, left)
        if isinstance(text.expression, Constant):
            return "numbers stand without quotes"
        if isinstance(number.expression, Constant):
            return f'text stands in quotes: "{number.expression.value}"'
        return "read text as a number with `| int` or `| float`"
    if kinds == {ValueType.BOOLEAN}:
        return "write the name alone, or `not` before it"
    if kinds == {ValueType.STRING, ValueType.BOOLEAN}:
        return "`true` and `false` stand without quotes"
    return None


def enum_problem(field: Typed, literal: Typed) -> tuple[str, str | None] | None:
    """A literal beside an enum that it never equals: message and hint. None when it may."""
    if not field.values or not isinstance(literal.expression, Constant):
        return None
    value = literal.expression.value
    if value is None or any(type(value) is type(one) and value == one for one in field.values):
        return None
    words = ", ".join(repr(one) for one in field.values)
    near = did_you_mean(value, [w for w in field.values if isinstance(w, str)]) if isinstance(value, str) else None
    return f"{value!r} is never equal: the values are {words}", near


def with_article(kind: ValueType) -> str:
    return f"an {kind}" if kind.value[0] in "aeio" else f"a {kind}"
