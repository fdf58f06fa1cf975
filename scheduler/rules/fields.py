"""A table of fields, and the strict reading of a YAML mapping by it.

One table gives three things: what is read and refused, the JSON Schema for editors, and the reference. A path names a
field: `delivery.lane`; `*` in it stands for a name that the user chooses: `apps.*.links`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from scheduler.diagnostics.diagnostic import Diagnostic, Severity, did_you_mean, error, has_errors, warning
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_lines import meant_as_entry
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, core_value
from scheduler.diagnostics.yaml_reader import YamlFile, read_yaml
from scheduler.rules.kinds import Kind, Misfit, Misfits

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: its kind, its default in words, its meaning in one line.

    `example` is a value as people write it, in YAML. `built` is false for what would change a decision and is not
    there yet: it is read, and then a finding `not-yet`, a warning, except for the values in `off`, which switch such a
    thing off or are the default. `reserved` keys are for later and are an error.
    """

    path: str
    kind: Kind
    default: str = ""
    meaning: str
    required: bool = False
    built: bool = True
    off: tuple[str, ...] = ()
    example: str = ""
    reserved: bool = False

    def json_schema(self) -> dict[str, object]:
        """JSON Schema of the value, with what an editor shows about it."""
        if self.reserved:
            return {"description": f"Reserved for a later version: {self.meaning}.", "not": {}}
        meaning = self.meaning if self.built else f"Not built yet. {self.meaning}"
        default = f" Default: {self.default}." if self.default else ""
        examples = {"examples": [core_value(self.example_node())]} if self.example else {}
        return {"description": meaning + default, **examples, **self.kind.json_schema}

    def example_node(self) -> Node:
        """The example as a file would hold it."""
        root = read_yaml(Source(self.path, self.example)).root
        assert root is not None
        return root


@dataclass(frozen=True, slots=True)
class Values:
    """What was read: by full path the value and the node. A path that was not written is not there."""

    root: MappingNode
    _values: Mapping[str, object]
    _nodes: Mapping[str, Node]
    _unknown: frozenset[str]
    """The paths of the keys that do not exist."""

    def get(self, path: str, kind: type[T], default: T) -> T:
        """The value of a path. `kind` is the type that the table's kind reads; it is not checked again."""
        return cast("T", self._values.get(path, default))

    def optional(self, path: str, kind: type[T]) -> T | None:
        """The value of a path, or None when it is not written."""
        return cast("T | None", self._values.get(path))

    def has(self, path: str) -> bool:
        return path in self._values

    def is_misspelt(self, path: str) -> bool:
        """Whether a key that does not exist was most likely meant as this one: it has its own finding."""
        section, _, name = path.rpartition(".")
        return any(
            found.rpartition(".")[0] == section and _is_near(found.rpartition(".")[2], name) for found in self._unknown
        )

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

    _by_path: dict[str, Field] = field(init=False, repr=False, default_factory=dict)
    _children: dict[str, dict[str, None]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.fields:
            self._by_path.setdefault(one.path, one)
            words = one.path.split(".")
            for depth, word in enumerate(words):
                self._children.setdefault(".".join(words[:depth]), {})[word] = None

    def children(self, section: str) -> tuple[str, ...]:
        """The keys of a section ("" for the top), `*` among them."""
        return tuple(self._children.get(section, ()))

    def field(self, pattern: str) -> Field | None:
        return self._by_path.get(pattern)

    def is_section(self, pattern: str) -> bool:
        return pattern in self._children

    def json_schema(self, section: str = "") -> dict[str, object]:
        """JSON Schema of a section, for completion in editors."""
        properties: dict[str, object] = {}
        required = []
        for key in self.children(section):
            below = _join(section, key)
            found = self.field(below)
            schema = self.json_schema(below) if found is None else found.json_schema()
            if key == "*":
                return {"type": "object", "additionalProperties": schema}
            properties[key] = schema
            if self._is_required(below):
                required.append(key)
        whole: dict[str, object] = {"type": "object", "additionalProperties": False, "properties": properties}
        return whole | ({"required": required} if required else {})

    def _is_required(self, path: str) -> bool:
        """A field that is, or a section that has one."""
        return any(one.required for one in self.fields if one.path == path or one.path.startswith(f"{path}."))

    def read(self, root: MappingNode, within: str = "") -> tuple[Values, list[Diagnostic]]:
        """All values and all that is wrong: unknown and missing keys, values that do not fit, what is not built.

        `within` is what messages call the mapping: "" for a whole file.
        """
        reader = _Reader(self, within)
        # What is missing at the top is said of the first character, not of all of it.
        reader.section(root, "", "", root.span.source.span(root.span.start))
        return Values(root, reader.values, reader.nodes, frozenset(reader.unknown)), reader.findings


class _Reader:
    def __init__(self, table: Table, within: str) -> None:
        self.table = table
        self.within = within
        self.values: dict[str, object] = {}
        self.nodes: dict[str, Node] = {}
        self.unknown: list[str] = []
        self.findings: list[Diagnostic] = []

    def section(self, node: MappingNode, path: str, pattern: str, span: Span) -> None:
        """`path` is what the user wrote, `pattern` the same with `*` for chosen names."""
        keys = self.table.children(pattern)
        unknown = [] if "*" in keys else [key.text for key, _ in node if key.text not in keys]
        for key, value in node:
            if key.text in unknown:
                self.unknown.append(_join(path, key.text))
                self._unknown(key, path, keys, node)
                continue
            name = key.text if key.text in keys else "*"
            if not any(self._is_empty(value, _join(pattern, name), word) for word in unknown):
                self._entry(key, value, _join(path, key.text), _join(pattern, name))
            else:
                self.nodes[_join(path, key.text)] = value
        for name in keys:
            below = self.table.field(_join(pattern, name))
            is_missing = node.get(name) is None and not any(_is_near(word, name) for word in unknown)
            if below is not None and below.required and is_missing:
                message = f"`{self._shown(_join(path, name))}` is missing"
                self.findings.append(error("missing-key", message, span, f"add `{name}: …`, {below.kind.words}"))

    def _entry(self, key: ScalarNode, value: Node, path: str, pattern: str) -> None:
        self.nodes[path] = value
        found = self.table.field(pattern)
        if found is None or (self.table.is_section(pattern) and isinstance(value, MappingNode)):
            self._open_section(value, path, pattern, key.span)
        elif found.reserved:
            message = f"`{self._shown(path)}` is reserved for a later version"
            self.findings.append(error("not-yet", message, key.span, found.meaning))
        elif self._fits(value, path, found):
            off = isinstance(value, ScalarNode) and value.text in found.off
            if not found.built and not off:
                self._not_yet(path, key.span, found)

    def _is_empty(self, value: Node, pattern: str, key: str) -> bool:
        """Whether this is a section with nothing in it that `key` belongs to: it stands beside it, not indented."""
        is_null = isinstance(value, ScalarNode) and value.is_null
        below = _join(pattern, key)
        return is_null and (self.table.field(below) is not None or self.table.is_section(below))

    def _open_section(self, value: Node, path: str, pattern: str, span: Span) -> None:
        if isinstance(value, MappingNode):
            self.section(value, path, pattern, span)
        elif isinstance(value, SequenceNode) or not value.is_null:
            keys = [f"`{key}`" for key in self.table.children(pattern) if key != "*"]
            known = f"its {'keys are' if len(keys) > 1 else 'key is'} {', '.join(keys)}"
            if isinstance(value, SequenceNode) and any(isinstance(one, MappingNode) for one in value.items):
                known = f"a section is no list: leave the `-` out; {known}"
            hint = _space_missing(value) or (known if keys else "write each name as a key: {NAME: {…}}")
            self.findings.append(error("wrong-value", f"`{self._shown(path)}` must be a mapping", value.span, hint))
        else:
            message = f"`{self._shown(path)}` has nothing in it"
            self.findings.append(error("wrong-value", message, span, "indent its keys below it, or leave it out"))

    def _fits(self, value: Node, path: str, found: Field) -> bool:
        """Whether the value is what its field wants; then it is kept."""
        try:
            self.values[path] = found.kind.read(value)
        except Misfit as misfit:
            joint = " " if misfit.message.startswith(("must ", "has ", "needs ", "is ")) else ": "
            whole = misfit.code != "wrong-value"
            message = misfit.message if whole else f"`{self._shown(path)}`{joint}{misfit.message}"
            self.findings.append(error(misfit.code, message, misfit.span, misfit.hint))
            return False
        except Misfits as misfits:
            self.findings.extend(misfits.findings)
            return False
        if isinstance(value, ScalarNode) and value.text in found.kind.unbuilt:
            self._not_yet(f"{path}: {value.text}", value.span, found)
        return True

    def _not_yet(self, what: str, span: Span, found: Field) -> None:
        hint = "leave it out" + (f", or write `{'` or `'.join(found.off)}`" if found.off else "")
        message = f"`{self._shown(what)}` is not built yet"
        self.findings.append(warning("not-yet", message, span, f"{hint}; `run` refuses it as it is"))

    def _unknown(self, key: ScalarNode, path: str, keys: Iterable[str], node: MappingNode) -> None:
        shown = self._shown(path)
        where = f" in `{shown}`" if shown else ""
        folded = _folded(key.text)
        empty = next((one.text for one, value in node if self._is_empty(value, _join(path, one.text), key.text)), None)
        hint = f"it belongs to `{empty}`: indent it by two spaces more" if empty else self.table.hints.get(key.text)
        hint = hint or (f"did you mean '{folded}'?" if folded in keys else None)
        hint = hint or self._elsewhere(folded) or did_you_mean(key.text, keys)
        foreign = next((char for char in key.text if char.isalpha() and not char.isascii()), None)
        if hint is not None and foreign is not None:
            hint += f" the letter '{foreign}' (U+{ord(foreign):04X}) is of another alphabet"
        hint = hint or f"the keys here are {', '.join(name for name in keys if not self._is_reserved(name))}"
        self.findings.append(error("unknown-key", f"unknown key '{key.text}'{where}", key.span, hint))

    def _elsewhere(self, word: str) -> str | None:
        """A key that exists in another section."""
        found = next((one for one in self.table.fields if one.path.rpartition(".")[2] == word), None)
        if found is None:
            return None
        if found.reserved:
            return f"it is reserved for a later version; {found.meaning}"
        return f"did you mean `{found.path}`?" if "." in found.path else f"`{word}` stands at the top of the file"

    def _is_reserved(self, path: str) -> bool:
        found = self.table.field(path)
        return found is not None and found.reserved

    def _shown(self, path: str) -> str:
        return _join(self.within, path) if path else self.within


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _folded(word: str) -> str:
    """A word as keys are written."""
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def _is_near(word: str, name: str) -> bool:
    return did_you_mean(_folded(word), [name]) is not None


def _space_missing(node: Node) -> str | None:
    """A hint for `everyone:true`, which is a text to YAML."""
    meant = meant_as_entry(node.text) if isinstance(node, ScalarNode) and node.plain else None
    return ": ".join(meant) if meant else None


def root_mapping(file: YamlFile) -> tuple[MappingNode | None, list[Diagnostic]]:
    """The mapping that a file holds, with the findings of its reading. None when nothing more can be said about it."""
    findings = list(file.findings)
    match file.root:
        case MappingNode() as root:
            return root, findings
        case None:
            if not findings:
                findings.append(error("empty-file", "the file is empty", file.source.span(0), "fill it, or remove it"))
        case other:
            findings.append(error("wrong-value", "the file must be a mapping of keys to values", other.span,
                                  _space_missing(other)))  # fmt: skip
    return None, findings


_LEAVES_NOTHING = frozenset({"tag", "recursive-alias", "unused-anchor", "yaml-syntax"})
"""Findings of YAML's reading about what may have taken all of a value away, or made something else of it."""


def without_echoes(reading: Iterable[Diagnostic], findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """All findings of a file, without what a table says only because of what was found when the file was read:
    `where: !vip` is a tag, and then there is nothing here; braces without quotes are no keys that are unknown."""
    said, found = list(reading), list(findings)
    unquoted = [one.span for one in found if one.code == "unquoted-template"]
    said = [one for one in said if not any(span.start <= one.span.start < span.end for span in unquoted)]
    for number, cause in enumerate(said):
        if cause.code not in _LEAVES_NOTHING:
            continue
        kept = [one for one in found if one.span.start > cause.span.end or one.span.end < cause.span.start]
        if has_errors(found) and len(kept) < len(found):
            said[number] = replace(cause, severity=Severity.ERROR)
        found = kept
    return [*said, *found]
