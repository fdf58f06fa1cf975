"""Why a condition came out as it did: each question that it asked, what it wanted, and what it saw.

The walk is the evaluator's: `and` stops at the first false, `or` at the first true, and what was not asked is no step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import assert_never

from scheduler.conditions.evaluation import Scope, compiled
from scheduler.conditions.expressions import (
    And,
    Call,
    Changed,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    Function,
    In,
    IsDefined,
    ListOf,
    LocalDate,
    Name,
    Not,
    Or,
    Sum,
    WallTime,
)
from scheduler.domain.quantities import format_duration


@dataclass(frozen=True, slots=True)
class Step:
    """One question. `path` is what was asked about, as people write it; `seen` is None when it is missing.

    >>> str(Step("device.attributes.alerts", "one of 'all', 'goals'", "none", False))
    "device.attributes.alerts is 'none', wanted one of 'all', 'goals': no"
    """

    path: str
    wanted: str
    seen: object
    result: bool | None

    def __str__(self) -> str:
        seen = "missing" if self.seen is None else _shown(self.seen)
        answer = {True: "yes", False: "no", None: "unknown"}[self.result]
        return f"{self.path} is {seen}, wanted {self.wanted}: {answer}"


def traced(expression: Expression, scope: Scope) -> tuple[bool | None, tuple[Step, ...]]:
    """The result of a checked condition, and its steps in the order of the text."""
    steps: list[Step] = []
    return _truth(expression, scope, steps), tuple(steps)


def written(expression: Expression) -> str:
    """An expression as people write it, with the values that became known in place of their names."""
    match expression:
        case Constant(value):
            return _shown(value)
        case Name():
            return str(expression)
        case ListOf(items):
            return f"[{', '.join(map(written, items))}]"
        case Compare(comparison, left, right):
            return f"{_inner(left)} {comparison} {_inner(right)}"
        case In(item, container):
            return f"{_inner(item)} in {_inner(container)}"
        case Not(operand):
            return f"not {_inner(operand)}"
        case And(operands):
            return " and ".join(map(_inner, operands))
        case Or(operands):
            return " or ".join(map(_inner, operands))
        case Sum(left, right, minus):
            return f"{_inner(left)} {'-' if minus else '+'} {_inner(right)}"
        case IsDefined(operand):
            return f"{_inner(operand)} is defined"
        case Default(operand, fallback, empty_too):
            return f"{_inner(operand)} | default({written(fallback)}{', true' if empty_too else ''})"
        case Call(function, arguments):
            return _call(function, arguments)
        case WallTime(moment):
            return f'"{moment.isoformat(" ", "minutes") if isinstance(moment, datetime) else moment.isoformat()}"'
        case LocalDate(Name("now" | "slot"), _):
            return "today"
        case LocalDate(operand, _):
            return written(operand)
        case Changed(Name(_, (_, *keys))):
            return f'changed("{".".join(keys)}")'
        case Changed(after, before, _):
            return f"{_inner(after)} differs from {_inner(before)}"
        case _:
            assert_never(expression)


def _truth(expression: Expression, scope: Scope, steps: list[Step]) -> bool | None:
    match expression:
        case And(operands):
            return _connected(operands, False, scope, steps)
        case Or(operands):
            return _connected(operands, True, scope, steps)
        case Not(operand):
            inner = _truth(operand, scope, steps)
            return None if inner is None else not inner
        case _:
            value = compiled(expression)(scope)
            result = value if value is True or value is False else None
            steps.append(_step(expression, scope, result))
            return result


def _connected(operands: Iterable[Expression], decisive: bool, scope: Scope, steps: list[Step]) -> bool | None:
    result: bool | None = not decisive
    for operand in operands:
        value = _truth(operand, scope, steps)
        if value is decisive:
            return decisive
        if value is None:
            result = None
    return result


def _step(expression: Expression, scope: Scope, result: bool | None) -> Step:
    match expression:
        case Compare(comparison, Constant() as left, right) if not isinstance(right, Constant):
            return _step(Compare(comparison.mirrored, right, left), scope, result)
        case Compare(comparison, left, right):
            return Step(written(left), _wanted(comparison, right, scope), compiled(left)(scope), result)
        case In(Constant(topic), container):
            return Step(written(container), f"{_shown(topic)} in it", compiled(container)(scope), result)
        case In(item, container):
            return Step(written(item), _one_of(compiled(container)(scope)), compiled(item)(scope), result)
        case IsDefined(operand):
            return Step(written(operand), "anything", compiled(operand)(scope), result)
        case Call(Function.STARTS_WITH, (text, beginning)):
            return Step(written(text), f"{_value(beginning, scope)} at its beginning", compiled(text)(scope), result)
        case Changed(after, before, _):
            return Step(written(after), f"another than {_value(before, scope)}", compiled(after)(scope), result)
        case _:
            return Step(written(expression), "true", compiled(expression)(scope), result)


def _wanted(comparison: Comparison, right: Expression, scope: Scope) -> str:
    value = _value(right, scope)
    return value if comparison is Comparison.EQUAL else f"{comparison} {value}"


def _value(expression: Expression, scope: Scope) -> str:
    """A value, behind the name that it came from, if there is one."""
    value = compiled(expression)(scope)
    shown = "missing" if value is None else _shown(value)
    return shown if isinstance(expression, Constant | ListOf) else f"{written(expression)} ({shown})"


def _one_of(container: object) -> str:
    if isinstance(container, list | tuple):
        return f"one of {', '.join(map(_shown, container))}" if container else "one of nothing"
    return "a part of something missing" if container is None else f"a part of {_shown(container)}"


def _call(function: Function, arguments: tuple[Expression, ...]) -> str:
    match function, arguments:
        case Function.INSTANT, (operand,):
            return written(operand)
        case Function.AGO, (_, Constant(timedelta() as duration)):
            return f'ago("{format_duration(duration)}")'
        case ((Function.PRODUCT | Function.JOIN), _):
            return f" {function} ".join(map(_inner, arguments))
        case ((Function.STARTS_WITH | Function.DAYS_BETWEEN | Function.AGO), _):
            return f"{function}({', '.join(map(written, arguments))})"
        case _, (operand,):
            return f"{_inner(operand)} | {function}"
        case _:
            raise AssertionError(function)


def _inner(expression: Expression) -> str:
    """An operand: in parentheses, unless it is a single word."""
    simple = isinstance(expression, Constant | Name | ListOf | WallTime | LocalDate)
    text = written(expression)
    return text if simple or " " not in text else f"({text})"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(" ", "seconds")
        case date():
            return value.isoformat()
        case list() | tuple():
            return f"[{', '.join(map(_shown, value))}]"
        case _:
            return repr(value)
