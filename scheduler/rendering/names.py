"""What is wrong with a template's text before it is rendered: syntax, unknown words, names that may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from jinja2 import TemplateSyntaxError, nodes

from scheduler.conditions.jinja_positions import children_of, offset_of
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.types import FieldType, Schema, UnknownName
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error, has_errors
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering import other_languages
from scheduler.rendering.absences import Absent, Why
from scheduler.rendering.expression_types import ANYTHING, NUMERIC, TEXT, Type, named, of_field
from scheduler.rendering.fusing import Texts, Uncompilable, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macro_checks import check_imports
from scheduler.rendering.macros import NO_MACROS, MacroFile, MacroFiles
from scheduler.rendering.narrowing import Flow
from scheduler.rendering.paths import Path, dotted, extent
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.signatures import FILTERS
from scheduler.rendering.syntax_problems import explained
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
        if path[0] not in self.roots:
            return self._unknown_root(path, text, part, flow)
        words = _words(path)
        found = self.schema.field(words, self.event_type)
        if isinstance(found, UnknownName):
            return self._unknown_word(path, found, text, part)
        why = self._why_missing(words, found, flow)
        absent = None if why is None else Absent(dotted(path), why, text, part)
        kind = of_field(found, words)
        if len(words) < len(path) and kind.only(*NUMERIC):
            return error("wrong-type", f"{named(kind)} has no parts", _span(text, part))
        if len(words) < len(path):  # below the index of a list
            kind = kind.item if kind.item is not None and len(words) + 1 == len(path) else ANYTHING
        return kind if absent is kind.absent else replace(kind, absent=absent)

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

    def _unknown_root(self, path: Path, text: ScalarNode, part: nodes.Node, flow: Flow) -> Diagnostic:
        root, span = str(path[0]), _word_span(text, part, path, 0)
        if root in parsed(text.text).own:
            ended = "it is set elsewhere in this text: what a loop, a `with` or a macro sets ends with it"
            return error("unknown-name", f"there is no '{root}' here", span, ended)
        known = (*sorted(self.roots), *sorted(name for name in flow.own if name != "loop"))
        here = f"known here: {', '.join(known)}"
        if "varargs" in flow.own:
            here += "; what the text around a macro sets, the macro gets as an argument"
        if root in ROOTS:
            return error("unknown-name", f"`{root}` cannot be used here", span, here)
        hint = self._declared(root, ("event", "user", "device")) if len(path) == 1 else None
        hint = hint or did_you_mean(root, known)
        if hint is None and len(path) == 1 and "device" in self.roots:
            here += f"; the rule gives more by `message: {{with: {{{root}: …}}}}`"
        return error("unknown-name", f"there is no '{root}'", span, hint or here)

    def _unknown_word(self, path: Path, found: UnknownName, text: ScalarNode, part: nodes.Node) -> Diagnostic:
        word, outer = str(path[found.position]), dotted(path[: found.position])
        hint = self._declared(word, (str(path[0]),)) if found.position == 1 else None
        hint = hint or did_you_mean(word, found.known)
        if not found.known:
            hint = other_languages.METHODS.get(word) or (f"write `… | {word}`" if word in ENVIRONMENT.filters else None)
        hint = hint or (f"known here: {', '.join(found.known)}" if found.known else f"'{outer}' has no parts")
        message = f"there is no '{word}' in '{outer}'"
        return error("unknown-name", message, _word_span(text, part, path, found.position), hint)

    def _declared(self, word: str, roots: Iterable[str]) -> str | None:
        """A declared field of this name below one of the roots, for who left out what stands before it."""
        for root in self.roots.intersection(roots):
            path = (root, "attributes" if root in ("user", "device") else "data", word)
            found = self.schema.field(path, self.event_type)
            if isinstance(found, FieldType) and found.declared:
                return f"did you mean '{dotted(path)}'?"
        return None


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
        start, end, message, hint = explained(node.text, problem)
        return [error("template-syntax", message, node.span_of(start, end), hint)]
    if text.levels > MAX_LEVELS:
        return [_too_deep(node)]
    found = (_grammar_finding(part, node, names, text.own) for part in text.parts)
    return [*(one for one in found if one is not None), *check_imports(text.parts, node, names.macros)]


def _grammar_finding(part: nodes.Node, node: ScalarNode, names: Names, local: frozenset[str]) -> Diagnostic | None:
    """What is wrong with one part of a template, whatever its names are worth."""
    match part:
        case nodes.Name(ctx="load") | nodes.Getattr() | nodes.TemplateData() | nodes.Const() | nodes.Output():
            return None  # most parts are one of these
        case nodes.Extends() | nodes.Block():
            word = type(part).__name__.lower()
            return error("template-syntax", f"`{word}` has no meaning in a leaf", _statement_span(node, part, word),
                         "use an overlay, NAME.LOCALE.yaml")  # fmt: skip
        case nodes.Filter(name=word) if word not in ENVIRONMENT.filters:
            hint = other_languages.FILTERS.get(word) or did_you_mean(word, ENVIRONMENT.filters)
            return error("unknown-name", f"there is no filter '{word}'", _word_behind(node, part, word),
                         hint or f"the filters are {', '.join(sorted(FILTERS))}")  # fmt: skip
        case nodes.Test(name=word) if word not in ENVIRONMENT.tests:
            hint = other_languages.TESTS.get(word) or did_you_mean(word, ENVIRONMENT.tests)
            return error("unknown-name", f"there is no test '{word}'", _word_behind(node, part, word), hint)
        case nodes.Call(node=nodes.Name(name=word) as callee) if (
            word not in ENVIRONMENT.functions and word not in local
        ):
            hint = _function_hint(word, names.macros)
            return error("unknown-name", f"there is no function '{word}'", _span(node, callee), hint)
        case nodes.Pow():
            return error("template-syntax", "`**` is not available in templates", _span(node, part),
                         "multiply it out: `x * x`")  # fmt: skip
        case nodes.For(recursive=True):
            return error("template-syntax", "a loop cannot call itself", _statement_span(node, part, "for"),
                         "remove `recursive`")  # fmt: skip
        case nodes.For() if _loop_depth(part) > MAX_LOOP_DEPTH:
            message = f"loops are nested more than {MAX_LOOP_DEPTH} deep"
            hint = "let the backend send what the loops put together"
            return error("too-deep", message, _statement_span(node, part, "for"), hint)
        case nodes.Name(name=word, ctx="store" | "param") if word in names.roots or word in names.with_types:
            return error("shadowed-name", f"'{word}' already has a meaning here", _span(node, part),
                         "choose another name")  # fmt: skip
    return None


def _function_hint(word: str, macros: MacroFiles) -> str:
    """What to write in place of the call of an unknown function."""
    file = next((file.name for file in macros.values() if word in file.macros), None)
    if file is not None:
        return f'import the macro: `{{% from "{file}" import {word} %}}`'
    if word in ENVIRONMENT.filters:
        return f"write `x | {word}`"
    known = (*ENVIRONMENT.functions, *(macro for one in macros.values() for macro in one.macros))
    hint = other_languages.FUNCTIONS.get(word) or did_you_mean(word, known)
    return hint or f"the functions are {', '.join(sorted(ENVIRONMENT.functions))}; macros are imported"


def _too_deep(node: ScalarNode) -> Diagnostic:
    message = f"the template is nested over {MAX_LEVELS} levels"
    return error("too-deep", message, node.span, "name parts of it with `{% set … %}`")


def _loop_depth(loop: nodes.Node) -> int:
    return 1 + max((_loop_depth(inner) for child in children_of(loop) for inner in _loops(child)), default=0)


def _loops(node: nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(node, nodes.For):
        yield node
    else:
        for child in children_of(node):
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


def _word_span(node: ScalarNode, part: nodes.Node, path: Path, position: int) -> Span:
    """Where one word of a path is written; all of the path when that is not plain."""
    at = part
    for _ in range(len(path) - 1 - position):
        if not isinstance(at, nodes.Getattr | nodes.Getitem):
            return _span(node, part)
        at = at.node
    if isinstance(at, nodes.Getitem):
        return _span(node, at.arg)
    end = extent(node.text, at)[1]
    return node.span_of(end - len(str(path[position])), end)


def _statement_span(node: ScalarNode, part: nodes.Node, word: str) -> Span:
    """The word that a statement begins with."""
    return node.span_of(offset_of(part), offset_of(part) + len(word))


def _word_behind(node: ScalarNode, part: nodes.Filter | nodes.Test, word: str) -> Span:
    """Where the name of a filter or a test is written, behind what it is about."""
    before = offset_of(part) if part.node is None else extent(node.text, part.node)[1]
    start = node.text.index(word, before)
    return node.span_of(start, start + len(word))
