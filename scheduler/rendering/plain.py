"""Plain texts: what certainly becomes code, and can be worked out from the syntax tree without making it.

A text is plain when it consists of text, paths, constants, operators, comparisons, `if`, and filters and tests that
look at nothing but what they are given. Its tree is read into functions of the variables' values, put together from
the same parts that the code uses. What it is for: unfused.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from jinja2 import nodes

from scheduler.domain.json_values import Json
from scheduler.rendering.builder import CHEAP_FILTERS, STEPS
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.paths import Path, path_of
from scheduler.rendering.sandbox import AS_JSON, COUNTED, ENVIRONMENT, JOINED, finalize

Values: TypeAlias = Mapping[str, object]
Work: TypeAlias = Callable[[Values], object]
"""What an expression is worth for the values of the variables. May raise whatever the expression does."""
Print: TypeAlias = Callable[[Values], str]

_SHALLOW = 20
"""Levels of nesting that neither Jinja's compiler nor Python's has trouble with."""
FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "float", "format", "int", "length", "lower", "omit", "replace",
    "round", "string", "title", "trim", "upper",
})  # fmt: skip
"""Filters that are functions of what they are given alone, and give a value, not an iterator."""
_TESTS: Mapping[str, Any] = ENVIRONMENT.tests
"""All that templates have: each is a function of what it is given alone."""
_COMPARISONS: Mapping[str, Callable[[Any, Any], object]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge, "in": lambda one, many: one in many, "notin": lambda one, many: one not in many,
}  # fmt: skip


class NotPlain(Exception):
    """A text has something that may not become code, or that is not worked out here."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A text as functions; `paths` are those that it reads."""

    paths: frozenset[Path]
    prints: Print
    value: Work
    """Of one expression its own value, else the text."""


def read_plain(
    leaf: LeafText, names: dict[Path, str], constants: Mapping[str, Json], computed: Mapping[str, LeafText]
) -> Plain:
    """A text for these values of `with`; `names` gives each path its variable, and is filled up. May raise NotPlain."""
    text = parsed(leaf.text)
    if text.own or text.levels > _SHALLOW:
        raise NotPlain
    reader = _Reader(names, constants, computed)
    if text.expression is None:
        prints = reader.body(text.tree.body)
        return Plain(frozenset(reader.paths), prints, _bounded(prints))
    value = reader.expression(text.expression)
    prints = _as_json(value) if leaf.as_json else _printed(value)
    return Plain(frozenset(reader.paths), prints, value)


def variable_of(name: str) -> str:
    """The variable that holds a computed value of `with`."""
    return f"_with_{name}"


class _Constant:
    """What is worth the same whatever the variables are."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __call__(self, values: Values) -> object:
        return self.value


class _Reader:
    """Reads the tree of a text into functions, and collects the paths on the way. Raises NotPlain."""

    def __init__(self, names: dict[Path, str], constants: Mapping[str, Json], computed: Mapping[str, LeafText]) -> None:
        self.names = names
        self.constants = constants
        self.computed = computed
        self.paths: set[Path] = set()

    def body(self, statements: Sequence[nodes.Node]) -> Print:
        """What prints statements."""
        pieces: list[Print] = []
        for statement in statements:
            match statement:
                case nodes.Output(nodes=parts):
                    pieces.extend(self._piece(part) for part in parts)
                case nodes.If():
                    pieces.append(self._choice(statement))
                case _:
                    raise NotPlain
        return pieces[0] if len(pieces) == 1 else lambda values: "".join([piece(values) for piece in pieces])

    def _piece(self, part: nodes.Node) -> Print:
        if isinstance(part, nodes.TemplateData):
            data = part.data
            return lambda values: data
        return _printed(self.expression(part))

    def _choice(self, node: nodes.If) -> Print:
        if len(node.elif_) > _SHALLOW:  # each stands within the one before it
            raise NotPlain
        ways = [(self._varying(one.test), self.body(one.body)) for one in (node, *node.elif_)]
        otherwise = self.body(node.else_)
        return lambda values: next((body for test, body in ways if test(values)), otherwise)(values)

    def expression(self, node: nodes.Node | None) -> Work:
        """What works out an expression."""
        match node:
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._path(node)
            case nodes.Const(value=value):
                return _constant(value)
            case nodes.Filter(name=name, kwargs=[], dyn_args=None, dyn_kwargs=None) if name in FILTERS:
                return self._filter(node)
            case nodes.Test(name=name, kwargs=[], dyn_args=None, dyn_kwargs=None) if name in _TESTS:
                return self._call(_TESTS[name], [node.node, *node.args])
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                decides, first = self._varying(test), self.expression(one)
                second = _Constant("") if other is None else self.expression(other)
                return lambda values: first(values) if decides(values) else second(values)
            case nodes.And(left=left, right=right):
                first, second = self._varying(left), self.expression(right)
                return lambda values: first(values) and second(values)
            case nodes.Or(left=left, right=right):
                first, second = self._varying(left), self.expression(right)
                return lambda values: first(values) or second(values)
            case nodes.Not(node=inner):
                denied = self._varying(inner)
                return lambda values: not denied(values)
            case nodes.Compare():
                return self._compare(node)
            case nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Div() | nodes.FloorDiv() | nodes.Mod():
                return self._arithmetic(node)
            case nodes.Neg(node=inner):
                return self._call(lambda value: -value, [inner])
            case nodes.Concat(nodes=parts):
                items = self._some_varying(parts)
                join = ENVIRONMENT.filters[JOINED]
                return lambda values: join([item(values) for item in items])
            case nodes.List(items=items):
                return self._list(items)
        raise NotPlain

    def _list(self, items: Sequence[nodes.Expr]) -> Work:
        constants: list[object] = []
        for item in items:
            if not isinstance(item, nodes.Const):
                raise NotPlain
            constants.append(_constant(item.value).value)
        return _Constant(constants)

    def _path(self, node: nodes.Expr) -> Work:
        path = path_of(node)
        root = path and path[0]
        if path is None or (len(path) > 1 and (root in self.constants or root in self.computed)):
            raise NotPlain
        if root in self.constants:
            return _constant(self.constants[str(root)])
        if root in self.computed:
            return itemgetter(variable_of(str(root)))
        self.paths.add(path)
        return itemgetter(self.names.setdefault(path, f"_path_{len(self.names)}"))

    def _filter(self, node: nodes.Filter) -> Work:
        function = ENVIRONMENT.filters[node.name]
        if node.name in CHEAP_FILTERS:
            return self._call(function, [node.node, *node.args])
        of, *arguments = self._some_varying([node.node, *node.args])
        counted = ENVIRONMENT.filters[COUNTED]
        return lambda values: function(counted(of(values), values[STEPS]), *[one(values) for one in arguments])

    def _call(self, function: Callable[..., object], arguments: Sequence[nodes.Node | None]) -> Work:
        works = self._some_varying(arguments)
        return lambda values: function(*[work(values) for work in works])

    def _compare(self, node: nodes.Compare) -> Work:
        first, *others = self._some_varying([node.expr, *(operand.expr for operand in node.ops)])
        steps = [(_COMPARISONS[operand.op], work) for operand, work in zip(node.ops, others, strict=True)]

        def compared(values: Values) -> object:
            left, result = first(values), object()
            for compare, work in steps:
                right = work(values)
                result = compare(left, right)
                if not result:
                    break
                left = right
            return result

        return compared

    def _arithmetic(self, node: nodes.BinExpr) -> Work:
        left, right = self._some_varying([node.left, node.right])
        sign = node.operator
        if sign in ENVIRONMENT.intercepted_binops:
            return lambda values: ENVIRONMENT.call_binop(None, sign, left(values), right(values))
        calculate = ENVIRONMENT.binop_table[sign]
        return lambda values: calculate(left(values), right(values))

    def _some_varying(self, parts: Sequence[nodes.Node | None]) -> list[Work]:
        """The operands of an operation. With constants alone Jinja works it out at once, and may fail."""
        works = [self.expression(part) for part in parts]
        if all(isinstance(work, _Constant) for work in works):
            raise NotPlain
        return works

    def _varying(self, part: nodes.Node) -> Work:
        return self._some_varying([part])[0]


def _constant(value: object) -> _Constant:
    """A constant that code can hold: no number without an end, no list that may be printed."""
    small = type(value) is int and value.bit_length() <= 64
    if value is None or type(value) in (str, bool) or small or (type(value) is float and math.isfinite(value)):
        return _Constant(value)
    raise NotPlain


def _printed(work: Work) -> Print:
    """What `{{ … }}` prints."""
    return lambda values: str(finalize(work(values)))


def _as_json(work: Work) -> Print:
    to_json = ENVIRONMENT.filters[AS_JSON]
    return lambda values: to_json(work(values))


def _bounded(prints: Print) -> Work:
    """A text as a value of its own, which has a bound of its own."""
    return lambda values: ENVIRONMENT.concat([prints(values)])
