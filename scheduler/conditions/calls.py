"""Filters and functions of conditions: their operands, their types, and what to write in place of foreign ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from jinja2 import nodes

from scheduler.conditions import other_languages
from scheduler.conditions.expressions import Call, Changed, Constant, Default, Expression, Function, LocalDate, Name
from scheduler.conditions.name_checks import NameChecker
from scheduler.conditions.reporting import Report
from scheduler.conditions.type_rules import ANYTHING, Missing, Typed, with_article
from scheduler.conditions.types import ValueType
from scheduler.conditions.wall_literals import read_beside
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.json_values import JsonScalar
from scheduler.domain.quantities import parse_duration

FILTERS = ("lower", "upper", "length", "default", "int", "float", "first", "last")
FUNCTIONS = ("ago", "days_between", "startswith", "changed")

_TEXT = frozenset({ValueType.STRING, ValueType.ANY})
_TEXT_OR_LIST = _TEXT | {ValueType.LIST}
_READABLE = _TEXT | {ValueType.INTEGER, ValueType.NUMBER}
_SIMPLE_FILTERS: Mapping[str, tuple[Function, frozenset[ValueType], str, ValueType]] = {
    "lower": (Function.LOWER, _TEXT, "text", ValueType.STRING),
    "upper": (Function.UPPER, _TEXT, "text", ValueType.STRING),
    "length": (Function.LENGTH, _TEXT_OR_LIST, "text or a list", ValueType.INTEGER),
    "int": (Function.INT, _READABLE, "text or a number", ValueType.INTEGER),
    "float": (Function.FLOAT, _READABLE, "text or a number", ValueType.NUMBER),
    "first": (Function.FIRST, _TEXT_OR_LIST, "text or a list", ValueType.ANY),
    "last": (Function.LAST, _TEXT_OR_LIST, "text or a list", ValueType.ANY),
}
_MAY_FAIL = frozenset({Function.INT, Function.FLOAT, Function.FIRST, Function.LAST})
"""Unknown for some values of the right type too: text that is no number, an empty list."""


class CallChecker:
    """The filters and calls of one condition. `typed` checks an operand."""

    def __init__(
        self, report: Report, names: NameChecker, known: frozenset[str], typed: Callable[[nodes.Expr], Typed]
    ) -> None:
        self._report = report
        self._names = names
        self._known = known
        self._typed = typed

    def filter(self, node: nodes.Filter) -> Typed:
        """`operand | name(…)`."""
        assert node.node is not None  # only a filter block has none, and that is no expression
        operand = self._typed(node.node)
        if node.name == "default":
            return self._default(node, operand)
        if node.name not in _SIMPLE_FILTERS:
            hint = other_languages.FILTERS.get(node.name) or did_you_mean(node.name, FILTERS)
            hint = hint or f"the filters are {', '.join(FILTERS)}"
            self._report.error("not-in-language", f"the filter `{node.name}` is not part of conditions", node, hint)
            return ANYTHING
        function, takes, words, result = _SIMPLE_FILTERS[node.name]
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            hint = f"write `{node.name} | default(…)`" if function in _MAY_FAIL else f"write `| {node.name}`"
            self._report.error("wrong-arguments", f"`{node.name}` takes nothing in brackets", node, hint)
            return ANYTHING
        if operand is ANYTHING:
            return ANYTHING
        if operand.type not in takes:
            message = f"`{node.name}` takes {words}, and this is {with_article(operand.type)}"
            self._report.error("different-types", message, node.node)
            return ANYTHING
        missing = operand.missing
        if function in _MAY_FAIL and operand.type not in (ValueType.INTEGER, ValueType.NUMBER):
            start, end = self._report.extent_of(node)
            declared = operand.type is not ValueType.ANY
            missing = (Missing(self._report.text_of(node), start, end, declared, computed=True),)
        if result is ValueType.ANY and operand.type is ValueType.STRING:
            result = ValueType.STRING
        expression = Call(function, (operand.expression,))
        return Typed(expression, result, _values_through(function, operand.values), missing)

    def call(self, node: nodes.Call) -> Typed:
        """`name(…)`; whatever else is called is foreign."""
        if not isinstance(node.node, nodes.Name):
            hint = None
            if isinstance(node.node, nodes.Getattr):
                hint = other_languages.METHODS.get(node.node.attr)
                hint = hint and hint.format(self._report.text_of(node.node.node))
            self._report.error("not-in-language", "a call is not part of conditions", node, hint)
            return ANYTHING
        name = node.node.name
        if name not in FUNCTIONS:
            hint = other_languages.FUNCTIONS.get(name) or did_you_mean(name, FUNCTIONS)
            hint = hint or f"the functions are {', '.join(FUNCTIONS)}"
            self._report.error("not-in-language", f"the function `{name}` is not part of conditions", node, hint)
            return ANYTHING
        wanted = {"ago": 1, "changed": 1, "days_between": 2, "startswith": 2}[name]
        if len(node.args) != wanted or node.kwargs or node.dyn_args or node.dyn_kwargs:
            takes = {1: "one value", 2: "two values"}[wanted]
            self._report.error("wrong-arguments", f"`{name}` takes {takes}", node, _EXAMPLES[name])
            return ANYTHING
        match name:
            case "ago":
                return self._ago(node)
            case "changed":
                return self._changed(node)
            case "days_between":
                return self._days_between(node)
            case _:
                return self._starts_with(node)

    def _default(self, node: nodes.Filter, operand: Typed) -> Typed:
        match node:
            case nodes.Filter(args=[value], kwargs=[]):
                empty_too = False
            case nodes.Filter(args=[value, nodes.Const(value=bool() as empty_too)], kwargs=[]):
                pass
            case _:
                hint = 'write `default(0)`, or `default("x", true)`'
                message = "`default` takes a value, and true to catch empty text too"
                self._report.error("wrong-arguments", message, node, hint)
                return ANYTHING
        fallback = read_beside(self._report, self._typed(value), value, operand.type)
        kinds = {operand.type, fallback.type}
        kind = operand.type if len(kinds) == 1 else ValueType.ANY
        if kinds == {ValueType.INTEGER, ValueType.NUMBER}:
            kind = ValueType.NUMBER
        match fallback.expression:
            case Constant(str() | int() | float() as also) if operand.values:
                values = (*operand.values, also) if also not in operand.values else operand.values
            case _:
                values = ()
        return Typed(Default(operand.expression, fallback.expression, empty_too), kind, values, fallback.missing)

    def _ago(self, node: nodes.Call) -> Typed:
        (argument,) = node.args
        if not isinstance(argument, nodes.Const) or not isinstance(argument.value, str):
            self._report.error("wrong-arguments", "`ago` takes a duration in quotes", argument, _EXAMPLES["ago"])
            return ANYTHING
        try:
            duration = parse_duration(argument.value)
        except ValueError as problem:
            self._report.error("wrong-arguments", str(problem), argument)
            return ANYTHING
        return Typed(Call(Function.AGO, (Name("now"), Constant(duration))), ValueType.INSTANT)

    def _changed(self, node: nodes.Call) -> Typed:
        (argument,) = node.args
        if not isinstance(argument, nodes.Const) or not isinstance(argument.value, str):
            message = "`changed` takes the name of a field of the event's data in quotes"
            self._report.error("wrong-arguments", message, argument, _EXAMPLES["changed"])
            return ANYTHING
        if not {"event", "previous"} <= self._known:
            self._report.error("not-in-language", "`changed` compares an event with the one before, and there is none "
                               "here", node, "use it in `trigger.when`")  # fmt: skip
            return ANYTHING
        words = tuple(argument.value.removeprefix("event.data.").split("."))
        if not self._names.is_data_field(words, argument):
            return ANYTHING
        previous = self._names.previous_event(self._report.extent_of(node))
        expression = Changed(Name("event", ("data", *words)), Name("previous", ("data", *words)), Name("previous"))
        return Typed(expression, ValueType.BOOLEAN, (), previous)

    def _days_between(self, node: nodes.Call) -> Typed:
        arguments: list[Expression] = []
        missing: tuple[Missing, ...] = ()
        for argument in node.args:
            typed = self._typed(argument)
            if typed is ANYTHING:
                return ANYTHING
            if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
                instant = " " in argument.value or "T" in argument.value
                kind = ValueType.INSTANT if instant else ValueType.DATE
                typed = read_beside(self._report, typed, argument, kind)
                if typed is ANYTHING:
                    return ANYTHING
            elif typed.type not in (ValueType.DATE, ValueType.INSTANT, ValueType.ANY):
                message = f"`days_between` takes dates and instants, and this is {with_article(typed.type)}"
                self._report.error("different-types", message, argument, _EXAMPLES["days_between"])
                return ANYTHING
            arguments.append(typed.expression if typed.type is ValueType.DATE else LocalDate(typed.expression))
            missing += typed.missing
        return Typed(Call(Function.DAYS_BETWEEN, tuple(arguments)), ValueType.INTEGER, (), missing)

    def _starts_with(self, node: nodes.Call) -> Typed:
        typed = [self._typed(argument) for argument in node.args]
        if ANYTHING in typed:
            return replace(ANYTHING, type=ValueType.BOOLEAN)
        for one, argument in zip(typed, node.args, strict=True):
            if one.type not in _TEXT:
                message = f"`startswith` takes text, and this is {with_article(one.type)}"
                self._report.error("different-types", message, argument)
                return replace(ANYTHING, type=ValueType.BOOLEAN)
        missing = tuple(name for one in typed for name in one.missing)
        expression = Call(Function.STARTS_WITH, tuple(one.expression for one in typed))
        return Typed(expression, ValueType.BOOLEAN, (), missing)


_EXAMPLES = {
    "ago": 'write `ago("7 days")`',
    "changed": 'write `changed("home_score")`',
    "days_between": "write `days_between(user.attributes.birthday, today)`",
    "startswith": 'write `startswith(device.locale, "de")`',
}


def _values_through(function: Function, values: tuple[JsonScalar, ...]) -> tuple[JsonScalar, ...]:
    """The values of an enum behind `lower` or `upper`; behind anything else nothing is said about them."""
    change = {Function.LOWER: str.lower, Function.UPPER: str.upper}.get(function)
    if change is None or not all(isinstance(value, str) for value in values):
        return ()
    return tuple(dict.fromkeys(change(str(value)) for value in values))
