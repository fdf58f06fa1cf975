"""The values of `message.with`: texts and templates under names of their own, localised where the rule says so.

A mapping whose keys are all locales is localised, with the fallback of overlays. Everything else that is no template
is a constant of YAML 1.2's core types and costs nothing per device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, core_value
from scheduler.domain.json_values import Json
from scheduler.domain.locales import canonical_locale
from scheduler.rendering.expression_types import Type, of_json, union
from scheduler.rendering.leaf_texts import LeafText
from scheduler.rendering.names import Names, typed_text
from scheduler.rendering.overlays import fallbacks
from scheduler.rendering.texts import is_template
from scheduler.rules.bare_names import bare_name_in_text

RESERVED = frozenset({"event", "previous", "device", "user", "now", "today", "slot", "exit", "range", "abort"})
"""Names that mean something else in templates."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known when the template is compiled."""

    value: Json


@dataclass(frozen=True, slots=True)
class WithValues:
    """By name, by canonical locale ("" for what is not localised), the value."""

    values: Mapping[str, Mapping[str, Constant | LeafText]]
    types: Mapping[str, Type]
    """By name, what the values of all locales have in common."""
    findings: tuple[Diagnostic, ...] = ()

    @property
    def locales(self) -> frozenset[str]:
        """Canonical tags that any value is localised for."""
        return frozenset(locale for by_locale in self.values.values() for locale in by_locale if locale)

    def chosen(self, preferred: Sequence[str]) -> dict[str, Constant | LeafText]:
        """The value of each name for locales in the order of preference, which ends in the default's."""
        return {
            name: next(by_locale[locale] for locale in (*preferred, "") if locale in by_locale)
            for name, by_locale in self.values.items()
        }


NO_VALUES = WithValues({}, {})


def read_with(node: Node | None, names: Names, default_locale: str) -> WithValues:
    """The values of `message.with` and what is wrong with them."""
    if node is None:
        return NO_VALUES
    if not isinstance(node, MappingNode):
        return WithValues({}, {}, (error("wrong-type", "`with` is a mapping of names to values", node.span),))
    values: dict[str, Mapping[str, Constant | LeafText]] = {}
    types: dict[str, Type] = {}
    findings: list[Diagnostic] = []
    for key, value in node:
        findings.extend(_name_findings(key))
        by_locale = _by_locale(value)
        types[key.text] = union(*[_checked(one, names, findings) for one in by_locale.values()])
        if by_locale and not any(step in by_locale for step in (*fallbacks(default_locale), "")):
            findings.append(error("no-default-text", f"`with.{key.text}` has no text for the default locale "
                                  f"'{default_locale}'", key.span, f"add `{default_locale}: …`"))  # fmt: skip
        values[key.text] = {
            locale: LeafText(f"with.{key.text}", one.text)
            if isinstance(one, ScalarNode) and is_template(one.text)
            else Constant(core_value(one))
            for locale, one in by_locale.items()
        }
    return WithValues(values, types, tuple(findings))


def is_localised(node: Node) -> bool:
    """Whether a value is a mapping whose keys are all locales."""
    return isinstance(node, MappingNode) and bool(node.entries) and all(canonical_locale(key.text) for key, _ in node)


def _by_locale(node: Node) -> dict[str, Node]:
    if isinstance(node, MappingNode) and is_localised(node):
        return {canonical_locale(key.text) or key.text: value for key, value in node}
    return {"": node}


def _name_findings(key: ScalarNode) -> Iterator[Diagnostic]:
    if key.text in RESERVED:
        yield error("shadowed-name", f"'{key.text}' already has a meaning in templates", key.span,
                    "choose another name")  # fmt: skip
    elif not key.text.isidentifier() or key.text.startswith("_"):
        yield error("bad-name", f"'{key.text}' cannot be a name in a template", key.span,
                    "use letters, digits and `_`, beginning with a letter")  # fmt: skip


def _checked(value: Node, names: Names, findings: list[Diagnostic]) -> Type:
    """The type of a value of one locale. What may be missing is a matter of who reads it."""
    if isinstance(value, ScalarNode) and is_template(value.text):
        found, problems = typed_text(value, names)
        findings.extend(problems)
        return found
    for inner in _scalars(value):
        if is_template(inner.text):
            message = "a template stands directly under its name in `with`, not deeper"
            findings.append(error("wrong-type", message, inner.span, "give it a name of its own"))
        elif bare := bare_name_in_text(inner):
            findings.append(bare)
        elif isinstance(number := core_value(inner), float) and not math.isfinite(number):
            findings.append(error("wrong-type", f"'{inner.text}' is no number that JSON can hold", inner.span))
    return of_json(core_value(value))


def _scalars(node: Node) -> Iterator[ScalarNode]:
    match node:
        case ScalarNode():
            yield node
        case SequenceNode(items=items):
            for item in items:
                yield from _scalars(item)
        case MappingNode():
            for _, value in node:
                yield from _scalars(value)
