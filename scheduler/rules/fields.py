"""A table of fields, and the strict reading of a YAML mapping by it.

One table gives three things: what is read and refused, the JSON Schema for editors, and the reference. A path names a
field: `delivery.lane`; `*` in it stands for a name that the user chooses: `apps.*.links`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, warning
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_reader import YamlFile
from scheduler.rules.kinds import Kind, Misfit

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: its kind, its default in words, its meaning in one line.

    `built` is false for what would change a decision and is not there yet: a finding `not-yet`, a warning, except for
    the values in `off`, which switch such a thing off. `reserved` keys are for later and are an error.
    """

    path: str
    kind: Kind
    default: str = ""
    meaning: str
    required: bool = False
    built: bool = True
    off: tuple[str, ...] = ()
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Values:
    """What was read: by full path the value and the node. A path that was not written is not there."""

    root: MappingNode
    _values: Mapping[str, object]
    _nodes: Mapping[str, Node]

    def get(self, path: str, kind: type[T], default: T) -> T:
        """The value of a path. `kind` is the type that the table's kind reads; it is not checked again."""
        return cast("T", self._values.get(path, default))

    def optional(self, path: str, kind: type[T]) -> T | None:
        """The value of a path, or None when it is not written."""
        return cast("T | None", self._values.get(path))

    def has(self, path: str) -> bool:
        return path in self._values

    def node(self, path: str) -> Node | None:
        return self._nodes.get(path)

    def span(self, path: str) -> Span:
        """Where a path is written; for what is not, the nearest section around it."""
        while path:
            if path in self._nodes:
                return self._nodes[path].span
            path = path.rpartition(".")[0]
        return self.root.span.source.span(self.root.span.start)

    def names(self, path: str) -> list[str]:
        """The keys that the user chose below `path`, in the order of the file."""
        node = self._nodes.get(path)
        return [key.text for key, _ in node] if isinstance(node, MappingNode) else []


@dataclass(frozen=True, slots=True)
class Table:
    """Fields in the order of the reference. `hints` help with keys that people try and that do not exist."""

    fields: tuple[Field, ...]
    hints: Mapping[str, str] = field(default_factory=dict)

    def children(self, section: str) -> tuple[str, ...]:
        """The keys of a section ("" for the top), `*` among them."""
        lead = f"{section}." if section else ""
        keys = (one.path[len(lead) :].split(".")[0] for one in self.fields if one.path.startswith(lead))
        return tuple(dict.fromkeys(keys))

    def field(self, pattern: str) -> Field | None:
        return next((one for one in self.fields if one.path == pattern), None)

    def is_section(self, pattern: str) -> bool:
        return any(one.path.startswith(f"{pattern}.") for one in self.fields)

    def read(self, root: MappingNode) -> tuple[Values, list[Diagnostic]]:
        """All values and all that is wrong: unknown and missing keys, values that do not fit, what is not built."""
        reader = _Reader(self)
        # What is missing at the top is said of the file's first character, not of all of it.
        reader.section(root, "", "", root.span.source.span(root.span.start))
        return Values(root, reader.values, reader.nodes), reader.findings


class _Reader:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.values: dict[str, object] = {}
        self.nodes: dict[str, Node] = {}
        self.findings: list[Diagnostic] = []

    def section(self, node: MappingNode, path: str, pattern: str, span: Span) -> None:
        """`path` is what the user wrote, `pattern` the same with `*` for chosen names."""
        keys = self.table.children(pattern)
        for key, value in node:
            name = key.text if key.text in keys else "*" if "*" in keys else None
            if name is None:
                self._unknown(key, path, keys)
                continue
            self._entry(key, value, _join(path, key.text), _join(pattern, name))
        for name in keys:
            below = self.table.field(_join(pattern, name))
            if below is not None and below.required and node.get(name) is None:
                message = f"`{_join(path, name)}` is missing"
                self.findings.append(error("missing-key", message, span, f"add `{name}: …`, {below.kind.words}"))

    def _entry(self, key: ScalarNode, value: Node, path: str, pattern: str) -> None:
        self.nodes[path] = value
        found = self.table.field(pattern)
        if found is None or (self.table.is_section(pattern) and isinstance(value, MappingNode)):
            self._open_section(value, path, pattern, key.span)
        elif found.reserved:
            hint = found.meaning
            self.findings.append(error("not-yet", f"`{path}` is reserved for a later version", key.span, hint))
        elif not found.built:
            if not (isinstance(value, ScalarNode) and value.text in found.off):
                self._not_yet(path, value, key.span, found)
        else:
            self._value(value, path, found)

    def _open_section(self, value: Node, path: str, pattern: str, span: Span) -> None:
        if isinstance(value, MappingNode):
            self.section(value, path, pattern, span)
        elif isinstance(value, SequenceNode) or not value.is_null:
            self.findings.append(error("wrong-value", f"`{path}` must be a mapping", value.span))

    def _value(self, value: Node, path: str, found: Field) -> None:
        try:
            self.values[path] = found.kind.read(value)
        except Misfit as misfit:
            joint = " " if misfit.message.startswith(("must ", "has ", "needs ")) else ": "
            message = misfit.message if misfit.code != "wrong-value" else f"`{path}`{joint}{misfit.message}"
            self.findings.append(error(misfit.code, message, misfit.node.span, misfit.hint))
            return
        if isinstance(value, ScalarNode) and value.text in found.kind.unbuilt:
            self._not_yet(f"{path}: {value.text}", value, value.span, found)

    def _not_yet(self, what: str, value: Node, span: Span, found: Field) -> None:
        hint = "leave it out" + (f", or write `{'` or `'.join(found.off)}`" if found.off else "")
        self.findings.append(
            warning("not-yet", f"`{what}` is not built yet", span, f"{hint}; `run` refuses it as it is")
        )

    def _unknown(self, key: ScalarNode, path: str, keys: Iterable[str]) -> None:
        where = f" in `{path}`" if path else ""
        hint = self.table.hints.get(key.text) or did_you_mean(key.text, keys) or self._elsewhere(key.text)
        self.findings.append(error("unknown-key", f"unknown key '{key.text}'{where}", key.span, hint))

    def _elsewhere(self, word: str) -> str | None:
        """A key that exists in another section."""
        paths = [one.path for one in self.table.fields if one.path.rpartition(".")[2] == word]
        return f"did you mean `{paths[0]}`?" if paths else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def root_mapping(file: YamlFile) -> tuple[MappingNode | None, list[Diagnostic]]:
    """The mapping that a file holds, with the findings of its reading. None when nothing more can be said about it."""
    findings = list(file.findings)
    match file.root:
        case MappingNode() as root:
            return root, findings
        case None:
            if not findings:
                findings.append(error("empty-file", "the file is empty", file.source.span(0)))
        case other:
            findings.append(error("wrong-value", "the file must be a mapping of keys to values", other.span))
    return None, findings
