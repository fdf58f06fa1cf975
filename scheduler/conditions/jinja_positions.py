"""Jinja with character offsets where it has line numbers. The one place that touches Jinja's privates.

Jinja's lexer labels every token with its line; nodes, parser errors and the debug table of compiled templates copy
that label without looking at it. `OffsetEnvironment` labels tokens with 1 + character offset instead (an offset of 0
would be falsy, and Jinja takes a falsy line for "unknown"). Guarded by tests/conditions/test_conditions_positions.py;
the pin of jinja2 below 3.2 and the reasons are in docs/adr/0003-one-expression-language.md.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from types import TracebackType
from typing import TypeAlias

from jinja2 import Environment, Template, TemplateSyntaxError, nodes
from jinja2.lexer import TOKEN_EOF, Token, TokenStream
from jinja2.parser import Parser

RawToken: TypeAlias = tuple[int, str, str]
"""1 + offset, the lexer's word for what it is, its text."""

_OPENING = {"lparen": "rparen", "lbracket": "rbracket", "lbrace": "rbrace"}
_CLOSING = frozenset(_OPENING.values())


class OffsetEnvironment(Environment):
    """An environment whose nodes, syntax errors and tracebacks carry 1 + character offset in `lineno`.

    Mix it in first: `class PayloadEnvironment(OffsetEnvironment, ImmutableSandboxedEnvironment)`. Offsets count
    characters of the source with each `\\r\\n` as one, as Jinja reads it. Extensions that filter tokens are not used.
    """

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        return self.stream_of(_with_offsets(self, source, name, filename, state), source, name, filename)

    def stream_of(
        self, raw: Iterable[RawToken], source: str, name: str | None = None, filename: str | None = None
    ) -> TokenStream:
        """What the parser reads, of the tokens of a text."""
        # Jinja would label the end with the last token; an error at the end belongs behind it.
        end = Token(len(source.rstrip()) + 1, TOKEN_EOF, "")
        return TokenStream(itertools.chain(self.lexer.wrap(raw, name, filename), [end]), name, filename)


def parse_expression(environment: OffsetEnvironment, text: str) -> nodes.Expr:
    """The one expression that `text` is. TemplateSyntaxError (see `error_offset`) when it is none, or has a rest."""
    parser = Parser(environment, "", state="variable")
    parser.stream = environment.stream_of(_tokens_of(environment, text, "variable"), text)
    expression = parser.parse_expression()
    rest = parser.stream.current
    if not parser.stream.eos:
        raise TemplateSyntaxError(f"unexpected {text[rest.lineno - 1 :].split()[0]!r}", rest.lineno)
    return expression


def offset_of(node: nodes.Node) -> int:
    """Where Jinja says that a node is. A comparison points behind its last operand: use `Extents` for whole nodes."""
    return max(node.lineno - 1, 0)


def error_offset(problem: TemplateSyntaxError) -> int:
    """Where a syntax error is, as a character offset."""
    return max(problem.lineno - 1, 0)


def runtime_places(problem: BaseException) -> list[int]:
    """Offsets of the outputs or statements that were running when an exception was raised, the innermost last: what
    called a macro stands before what the macro did. Empty when no template was involved."""
    places: list[int] = []
    frame: TracebackType | None = problem.__traceback__
    while frame is not None:
        namespace = frame.tb_frame.f_globals
        template = namespace.get("__jinja_template__")
        if isinstance(template, Template):
            places.append(max(template.get_corresponding_lineno(frame.tb_lineno) - 1, 0))
        elif "__jinja_exception__" in namespace:
            # A frame that Jinja has already rewritten: its line is the template's, so it is our label.
            places.append(max(frame.tb_lineno - 1, 0))
        frame = frame.tb_next
    return places


def children_of(node: nodes.Node) -> list[nodes.Node]:
    """The nodes right below one, in the order of the text. Four times as fast as Jinja's own, which is for any class
    of nodes there may ever be."""
    found: list[nodes.Node] = []
    for value in node.__dict__.values():
        if isinstance(value, nodes.Node):
            found.append(value)
        elif type(value) is list:
            found.extend(item for item in value if isinstance(item, nodes.Node))
    return found


class Extents:
    """The first and the last character of nodes, worked out from the tokens of the same text."""

    def __init__(self, environment: OffsetEnvironment, text: str, state: str | None = "variable") -> None:
        self._environment = environment
        self._raw = [item for item in _tokens_of(environment, text, state) if item[1] != "whitespace"]

    @cached_property
    def _tokens(self) -> list[Token]:
        return list(self._environment.lexer.wrap(self._raw))

    @cached_property
    def _starts(self) -> list[int]:
        return [token.lineno - 1 for token in self._tokens]

    @cached_property
    def _ends(self) -> list[int]:
        lengths = {label: len(value) for label, _, value in self._raw}
        return [token.lineno - 1 + lengths[token.lineno] for token in self._tokens]

    def of(self, node: nodes.Node) -> tuple[int, int]:
        """Offsets (start, end): `text[start:end]` is the node, without parentheses around the whole of it."""
        spans = [self._own(node), *(self.of(child) for child in children_of(node))]
        known = [span for span in spans if span is not None]
        return (min(start for start, _ in known), max(end for _, end in known)) if known else (0, 1)

    def depth(self) -> tuple[int, int]:
        """How deep brackets are nested, and the offset of the deepest one."""
        level, deepest, place = 0, 0, 0
        for label, kind, value in self._raw:
            if kind == "operator" and value in "([{":
                level += 1
                if level > deepest:
                    deepest, place = level, label - 1
            elif kind == "operator" and value in ")]}":
                level -= 1
        return deepest, place

    def _own(self, node: nodes.Node) -> tuple[int, int] | None:
        if not node.lineno or isinstance(node, nodes.Compare | nodes.Operand | nodes.Tuple):
            return None  # a comparison and a tuple point behind their first item; the items tell
        start = node.lineno - 1
        first = bisect.bisect_left(self._starts, start)
        last = first
        match node:
            case nodes.Getattr():
                last = first + 1
            case nodes.Filter() | nodes.Test():
                last = self._last_of_word(first, node.name)
            case nodes.Const() if isinstance(node.value, str):
                while last + 1 < len(self._tokens) and self._tokens[last + 1].type == "string":
                    last += 1
        if isinstance(node, nodes.Call | nodes.Filter | nodes.Test | nodes.Getitem | nodes.List | nodes.Dict):
            last = self._closing(last)
        return start, self._ends[min(last, len(self._ends) - 1)]

    def _last_of_word(self, first: int, name: str) -> int:
        """The token that ends the name of a filter or a test: `is not defined` begins at `is`."""
        word = name.rpartition(".")[2]
        return next((i for i in range(first, len(self._tokens)) if self._tokens[i].value == word), first)

    def _closing(self, index: int) -> int:
        """The token that closes the bracket at `index` or right behind it; `index` when there is none."""
        at = index if self._tokens[index].type in _OPENING else index + 1
        if at >= len(self._tokens) or self._tokens[at].type not in _OPENING:
            return index
        level = 0
        for i in range(at, len(self._tokens)):
            level += (self._tokens[i].type in _OPENING) - (self._tokens[i].type in _CLOSING)
            if level == 0:
                return i
        return index


@lru_cache(maxsize=256)
def _tokens_of(environment: Environment, text: str, state: str | None) -> tuple[RawToken, ...]:
    """All tokens of a text. They are asked for again for each finding about it."""
    return tuple(_with_offsets(environment, text, None, None, state))


def _with_offsets(
    environment: Environment, source: str, name: str | None, filename: str | None, state: str | None
) -> Iterator[RawToken]:
    """The lexer's (line, token, text) with 1 + offset for line, also in the errors that the lexer raises itself."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    at = 0
    try:
        for _, token, value in environment.lexer.tokeniter(text, name, filename, state):
            # White space that `{%-` strips appears in no token, and the next token never begins with any.
            at = text.index(value, at)
            yield at + 1, token, value
            at += len(value)
    except TemplateSyntaxError as problem:
        problem.lineno = at + 1
        raise
