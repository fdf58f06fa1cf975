"""Jinja's syntax tree → our checked expression. Every problem is found at once, with its exact place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from jinja2 import nodes

from scheduler.conditions import other_languages
from scheduler.conditions.calls import CallChecker
from scheduler.conditions.expressions import (
    And,
    Call,
    Compare,
    Comparison,
    Constant,
    Expression,
    Function,
    In,
    IsDefined,
    ListOf,
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
    comparison_hint,
    comparison_problem,
    enum_problem,
    is_number,
    type_of_scalar,
    with_article,
)
from scheduler.conditions.types import Schema, ValueType
from scheduler.conditions.wall_literals import read_beside
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.domain.json_values import MAX_INTEGER, MIN_INTEGER

_ONE_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
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
        self,
        node: ScalarNode,
        extents: Extents,
        schema: Schema,
        names: frozenset[str],
        event_type: str | None,
        exit_type: str | None,
    ) -> None:
        self._report = Report(node, extents)
        self._names = NameChecker(self._report, schema, names, event_type, exit_type)
        self._calls = CallChecker(self._report, self._names, names, self._typed)

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
            hint = "compare it with something: `… == …`, or ask `… is defined`"
            if isinstance(node, nodes.Const):
                hint = "leave the quotation marks out: between them all is one text"
            self._report.error("different-types", message, node, hint)
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
            case nodes.Mul():
                return self._product(node)
            case nodes.Concat():
                return self._join(node)
            case nodes.Test():
                return self._is_defined(node)
            case nodes.Filter():
                return self._calls.filter(node)
            case nodes.Call():
                return self._calls.call(node)
            case _:
                return self._foreign(node)

    def _literal(self, node: nodes.Expr, value: object) -> Typed:
        if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
            hint = "an id of so many digits is a text: put it in quotes, and declare it as a `string`"
            self._report.error("number-too-large", "the number is too large: it needs over 64 bits", node, hint)
            return ANYTHING
        if isinstance(value, float) and not math.isfinite(value):
            self._report.error("number-too-large", "the number is too large", node)
            return ANYTHING
        if isinstance(value, str) and not _ONE_TEXT.fullmatch(self._report.text_of(node)):
            self._report.error("condition-syntax", "two texts stand beside each other", node,
                               "put a comma between them; what is to be one text is joined by `~`")  # fmt: skip
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
                other = right_node if node is left_node else left_node
                asked = "is defined" if comparison is Comparison.UNEQUAL else "is not defined"
                message = f"`{comparison} none` never matches: what is missing cannot be compared"
                hint = f"write `{self._report.text_of(other)} {asked}`"
                self._report.error("compare-with-none", message, node, hint)
                return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        left, right = (
            read_beside(self._report, left, left_node, right.type),
            read_beside(self._report, right, right_node, left.type),
        )
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
            return self._in_list(item, item_node, container_node, negated=negated)
        if container.type not in (ValueType.LIST, ValueType.STRING, ValueType.ANY):
            message = f"`in` looks into a list or a string, and this is {with_article(container.type)}"
            self._report.error("different-types", message, container_node, "compare it with `==`")
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        if container.type is ValueType.STRING and item.type not in (ValueType.STRING, ValueType.ANY):
            message = f"`in` looks for {with_article(item.type)} in a string"
            self._report.error("different-types", message, item_node)
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        return self._is_in(item, container, negated=negated)

    def _in_list(self, item: Typed, item_node: nodes.Expr, node: nodes.List | nodes.Tuple, *, negated: bool) -> Typed:
        """`in` a list that is written out: each of its values is compared."""
        with self._report.silence():  # they were looked at as values of the list already
            values = [self._typed(one) for one in node.items]
        values = [
            read_beside(self._report, value, one, item.type) for value, one in zip(values, node.items, strict=True)
        ]
        fits = True
        for value, one in zip(values, node.items, strict=True):
            problem = comparison_problem(Comparison.EQUAL, item, value, "in")
            if problem is not None:  # the others are most likely of the same type, and it is one mistake
                self._report.error("different-types", problem, one, comparison_hint(item, value))
                return Typed(ANYTHING.expression, ValueType.BOOLEAN)
            fits &= self._may_stand_together(Comparison.EQUAL, item, value, item_node, one)
        if ANYTHING in values or not fits:
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        container = Typed(ListOf(tuple(value.expression for value in values)), ValueType.LIST, (), _missing_of(values))
        return self._is_in(item, container, negated=negated)

    def _is_in(self, item: Typed, container: Typed, *, negated: bool) -> Typed:
        missing = _missing_of((item, container))
        expression: Expression = In(item.expression, container.expression)
        if negated:
            self._report.hazards("not in", item.missing)
            self._report.hazards("not in", container.missing, behind=True)
            missing, expression = (), Not(expression)
        return Typed(expression, ValueType.BOOLEAN, (), missing)

    def _may_stand_together(
        self,
        comparison: Comparison,
        left: Typed,
        right: Typed,
        left_node: nodes.Expr,
        right_node: nodes.Expr,
    ) -> bool:
        problem = comparison_problem(comparison, left, right, comparison)
        if problem is not None:
            self._report.error("different-types", problem, left_node, comparison_hint(left, right), right_node)
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
        kind = self._number("-" if minus else "+", node, left, right)
        if kind is None:
            return ANYTHING
        return Typed(Sum(left.expression, right.expression, minus), kind, (), _missing_of((left, right)))

    def _product(self, node: nodes.Mul) -> Typed:
        left, right = self._typed(node.left), self._typed(node.right)
        kind = self._number("*", node, left, right)
        if kind is None:
            return ANYTHING
        expression = Call(Function.PRODUCT, (left.expression, right.expression))
        return Typed(expression, kind, (), _missing_of((left, right)))

    def _number(self, sign: str, node: nodes.Expr, left: Typed, right: Typed) -> ValueType | None:
        """The type of a calculation with two numbers; None after a finding."""
        for side in (left, right):
            if not is_number(side.type):
                hint = None
                if side.type in (ValueType.DATE, ValueType.INSTANT):
                    hint = 'write `ago("7 days")`, or `days_between(a, b)`'
                elif sign == "+" and ValueType.STRING in (left.type, right.type):
                    hint = "text is joined by `~`"
                message = f"`{sign}` takes numbers, and this is {with_article(side.type)}"
                self._report.error("different-types", message, node, hint)
                return None
        both = {left.type, right.type}
        return ValueType.ANY if ValueType.ANY in both else both.pop() if len(both) == 1 else ValueType.NUMBER

    def _join(self, node: nodes.Concat) -> Typed:
        parts = [self._typed(part) for part in node.nodes]
        if ANYTHING in parts:
            return ANYTHING
        for typed, part in zip(parts, node.nodes, strict=True):
            if typed.type not in (ValueType.STRING, ValueType.INTEGER, ValueType.NUMBER, ValueType.ANY):
                message = f"`~` joins text and numbers, and this is {with_article(typed.type)}"
                self._report.error("different-types", message, part)
                return ANYTHING
        expression = Call(Function.JOIN, tuple(typed.expression for typed in parts))
        return Typed(expression, ValueType.STRING, (), _missing_of(parts))

    def _is_defined(self, node: nodes.Test) -> Typed:
        if node.name != "defined" or node.args or node.kwargs:
            hint = other_languages.TESTS.get(node.name, "").format(self._report.text_of(node.node))
            hint = hint or "whether a value is there is asked by `is defined` and `is not defined`"
            self._report.error("not-in-language", f"`is {node.name}` is not part of conditions", node, hint)
            return ANYTHING
        if not isinstance(node.node, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._report.error("not-in-language", "`is defined` asks about a name", node)
            return ANYTHING
        operand = self._names.typed(node.node)
        if operand is ANYTHING:
            return Typed(ANYTHING.expression, ValueType.BOOLEAN)
        match operand.expression:
            case Call(Function.INSTANT, (name,)):  # text that cannot be read is there all the same
                return Typed(IsDefined(name), ValueType.BOOLEAN)
            case asked:
                return Typed(IsDefined(asked), ValueType.BOOLEAN)

    def _foreign(self, node: nodes.Expr) -> Typed:
        hint = None
        match node:
            case nodes.Dict():
                what = "an object in braces"
            case nodes.CondExpr():
                what, hint = "`if`", "write it with `and` and `or`"
            case nodes.Div() | nodes.FloorDiv():
                what, hint = f"`{node.operator}`", "multiply the other side by it: `a > 2 * b`"
            case nodes.BinExpr():
                what, hint = f"`{node.operator}`", "let the backend send the result as a field of its own"
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
