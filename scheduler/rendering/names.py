"""What is wrong with a template's text before it is rendered: syntax, unknown words, names that may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from jinja2 import TemplateSyntaxError, nodes

from scheduler.conditions.jinja_positions import error_offset, offset_of
from scheduler.conditions.types import FieldType, Schema, UnknownName
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, has_errors
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.absences import Absent, Why
from scheduler.rendering.expression_types import ANYTHING, NUMERIC, TEXT, Type, named, of_field
from scheduler.rendering.fusing import Texts, Uncompilable, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macro_checks import check_imports
from scheduler.rendering.macros import NO_MACROS, MacroFile, MacroFiles, syntax_message
from scheduler.rendering.narrowing import Flow
from scheduler.rendering.paths import Path, dotted, extent
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.template_check import TemplateCheck
from scheduler.rendering.texts import is_template

MAX_LOOP_DEPTH = 2
MAX_LEVELS = 50


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a template may use: roots (`event`, `device`, …), and those of `with` with their types.

    `event_type` is the trigger's; None for a rule that only people start, where an event may or may not come along.
    `macros` are the files that it may import. `missing_is_expected`: whoever asks for the text has an answer to a
    missing value (`once_per`, `users`, `topics`). `has_user`: the audience is such that each device has a user.
    """

    schema: Schema
    event_type: str | None
    roots: frozenset[str]
    with_types: Mapping[str, Type] = field(default_factory=dict)
    missing_is_expected: bool = False
    has_user: bool = True
    macros: MacroFiles = field(default_factory=dict)

    def type_of(self, path: Path, text: ScalarNode, part: nodes.Node, flow: Flow) -> Type | Diagnostic:
        """The type of a path below a root, with why it may be missing; a finding when there is no such name."""
        place = partial(_span, text, part)
        if path[0] not in self.roots:
            if path[0] in parsed(text.text).own:
                hint = "it is set elsewhere in this text: what a loop, a `with` or a macro sets ends with it"
                return error("unknown-name", f"there is no '{path[0]}' here", place(), hint)
            known = (*sorted(self.roots), *sorted(name for name in flow.own if name != "loop"))
            return _unknown(path, 0, known, place())
        words = _words(path)
        found = self.schema.field(words, self.event_type)
        if isinstance(found, UnknownName):
            return _unknown(path, found.position, found.known, place())
        why = self._why_missing(words, found, flow)
        absent = None if why is None else Absent(dotted(path), why, text, part)
        kind = of_field(found, words)
        if len(words) < len(path) and kind.only(*NUMERIC):
            return error("wrong-type", f"{named(kind)} has no parts", place())
        if len(words) < len(path):  # below the index of a list
            kind = kind.item if kind.item is not None and len(words) + 1 == len(path) else ANYTHING
        return replace(kind, absent=absent)

    def _why_missing(self, words: tuple[str, ...], found: FieldType, flow: Flow) -> Why | None:
        root = words[0]
        is_there = (root,) in flow.learned
        if root == "event" and words != ("event", "subject") and self.event_type is None and not is_there:
            return Why.NO_EVENT
        if words == ("event", "subject"):
            return None
        if not found.declared:
            return Why.UNDECLARED
        if root == "previous" and is_there:  # it has what every event of its type has
            same = self.schema.field(("event", *words[1:]), self.event_type)
            return Why.OPTIONAL if isinstance(same, FieldType) and same.optional else None
        if found.optional and words != ("user",):
            return Why.OPTIONAL
        return Why.NO_USER if root == "user" and not self.has_user and not is_there else None


def _unknown(path: Path, position: int, known: Iterable[str], span: Span) -> Diagnostic:
    word = str(path[position])
    known = tuple(known)
    whole = f" in '{dotted(path)}'" if len(path) > 1 else ""
    hint = did_you_mean(word, known) or (f"known here: {', '.join(known)}" if known else None)
    return error("unknown-name", f"there is no '{word}'{whole}", span, hint)


def check_text(node: ScalarNode, names: Names, *, keeps_type: bool = False) -> list[Diagnostic]:
    """Everything that is wrong with one template text. Without an error it can be compiled. `keeps_type`: where the
    text is one expression, it is not printed but keeps its type."""
    return typed_text(node, names, keeps_type=keeps_type, may_be_missing=False)[1]


def typed_text(
    node: ScalarNode, names: Names, *, keeps_type: bool = True, may_be_missing: bool = True
) -> tuple[Type, list[Diagnostic]]:
    """The type of a text (of one expression its own, if it keeps that), and everything that is wrong with it.
    `may_be_missing`: whoever asks wants to know, instead of a finding."""
    try:
        findings = _grammar_findings(node, names)
        if has_errors(findings) or not is_template(node.text):
            return TEXT, findings
        check = TemplateCheck(node, names, findings, names.macros)
        flow = Flow(dict(names.with_types))
        text = parsed(node.text)
        expression = text.expression if keeps_type else None
        if expression is None:
            check.body(text.tree.body, flow)
            return TEXT, findings
        found = check.type_of(expression, flow)
        if not may_be_missing:
            check.demand(found, flow, softly=True)
        return found, findings
    except RecursionError:
        return TEXT, [_too_deep(node)]


def check_macro_file(file: MacroFile, names: Names) -> list[Diagnostic]:
    """What is wrong with the grammar of a macro file. What it reads is checked where it is imported."""
    if file.parsed.levels > MAX_LEVELS:
        return [_too_deep(file.node)]
    found = (_grammar_finding(part, file.node, names, file.parsed.own) for part in file.parsed.parts)
    return [one for one in found if one is not None]


def compile_finding(node: ScalarNode, macros: MacroFiles = NO_MACROS) -> Diagnostic | None:
    """Why a text that `check_text` let pass cannot be compiled, if so."""
    try:
        fuse([Texts((LeafText("", node.text),))], macros)
    except Uncompilable as problem:
        return error("template-syntax", str(problem), node.span)
    return None


def _grammar_findings(node: ScalarNode, names: Names) -> list[Diagnostic]:
    """What is wrong with a text whatever its names are worth."""
    if "\0" in node.text:
        return [error("control-character", "a text cannot contain NUL", node.span_of(node.text.index("\0")))]
    if not is_template(node.text):
        return []
    try:
        text = parsed(node.text)
    except TemplateSyntaxError as problem:
        message = syntax_message(problem)
        hint = "`{{` is closed by `}}`" if "end of print statement" in message else None
        return [error("template-syntax", message, node.span_of(error_offset(problem)), hint)]
    if text.levels > MAX_LEVELS:
        return [_too_deep(node)]
    found = (_grammar_finding(part, node, names, text.own) for part in text.parts)
    return [*(one for one in found if one is not None), *check_imports(text.parts, node, names.macros)]


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
        case nodes.Name(name=word, ctx="store" | "param") if word in names.roots or word in names.with_types:
            return error("shadowed-name", f"'{word}' already has a meaning here", node.span_of(offset_of(part)),
                         "choose another name")  # fmt: skip
    return None


def _too_deep(node: ScalarNode) -> Diagnostic:
    message = f"the template is nested over {MAX_LEVELS} levels"
    return error("too-deep", message, node.span, "name parts of it with `{% set … %}`")


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
