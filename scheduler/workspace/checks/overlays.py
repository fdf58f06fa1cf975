"""Overlays that forget what they are for."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.diagnostics.diagnostic import Diagnostic, warning
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode
from scheduler.rendering.aps import ALERT
from scheduler.workspace.templates import TemplateFile

_TEXTS = frozenset({"title", "subtitle", "body", "title-loc-key", "subtitle-loc-key", "loc-key"})


def check_overlays(files: TemplateFile) -> Iterator[Diagnostic]:
    """A warning for each overlay that replaces none of the texts that its base shows."""
    if _alert(files.base) is None:
        return
    for locale, root in files.overlays.items():
        alert = _alert(root)
        if alert is None or (isinstance(alert, MappingNode) and not any(map(_may_be_text, alert))):
            message = f"the overlay for {locale} replaces none of title, subtitle and body"
            hint = "translate one, `aps: {alert: {title: …}}`; until then its devices read the texts of the base"
            yield warning("overlay-texts", message, root.span, hint)


def _may_be_text(entry: tuple[ScalarNode, Node]) -> bool:
    """Whether a key of `alert` is a text, or one that does not exist: that has its own finding."""
    return entry[0].text in _TEXTS or entry[0].text not in ALERT


def _alert(root: Node | None) -> Node | None:
    aps = root.get("aps") if isinstance(root, MappingNode) else None
    return aps.get("alert") if isinstance(aps, MappingNode) else None
