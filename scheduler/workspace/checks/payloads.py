"""Every payload rendered with samples in every locale: failures, sizes, and what the push type wants in `aps`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from scheduler.apns.request import PushType
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, error, note
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, SequenceNode
from scheduler.rendering.overlays import fallbacks
from scheduler.rendering.payload import PayloadTemplate
from scheduler.rendering.results import RenderFailure
from scheduler.rules.rule import Rule
from scheduler.workspace.checks.samples import samples
from scheduler.workspace.templates import TemplateFile

_SHOWN = ("alert", "sound", "badge")
_EMPTY_LEAF = "where there may be no value, leave the key out: `… | omit`"
_STEP = re.compile(r"[^.\[\]]+")


def check_payloads(rule: Rule, payload: PayloadTemplate, schema: Schema, files: TemplateFile) -> Iterator[Diagnostic]:
    """Findings about the payloads of a rule, that of its message in all locales."""
    rule_span, push_type = rule.message.template_node.span, PushType(rule.delivery.push_type)
    sizes: dict[str | None, int] = {}
    said: set[RenderFailure] = set()
    people = samples(payload.paths, schema, rule.trigger.event)
    for locale in (None, *payload.locales):
        for sample in people:
            rendered = payload.render(locale, sample.scope)
            if isinstance(rendered, bytes):
                sizes[locale] = max(sizes.get(locale, 0), len(rendered))
                yield from _type_findings(rendered, push_type, files, locale, rule_span)
            elif isinstance(rendered, RenderFailure) and rendered not in said:
                if locale is None:
                    said.add(rendered)  # it fails in the same way in all locales that do not replace the leaf
                span = _leaf_span(files, locale, rendered.leaf) or rule_span
                yield _render_finding(rendered, locale, span, declared=sample.declared)
    yield from _size_findings(sizes, push_type.payload_limit, rule_span)


def _render_finding(failure: RenderFailure, locale: str | None, span: Span, *, declared: bool) -> Diagnostic:
    where = f" in {locale}" if locale else ""
    message = f"with sample values{where}, `{failure.leaf}`: {failure.message}"
    if not declared:
        return note("render-error", f"{message}; its variables are not declared, so the sample may be wrong", span,
                    "declare them in schema.yaml: then the sample fits")  # fmt: skip
    return error("render-error", message, span, _EMPTY_LEAF if failure.message.endswith("not ''") else None)


def _size_findings(sizes: Mapping[str | None, int], limit: int, span: Span) -> Iterator[Diagnostic]:
    """One finding, about the largest payload of all locales."""
    largest = max(sizes, key=lambda locale: sizes[locale], default=None)
    if sizes and sizes[largest] > limit:
        where = f" in {largest}" if largest else ""
        yield error("payload-too-large", f"with sample values the payload has {sizes[largest]:,} bytes{where}; "
                    f"Apple takes {limit:,}", span, "shorten its texts; the app can fetch what is long")  # fmt: skip


def _type_findings(
    payload: bytes, push_type: PushType, files: TemplateFile, locale: str | None, rule_span: Span
) -> Iterator[Diagnostic]:
    """Apple: "Generating a remote notification", "Pushing background updates to your App"."""
    content = msgspec.json.decode(payload)
    aps: Mapping[str, object] = content["aps"]
    if push_type is PushType.ALERT and any(key in aps for key in _SHOWN):
        return
    # What is wrong with the base is said of the base, whatever locale it was found in.
    removed = locale is not None and any(_leaf_span(files, None, f"aps.{key}") for key in _SHOWN)
    span = _leaf_span(files, locale if removed else None, "aps") or rule_span
    where = f" in {locale}" if removed else ""
    if push_type is PushType.ALERT:
        yield error("type-mismatch", "an alert notification shows, sounds or counts: `aps` has no alert, sound or "
                    f"badge{where}", span, "add one, or write `type: background` in the rule's delivery")  # fmt: skip
    if push_type is PushType.BACKGROUND:
        if "content-available" not in aps:
            place = _leaf_span(files, None, "aps") or span
            yield error("type-mismatch", "a background notification needs `content-available: 1` in `aps`", place,
                        "add it")  # fmt: skip
        for key in (key for key in _SHOWN if key in aps):
            place = _leaf_span(files, None, f"aps.{key}") or _leaf_span(files, locale, f"aps.{key}") or span
            yield error("type-mismatch", f"a background notification cannot have `{key}`: it shows nothing", place,
                        "remove it, or write `type: alert` in the rule's delivery")  # fmt: skip


def _leaf_span(files: TemplateFile, locale: str | None, leaf: str) -> Span | None:
    """Where a leaf is written: in the most specific overlay that has it, else in the base."""
    overlays = (files.overlays.get(step) for step in (fallbacks(locale) if locale else ()))
    found = (_node_at(root, leaf) for root in (*overlays, files.base) if root is not None)
    return next((node.span for node in found if node is not None), None)


def _node_at(root: Node, leaf: str) -> Node | None:
    node: Node | None = root
    for step in _STEP.findall(leaf):
        if isinstance(node, MappingNode):
            node = node.get(step)
        elif isinstance(node, SequenceNode) and step.isdigit() and int(step) < len(node.items):
            node = node.items[int(step)]
        else:
            return None
    return node
