"""What is known after a test came out true, or false: names that are there, their kinds, their values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import nodes

from scheduler.domain.json_values import JsonScalar
from scheduler.rendering.expression_types import Kind, Type, union
from scheduler.rendering.paths import Path, path_of

_KIND_TESTS: Mapping[str, tuple[Kind, ...]] = {
    "string": (Kind.TEXT,),
    "number": (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN),
    "integer": (Kind.INTEGER,),
    "float": (Kind.NUMBER,),
    "boolean": (Kind.BOOLEAN,),
    "mapping": (Kind.OBJECT,),
}
_OPERATORS: Mapping[str, Callable[[Any, Any], object]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a test tells about a path: it is there, and perhaps of which kind and value it is or is not."""

    path: Path
    kinds: tuple[Kind, ...] = ()
    values: tuple[JsonScalar, ...] = ()
    excluded: tuple[JsonScalar, ...] = ()

    def narrowed(self, found: Type) -> Type:
        found = found.present()
        if self.kinds:
            kept = found.kinds.intersection(self.kinds) if found.kinds else frozenset(self.kinds)
            if Kind.NUMBER in found.kinds and Kind.INTEGER in self.kinds:
                kept |= {Kind.INTEGER}  # a number may be a whole one
            if kept:
                found = replace(found, kinds=kept)
        if found.values and (self.values or self.excluded):
            kept_values = tuple(
                value
                for value in found.values
                if (not self.values or _among(value, self.values)) and not _among(value, self.excluded)
            )
            if kept_values:
                found = replace(found, values=kept_values)
        return found


@dataclass(slots=True)
class Flow:
    """What is known at one point of a template: the types of its own names, and what was learned about paths.

    `ended`: this point is never reached, because of `abort`.
    """

    own: dict[str, Type] = field(default_factory=dict)
    learned: dict[Path, Type] = field(default_factory=dict)
    ended: bool = False

    def copy(self) -> Flow:
        return Flow(dict(self.own), dict(self.learned), self.ended)

    def give(self, name: str, found: Type) -> None:
        """A name of the template takes a new value."""
        self.own[name] = found
        for path in [path for path in self.learned if path[0] == name]:
            del self.learned[path]

    def take(self, other: Flow) -> None:
        """Go on with what another flow knows."""
        self.own, self.learned, self.ended = other.own, other.learned, other.ended

    def know(self, facts: Iterator[Fact], type_of: Callable[[Path, Flow], Type]) -> None:
        """Add what a test tells. A path is there when something below it is."""
        for fact in facts:
            for length in range(1, len(fact.path)):
                above = fact.path[:length]
                self.learned[above] = type_of(above, self).present()
            self.learned[fact.path] = fact.narrowed(type_of(fact.path, self))


def joined(left: Flow, right: Flow, unset: Callable[[str], Type]) -> Flow:
    """What is known where two ways meet. `unset` is the type of a name that one of them has not set."""
    if left.ended or right.ended:
        return (right if left.ended else left).copy()
    own = {}
    for name in {**left.own, **right.own}:
        sides = [flow.own.get(name) or unset(name) for flow in (left, right)]
        own[name] = union(*sides)
    learned = {}
    for path, found in left.learned.items():
        other = right.learned.get(path)
        if other is not None:
            learned[path] = union(found, other)
    return Flow(own, learned)


def facts_of(test: nodes.Node, *, holds: bool) -> Iterator[Fact]:
    """What is known when `test` came out true (`holds`) or false."""
    path = path_of(test)
    if path is not None:
        yield Fact(path)
        return
    match test:
        case nodes.Not():
            yield from facts_of(test.node, holds=not holds)
        case nodes.And() if holds:
            yield from facts_of(test.left, holds=True)
            yield from facts_of(test.right, holds=True)
        case nodes.Or() if not holds:
            yield from facts_of(test.left, holds=False)
            yield from facts_of(test.right, holds=False)
        case nodes.Test(name="defined") if holds:
            yield from _there(test.node)
        case nodes.Test(name="undefined") if not holds:
            yield from _there(test.node)
        case nodes.Test(name=word) if word in _KIND_TESTS and holds and (path := path_of(test.node)):
            yield Fact(path, kinds=_KIND_TESTS[word])
        case nodes.Filter(node=nodes.Node() as inner) if _catches(test):
            otherwise = _otherwise(test)
            if otherwise is not None and bool(otherwise[0]) is not holds:
                yield from _there(inner)
        case nodes.Filter(name="length" | "count" | "trim" | "string" | "lower" | "upper", node=nodes.Node() as inner):
            if holds and isinstance(inner, nodes.Filter) and _catches(inner) and _otherwise(inner) in (None, ("",)):
                yield from facts_of(inner, holds=True)
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]):
            yield from _compared(left, op, right, holds=holds)


def _compared(left: nodes.Node, op: str, right: nodes.Node, *, holds: bool) -> Iterator[Fact]:
    path = path_of(left)
    values = _constants(right) if isinstance(right, nodes.Const) is not (op in ("in", "notin")) else None
    if path is not None and values is not None:
        if op in ("in", "notin"):
            yield Fact(path, values=values) if (op == "in") is holds else Fact(path, excluded=values)
        elif op in ("eq", "ne") and len(values) == 1:
            yield Fact(path, values=values) if (op == "eq") is holds else Fact(path, excluded=values)
        return
    if isinstance(left, nodes.Filter) and _catches(left) and left.node is not None:
        otherwise = _otherwise(left)
        outcome = None if otherwise is None or values is None else _outcome(op, otherwise[0], values)
        if outcome is not None and outcome is not holds:
            yield from _there(left.node)


def _outcome(op: str, otherwise: object, values: tuple[JsonScalar, ...]) -> bool | None:
    """What a comparison says for the value that stands for a missing one."""
    if op in ("in", "notin"):
        return _among(otherwise, values) is (op == "in")
    if op not in _OPERATORS or len(values) != 1:
        return None
    try:
        return bool(_OPERATORS[op](otherwise, values[0]))
    except TypeError:
        return None


def _there(node: nodes.Node) -> Iterator[Fact]:
    path = path_of(node)
    if path is not None:
        yield Fact(path)


def _catches(node: nodes.Filter) -> bool:
    return node.name in ("default", "d", "omit")


def _otherwise(node: nodes.Filter) -> tuple[object] | None:
    """The constant that stands for a missing value, if it is one."""
    if node.kwargs or not node.args:
        return ("",) if not node.kwargs else None
    match node.args[0]:
        case nodes.Const(value=value):
            return (value,)
        case nodes.List(items=[]):
            return ([],)
    return None


def _constants(node: nodes.Node) -> tuple[JsonScalar, ...] | None:
    """The values of a literal, or of a list of literals."""
    match node:
        case nodes.Const(value=value):
            return (value,)
        case nodes.List(items=items) | nodes.Tuple(items=items) if items:
            values = [item.value for item in items if isinstance(item, nodes.Const)]
            return tuple(values) if len(values) == len(items) else None
    return None


def _among(value: object, values: tuple[JsonScalar, ...]) -> bool:
    return any(value == one and isinstance(value, str) is isinstance(one, str) for one in values)
