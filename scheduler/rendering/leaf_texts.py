"""The texts that a payload's leaves are, each with a label that tells its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import nodes

from scheduler.rendering.sandbox import ENVIRONMENT


@dataclass(frozen=True, slots=True)
class LeafText:
    """A template text, the name of its place (`aps.alert.body`), and whether its one expression keeps its type."""

    label: str
    text: str
    as_json: bool = False


@lru_cache(maxsize=1024)
def parsed(text: str) -> nodes.Template:
    """A template text as a tree to look at, not to change. TemplateSyntaxError carries the offset."""
    return ENVIRONMENT.parse(text)


def is_single_expression(text: str) -> bool:
    """Whether a text is `{{ x }}` without anything around it."""
    return single_expression(parsed(text).body) is not None


def single_expression(body: Sequence[nodes.Node]) -> nodes.Expr | None:
    """The expression that a body is, if it is nothing else."""
    match body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            return expression
    return None
