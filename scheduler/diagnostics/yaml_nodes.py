"""YAML as a tree that remembers where every character came from.

A scalar keeps its text and does not guess a type: the field that it stands in decides (`22:00` is a time where a
time is expected, `no` is a word where a word is). `core_value` gives YAML 1.2's core types for untyped places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scheduler.diagnostics.source import Span
from scheduler.domain.json_values import Json, JsonScalar


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """A scalar's text, whether it was plain (unquoted, not a block), and the place of each character."""

    text: str
    span: Span
    plain: bool
    places: Sequence[int]
    """Source offset of each character of `text`, and of the place behind the last: len(text) + 1 numbers."""

    def span_of(self, start: int, end: int | None = None) -> Span:
        """The span in the file of the characters `start` up to `end` of `text`."""
        last = len(self.places) - 1
        first = self.places[min(max(start, 0), last)]
        if end is None or end <= start:
            return self.span.source.span(first)
        return self.span.source.span(first, self.places[min(end - 1, last)] + 1)

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True, eq=False)
class SequenceNode:
    """A list of nodes."""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class MappingNode:
    """Keys in the order of the file; each key once."""

    entries: tuple[tuple[ScalarNode, Node], ...]
    span: Span

    def get(self, key: str) -> Node | None:
        for name, value in self.entries:
            if name.text == key:
                return value
        return None

    def key(self, key: str) -> ScalarNode | None:
        return next((name for name, _ in self.entries if name.text == key), None)

    def __iter__(self) -> Iterator[tuple[ScalarNode, Node]]:
        return iter(self.entries)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode

# YAML 1.2.2, section 10.3.2: tag resolution of the core schema.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,4000}")
"""Exact, also beyond 64 bits: whoever wants fewer can say so. Python reads 4,300 digits at most."""
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,22}|0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")


def core_scalar(text: str) -> JsonScalar:
    """The value of a plain scalar in YAML 1.2's core schema; `no`, `22:00` and `1_000` are strings.

    So are `.inf` and `.nan`, which JSON does not have. `1e999` is infinite all the same: whoever makes JSON looks.

    >>> [core_scalar(text) for text in ("no", "12", "1.5", "true", "~", "0x1f")]
    ['no', 12, 1.5, True, None, 31]
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def core_value(node: Node) -> Json:
    """The whole tree below `node` as JSON values."""
    match node:
        case ScalarNode():
            return core_scalar(node.text) if node.plain else node.text
        case SequenceNode():
            return [core_value(item) for item in node.items]
        case MappingNode():
            return {key.text: core_value(value) for key, value in node.entries}
