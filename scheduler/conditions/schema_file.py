"""schema.yaml → Schema. Its shape is strict: every problem is found at once, with its place."""

from __future__ import annotations

import math

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, core_scalar

_TYPE_WORDS = tuple(kind.value for kind in ValueType if kind is not ValueType.ENUM)
_FIELD_HINT = "write `name: type` on lines of their own"
_EVENT_HINT = "write each type of event as a key: `com.example.order.placed: {items: integer}`"
_FIELD_KEYS = ("type", "enum", "optional")
_FOREIGN_TYPES = {
    "text": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "datetime": "instant",
    "timestamp": "instant",
    "time": "instant",
    "array": "list",
    "map": "object",
    "json": "object",
}


def read_schema(root: Node | None) -> tuple[Schema, list[Diagnostic]]:
    """What the root of schema.yaml declares, and everything that is wrong with it.

    A section that is not there declares nothing, so no name in it is known; `open: true` relaxes that. So does a
    section that cannot be read: it is one mistake, and not one for each name.
    """
    reader = _Reader()
    return reader.schema(root), reader.findings


class _Reader:
    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []

    def schema(self, root: Node | None) -> Schema:
        parts = self._mapping(root, ("users", "devices", "events"))
        events: dict[str, Section] = {}
        open_events = not _is_readable(parts.get("events")) or self._has_unknown(root, parts)
        for key, node in self._entries(parts.get("events"), _EVENT_HINT):
            if key.text == "open":
                open_events = self._flag(node) or open_events
            else:
                events[key.text] = self._section(node)
        if open_events:
            events = {name: Section(section.fields, open=True) for name, section in events.items()}
        users, devices = (self._registry_section(parts, word, root) for word in ("users", "devices"))
        return Schema(events=events, users=users, devices=devices, open_events=open_events)

    def _registry_section(self, sections: dict[str, Node], word: str, root: Node | None) -> Section:
        node = sections.get(word)
        parts = self._mapping(node, ("attributes", "open"))
        section = self._section(parts.get("attributes"))
        is_open = section.open or ("open" in parts and self._flag(parts["open"]))
        is_unread = not _is_readable(node) or self._has_unknown(node, parts)
        is_misspelt = node is None and self._has_unknown(root, sections)
        return Section(section.fields, open=is_open or is_unread or is_misspelt)

    def _has_unknown(self, node: Node | None, known: dict[str, Node]) -> bool:
        return isinstance(node, MappingNode) and len(node.entries) > len(known)

    def _section(self, node: Node | None) -> Section:
        fields: dict[str, FieldType] = {}
        is_open = False
        for key, value in self._entries(node):
            # A field may be called `open` too: then a type stands there, not true or false.
            if key.text == "open" and isinstance(value, ScalarNode) and value.text in ("true", "false"):
                is_open = self._flag(value)
            else:
                fields[key.text] = self._field(value)
        return Section(fields, open=is_open or not _is_readable(node))

    def _field(self, node: Node) -> FieldType:
        if isinstance(node, ScalarNode):
            return self._type_word(node, optional=node.text.endswith("?"))
        if isinstance(node, SequenceNode):
            written = node.span.source.text[node.span.start : node.span.end]
            self._report("schema", "a field needs a type, and this is a list", node, f"the possible values are written "
                         f"`{{enum: {written if written.startswith('[') else '[…]'}}}`")  # fmt: skip
            return FieldType(ValueType.ANY, optional=True)
        if not any(key.text in _FIELD_KEYS for key, _ in node):
            self._report("schema", "a field needs a type, and this is a mapping", node, "write `object`: what is "
                         "inside of one is not declared; else write `{type: string}` or `{enum: [a, b]}`")  # fmt: skip
            return FieldType(ValueType.ANY, optional=True)
        parts = self._mapping(node, _FIELD_KEYS)
        optional = "optional" in parts and self._flag(parts["optional"])
        if "enum" in parts:
            if "type" in parts:
                self._report("schema", "a field has a type or an enum, not both", parts["type"], "remove one of them")
            return self._enum(parts["enum"], optional=optional)
        kind = parts.get("type")
        if isinstance(kind, ScalarNode):
            return self._type_word(kind, optional=optional or kind.text.endswith("?"))
        self._report("schema", "a field needs a type", node, "write a word such as `string`, or `{enum: [a, b]}`")
        return FieldType(ValueType.ANY, optional=True)

    def _type_word(self, node: ScalarNode, *, optional: bool) -> FieldType:
        word = node.text.removesuffix("?")
        if word in _TYPE_WORDS:
            return FieldType(ValueType(word), optional=optional)
        if node.is_null:
            self._report("schema", "a field needs a type", node, "write a word such as `string`, or `{enum: [a, b]}`")
            return FieldType(ValueType.ANY, optional=True)
        foreign = _FOREIGN_TYPES.get(word.lower())
        hint = f"write `{foreign}`" if foreign else did_you_mean(word, _TYPE_WORDS)
        hint = hint or f"the types are {', '.join(_TYPE_WORDS)} and {{enum: […]}}"
        self._report("schema", f"'{word}' is not a type", node, hint)
        return FieldType(ValueType.ANY, optional=True)

    def _enum(self, node: Node, *, optional: bool) -> FieldType:
        if not isinstance(node, SequenceNode) or not node.items:
            self._report("schema", "an enum is a list of values", node, "write `{enum: [free, pro]}`")
            return FieldType(ValueType.ANY, optional=optional)
        values = []
        for item in node.items:
            if not isinstance(item, ScalarNode) or item.is_null:
                hint = "leave it out; optional fields are written `{enum: […], optional: true}`"
                if not isinstance(item, ScalarNode):
                    hint = "write each value as one word: `{enum: [free, pro]}`"
                self._report("schema", "a value of an enum is a word, a number or true or false", item, hint)
                continue
            value = core_scalar(item.text) if item.plain else item.text
            if isinstance(value, float) and not math.isfinite(value):
                self._report("schema", f"'{item.text}' is no number that JSON can hold", item, "no value can equal it")
            values.append(value)
        return FieldType(ValueType.ENUM, optional=optional, values=tuple(values))

    def _flag(self, node: Node) -> bool:
        if isinstance(node, ScalarNode) and node.text in ("true", "false"):
            return node.text == "true"
        self._report("schema", "this must be true or false", node, "write `true`, or leave it out")
        return False

    def _entries(self, node: Node | None, hint: str = _FIELD_HINT) -> list[tuple[ScalarNode, Node]]:
        if isinstance(node, MappingNode):
            return list(node)
        if node is not None and not (isinstance(node, ScalarNode) and node.is_null):
            self._report("schema", "this must be names with their types", node, hint)
        return []

    def _mapping(self, node: Node | None, known: tuple[str, ...]) -> dict[str, Node]:
        parts = {}
        for key, value in self._entries(node):
            if key.text in known:
                parts[key.text] = value
            else:
                hint = did_you_mean(key.text, known) or f"the keys here are {', '.join(known)}"
                if "attributes" in known:
                    hint = (
                        did_you_mean(key.text, known) or f"attributes have a section: `attributes: {{{key.text}: …}}`"
                    )
                self._report("unknown-key", f"unknown key '{key.text}'", key, hint)
        return parts

    def _report(self, code: str, message: str, node: Node, hint: str | None = None) -> None:
        self.findings.append(error(code, message, node.span, hint))


def _is_readable(node: Node | None) -> bool:
    """Whether this is names with what belongs to them, or nothing."""
    return node is None or isinstance(node, MappingNode) or (isinstance(node, ScalarNode) and node.is_null)
