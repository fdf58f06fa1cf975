"""Every payload rendered with samples in every locale: failures, sizes, and what the push type wants in `aps`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from scheduler.apns.payload_rules import PayloadProblem, payload_problems
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, error, note
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, SequenceNode
from scheduler.rendering.overlays import fallbacks
from scheduler.rendering.payload import PayloadTemplate
from scheduler.rendering.results import RenderFailure
from scheduler.rules.rule import Message, Rule
from scheduler.workspace.checks.samples import samples
from scheduler.workspace.templates import TemplateFile

_EMPTY_LEAF = "where there may be no value, leave the key out: `… | omit`"
_STEP = re.compile(r"[^.\[\]]+")


def check_payloads(
    rule: Rule, message: Message, payload: PayloadTemplate, schema: Schema, files: TemplateFile
) -> Iterator[Diagnostic]:
    """Findings about the payloads of one of a rule's messages, in all locales."""
    rule_span, push_type = message.template_node.span, rule.delivery.push_type
    sizes: dict[str | None, int] = {}
    said = _Said()
    people = samples(payload.paths, schema, rule.trigger.event)
    for locale in (None, *payload.locales):
        for sample in people:
            rendered = payload.render(locale, sample.scope)
            if isinstance(rendered, bytes):
                sizes[locale] = max(sizes.get(locale, 0), len(rendered))
                for problem in payload_problems(push_type, msgspec.json.decode(rendered)):
                    span = _leaf_span(files, locale, problem.leaf) or _leaf_span(files, locale, "aps") or rule_span
                    if said.is_new(problem, locale, span):
                        yield _type_finding(problem, locale, span)
            elif isinstance(rendered, RenderFailure):
                span = _leaf_span(files, locale, rendered.leaf) or rule_span
                if said.is_new(rendered, locale, span):
                    yield _render_finding(rendered, locale, span, declared=sample.declared)
    yield from _size_findings(sizes, push_type.payload_limit, rule_span)


class _Said:
    """What was said already: of the base once for all locales, of an overlay once for those that it is a part of."""

    def __init__(self) -> None:
        self._said: set[tuple[RenderFailure | PayloadProblem, Span | None]] = set()

    def is_new(self, what: RenderFailure | PayloadProblem, locale: str | None, span: Span) -> bool:
        """Whether it was not said yet; from now on it was."""
        new = self._said.isdisjoint({(what, None), (what, span)})
        self._said.add((what, None if locale is None else span))
        return new


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


def _type_finding(problem: PayloadProblem, locale: str | None, span: Span) -> Diagnostic:
    where = f"in {locale}, " if locale else ""
    return error("type-mismatch", f"{where}{problem.message}", span, problem.hint)


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
