"""The texts that a payload's leaves are, each with a label that tells its place; and texts as trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from jinja2 import nodes

from scheduler.conditions.jinja_positions import children_of
from scheduler.rendering.paths import local_names
from scheduler.rendering.sandbox import ENVIRONMENT

N = TypeVar("N", bound=nodes.Node)


@dataclass(frozen=True, slots=True)
class LeafText:
    """A template text, the name of its place (`aps.alert.body`), and whether its one expression keeps its type."""

    label: str
    text: str
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A template text as a tree to look at, not to change."""

    tree: nodes.Template
    parts: tuple[nodes.Node, ...]
    """All its nodes in the order of the text."""
    levels: int
    """How deep it is nested."""
    own: frozenset[str]
    """The names that it gives itself."""
    names: frozenset[str]
    """All names in it."""

    @property
    def expression(self) -> nodes.Expr | None:
        """The one expression that it is (`{{ x }}`), if it is nothing else."""
        return single_expression(self.tree.body)


@lru_cache(maxsize=1024)
def parsed(text: str) -> ParsedText:
    """A template text as a tree. TemplateSyntaxError carries the offset."""
    return looked_through(ENVIRONMENT.parse(text))


def looked_through(tree: nodes.Template) -> ParsedText:
    """A tree with what everybody wants to know of it."""
    parts: list[nodes.Node] = []
    levels = _collect(tree, parts)
    names = frozenset(part.name for part in parts if isinstance(part, nodes.Name))
    return ParsedText(tree, tuple(parts), levels, local_names(parts), names)


def _collect(node: nodes.Node, parts: list[nodes.Node]) -> int:
    """Collect all that is below a node; how many levels that is."""
    deepest = 0
    for child in children_of(node):
        parts.append(child)
        deepest = max(deepest, _collect(child, parts))
    return deepest + 1


def copy_of(node: N) -> N:
    """A tree of its own, to be changed: twenty times as fast as to parse the text once more."""
    copy = object.__new__(type(node))
    kept = copy.__dict__
    for name, value in node.__dict__.items():
        if isinstance(value, nodes.Node):
            kept[name] = copy_of(value)
        elif type(value) is list:
            kept[name] = [copy_of(item) if isinstance(item, nodes.Node) else item for item in value]
        else:
            kept[name] = value
    return copy


def single_expression(body: Sequence[nodes.Node]) -> nodes.Expr | None:
    """The expression that a body is, if it is nothing else."""
    match body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            return expression
    return None
