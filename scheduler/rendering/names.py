"""What is wrong with a template's text before it is rendered: syntax, unknown words, names that may be missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from jinja2 import TemplateSyntaxError, nodes

from scheduler.conditions.jinja_positions import error_offset, offset_of
from scheduler.conditions.types import Schema, UnknownName
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, note
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.fusing import Uncompilable, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macro_checks import check_imports
from scheduler.rendering.macros import NO_MACROS, MacroFile, MacroFiles, syntax_message
from scheduler.rendering.paths import Path, dotted, extent, local_names, uses
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.texts import is_template

MAX_LOOP_DEPTH = 2
MAX_LEVELS = 50


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a template may use: roots (`event`, `device`, …) with their types, and the names of `with`.

    `event_type` is the trigger's; None for a rule that only people start, where an event may or may not come along.
    `macros` are the files that it may import. `missing_is_expected`: whoever asks for the text has an answer to a
    missing value (`once_per`, `users`, `topics`).
    """

    schema: Schema
    event_type: str | None
    roots: frozenset[str]
    with_names: frozenset[str] = frozenset()
    missing_is_expected: bool = False
    macros: MacroFiles = field(default_factory=dict)

    def finding(self, path: Path, guarded: bool, place: Callable[[], Span]) -> Diagnostic | None:
        """What is wrong with reading a path, if anything. `place` finds where it is written."""
        if path[0] in self.with_names:
            return None
        if path[0] not in self.roots:
            return self._unknown(path, 0, (*sorted(self.roots), *sorted(self.with_names)), place())
        words = _words(path)
        found = self.schema.field(words, self.event_type)
        if isinstance(found, UnknownName):
            return self._unknown(path, found.position, found.known, place())
        if guarded or self.missing_is_expected or path == ("event", "subject"):
            return None
        if path[0] == "event" and self.event_type is None:
            message = f"'{dotted(path)}' is missing when the rule is fired without an event"
            return note("may-be-missing", message, place(),
                        "devices that miss it are suppressed; add `| default(…)` to send anyway")  # fmt: skip
        if not found.declared:
            return note("may-be-missing", f"'{dotted(path)}' is not declared, so it may be missing", place(),
                        "declare it in schema.yaml, or add `| default(…)`")  # fmt: skip
        if found.optional:
            return error("may-be-missing", f"'{dotted(path)}' may be missing", place(),
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
        return [_too_deep(node)]


def check_macro_file(file: MacroFile, names: Names) -> list[Diagnostic]:
    """What is wrong with the grammar of a macro file. What it reads is checked where it is imported."""
    if _levels(file.tree) > MAX_LEVELS:
        return [_too_deep(file.node)]
    local = local_names(file.tree)
    found = (_grammar_finding(part, file.node, names, local) for part in file.tree.find_all(nodes.Node))
    return [one for one in found if one is not None]


def compile_finding(node: ScalarNode, macros: MacroFiles = NO_MACROS) -> Diagnostic | None:
    """Why a text that `check_text` let pass cannot be compiled, if so."""
    try:
        fuse([LeafText("", node.text)], macros=macros)
    except Uncompilable as problem:
        return error("template-syntax", str(problem), node.span)
    return None


def _check_text(node: ScalarNode, names: Names) -> list[Diagnostic]:
    if "\0" in node.text:
        return [error("control-character", "a text cannot contain NUL", node.span_of(node.text.index("\0")))]
    if not is_template(node.text):
        return []
    try:
        tree = parsed(node.text)
    except TemplateSyntaxError as problem:
        message = syntax_message(problem)
        hint = "`{{` is closed by `}}`" if "end of print statement" in message else None
        return [error("template-syntax", message, node.span_of(error_offset(problem)), hint)]
    if _levels(tree) > MAX_LEVELS:
        return [_too_deep(node)]
    local = local_names(tree)
    findings = [
        found for part in tree.find_all(nodes.Node) if (found := _grammar_finding(part, node, names, local)) is not None
    ]
    findings.extend(check_imports(tree, node, names.macros, names.finding))
    for use in uses(tree):
        if use.path[0] not in local:
            finding = names.finding(use.path, use.guarded, partial(_span, node, use.node))
            if finding is not None:
                findings.append(finding)
    return findings


def _grammar_finding(part: nodes.Node, node: ScalarNode, names: Names, local: frozenset[str]) -> Diagnostic | None:
    """What is wrong with one part of a template, whatever its names are worth."""
    match part:
        case nodes.Extends() | nodes.Block():
            word = type(part).__name__.lower()
            return error("template-syntax", f"`{word}` has no meaning in a leaf", node.span_of(offset_of(part)),
                         "use an overlay, NAME.LOCALE.yaml")  # fmt: skip
        case nodes.Filter(name=word) if word not in ENVIRONMENT.filters:
            return error("unknown-name", f"there is no filter '{word}'", _span(node, part),
                         did_you_mean(word, ENVIRONMENT.filters))  # fmt: skip
        case nodes.Test(name=word) if word not in ENVIRONMENT.tests:
            return error("unknown-name", f"there is no test '{word}'", _span(node, part),
                         did_you_mean(word, ENVIRONMENT.tests))  # fmt: skip
        case nodes.Call(node=nodes.Name(name=word)) if word not in ENVIRONMENT.functions and word not in local:
            return error("unknown-name", f"there is no function '{word}'", node.span_of(offset_of(part)),
                         did_you_mean(word, ENVIRONMENT.functions))  # fmt: skip
        case nodes.Pow():
            return error("template-syntax", "`**` is not available in templates", _span(node, part))
        case nodes.For(recursive=True):
            return error("template-syntax", "a loop cannot call itself", node.span_of(offset_of(part)),
                         "remove `recursive`")  # fmt: skip
        case nodes.For() if _loop_depth(part) > MAX_LOOP_DEPTH:
            return error("too-deep", f"loops are nested more than {MAX_LOOP_DEPTH} deep", node.span_of(offset_of(part)))
        case nodes.Name(name=word, ctx="store" | "param") if word in names.roots | names.with_names:
            return error("shadowed-name", f"'{word}' already has a meaning here", node.span_of(offset_of(part)),
                         "choose another name")  # fmt: skip
    return None


def _too_deep(node: ScalarNode) -> Diagnostic:
    message = f"the template is nested over {MAX_LEVELS} levels"
    return error("too-deep", message, node.span, "name parts of it with `{% set … %}`")


def _levels(tree: nodes.Node) -> int:
    """How deep a template is nested: Jinja's compiler needs time that grows with the cube of it."""
    deepest = 0
    waiting: list[tuple[nodes.Node, int]] = [(tree, 1)]
    while waiting:
        part, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((child, level + 1) for child in part.iter_child_nodes())
    return deepest


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


def _span(node: ScalarNode, part: nodes.Node) -> Span:
    return node.span_of(*extent(node.text, part))
