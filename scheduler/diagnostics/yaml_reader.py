"""Reading a YAML file that somebody else wrote: strictly, with positions, and without trusting it.

Refused with a position: what is not UTF-8, NUL, more than 1 MB, nesting that would exhaust the parser's stack
(checked before the parser sees the file), more than 1,000 aliases, tags, duplicate keys, keys that are no scalars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source, Span
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_places import places_of

MAX_BYTES = 1_000_000
MAX_NESTING = 100
MAX_ALIASES = 1_000

_COMPACT_SEQUENCES = re.compile(r"^[ ]*(?:[-?:][ ]+){100}", re.MULTILINE)
_ENDS_QUOTE_EARLY = re.compile(r""":\s+(?:"[^"]*"|'[^']*')\s*[^\s#]""")


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What was read: the tree (None when there is none) and everything that is wrong with it."""

    source: Source
    root: Node | None
    findings: tuple[Diagnostic, ...]


def decode(path: str, content: bytes) -> tuple[Source, Diagnostic | None]:
    """Bytes of a file as a Source. A byte-order mark is dropped; what is not UTF-8 is a finding."""
    try:
        return Source(path, content.decode("utf-8-sig")), None
    except UnicodeDecodeError as problem:
        source = Source(path, content.decode("latin-1"))
        found = error("not-utf-8", f"byte 0x{content[problem.start]:02x} is not UTF-8", source.span(problem.start),
                      "save the file as UTF-8")  # fmt: skip
        return source, found


def read_yaml(source: Source) -> YamlFile:
    """The one document of a file as nodes. Every problem that can be seen at once is reported at once."""
    refused = _refusal(source)
    if refused is not None:
        return YamlFile(source, None, (refused,))
    loader = yaml.CSafeLoader(source.text)
    try:
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as problem:
        return YamlFile(source, None, (_syntax_error(source, problem),))
    except yaml.YAMLError as problem:
        return YamlFile(source, None, (error("yaml-syntax", str(problem).replace("\n", " "), source.span(0)),))
    finally:
        loader.dispose()
    if root is None:
        return YamlFile(source, None, ())
    converter = _Converter(source)
    return YamlFile(source, converter.convert(root), tuple(converter.findings))


def _refusal(source: Source) -> Diagnostic | None:
    text = source.text
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return error("too-large", "the file is over 1 MB", source.span(0), "split it into several files")
    nul = text.find("\0")
    if nul >= 0:
        return error("control-character", "the file contains a NUL character", source.span(nul), "remove it")
    depth = 0
    for match in re.finditer(r"[\[\]{}]", text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        if depth > MAX_NESTING:
            message = f"more than {MAX_NESTING} levels of nesting"
            return error("too-deep", message, source.span(match.start()), "flatten the structure")
    compact = _COMPACT_SEQUENCES.search(text)
    if compact:
        return error("too-deep", f"more than {MAX_NESTING} levels of nesting", source.span(compact.start()),
                     "flatten the structure")  # fmt: skip
    aliases = [match.start(1) for match in re.finditer(r"(?:^|[\s,\[{:-])(\*[^\s,\[\]{}]+)", text)]
    if len(aliases) > MAX_ALIASES:
        return error("too-many-aliases", f"more than {MAX_ALIASES} aliases", source.span(aliases[MAX_ALIASES]),
                     "write the values out")  # fmt: skip
    return None


def _syntax_error(source: Source, problem: yaml.MarkedYAMLError) -> Diagnostic:
    mark = problem.problem_mark or problem.context_mark
    offset = min(mark.index, len(source.text)) if mark else 0
    message = problem.problem or problem.context or "not valid YAML"
    hint = None
    line = source.line_text(source.line_and_column(offset)[0])
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in message:
        message, hint = "a tab cannot be used for indentation", "indent with spaces"
    elif "undefined alias" in message or "expected alphabetic or numeric" in message:
        hint = "a plain value cannot begin with `*` or `&`: put it in quotes"
    elif "expected key" in message and _ENDS_QUOTE_EARLY.search(line):
        hint = "a value that begins with a quotation mark must end with it: use a block (`>-`) for a condition"
    elif "mapping values are not allowed" in message:
        hint = "a plain value cannot contain `: `: put it in quotes; if this is a key, mend its indentation"
    elif "unexpected ':'" in message:
        hint = "put the value in quotes"
    return error("yaml-syntax", message, source.span(offset), hint)


class _Converter:
    """PyYAML's nodes to ours, collecting findings."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.findings: list[Diagnostic] = []
        self._open: set[int] = set()
        self._done: dict[int, Node] = {}

    def convert(self, node: yaml.Node) -> Node:
        if id(node) in self._open:
            self._report("recursive-alias", "an alias that contains itself", node)
            return ScalarNode("", self._span(node), plain=True, places=(node.start_mark.index,))
        if id(node) not in self._done:
            self._open.add(id(node))
            self._done[id(node)] = self._convert(node)
            self._open.discard(id(node))
        return self._done[id(node)]

    def _convert(self, node: yaml.Node) -> Node:
        if self.source.text.startswith("!", self._content_start(node)):
            self._report("tag", "YAML tags are not used here", node, "remove the tag: the field decides the type")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return SequenceNode(tuple(self.convert(item) for item in node.value), self._span(node))
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node)

    def _scalar(self, node: yaml.ScalarNode) -> ScalarNode:
        start, end = self._content_start(node), node.end_mark.index
        places = places_of(self.source.text, start, end, node.style or None, node.value)
        if node.style in ("|", ">"):
            span = self.source.span(places[0], places[-1])
        else:
            span = self.source.span(start, end)
        return ScalarNode(node.value, span, plain=not node.style, places=places)

    def _mapping(self, node: yaml.MappingNode) -> MappingNode:
        entries: list[tuple[ScalarNode, Node]] = []
        seen: dict[str, ScalarNode] = {}
        for key_node, value_node in node.value:
            value = self.convert(value_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._report("bad-key", "a key must be a word", key_node,
                             "if this is a template, put the whole value in quotes: \"{{ … }}\"")  # fmt: skip
                continue
            key = self._scalar(key_node)
            if key.text in seen:
                first = seen[key.text].span.line
                self._report("duplicate-key", f"'{key.text}' is here twice; the first is in line {first}", key_node,
                             "keep one of them")  # fmt: skip
                continue
            seen[key.text] = key
            entries.append((key, value))
        return MappingNode(tuple(entries), self._span(node))

    def _content_start(self, node: yaml.Node) -> int:
        """Where the node begins behind its anchor, if it has one."""
        start = int(node.start_mark.index)
        anchor = re.compile(r"&\S+\s+").match(self.source.text, start)
        return anchor.end() if anchor else start

    def _span(self, node: yaml.Node) -> Span:
        return self.source.span(node.start_mark.index, node.end_mark.index)

    def _report(self, code: str, message: str, node: yaml.Node, hint: str | None = None) -> None:
        self.findings.append(error(code, message, self._span(node), hint))
