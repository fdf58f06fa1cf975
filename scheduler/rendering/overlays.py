"""Locales: which overlays a device gets, and what laying one template over another means.

Fallback is by BCP 47 look-up (RFC 4647, section 3.4): `zh-Hant-TW` → `zh-Hant` → `zh` → base.
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode
from scheduler.domain.locales import canonical_locale


def fallbacks(tag: str) -> list[str]:
    """A tag and what it falls back to, most specific first, canonical; [] for what is no tag.

    >>> fallbacks("zh_Hant_TW")
    ['zh-Hant-TW', 'zh-Hant', 'zh']
    """
    canonical = canonical_locale(tag)
    parts = canonical.split("-") if canonical else []
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]


def chain(tag: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """The known tags that a locale uses, most specific first; () is the base alone. `known` is canonical."""
    if not tag:
        return ()
    known = frozenset(known)
    return tuple(step for step in fallbacks(tag) if step in known)


def overlay(base: Node, over: Node) -> Node:
    """Maps are merged, lists and single values replaced. A null in a map removes the key. (As in RFC 7396.)"""
    if not (isinstance(base, MappingNode) and isinstance(over, MappingNode)):
        return _without_nulls(over)
    changes = {key.text: (key, value) for key, value in over}
    merged: list[tuple[ScalarNode, Node]] = []
    for key, value in base:
        if key.text not in changes:
            merged.append((key, value))
            continue
        _, change = changes.pop(key.text)
        if not _removes(change):
            merged.append((key, overlay(value, change)))
    merged.extend((key, _without_nulls(value)) for key, value in changes.values() if not _removes(value))
    return MappingNode(tuple(merged), base.span)


def _removes(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.is_null


def _without_nulls(node: Node) -> Node:
    if not isinstance(node, MappingNode):
        return node
    kept = tuple((key, _without_nulls(value)) for key, value in node if not _removes(value))
    return MappingNode(kept, node.span)
