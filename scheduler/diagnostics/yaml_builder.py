"""The tree of a YAML file, built from the parser's events.

libyaml's own parser keeps its stack on the heap; what dies on deep nesting is PyYAML's composer, which recurses in C
(a segmentation fault, no exception). So Clarion composes the tree itself and stops at a depth: however the nesting is
written, and never fooled by brackets in a text. Anchors and aliases are resolved here too, with bounds on what they
may stand for, because everything that walks the tree pays for each mention.
"""

from __future__ import annotations

import re

import yaml

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_places import places_of
from scheduler.diagnostics.yaml_traps import in_quotes, unquoted_template

MAX_NESTING = 100
MAX_ALIASES = 1_000
MAX_ALIASED = 1_000_000
"""What all aliases together may stand for: characters, and a hundred for each node."""

_NODE_WEIGHT = 100
_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s|#[^\r\n]*)*)+")
_ODD_SPACES = {"\xa0": "non-breaking space", "\u200b": "zero-width space", "\ufeff": "byte-order mark",
               "\u3000": "ideographic space", "\u2003": "em space", "\u2009": "thin space",
               "\u202f": "narrow non-breaking space"}  # fmt: skip


class Unbounded(Exception):
    """The file is too much to be read on: nesting or aliases."""

    def __init__(self, finding: Diagnostic) -> None:
        super().__init__(finding.message)
        self.finding = finding


class TreeBuilder:
    """Reads one document. `findings` fill up on the way; yaml.MarkedYAMLError and Unbounded end it."""

    def __init__(self, source: Source, loader: yaml.CSafeLoader) -> None:
        self.source = source
        self.findings: list[Diagnostic] = []
        self._loader = loader
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        """The node, its weight and its height."""
        self._open: set[str] = set()
        self._recursive: set[str] = set()
        self._unused: dict[str, Span] = {}
        self._aliases = 0
        self._aliased = 0

    def document(self) -> Node | None:
        """The root, or None when there is nothing but comments. A second document is a finding."""
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        root, _, _ = self._node(self._next(), 0)
        self._next()  # the document ends
        more = self._next()
        if not isinstance(more, yaml.StreamEndEvent):
            self._report("yaml-syntax", "a second document begins here, and a file holds one",
                         self.source.span(_start(more), _end(more)),
                         "put it in a file of its own, or remove this line")  # fmt: skip
        for name, span in self._unused.items():
            if name in self._recursive:
                continue
            self.findings.append(warning("unused-anchor", f"`&{name}` names this value in YAML, and is no part of it; "
                                         "nothing uses the name", span,
                                         "remove it; if it belongs to the text, put the text in quotes"))  # fmt: skip
        return root

    def _next(self) -> yaml.Event:
        event = self._loader.get_event()
        assert event is not None  # nothing is read behind the end of the stream
        return event

    def _node(self, event: yaml.Event, depth: int) -> tuple[Node, int, int]:
        """A node with its weight and its height, of which `event` is the first."""
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            kept: tuple[Node, int, int] = (self._scalar(event), len(event.value) + _NODE_WEIGHT, 0)
        else:
            assert isinstance(event, yaml.CollectionStartEvent)
            if depth >= MAX_NESTING:
                self._refuse("too-deep", f"more than {MAX_NESTING} levels of nesting", event, "flatten the structure")
            self._check_tag(event)
            if event.anchor is not None:
                self._open.add(event.anchor)
            read = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._list
            kept = read(event, depth)
            if event.anchor is not None:
                self._open.discard(event.anchor)
        if event.anchor is not None:
            self._anchors[event.anchor] = kept
            at = _start(event)
            self._unused[event.anchor] = self.source.span(at, at + 1 + len(event.anchor))
        return kept

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        self._check_tag(event)
        text, style = event.value, event.style or None
        start, end = self._content_start(event), _end(event)
        places = places_of(self.source.text, start, end, style, text)
        if style in ("|", ">"):
            span = self.source.span(places[0], places[-1])
        else:
            span = self.source.span(start, end)
        if style is None and text and text[0] in _ODD_SPACES:
            message = f"a {_ODD_SPACES[text[0]]} (U+{ord(text[0]):04X}) is here, which YAML takes for a letter"
            self._report("yaml-syntax", message, self.source.span(start), "write a normal space in its place")
            bare = text.lstrip("".join(_ODD_SPACES))
            text, places = bare, places[len(text) - len(bare) :]
        return ScalarNode(text, span, plain=style is None, places=places)

    def _list(self, event: yaml.CollectionStartEvent, depth: int) -> tuple[Node, int, int]:
        items, weight, height = [], _NODE_WEIGHT, 0
        following = self._next()
        while not isinstance(following, yaml.SequenceEndEvent):
            item, heavy, high = self._node(following, depth + 1)
            items.append(item)
            weight += heavy
            height = max(height, high)
            following = self._next()
        return SequenceNode(tuple(items), self._span(event, following)), weight, height + 1

    def _mapping(self, event: yaml.CollectionStartEvent, depth: int) -> tuple[Node, int, int]:
        entries: list[tuple[ScalarNode, Node]] = []
        seen: dict[str, ScalarNode] = {}
        weight, height, is_template = _NODE_WEIGHT, 0, False
        following = self._next()
        while not isinstance(following, yaml.MappingEndEvent):
            key, heavy, high = self._node(following, depth + 1)
            value, heavier, higher = self._node(self._next(), depth + 1)
            weight += heavy + heavier
            height = max(height, high, higher)
            if isinstance(key, ScalarNode):
                if self._is_new(key, following, seen):
                    entries.append((key, value))
            elif self._braces_at(event) and not entries:
                is_template = True
            else:
                self._report("bad-key", "a key must be a word", key.span, "write `key: value`, the key a single word")
            following = self._next()
        span = self._span(event, following)
        if is_template:
            return self._template(span), weight, 0
        return MappingNode(tuple(entries), span), weight, height + 1

    def _is_new(self, key: ScalarNode, event: yaml.Event, seen: dict[str, ScalarNode]) -> bool:
        if key.text == "<<" and key.plain:
            self._report("bad-key", "`<<` merges mappings in other programs; it is not used here", key.span,
                         "write the keys out")  # fmt: skip
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
        written = self.source.text[span.start : span.end]
        self.findings.append(unquoted_template(span, written))
        return ScalarNode(written, span, plain=False, places=range(span.start, span.end + 1))

    def _braces_at(self, event: yaml.Event) -> bool:
        return self.source.text.startswith("{{", self._content_start(event))

    def _alias(self, event: yaml.AliasEvent, depth: int) -> tuple[Node, int, int]:
        name, span = event.anchor, self._span(event, event)
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._refuse("too-many-aliases", f"more than {MAX_ALIASES} aliases", event, "write the values out")
        if name in self._open:
            self._recursive.add(name)
            self._report("recursive-alias", "an alias that contains itself", span, "write the value out")
            return ScalarNode("", span, plain=True, places=(span.start,)), _NODE_WEIGHT, 0
        if name not in self._anchors:
            line = re.split(r"[,\]}#]", self.source.line_text(span.line)[span.column - 1 :])[0].rstrip()
            message = f"`*` at the beginning of a value stands for the value called `&{name}`, and there is none"
            self._report("yaml-syntax", message, span, f"if it is a text, put it in quotes: {in_quotes(line)}")
            return ScalarNode("", span, plain=True, places=(span.start,)), _NODE_WEIGHT, 0
        self._unused.pop(name, None)
        node, weight, height = self._anchors[name]
        self._aliased += weight
        if self._aliased > MAX_ALIASED:
            self._refuse("too-many-aliases", "the aliases stand for more than 1 MB", event, "write less")
        if depth + height > MAX_NESTING:
            self._refuse("too-deep", f"more than {MAX_NESTING} levels of nesting", event, "flatten the structure")
        return node, weight, height

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        """`!` begins a tag. As it is alone before a quoted or block scalar, the parser shows it by `implicit` only."""
        at = _start(event)
        if event.tag is None and not self.source.text.startswith("!", at):
            return
        span = self.source.span(at, _end(event))
        self._report("tag", "`!` begins a tag in YAML, and tags are not used here", span,
                     "remove the tag: the field decides the type; if it means 'not' in a condition, write `not`; "
                     "if it belongs to a text, put the text in quotes")  # fmt: skip

    def _content_start(self, event: yaml.Event) -> int:
        """Where the node begins behind its anchor or tag, if it has one."""
        start = _start(event)
        if getattr(event, "anchor", None) is None and not self.source.text.startswith("!", start):
            return start
        properties = _PROPERTIES.match(self.source.text, start, max(_end(event), start + 1))
        return properties.end() if properties else start

    def _span(self, first: yaml.Event, last: yaml.Event) -> Span:
        return self.source.span(_start(first), _end(last))

    def _report(self, code: str, message: str, span: Span, hint: str | None = None) -> None:
        self.findings.append(error(code, message, span, hint))

    def _refuse(self, code: str, message: str, event: yaml.Event, hint: str) -> None:
        raise Unbounded(error(code, message, self.source.span(_start(event)), hint))


def _start(event: yaml.Event) -> int:
    """The offset of the first character of an event. The parser counts characters, not bytes."""
    assert event.start_mark is not None
    return int(event.start_mark.index)


def _end(event: yaml.Event) -> int:
    assert event.end_mark is not None
    return int(event.end_mark.index)
