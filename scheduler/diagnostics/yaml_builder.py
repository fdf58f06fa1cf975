"""The tree of a YAML file, built from the parser's events.

libyaml's own parser keeps its stack on the heap; what dies on deep nesting is PyYAML's composer, which recurses in C
(a segmentation fault, no exception). So Clarion composes the tree itself and stops at a depth: however the nesting is
written, and never fooled by brackets in a text. Anchors and aliases are resolved here too, with bounds on what they
may stand for, because everything that walks the tree pays for each mention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

import yaml

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_lines import in_quotes, line_at, meant_as_entry, written_whole
from scheduler.diagnostics.yaml_misreadings import inside_odd_spaces, misread_key, misread_value
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_places import places_of
from scheduler.diagnostics.yaml_traps import unquoted_template

MAX_NESTING = 100
MAX_VALUES = 50_000
MAX_FINDINGS = 1_000
MAX_ALIASES = 1_000
MAX_ALIASED = 1_000_000
"""What all aliases together may stand for: characters, and a hundred for each node."""

_NODE_WEIGHT = 100
_PROPERTIES = re.compile(r"(?:[&!][^ \t\r\n]*(?:[ \t\r\n]|(?<=[\r\n])\ufeff|#[^\r\n]*)*)+")


class Unbounded(Exception):
    """The file is too much to be read on: values, problems, nesting or aliases."""

    def __init__(self, finding: Diagnostic) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class _Named:
    """What an anchor names, how much it weighs, and how many levels it has."""

    node: Node
    weight: int
    levels: int


class TreeBuilder:
    """Reads one document. `findings` fill up on the way; yaml.MarkedYAMLError and Unbounded end it."""

    def __init__(self, source: Source, loader: yaml.CSafeLoader) -> None:
        self.source = source
        self.findings: list[Diagnostic] = []
        self._loader = loader
        self._values = 0
        self._weight = 0
        self._deepest = 0
        self._named: dict[str, _Named] = {}
        self._open: set[str] = set()
        """The anchors of the collections that are being read."""
        self._anchors: dict[str, Span] = {}
        self._mentioned: set[str] = set()
        self._brackets: list[int] = []
        self._aliases = 0
        self._aliased = 0

    @property
    def bracket(self) -> int | None:
        """The place of the innermost bracket or brace that is open where reading stopped."""
        return self._brackets[-1] if self._brackets else None

    def document(self) -> Node | None:
        """The root, or None when there is nothing but comments. A second document is a finding."""
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), 0)
        self._next()  # the document ends
        more = self._next()
        if not isinstance(more, yaml.StreamEndEvent):
            self._report("yaml-syntax", "a second document begins here, and a file holds one", self._span(more, more),
                         "put it in a file of its own, or remove this line")  # fmt: skip
        unused = ((name, span) for name, span in self._anchors.items() if name not in self._mentioned)
        for name, span in islice(unused, MAX_FINDINGS):
            message = f"`&{name}` names this value in YAML, and is no part of it; nothing uses the name"
            hint = f"remove it; if it belongs to the text, {_whole_text(span)}"
            self.findings.append(warning("unused-anchor", message, span, hint))
        return root

    def _next(self) -> yaml.Event:
        event = self._loader.get_event()
        assert event is not None  # nothing is read behind the end of the stream
        return event

    def _node(self, event: yaml.Event, depth: int, *, is_key: bool = False) -> Node:
        """The node of which `event` is the first."""
        self._values += 1
        if self._values > MAX_VALUES:
            message = f"the file has more than {MAX_VALUES:,} values"
            self._refuse("too-large", message, event, "split it into several files")
        if len(self.findings) >= MAX_FINDINGS:
            message = f"there are more than {MAX_FINDINGS:,} problems in this file; it is not read on"
            self._refuse("yaml-syntax", message, event, "mend the first ones")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        start = self._content_start(event)
        if start != _start(event) and self._has_tag(event):
            self._report_tag(event)
        weight_before = self._weight
        self._weight += _NODE_WEIGHT
        if isinstance(event, yaml.ScalarEvent):
            self._weight += len(event.value)
            scalar = self._scalar(event, start, is_key=is_key)
            self._name(event, scalar, weight_before, 0)
            return scalar
        assert isinstance(event, yaml.CollectionStartEvent)
        if depth >= MAX_NESTING:
            self._refuse("too-deep", f"more than {MAX_NESTING} levels of nesting", event, "flatten the structure")
        around, self._deepest = self._deepest, depth + 1
        node = self._collection(event, start, depth)
        self._name(event, node, weight_before, self._deepest - depth)
        self._deepest = max(around, self._deepest)
        return node

    def _collection(self, event: yaml.CollectionStartEvent, start: int, depth: int) -> Node:
        has_brackets = self.source.text.startswith(("[", "{"), start)
        if has_brackets:
            self._brackets.append(start)
        if event.anchor is not None:
            self._open.add(event.anchor)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        node: Node = self._mapping(event, start, depth) if is_mapping else self._list(event, depth)
        if has_brackets:
            self._brackets.pop()
        return node

    def _name(self, event: yaml.NodeEvent, node: Node, weight_before: int, levels: int) -> None:
        """Keep what an anchor names, for the aliases behind it."""
        if event.anchor is not None:
            self._open.discard(event.anchor)
            self._named[event.anchor] = _Named(node, self._weight - weight_before, levels)
            at = self.source.text.index(f"&{event.anchor}", _start(event))
            self._anchors[event.anchor] = self.source.span(at, at + 1 + len(event.anchor))

    def _scalar(self, event: yaml.ScalarEvent, start: int, *, is_key: bool) -> ScalarNode:
        text, style, end = event.value, event.style or None, _end(event)
        places = places_of(self.source.text, start, end, style, text)
        is_block = style == "|" or style == ">"
        span = self.source.span(places[0], places[-1]) if is_block else self.source.span(start, end)
        node = ScalarNode(text, span, plain=style is None, places=places)
        if style is not None:
            return node
        if is_key:
            self.findings.extend(misread_key(node))
        else:
            self.findings.extend(misread_value(node))
        if text.isascii():
            return node
        first, last = inside_odd_spaces(text)
        return ScalarNode(text[first:last], span, plain=True, places=places[first : last + 1])

    def _list(self, event: yaml.CollectionStartEvent, depth: int) -> SequenceNode:
        items = []
        while not isinstance(following := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(following, depth + 1))
        return SequenceNode(tuple(items), self._span(event, following))

    def _mapping(self, event: yaml.CollectionStartEvent, start: int, depth: int) -> MappingNode | ScalarNode:
        entries: list[tuple[ScalarNode, Node]] = []
        seen: dict[str, ScalarNode] = {}
        found_before, is_template = len(self.findings), False
        while not isinstance(following := self._next(), yaml.MappingEndEvent):
            key = self._node(following, depth + 1, is_key=True)
            value = self._node(self._next(), depth + 1)
            if not isinstance(key, ScalarNode) and not entries and self.source.text.startswith("{{", start):
                is_template = True
            elif not isinstance(key, ScalarNode):
                self._report("bad-key", "a key must be a word", key.span, "write `key: value`, the key a single word")
            elif self._is_fine(key, value, following, seen, is_flow=bool(event.flow_style)):
                entries.append((key, value))
        span = self._span(event, following)
        if is_template:
            del self.findings[found_before:]  # it is one mistake, whatever YAML saw in its braces
            return self._template(span)
        return MappingNode(tuple(entries), span)

    def _is_fine(
        self, key: ScalarNode, value: Node, event: yaml.Event, seen: dict[str, ScalarNode], *, is_flow: bool
    ) -> bool:
        """Whether a key is one, and there for the first time."""
        if key.text == "<<" and key.plain:
            self._report("bad-key", "`<<` merges mappings in other programs; it is not used here", key.span,
                         "write the keys out")  # fmt: skip
            return False
        if is_flow and key.plain and isinstance(value, ScalarNode) and value.is_null:
            meant = meant_as_entry(key.text)
            if meant is not None:
                self._report("yaml-syntax", meant[0], key.span, meant[1])
                return False
        if key.text in seen:
            first = seen[key.text].span.line
            place = self.source.span(self._content_start(event), _end(event))
            self._report("duplicate-key", f"'{key.text}' is here twice; the first is in line {first}", place,
                         "keep one of them")  # fmt: skip
            return False
        seen[key.text] = key
        return True

    def _template(self, span: Span) -> ScalarNode:
        """What was meant by `{{ x }}`, so that the rest of the file can be checked as if it had its quotes."""
        start, end = span.start, span.end
        text = self.source.text[start:end]
        self.findings.append(unquoted_template(span, text))
        return ScalarNode(text, span, plain=False, places=range(start, end + 1))

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._refuse("too-many-aliases", f"more than {MAX_ALIASES} aliases", event, "write the values out")
        self._mentioned.add(name)
        if name in self._open:
            self._report("recursive-alias", "an alias that contains itself", self._span(event, event),
                         "write the value out")  # fmt: skip
            return self._nothing(event)
        if name not in self._named:
            self._report_unknown_alias(event)
            return self._nothing(event)
        named = self._named[name]
        self._weight += named.weight
        self._aliased += named.weight
        if self._aliased > MAX_ALIASED:
            self._refuse("too-many-aliases", "the aliases stand for more than 1 MB", event, "write less")
        if depth + named.levels > MAX_NESTING:
            self._refuse("too-deep", f"more than {MAX_NESTING} levels of nesting", event, "flatten the structure")
        self._deepest = max(self._deepest, depth + named.levels)
        return named.node

    def _report_unknown_alias(self, event: yaml.AliasEvent) -> None:
        span = self._span(event, event)
        written = re.split(r"[,\]}#]", self.source.line_text(span.line)[span.column - 1 :])[0].rstrip()
        self._report("yaml-syntax", f"`*` at the beginning of a value stands for the value called `&{event.anchor}`, "
                     "and there is none", span, f"if it is a text, put it in quotes: {in_quotes(written)}")  # fmt: skip

    def _nothing(self, event: yaml.Event) -> ScalarNode:
        """A null in place of what cannot be read."""
        span = self._span(event, event)
        return ScalarNode("", span, plain=True, places=(span.start,))

    def _report_tag(self, event: yaml.Event) -> None:
        span = self._span(event, event)
        line = line_at(self.source, span.start)
        if line.is_condition and line.value_at == span.start and line.value.lstrip("! "):
            hint = f"write {line.key}: not {line.value.lstrip('! ')}"
        else:
            hint = f"remove the tag: the field decides the type; if it belongs to a text, {_whole_text(span)}"
        self._report("tag", "`!` begins a tag in YAML, and tags are not used here", span, hint)

    def _has_tag(self, event: yaml.Event) -> bool:
        """Whether a tag stands before a node, behind its anchor or in front of it."""
        return "!" in self.source.text[_start(event) : self._content_start(event)]

    def _content_start(self, event: yaml.Event) -> int:
        """Where a node begins behind its anchor and its tag, if it has them."""
        start, end = _start(event), _end(event)
        if start == end or self.source.text[start] not in "&!":
            return start
        properties = _PROPERTIES.match(self.source.text, start, end)
        return properties.end() if properties else start

    def _span(self, first: yaml.Event, last: yaml.Event) -> Span:
        return self.source.span(_start(first), _end(last))

    def _report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        self.findings.append(error(code, message, span, hint))

    def _refuse(self, code: str, message: str, event: yaml.Event, hint: str) -> None:
        raise Unbounded(error(code, message, self.source.span(_start(event)), hint))


def _whole_text(span: Span) -> str:
    """How the text is written to which the first characters of a value belong."""
    line = line_at(span.source, span.start)
    return written_whole(line) if line.value_at == span.start else "put the text in quotes"


def _start(event: yaml.Event) -> int:
    """The offset of the first character of an event. The parser counts characters, not bytes."""
    assert event.start_mark is not None
    return event.start_mark.index


def _end(event: yaml.Event) -> int:
    assert event.end_mark is not None
    return event.end_mark.index
