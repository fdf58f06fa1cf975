"""Macro files, templates/*.j2: read once, and put into the templates that import or include them.

There is no loader at run time. What a template imports is known when it is read, so a macro becomes a part of the
template, and the paths that it reads are among the template's.

An imported macro sees its arguments and its own file; `with context` also what the template is given (`event`, `user`,
names of `with`). An included file sees that and, as in Jinja, what the text has set before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from jinja2 import TemplateSyntaxError, nodes

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.leaf_texts import ParsedText, looked_through
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.syntax_problems import explained


@dataclass(frozen=True, slots=True, eq=False)
class MacroFile:
    """One file: its text with the place of each character, that as a tree, and its macros by name."""

    name: str
    node: ScalarNode
    parsed: ParsedText
    macros: Mapping[str, nodes.Macro]

    @property
    def body(self) -> list[nodes.Node]:
        """Its statements, not to be changed."""
        return self.parsed.tree.body


MacroFiles: TypeAlias = Mapping[str, MacroFile]
"""By the name that templates use: `money.j2`."""
NO_MACROS: MacroFiles = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Import:
    """One `import`, `from … import` or `include` of a file whose name is written out.

    `module` is the name of the whole (`import "x.j2" as module`), `names` are (macro, name here); both are empty for
    an include.
    """

    node: nodes.Import | nodes.FromImport | nodes.Include
    file: str
    with_context: bool
    module: str | None = None
    names: tuple[tuple[str, str], ...] = ()

    def wanted_of(self, parts: Iterable[nodes.Node]) -> list[str]:
        """The macros of the file that nodes ask for by this import."""
        wanted = [name for name, _ in self.names]
        for part in parts:
            match part:
                case nodes.Call(node=nodes.Getattr(node=nodes.Name(name=module), attr=name)) if module == self.module:
                    wanted.append(name)
        return wanted

    @property
    def is_include(self) -> bool:
        return isinstance(self.node, nodes.Include)


def read_macro_file(name: str, source: Source) -> tuple[MacroFile | None, list[Diagnostic]]:
    """A macro file, or why it is none. `name` is what templates call it."""
    node = _whole_text(source)
    if "\0" in node.text:
        place = node.span_of(node.text.index("\0"))
        return None, [error("control-character", "a text cannot contain NUL", place)]
    try:
        tree = ENVIRONMENT.parse(node.text)
    except TemplateSyntaxError as problem:
        start, end, message, hint = explained(node.text, problem)
        return None, [error("template-syntax", message, node.span_of(start, end), hint)]
    except RecursionError:
        return None, [error("too-deep", "the file is nested too deeply", node.span_of(0))]
    macros = {macro.name: macro for macro in tree.body if isinstance(macro, nodes.Macro)}
    return MacroFile(name, node, looked_through(tree), macros), []


def imports_of(parts: Iterable[nodes.Node]) -> Iterator[Import]:
    """Every import and include among nodes whose file is a constant."""
    for node in parts:
        match node:
            case nodes.Import(template=nodes.Const(value=str() as file)):
                yield Import(node, file, bool(node.with_context), module=node.target)
            case nodes.FromImport(template=nodes.Const(value=str() as file)):
                names = tuple(name if isinstance(name, tuple) else (name, name) for name in node.names)
                yield Import(node, file, bool(node.with_context), names=names)
            case nodes.Include(template=nodes.Const(value=str() as file)):
                yield Import(node, file, bool(node.with_context))


def calls_of(macro: nodes.Node) -> Iterator[str]:
    """The plain names that a tree calls."""
    for call in macro.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name):
            yield call.node.name


def _whole_text(source: Source) -> ScalarNode:
    """The text as Jinja reads it, and where each character stands: `\\r\\n` is one character, and the line end that
    every editor writes at the end of a file is none."""
    places = [at for at, char in enumerate(source.text) if not (char == "\r" and source.text.startswith("\n", at + 1))]
    if source.text.endswith(("\n", "\r")):
        places.pop()
    text = "".join(source.text[at] for at in places)
    places.append(len(source.text))
    return ScalarNode(text, source.span(0, len(source.text)), plain=False, places=tuple(places))
