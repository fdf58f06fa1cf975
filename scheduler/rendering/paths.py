"""The variables of a template: the dotted paths that it reads, found in Jinja's syntax tree.

A path is the longest chain of constant keys behind a name: of `event.data.items[0].name` all of it, of
`user.attributes[event.data.key]` the two paths `user.attributes` and `event.data.key`. What is called is not part of
it: `event.subject.upper()` reads `event.subject`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from jinja2 import Undefined, nodes

from scheduler.conditions.jinja_positions import Extents
from scheduler.rendering.sandbox import ENVIRONMENT

Path: TypeAlias = tuple[str | int, ...]
Guards: TypeAlias = frozenset[Path]

PERSONAL = frozenset({"device", "user", "today"})
"""The roots that differ from device to device. All others are fixed for a run."""
_CATCHING = frozenset({"default", "d", "omit"})


def dotted(path: Path) -> str:
    """A path as people write it."""
    return ".".join(map(str, path))


def path_of(node: nodes.Node | None) -> Path | None:
    """The path that an expression is, or None when it is something else."""
    match node:
        case nodes.Name(name=name, ctx="load"):
            return (name,)
        case nodes.Getattr(node=inner, attr=attr):
            base = path_of(inner)
            return None if base is None else (*base, attr)
        case nodes.Getitem(node=inner, arg=nodes.Const(value=key)) if type(key) in (str, int):
            base = path_of(inner)
            return None if base is None else (*base, key)
    return None


def callee_base(node: nodes.Call) -> nodes.Node:
    """What a call reads: of `event.subject.upper()` that is `event.subject`."""
    return node.node.node if isinstance(node.node, nodes.Getattr) else node.node


def local_names(tree: nodes.Node) -> frozenset[str]:
    """Names that a template gives itself: set, for, macro, with, call."""
    names: set[str] = set()
    for node in tree.find_all(nodes.Node):
        match node:
            case nodes.Name(name=name, ctx="store" | "param"):
                names.add(name)
            case nodes.For():
                names.add("loop")
            case nodes.Macro(name=name):
                names.update((name, "caller", "varargs", "kwargs"))
            case nodes.CallBlock():
                names.update(("caller", "varargs", "kwargs"))
            case nodes.Import(target=name):
                names.add(name)
            case nodes.FromImport(names=imported):
                names.update(one[1] if isinstance(one, tuple) else one for one in imported)
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a path is read. `guarded`: the template says what happens when it is missing."""

    path: Path
    node: nodes.Node
    guarded: bool


def uses(tree: nodes.Node) -> Iterator[Use]:
    """Every use of every path in the order of the text."""
    yield from _uses(tree, frozenset())


def _uses(node: nodes.Node, guards: Guards) -> Iterator[Use]:
    path = path_of(node)
    if path is not None:
        yield Use(path, node, _covers(guards, path))
        return
    match node:
        case nodes.Filter(name=name) if name in _CATCHING and node.node is not None:
            yield from _caught(node.node, guards)
            for argument in _arguments(node):
                yield from _uses(argument, guards)
        case nodes.Test(name="defined" | "undefined"):
            yield from _caught(node.node, guards)
        case nodes.Call():
            if not isinstance(node.node, nodes.Name):  # a name that is called is a function
                yield from _uses(callee_base(node), guards)
            for argument in _arguments(node):
                yield from _uses(argument, guards)
        case nodes.And() | nodes.Or():
            yield from _uses(node.left, guards)
            yield from _uses(node.right, guards | _known(node.left, holds=isinstance(node, nodes.And)))
        case nodes.CondExpr():
            yield from _uses(node.test, guards)
            yield from _uses(node.expr1, guards | _known(node.test, holds=True))
            if node.expr2 is not None:
                yield from _uses(node.expr2, guards | _known(node.test, holds=False))
        case nodes.If():
            yield from _if_uses(node, guards)
        case _:
            for child in node.iter_child_nodes():
                yield from _uses(child, guards)


def _if_uses(node: nodes.If, guards: Guards) -> Iterator[Use]:
    for branch in (node, *node.elif_):
        yield from _uses(branch.test, guards)
        for child in branch.body:
            yield from _uses(child, guards | _known(branch.test, holds=True))
        guards |= _known(branch.test, holds=False)
    for child in node.else_:
        yield from _uses(child, guards)


def _caught(node: nodes.Node, guards: Guards) -> Iterator[Use]:
    """Uses in the operand of what catches a missing value: a path, or a look-up that passes missing through."""
    path = path_of(node)
    if path is not None:
        yield Use(path, node, guarded=True)
    elif isinstance(node, nodes.Getitem | nodes.Getattr):
        yield from _caught(node.node, guards)
        if isinstance(node, nodes.Getitem):
            yield from _uses(node.arg, guards)
    else:
        yield from _uses(node, guards)


def _known(test: nodes.Node, *, holds: bool) -> Guards:
    """Paths that are there for sure when `test` holds (or does not hold)."""
    match test:
        case nodes.Test(name="defined") if holds:
            path = path_of(test.node)
            return frozenset() if path is None else frozenset({path})
        case nodes.Test(name="undefined") if not holds:
            path = path_of(test.node)
            return frozenset() if path is None else frozenset({path})
        case nodes.Not():
            return _known(test.node, holds=not holds)
        case nodes.And() if holds:
            return _known(test.left, holds=True) | _known(test.right, holds=True)
        case nodes.Or() if not holds:
            return _known(test.left, holds=False) | _known(test.right, holds=False)
    return frozenset()


def _covers(guards: Guards, path: Path) -> bool:
    """A path is there when something below it is; what is below it may still be missing."""
    return any(guard[: len(path)] == path for guard in guards)


def _arguments(node: nodes.Filter | nodes.Call) -> Iterator[nodes.Node]:
    yield from node.args
    yield from (keyword.value for keyword in node.kwargs)
    yield from (argument for argument in (node.dyn_args, node.dyn_kwargs) if argument is not None)


def extent(text: str, node: nodes.Node) -> tuple[int, int]:
    """The first character of a node in its template's text, and the one behind its last."""
    return Extents(ENVIRONMENT, text, state=None).of(node)


def look_up(scope: Mapping[str, object], path: Path) -> object:
    """The value of a path, or None when it is missing."""
    value: object = scope
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, str | int | float):
            return None
        else:
            value = ENVIRONMENT.getitem(value, key)
        if value is None or isinstance(value, Undefined):
            return None
    return value
