"""What arithmetic and comparisons do with two types: the type of the result, or what is certainly wrong."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.rendering.expression_types import (
    ANYTHING,
    INTEGER,
    NUMBER,
    NUMERIC,
    Kind,
    Type,
    named,
    of,
)

_READ = "read text as a number with `| int` or `| float`"
_ORDER = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_SIGNS = {**_ORDER, "eq": "==", "ne": "!=", "in": "in", "notin": "not in"}
_ORDERED = {Kind.TEXT: "text", Kind.INTEGER: "number", Kind.NUMBER: "number", Kind.BOOLEAN: "number",
            Kind.INSTANT: "instant", Kind.LIST: "list"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding about an operation; `about` is "left" or "right" when it is about one operand alone."""

    code: str
    message: str
    hint: str | None = None
    about: str | None = None


def arithmetic(sign: str, left: Type, right: Type, divisor: object = None) -> Type | Problem:
    """The result of `left sign right`. `divisor` is the right side if it is a constant."""
    if not left.is_known or not right.is_known:
        if sign == "%" and left.only(Kind.TEXT):
            return Problem("wrong-type", "`%` formats no text here", 'use the filter: `"%.2f" | format(x)`')
        return ANYTHING
    for one in sorted(left.kinds):
        for other in sorted(right.kinds):
            if not _fits(sign, one, other):
                return _mismatch(sign, one, other)
    if sign in ("/", "//", "%") and type(divisor) in (int, float) and divisor == 0:
        return Problem("wrong-type", "this divides by zero")
    if left.only(*NUMERIC) and right.only(*NUMERIC):
        whole = left.only(Kind.INTEGER, Kind.BOOLEAN) and right.only(Kind.INTEGER, Kind.BOOLEAN)
        return INTEGER if whole and sign != "/" else NUMBER
    kinds = (left.kinds | right.kinds) - set(NUMERIC)  # texts and lists are added, and repeated by numbers
    return of(*kinds) if kinds <= {Kind.TEXT, Kind.LIST} else ANYTHING


def _fits(sign: str, left: Kind, right: Kind) -> bool:
    if left in NUMERIC and right in NUMERIC:
        return True
    match sign:
        case "+":
            return left is right and left in (Kind.TEXT, Kind.LIST)
        case "-":
            return left is right is Kind.INSTANT
        case "*":
            pair = {left, right}
            return bool(pair & {Kind.TEXT, Kind.LIST}) and bool(pair & {Kind.INTEGER, Kind.BOOLEAN})
    return False


def _mismatch(sign: str, left: Kind, right: Kind) -> Problem:
    if sign == "%" and left is Kind.TEXT:
        return Problem("wrong-type", "`%` formats no text here", 'use the filter: `"%.2f" | format(x)`')
    if left is right:
        message = f"`{sign}` does not work with {named(left)}"
    else:
        message = f"`{sign}` does not work with {named(left)} and {named(right)}"
    hint = None
    if Kind.TEXT in (left, right):
        hint = "`~` puts texts and numbers together; " + _READ if sign == "+" else _READ
    return Problem("different-types", message, hint)


def comparison(op: str, left: Type, right: Type) -> Problem | None:
    """What is certainly wrong with a comparison."""
    sign = _SIGNS.get(op, op)
    if op in _ORDER:
        for one in sorted(left.kinds):
            for other in sorted(right.kinds):
                if one not in _ORDERED or _ORDERED.get(other) != _ORDERED[one]:
                    return Problem("different-types", _cannot(sign, one, other), _comparison_hint(one, other))
        return None
    if op in ("in", "notin"):
        wrong = right.outside(Kind.TEXT, Kind.LIST, Kind.OBJECT, Kind.ITERATOR)
        if wrong:
            return Problem("wrong-type", f"`{sign}` looks into a text or a list, not into {named(wrong[0])}")
        if Kind.TEXT in right.kinds and (wrong := left.outside(Kind.TEXT)):
            message = f"`{sign}` looks for a text in a text, not for {named(wrong[0])}"
            return Problem("different-types", message, "`| string` makes text of a number")
        return None
    if op not in ("eq", "ne") or not left.is_known or not right.is_known:
        return None
    groups = [{_ORDERED.get(kind, kind.value) for kind in side.kinds} for side in (left, right)]
    if groups[0].isdisjoint(groups[1]):
        one, other = sorted(left.kinds)[0], sorted(right.kinds)[0]
        return Problem("different-types", _cannot(sign, one, other), _comparison_hint(one, other))
    for enum, literal, about in ((left, right, "right"), (right, left, "left")):
        if len(literal.values) == 1 and len(enum.values) > 1 and literal.values[0] not in enum.values:
            value = literal.values[0]
            words = ", ".join(repr(one) for one in enum.values)
            near = None
            if isinstance(value, str):
                near = did_you_mean(value, [one for one in enum.values if isinstance(one, str)])
            return Problem("enum-value", f"{value!r} is never equal: the values are {words}", near, about)
    return None


def _cannot(sign: str, left: Kind, right: Kind) -> str:
    if left is right:
        return f"`{sign}` has no order for {named(left)}"
    return f"`{sign}` compares {named(left)} with {named(right)}"


def _comparison_hint(left: Kind, right: Kind) -> str | None:
    if {left, right} == {Kind.TEXT, Kind.INSTANT}:
        return "dates and times of data are text; compare the text of this: `.isoformat()`, or `today`"
    if Kind.TEXT in (left, right) and (left in NUMERIC or right in NUMERIC):
        return _READ
    return None
