"""Links in payloads that no phone can open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from scheduler.diagnostics.diagnostic import Diagnostic, warning
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode

_KEY = re.compile(r"(?i)(.*[_-])?(link|url|uri|href|deep_?link)s?")
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BEGINS_WITH_TEMPLATE = re.compile(r"\s*\{[{%#]")


def check_links(root: Node | None) -> Iterator[Diagnostic]:
    """A warning for each link beside `aps` whose text begins without a scheme. What begins with a template may hold
    one; a link to a place inside of the app has the app's own: `app://games/7`."""
    if isinstance(root, MappingNode):
        for key, value in root:
            if key.text != "aps":
                yield from _links(key, value)


def _links(key: ScalarNode, value: Node) -> Iterator[Diagnostic]:
    match value:
        case ScalarNode(text=text) if _KEY.fullmatch(key.text) and text.strip() and not value.is_null:
            if not _WITH_SCHEME.match(text.strip()) and not _BEGINS_WITH_TEMPLATE.match(text):
                hint = f"write https://… or your app's own scheme: app://{text.strip().lstrip('/')}"
                message = f"the link in '{key.text}' has no scheme, so no phone opens it"
                yield warning("no-scheme", message, value.span, hint)
        case MappingNode():
            for inner_key, inner in value:
                yield from _links(inner_key, inner)
        case SequenceNode(items=items):
            for item in items:
                yield from _links(key, item)
