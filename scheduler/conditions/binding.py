"""Partial evaluation: what is left of a condition once some roots are known.

Law: for every scope, the bound expression evaluates as the whole one does with the known values put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import assert_never

from scheduler.conditions.evaluation import compiled
from scheduler.conditions.expressions import (
    And,
    Call,
    Changed,
    Compare,
    Constant,
    Default,
    Expression,
    In,
    IsDefined,
    ListOf,
    LocalDate,
    Name,
    Not,
    Or,
    Sum,
    WallTime,
    children,
    is_boolean,
)

UNKNOWN = Constant(None)


def bound(expression: Expression, known: Mapping[str, object]) -> Expression:
    """The expression with the names of `known` roots replaced by their values, and constants folded.

    A root that is known to be None has only missing names. The zone may be known too. Unknown stays apart from false:
    under `not` they differ.
    """
    match expression:
        case Constant():
            return expression
        case Name(root, _):
            return Constant(compiled(expression)(known)) if root in known else expression
        case ListOf(items):
            return _folded(ListOf(tuple(bound(item, known) for item in items)))
        case Compare(comparison, left, right):
            return _unless_unknown(Compare(comparison, bound(left, known), bound(right, known)))
        case In(item, container):
            return _unless_unknown(In(bound(item, known), bound(container, known)))
        case Sum(left, right, minus):
            return _unless_unknown(Sum(bound(left, known), bound(right, known), minus))
        case Not(operand):
            return _folded(Not(bound(operand, known)))
        case And(operands):
            return _connected([bound(operand, known) for operand in operands], conjunction=True)
        case Or(operands):
            return _connected([bound(operand, known) for operand in operands], conjunction=False)
        case IsDefined(operand):
            inner = bound(operand, known)
            return Constant(inner.value is not None) if isinstance(inner, Constant) else IsDefined(inner)
        case Default(operand, fallback, empty_too):
            return _default(bound(operand, known), bound(fallback, known), empty_too=empty_too)
        case Call(function, arguments):
            return _unless_unknown(Call(function, tuple(bound(argument, known) for argument in arguments)))
        case WallTime():
            return Constant(compiled(expression)(known)) if "zone" in known else expression
        case LocalDate(operand, zone):
            return _local_date(LocalDate(bound(operand, known), zone or _zone_of(known)))
        case Changed(after, before, previous):
            return _folded(Changed(bound(after, known), bound(before, known), bound(previous, known)))
        case _:
            assert_never(expression)


def _folded(expression: Expression) -> Expression:
    """A constant if everything below is one. The evaluator itself folds: there is one meaning."""
    if all(isinstance(child, Constant) for child in children(expression)):
        return Constant(compiled(expression)({}))
    return expression


def _unless_unknown(expression: Expression) -> Expression:
    """Comparisons, `in` and sums are unknown as soon as one side is."""
    return UNKNOWN if UNKNOWN in children(expression) else _folded(expression)


def _connected(operands: list[Expression], *, conjunction: bool) -> Expression:
    left: list[Expression] = []
    for operand in operands:
        value = operand.value if isinstance(operand, Constant) else None
        if isinstance(operand, Constant) and value is (not conjunction):
            return Constant(value)
        if isinstance(operand, Constant) and value is conjunction:
            continue
        if not isinstance(operand, Constant):
            left.append(operand)
        elif UNKNOWN not in left:
            left.append(UNKNOWN)
    if not left:
        return Constant(conjunction)
    # A single name may hold anything; alone it would not be true, false or unknown any more.
    if len(left) == 1 and is_boolean(left[0]):
        return left[0]
    return And(tuple(left)) if conjunction else Or(tuple(left))


def _local_date(date: LocalDate) -> Expression:
    """Unlike everything else it takes more than its operand: the zone, unless the operand is missing or a date."""
    if not isinstance(date.operand, Constant):
        return date
    value = compiled(date)({})
    return date if value is None and date.operand.value is not None and date.zone is None else Constant(value)


def _zone_of(known: Mapping[str, object]) -> tzinfo | None:
    zone = known.get("zone")
    return zone if isinstance(zone, tzinfo) else None


def _default(operand: Expression, fallback: Expression, *, empty_too: bool) -> Expression:
    if not isinstance(operand, Constant):
        return Default(operand, fallback, empty_too)
    return fallback if operand.value is None or (empty_too and operand.value == "") else operand
