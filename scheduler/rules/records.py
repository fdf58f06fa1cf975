"""Kinds with parts: mappings with fields of their own, lists, and values that have two forms."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scheduler.diagnostics.diagnostic import Diagnostic, has_errors
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.rules.fields import Field, Table
from scheduler.rules.kinds import Kind, Misfit, Misfits, in_brackets

_PLAIN = re.compile(r"[\w.]+(?:[ -][\w.]+)*")
"""What may stand in braces without quotes."""


def record(name: str, *fields: Field, hints: Mapping[str, str] | None = None) -> Kind:
    """A mapping with these fields; read as `Values`. `name` is what messages call it."""
    table = Table(fields, hints or {})
    keys = ", ".join(table.children(""))
    words = f"a mapping with {keys}"
    shape = ", ".join(f"{one.path}: …" for one in [one for one in fields if one.required] or fields)

    def read(node: Node) -> object:
        if not isinstance(node, MappingNode):
            raise Misfit(f"must be {words}", node, f"write {_filled(f'{{{shape}}}', node)}")
        values, findings = table.read(node, within=name)
        if has_errors(findings):
            raise Misfits(findings)
        return values

    return Kind(words, read, table.json_schema(), shape=f"{{{shape}}}")


def list_of(kind: Kind, words: str) -> Kind:
    """A list of one kind that is not empty; read as a tuple."""

    def read(node: Node) -> object:
        if not isinstance(node, SequenceNode):
            hint = f"write [{kind.shape}], or begin each with `- `" if kind.shape else in_brackets(node)
            raise Misfit(f"must be {words}", node, hint)
        if not node.items:
            raise Misfit(f"must be {words}; this one is empty", node, "leave the key out")
        return _read_all(kind, node.items)

    return Kind(words, read, {"type": "array", "minItems": 1, "items": kind.json_schema})


def one_or_list(kind: Kind, words: str) -> Kind:
    """One value of a kind, or a list of them; read as a tuple."""
    many = list_of(kind, words)

    def read(node: Node) -> object:
        return many.read(node) if isinstance(node, SequenceNode) else (kind.read(node),)

    return Kind(words, read, {"oneOf": [_titled(kind), _titled(many)]})


def either(word: Kind, mapping: Kind) -> Kind:
    """A word, or a mapping that says more."""
    words = f"{word.words}, or {mapping.words}"

    def read(node: Node) -> object:
        if isinstance(node, MappingNode):
            return mapping.read(node)
        if isinstance(node, SequenceNode):
            raise Misfit(f"must be {words}, not a list", node)
        try:
            return word.read(node)
        except Misfit as misfit:
            if misfit.hint == f"write {word.words}":  # the only word: what was meant is most likely the mapping
                misfit.hint = f"write {mapping.shape}, or {word.words}"
            elif misfit.hint is None and misfit.span == node.span:
                filled = _filled(mapping.shape, node)
                is_part = filled != mapping.shape and filled.split(": ")[1][0].isdigit()
                misfit.hint = f"write {filled}" if is_part else f"or say more: {mapping.shape}"
            raise

    return Kind(words, read, {"oneOf": [_titled(word), _titled(mapping)]})


def _filled(shape: str, node: Node) -> str:
    """The shape of a mapping that needs one value alone, with what was written in its place."""
    if shape.count("…") == 1 and isinstance(node, ScalarNode) and _PLAIN.fullmatch(node.text):
        return shape.replace("…", node.text)
    return shape


def _titled(kind: Kind) -> dict[str, object]:
    """One of several forms, with the name that editors show."""
    return {"title": kind.words, **kind.json_schema}


def _read_all(kind: Kind, items: tuple[Node, ...]) -> tuple[object, ...]:
    read: list[object] = []
    findings: list[Diagnostic] = []
    for item in items:
        try:
            read.append(kind.read(item))
        except Misfit as misfit:
            message = f"each of them {misfit.message}" if misfit.message.startswith("must ") else misfit.message
            raise Misfit(message, item, misfit.hint, misfit.code, misfit.span) from None
        except Misfits as misfits:
            findings.extend(misfits.findings)
    if findings:
        raise Misfits(findings)
    return tuple(read)
