"""Jinja's syntax tree → our checked expression. Every problem is found at once, with its exact place."""

from __future__ import annotations

import math
from collections.abc import Iterable

from jinja2 import nodes

from scheduler.conditions.expressions import (
    And,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    In,
    IsDefined,
    ListOf,
    Name,
    Not,
    Or,
    Sum,
)
from scheduler.conditions.jinja_positions import Extents
from scheduler.conditions.name_checks import NameChecker
from scheduler.conditions.reporting import Report
from scheduler.conditions.type_rules import (
    ANYTHING,
    Missing,
    Typed,
    comparison_problem,
    enum_problem,
    is_date_question,
    is_number,
    type_of_scalar,
    with_article,
)
from scheduler.conditions.types import Schema, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.domain.json_values import MAX_INTEGER, MIN_INTEGER

_LATER_FILTERS = frozenset({"lower", "upper", "length", "int", "float", "first", "last"})
_LATER_FUNCTIONS = frozenset({"ago", "days_between", "startswith", "changed"})
_COMPARISONS = {
    "eq": Comparison.EQUAL,
    "ne": Comparison.UNEQUAL,
    "lt": Comparison.LESS,
    "lteq": Comparison.AT_MOST,
    "gt": Comparison.GREATER,
    "gteq": Comparison.AT_LEAST,
}


class Checker:
    """One walk over one condition. `findings` holds what it met; what was wrong is unknown in the expression."""

    def __init__(
        self, node: ScalarNode, extents: Extents, schema: Schema, names: frozenset[str], event_type: str | None
    ) -> None:
        self._report = Report(node, extents)
        self._names = NameChecker(self._report, schema, names, event_type)

    @property
    def findings(self) -> list[Diagnostic]:
        return self._report.findings

    def condition(self, tree: nodes.Expr) -> Expression:
        """The whole condition: it must be true or false."""
        return self._truth(tree).expression

    def _truth(self, node: nodes.Expr) -> Typed:
        typed = self._typed(node)
        if typed.type not in (ValueType.BOOLEAN, ValueType.ANY):
            message = f"this is {with_article(typed.type)}, and must be true or false"
            self._report.error(
                "different-types", message, node, "compare it with something: `… == …`, or ask `… is defined`"
            )
            return ANYTHING
        return typed

    def _typed(self, node: nodes.Expr) -> Typed:
        match node:
            case nodes.Const():
                return self._literal(node, node.value)
            case nodes.Neg(node=nodes.Const(value=int() | float() as value)) if not isinstance(value, bool):
                return self._literal(node, -value)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._names.typed(node)
            case nodes.List() | nodes.Tuple():
                items = [self._typed(item) for item in node.items]
                return Typed(ListOf(tuple(i.expression for i in items)), ValueType.LIST, (), _missing_of(items))
            case nodes.Compare():
                return self._comparisons(node)
            case nodes.And() | nodes.Or():
                return self._connected(node)
            case nodes.Not():
                return self._negation(node)
            case nodes.Add() | nodes.Sub():
                return self._sum(node, self._typed(node.left), self._typed(node.right), isinstance(node, nodes.Sub))
            case nodes.Neg() | nodes.Pos():
                zero = Typed(Constant(0), ValueType.INTEGER)
                return self._sum(node, zero, self._typed(node.node), isinstance(node, nodes.Neg))
            case nodes.Test():
                return self._is_defined(node)
            case nodes.Filter():
                return self._filter(node)
            case _:
                return self._foreign(node)

    def _literal(self, node: nodes.Expr, value: object) -> Typed:
        if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
            self._report.error("number-too-large", "the number does not fit into 64 bits", node)
            return ANYTHING
        if isinstance(value, float) and not math.isfinite(value):
            self._report.error("number-too-large", "the number is too large", node)
            return ANYTHING
        return Typed(Constant(value), type_of_scalar(value))

    def _comparisons(self, node: nodes.Compare) -> Typed:
        """`a < b < c` is `a < b and b < c`."""
        left_node, left = node.expr, self._typed(node.expr)
        parts: list[Typed] = []
        for operand in node.ops:
            right = self._typed(operand.expr)
            if operand.op in _COMPARISONS:
                parts.append(self._compare(_COMPARISONS[operand.op], left, right, left_node, operand.expr))
            else:
                parts.append(self._in(left, right, left_node, operand.expr, negated=operand.op != "in"))
            left_node, left = operand.expr, right
        if len(parts) == 1:
            return parts[0]
        return Typed(And(tuple(p.expression for p in parts)), ValueType.BOOLEAN, (), _missing_of(parts))

    def _compare(
        self, comparison: Comparison, left: Typed, right: Typed, left_node: nodes.Expr, right_node: nodes.Expr
    ) -> Typed:
        for side, node in ((left, left_node), (right, right_node)):
            if isinstance(node, nodes.Const) and node.value is None and side.type is ValueType.ANY:
                hint = "write `is defined` or `is not defined`"
                self._report.error("compare-with-none", f"`{comparison} none` is always unknown", node, hint)
                return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        found_already = left is ANYTHING or right is ANYTHING
        if found_already or not self._may_stand_together(comparison, left, right, left_node, right_node):
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        missing = _missing_of((left, right))
        if comparison is Comparison.UNEQUAL:
            self._report.hazards("!=", missing)
            missing = ()
        expression = Compare(comparison, left.expression, right.expression)
        return Typed(expression, ValueType.BOOLEAN, (), missing)

    def _in(
        self, item: Typed, container: Typed, item_node: nodes.Expr, container_node: nodes.Expr, *, negated: bool
    ) -> Typed:
        if isinstance(container_node, nodes.List | nodes.Tuple):
            fits = [
                self._may_stand_together(Comparison.EQUAL, item, self._quietly(one), item_node, one)
                for one in container_node.items
            ]
        elif container.type not in (ValueType.LIST, ValueType.STRING, ValueType.ANY):
            message = f"`in` looks into a list or a string, and this is {with_article(container.type)}"
            self._report.error("different-types", message, container_node)
            fits = [False]
        elif container.type is ValueType.STRING and item.type not in (ValueType.STRING, ValueType.ANY):
            message = f"`in` looks for {with_article(item.type)} in a string"
            self._report.error("different-types", message, item_node)
            fits = [False]
        else:
            fits = [True]
        if not all(fits):
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        missing = _missing_of((item, container))
        expression: Expression = In(item.expression, container.expression)
        if negated:
            self._report.hazards("not in", missing)
            missing, expression = (), Not(expression)
        return Typed(expression, ValueType.BOOLEAN, (), missing)

    def _quietly(self, node: nodes.Expr) -> Typed:
        """The type of what was checked already."""
        with self._report.silence():
            return self._typed(node)

    def _may_stand_together(
        self, comparison: Comparison, left: Typed, right: Typed, left_node: nodes.Expr, right_node: nodes.Expr
    ) -> bool:
        if is_date_question(left, right):
            self._report.not_yet("comparing a date or an instant with text", left_node, right_node)
            return False
        problem = comparison_problem(comparison, left, right)
        if problem is not None:
            self._report.error("different-types", problem, left_node, None, right_node)
            return False
        for field, literal, node in ((left, right, right_node), (right, left, left_node)):
            found = enum_problem(field, literal)
            if found is not None and comparison in (Comparison.EQUAL, Comparison.UNEQUAL):
                self._report.error("enum-value", found[0], node, found[1])
                return False
        return True

    def _connected(self, node: nodes.And | nodes.Or) -> Typed:
        parts = _chain(node)
        with self._names.vouched_for(parts, conjunction=isinstance(node, nodes.And)):
            typed = [self._truth(part) for part in parts]
        expressions = tuple(part.expression for part in typed)
        expression = And(expressions) if isinstance(node, nodes.And) else Or(expressions)
        return Typed(expression, ValueType.BOOLEAN, (), _missing_of(typed))

    def _negation(self, node: nodes.Not) -> Typed:
        operand = self._truth(node.node)
        self._report.hazards("not", operand.missing)
        return Typed(Not(operand.expression), ValueType.BOOLEAN)

    def _sum(self, node: nodes.Expr, left: Typed, right: Typed, minus: bool) -> Typed:
        for side in (left, right):
            if not is_number(side.type):
                sign = "-" if minus else "+"
                self._report.error(
                    "different-types", f"`{sign}` takes numbers, and this is {with_article(side.type)}", node
                )
                return ANYTHING
        both = {left.type, right.type}
        kind = ValueType.ANY if ValueType.ANY in both else both.pop() if len(both) == 1 else ValueType.NUMBER
        return Typed(Sum(left.expression, right.expression, minus), kind, (), _missing_of((left, right)))

    def _is_defined(self, node: nodes.Test) -> Typed:
        if node.name != "defined" or node.args or node.kwargs:
            hint = "write `is not defined`" if node.name in ("undefined", "none") else "conditions know `is defined`"
            self._report.error("not-in-language", f"`is {node.name}` is not part of conditions", node, hint)
            return ANYTHING
        if not isinstance(node.node, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._report.error("not-in-language", "`is defined` asks about a name", node)
            return ANYTHING
        operand = self._names.typed(node.node).expression
        if not isinstance(operand, Name):
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        return Typed(IsDefined(operand), ValueType.BOOLEAN)

    def _filter(self, node: nodes.Filter) -> Typed:
        assert node.node is not None  # only a filter block has none, and that is no expression
        operand = self._typed(node.node)
        if node.name in _LATER_FILTERS:
            self._report.not_yet(f"the filter `{node.name}`", node)
            return ANYTHING
        if node.name != "default":
            hint = did_you_mean(node.name, ("default", *_LATER_FILTERS)) or "conditions know `default`"
            self._report.error("not-in-language", f"the filter `{node.name}` is not part of conditions", node, hint)
            return ANYTHING
        match node:
            case nodes.Filter(args=[value], kwargs=[]):
                empty_too = False
            case nodes.Filter(args=[value, nodes.Const(value=bool() as empty_too)], kwargs=[]):
                pass
            case _:
                hint = 'write `default(0)`, or `default("x", true)`'
                message = "`default` takes a value, and true to catch empty text too"
                self._report.error("not-in-language", message, node, hint)
                return ANYTHING
        fallback = self._typed(value)
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

    def _foreign(self, node: nodes.Expr) -> Typed:
        hint = None
        match node:
            case nodes.Mul():
                self._report.not_yet("`*`", node)
                return ANYTHING
            case nodes.Concat():
                self._report.not_yet("`~`", node)
                return ANYTHING
            case nodes.Call(node=nodes.Name(name=name)):
                if name in _LATER_FUNCTIONS:
                    self._report.not_yet(f"the function `{name}`", node)
                    return ANYTHING
                what, hint = f"the function `{name}`", did_you_mean(name, _LATER_FUNCTIONS)
            case nodes.Call():
                what = "a call"
            case nodes.Dict():
                what = "an object in braces"
            case nodes.CondExpr():
                what, hint = "`if`", "write it with `and` and `or`"
            case nodes.BinExpr():
                what = f"`{node.operator}`"
            case _:
                what = "this"
        self._report.error("not-in-language", f"{what} is not part of conditions", node, hint)
        return ANYTHING


def _missing_of(parts: Iterable[Typed]) -> tuple[Missing, ...]:
    return tuple(name for part in parts for name in part.missing)


def _chain(node: nodes.And | nodes.Or) -> list[nodes.Expr]:
    """The operands of `a and b and c`, which Jinja nests to the left."""
    operands: list[nodes.Expr] = []
    at: nodes.Expr = node
    while type(at) is type(node):
        assert isinstance(at, nodes.And | nodes.Or)
        operands.append(at.right)
        at = at.left
    return [at, *reversed(operands)]
