"""Text beside a date or an instant: it is read as one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from jinja2 import nodes

from scheduler.conditions.expressions import Call, Constant, Expression, Function, WallTime
from scheduler.conditions.reporting import Report
from scheduler.conditions.type_rules import ANYTHING, Typed
from scheduler.conditions.types import ValueType
from scheduler.domain.wall_times import parse_moment


def read_beside(report: Report, typed: Typed, node: nodes.Expr, kind: ValueType) -> Typed:
    """What `typed` is beside something of `kind`: only beside dates and instants anything else than itself.

    A literal becomes a date, or an instant in the person's zone unless it has an offset. What nobody declared may be
    text of JSON that holds an instant, and is read as that.
    """
    if kind not in (ValueType.DATE, ValueType.INSTANT) or typed is ANYTHING:
        return typed
    literal = typed.expression.value if isinstance(typed.expression, Constant) else None
    if isinstance(literal, str) and typed.type is ValueType.STRING:
        return _date(report, literal, node) if kind is ValueType.DATE else _instant(report, literal, node)
    if typed.type is ValueType.ANY and kind is ValueType.INSTANT and literal is None:
        return replace(typed, expression=Call(Function.INSTANT, (typed.expression,)), type=ValueType.INSTANT)
    return typed


def _date(report: Report, text: str, node: nodes.Expr) -> Typed:
    try:
        moment = parse_moment(text)
    except ValueError as problem:
        report.error("wrong-date", f"this is compared with a date, and {text!r} {_for_dates(problem)}", node,
                     'write a date as "2026-11-27"')  # fmt: skip
        return ANYTHING
    if isinstance(moment, datetime):
        message = f"this is compared with a date, and {text!r} has a time too"
        report.error("wrong-date", message, node, f'write "{text.strip()[:10]}"')
        return ANYTHING
    return Typed(Constant(moment.isoformat()), ValueType.DATE)


def _instant(report: Report, text: str, node: nodes.Expr) -> Typed:
    try:
        moment = parse_moment(text)
    except ValueError as problem:
        report.error("wrong-date", f"this is compared with an instant, and {text!r} {_for_dates(problem)}", node,
                     'write "2026-11-27 09:00" (in the person\'s zone), or count back from now: '
                     '`ago("7 days")`')  # fmt: skip
        return ANYTHING
    is_known = isinstance(moment, datetime) and moment.tzinfo is not None
    expression: Expression = Constant(moment) if is_known else WallTime(moment)
    return Typed(expression, ValueType.INSTANT)


def _for_dates(problem: ValueError) -> str:
    return str(problem).partition(";")[0]
