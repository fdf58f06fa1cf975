"""A payload's YAML tree read as fixed JSON and leaves with templates, each leaf of the type that its place wants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, core_value
from scheduler.domain.push_types import PushType
from scheduler.rendering.aps import (
    ALERT,
    EitherOr,
    LeafType,
    ListOf,
    OwnFields,
    Shape,
    aps_fields,
    types_that_have,
)
from scheduler.rendering.skeleton import ENCODE, Array, Fixed, Hole, Object, Part
from scheduler.rendering.texts import is_template
from scheduler.rules.bare_names import bare_name_in_text

_NO_JSON = Fixed(b"null")
"""Stands where a finding says that there is no value."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf with a template: its place (`aps.alert.body`), its text, and its type (None: the payload's own key)."""

    path: str
    node: ScalarNode
    type: LeafType | None


def read_tree(root: Node, push_type: PushType) -> tuple[Part, tuple[Leaf, ...], list[Diagnostic]]:
    """The fixed part with numbered holes, the leaves in the order of the holes, and what is wrong."""
    reader = _Reader(push_type)
    if not isinstance(root, MappingNode):
        return _NO_JSON, (), [error("wrong-type", "a payload is a mapping with the key `aps`", root.span)]
    if root.get("aps") is None and push_type is not PushType.MDM:
        hint = f"a push of type `{push_type}` begins with `aps: {_beginning(push_type)}`"
        reader.findings.append(error("wrong-type", "the payload has no `aps`", root.span, hint))
    part = reader.payload(root)
    return part, tuple(reader.leaves), reader.findings


class _Reader:
    def __init__(self, push_type: PushType) -> None:
        self.push_type = push_type
        self.leaves: list[Leaf] = []
        self.findings: list[Diagnostic] = []

    def payload(self, root: MappingNode) -> Part:
        entries: list[tuple[str, Part]] = []
        for key, value in root:
            if key.text == "aps":
                entries.append(("aps", self._fields(value, aps_fields(self.push_type), "aps")))
            else:
                entries.append((self._key(key), self._own(value, key.text)))
        return Object(tuple(entries))

    def _fields(self, node: Node, fields: Mapping[str, Shape], path: str) -> Part:
        if not isinstance(node, MappingNode):
            return self._wrong(node, path, "a mapping")
        entries: list[tuple[str, Part]] = []
        for key, value in node:
            below = f"{path}.{key.text}"
            shape = fields.get(key.text)
            if shape is not None:
                entries.append((key.text, self._shaped(value, shape, below)))
            else:
                self.findings.append(self._unknown_key(key, fields, path))
        return Object(tuple(entries))

    def _shaped(self, node: Node, shape: Shape, path: str) -> Part:
        match shape:
            case LeafType():
                return self._typed(node, shape, path)
            case ListOf(item=item):
                if not isinstance(node, SequenceNode):
                    return self._wrong(node, path, "a list")
                return Array(tuple(self._typed(one, item, f"{path}[{n}]") for n, one in enumerate(node.items)))
            case OwnFields():
                return self._own(node, path) if isinstance(node, MappingNode) else self._wrong(node, path, "a mapping")
            case EitherOr(single=single, fields=fields):
                if isinstance(node, MappingNode):
                    return self._fields(node, fields, path)
                return self._typed(node, single, path, also=" or a mapping")

    def _unknown_key(self, key: ScalarNode, fields: Mapping[str, Shape], path: str) -> Diagnostic:
        others = types_that_have(key.text) if path == "aps" else ()
        if others:
            types = " or ".join(f"`type: {one}`" for one in others[:2])
            message = f"`aps` has no key '{key.text}' in a push of type `{self.push_type}`"
            return error("unknown-key", message, key.span, f"leave it out, or write {types} in the rule's delivery")
        message = f"`{path}` has no key '{key.text}'"
        return error("unknown-key", message, key.span, self._key_hint(key.text, fields, path))

    def _key_hint(self, key: str, fields: Mapping[str, Shape], path: str) -> str:
        """What to write in place of a key that Apple does not know."""
        if path == "aps" and key in ALERT:
            return f"it stands in `alert`: `aps: {{alert: {{{key}: …}}}}`"
        if path == "aps.alert" and key in aps_fields(self.push_type):
            return f"it stands beside `alert`: `aps: {{{key}: …}}`"
        near = did_you_mean(key, fields)
        own = "keys of your own stand beside `aps`, not in it"
        return near or (own if path == "aps" else f"its keys are {', '.join(fields)}; {own}")

    def _typed(self, node: Node, leaf_type: LeafType, path: str, also: str = "") -> Part:
        if not isinstance(node, ScalarNode) or node.is_null:
            return self._wrong(node, path, leaf_type.wanted + also)
        if is_template(node.text):
            return self._hole(Leaf(path, node, leaf_type))
        self._look_for_names(node)
        try:
            return Fixed(leaf_type.to_json(node.text))
        except ValueError:
            return self._wrong(node, path, leaf_type.wanted + also)

    def _own(self, node: Node, path: str) -> Part:
        """A value beside `aps`: whatever YAML 1.2's core schema makes of it."""
        match node:
            case MappingNode():
                return Object(tuple((self._key(key), self._own(value, f"{path}.{key.text}")) for key, value in node))
            case SequenceNode():
                return Array(tuple(self._own(item, f"{path}[{n}]") for n, item in enumerate(node.items)))
            case ScalarNode() if is_template(node.text):
                return self._hole(Leaf(path, node, None))
            case _:
                return self._constant(node, path)

    def _constant(self, node: ScalarNode, path: str) -> Part:
        self._look_for_names(node)
        try:
            value = core_value(node)
            if isinstance(value, float) and not math.isfinite(value):
                raise OverflowError
            return Fixed(ENCODE(value))
        except (UnicodeEncodeError, OverflowError):
            return self._wrong(node, path, "a value that JSON can hold")

    def _look_for_names(self, node: ScalarNode) -> None:
        bare = bare_name_in_text(node)
        if bare is not None:
            self.findings.append(bare)

    def _hole(self, leaf: Leaf) -> Part:
        self.leaves.append(leaf)
        return Hole(len(self.leaves) - 1)

    def _key(self, key: ScalarNode) -> str:
        if is_template(key.text):
            self.findings.append(error("wrong-type", "a key cannot be a template", key.span, "write the key out"))
        return key.text

    def _wrong(self, node: Node, path: str, wanted: str) -> Part:
        match node:
            case ScalarNode(text=text) if not node.is_null:
                found = f"'{text if len(text) <= 40 else text[:37] + '…'}'"
            case ScalarNode():
                found = "nothing"
            case SequenceNode():
                found = "a list"
            case MappingNode():
                found = "a mapping"
        hint = None
        if found == "nothing":
            hint = "write a value, or remove the key"
        elif wanted == "a list":
            hint = "put it in brackets, [ ], or begin each value with `- `"
        self.findings.append(error("wrong-type", f"`{path}` is {wanted}, not {found}", node.span, hint))
        return _NO_JSON


def _beginning(push_type: PushType) -> str:
    """What to write as the least `aps` of a push type."""
    match push_type:
        case PushType.ALERT:
            return "{alert: {…}}"
        case PushType.BACKGROUND:
            return "{content-available: 1}"
        case PushType.LIVE_ACTIVITY:
            return "{event: …, timestamp: …, content-state: {…}}"
        case PushType.WIDGETS | PushType.CONTROLS:
            return "{content-changed: true}"
        case _:
            return "{}"
