"""The variables of a template: the dotted paths that it reads, found in Jinja's syntax tree.

A path is the longest chain of constant keys behind a name: of `event.data.items[0].name` all of it, of
`user.attributes[event.data.key]` the two paths `user.attributes` and `event.data.key`. What is called is not part of
it: `event.subject.upper()` reads `event.subject`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from jinja2 import Undefined, nodes

from scheduler.conditions.jinja_positions import Extents, children_of
from scheduler.rendering.sandbox import ENVIRONMENT

Path: TypeAlias = tuple[str | int, ...]

PERSONAL = frozenset({"device", "user", "today"})
"""The roots that differ from device to device. All others are fixed for a run."""


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


def local_names(parts: Iterable[nodes.Node]) -> frozenset[str]:
    """Names that a template of these nodes gives itself: set, for, macro, with, call."""
    names: set[str] = set()
    for node in parts:
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


def reads(tree: nodes.Node) -> Iterator[tuple[Path, nodes.Node]]:
    """Every path that a tree reads, in the order of the text, and where. What is called is no path."""
    path = path_of(tree)
    if path is not None:
        yield path, tree
        return
    children = children_of(tree)
    if isinstance(tree, nodes.Call):
        callee = tree.node
        called = [callee.node] if isinstance(callee, nodes.Getattr) else []  # a plain name is a function
        children = [*called, *(child for child in children if child is not callee)]
    for child in children:
        yield from reads(child)


def extent(text: str, node: nodes.Node) -> tuple[int, int]:
    """The first character of a node in its template's text, and the one behind its last."""
    return Extents(ENVIRONMENT, text, state=None).of(node)


def look_up(scope: Mapping[str, object], path: Path) -> object:
    """The value of a path, or None when it is missing. A root with nothing in it is missing too."""
    if len(path) == 1:
        return scope.get(str(path[0])) or None
    value: object = scope
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, str):  # one character of it
            value = ENVIRONMENT.getitem(value, key) if isinstance(key, int) else None
        elif isinstance(value, int | float):
            return None
        else:
            value = ENVIRONMENT.getitem(value, key)
        if value is None or isinstance(value, Undefined):
            return None
    return value
