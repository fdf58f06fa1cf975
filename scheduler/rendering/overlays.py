"""Locales: which overlays a device gets, and what laying one template over another means.

Fallback is by BCP 47 look-up (RFC 4647, section 3.4): `zh-Hant-TW` → `zh-Hant` → `zh` → base. Case does not matter
and `_` counts as `-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode

_TAG = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*", re.IGNORECASE)


def canonical(tag: str) -> str:
    """The form in which tags are compared: `de_AT` → `de-at`."""
    return tag.replace("_", "-").lower()


def is_locale(word: str) -> bool:
    """Whether a word is a language tag: language, then perhaps script, region, variants (RFC 5646, section 2.1).

    >>> [is_locale(word) for word in ("de", "de-AT", "zh_Hant_TW", "title", "x")]
    [True, True, True, False, False]
    """
    return _TAG.fullmatch(word.replace("_", "-")) is not None


def fallbacks(tag: str) -> list[str]:
    """A tag and what it falls back to, most specific first, canonical.

    >>> fallbacks("zh_Hant_TW")
    ['zh-hant-tw', 'zh-hant', 'zh']
    """
    parts = canonical(tag).split("-")
    return ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]


def chain(tag: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """The known tags that a locale uses, most specific first; () is the base alone. `known` is canonical."""
    if not tag:
        return ()
    known = frozenset(known)
    return tuple(step for step in fallbacks(tag) if step in known)


def overlay(base: Node, over: Node) -> Node:
    """Maps are merged, lists and single values replaced. A null in a map removes the key."""
    if not (isinstance(base, MappingNode) and isinstance(over, MappingNode)):
        return over
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
