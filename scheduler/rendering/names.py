"""What is wrong with a template's text before it is rendered: syntax, unknown words, names that may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError, nodes

from scheduler.conditions.jinja_positions import error_offset, offset_of
from scheduler.conditions.types import Schema, UnknownName
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, note, warning
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.fusing import LeafText, Uncompilable, fuse, parse_body
from scheduler.rendering.paths import Path, Use, dotted, extent, local_names, uses
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.texts import is_template

MAX_LOOP_DEPTH = 2
_NOT_BUILT: dict[type[nodes.Node], str] = {
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Include: "include",
}
_NOT_HERE: dict[type[nodes.Node], str] = {nodes.Extends: "extends", nodes.Block: "block"}


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a template may use: roots (`event`, `device`, …) with their types, and the names of `with`.

    `event_type` is the trigger's; None for a rule that only people start, where an event may or may not come along.
    `missing_is_expected`: whoever asks for the text has an answer to a missing value (`once_per`, `users`, `topics`).
    """

    schema: Schema
    event_type: str | None
    roots: frozenset[str]
    with_names: frozenset[str] = frozenset()
    missing_is_expected: bool = False

    def finding(self, path: Path, guarded: bool, span: Span) -> Diagnostic | None:
        """What is wrong with reading a path, if anything."""
        if path[0] in self.with_names:
            return None
        if path[0] not in self.roots:
            return self._unknown(path, 0, (*sorted(self.roots), *sorted(self.with_names)), span)
        words = _words(path)
        found = self.schema.field(words, self.event_type)
        if isinstance(found, UnknownName):
            return self._unknown(path, found.position, found.known, span)
        if guarded or self.missing_is_expected or path == ("event", "subject"):
            return None
        if path[0] == "event" and self.event_type is None:
            return note("may-be-missing", f"'{dotted(path)}' is missing when the rule is fired without an event", span,
                        "devices that miss it are suppressed; add `| default(…)` to send anyway")  # fmt: skip
        if not found.declared:
            return note("may-be-missing", f"'{dotted(path)}' is not declared, so it may be missing", span,
                        "declare it in schema.yaml, or add `| default(…)`")  # fmt: skip
        if found.optional:
            return error("may-be-missing", f"'{dotted(path)}' may be missing", span,
                         f"write `{dotted(path)} | default(…)`, or ask `if {dotted(path)} is defined`")  # fmt: skip
        return None

    @staticmethod
    def _unknown(path: Path, position: int, known: Iterable[str], span: Span) -> Diagnostic:
        word = str(path[position])
        known = tuple(known)
        whole = f" in '{dotted(path)}'" if len(path) > 1 else ""
        hint = did_you_mean(word, known) or (f"known here: {', '.join(known)}" if known else None)
        return error("unknown-name", f"there is no '{word}'{whole}", span, hint)


def check_text(node: ScalarNode, names: Names) -> list[Diagnostic]:
    """Everything that is wrong with one template text. Without an error it can be compiled."""
    try:
        return _check_text(node, names)
    except RecursionError:
        return [error("too-deep", "the template is nested too deeply", node.span)]


def compile_finding(node: ScalarNode) -> Diagnostic | None:
    """Why a text that `check_text` let pass cannot be compiled, if so."""
    try:
        fuse([LeafText("", node.text)])
    except Uncompilable as problem:
        return error("template-syntax", str(problem), node.span)
    return None


def _check_text(node: ScalarNode, names: Names) -> list[Diagnostic]:
    if "\0" in node.text:
        return [error("control-character", "a text cannot contain NUL", node.span_of(node.text.index("\0")))]
    if not is_template(node.text):
        return []
    try:
        body = parse_body(node.text)
    except TemplateSyntaxError as problem:
        message = _sentence(problem)
        hint = "`{{` is closed by `}}`" if "end of print statement" in message else None
        return [error("template-syntax", message, node.span_of(error_offset(problem)), hint)]
    tree = nodes.Template(body)
    local = local_names(tree)
    findings = [*_grammar_findings(tree, node), *_shadow_findings(tree, names, node)]
    for use in uses(tree):
        if use.path[0] in local:
            continue
        finding = names.finding(use.path, use.guarded, _span(node, use))
        if finding is not None:
            findings.append(finding)
    return findings


def _grammar_findings(tree: nodes.Node, node: ScalarNode) -> Iterator[Diagnostic]:
    for kind, word in _NOT_BUILT.items():
        for found in tree.find_all(kind):
            yield warning("not-yet", f"`{word}` is not built yet", node.span_of(offset_of(found)), "write it out here")
    for kind, word in _NOT_HERE.items():
        for found in tree.find_all(kind):
            yield error("template-syntax", f"`{word}` has no meaning in a leaf", node.span_of(offset_of(found)),
                        "use an overlay, NAME.LOCALE.yaml")  # fmt: skip
    for call in (*tree.find_all(nodes.Filter), *tree.find_all(nodes.Test)):
        what = "filter" if isinstance(call, nodes.Filter) else "test"
        known = ENVIRONMENT.filters if what == "filter" else ENVIRONMENT.tests
        if call.name not in known:
            yield error("unknown-name", f"there is no {what} '{call.name}'", node.span_of(*extent(node.text, call)),
                        did_you_mean(call.name, known))  # fmt: skip
    local = local_names(tree)
    for called in tree.find_all(nodes.Call):
        if isinstance(called.node, nodes.Name) and called.node.name not in (*ENVIRONMENT.functions, *local):
            yield error("unknown-name", f"there is no function '{called.node.name}'", node.span_of(offset_of(called)),
                        did_you_mean(called.node.name, ENVIRONMENT.functions))  # fmt: skip
    for power in tree.find_all(nodes.Pow):
        yield error("template-syntax", "`**` is not available in templates", node.span_of(*extent(node.text, power)))
    for loop in tree.find_all(nodes.For):
        if _loop_depth(loop) > MAX_LOOP_DEPTH:
            yield error("too-deep", f"loops are nested more than {MAX_LOOP_DEPTH} deep", node.span_of(offset_of(loop)))


def _shadow_findings(tree: nodes.Node, names: Names, node: ScalarNode) -> Iterator[Diagnostic]:
    taken = names.roots | names.with_names
    for found in tree.find_all(nodes.Name):
        if found.ctx != "load" and found.name in taken:
            yield error("shadowed-name", f"'{found.name}' already has a meaning here", node.span_of(offset_of(found)),
                        "choose another name")  # fmt: skip


def _loop_depth(loop: nodes.Node) -> int:
    return 1 + max((_loop_depth(inner) for child in loop.iter_child_nodes() for inner in _loops(child)), default=0)


def _loops(node: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(node, nodes.For):
        yield node
    else:
        for child in node.iter_child_nodes():
            yield from _loops(child)


def _words(path: Path) -> tuple[str, ...]:
    """The part of a path that the schema can tell about: up to the first index of a list."""
    words: list[str] = []
    for key in path:
        if not isinstance(key, str):
            break
        words.append(key)
    return tuple(words)


def _span(node: ScalarNode, use: Use) -> Span:
    return node.span_of(*extent(node.text, use.node))


def _sentence(problem: TemplateSyntaxError) -> str:
    message = (problem.message or "not valid Jinja").rstrip(".")
    return message[:1].lower() + message[1:]
