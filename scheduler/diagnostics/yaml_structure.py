"""Where YAML's parser stopped, and what is wrong with how lines stand to each other: indentation, brackets, colons."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_lines import Line, line_at, lines_above, syntax_error, written_whole

_WORD = re.compile(r"[A-Za-z_][\w-]*")
_CLOSING = {"[": "]", "{": "}"}
QUOTE_MUST_END = "a value that begins with a quotation mark must end with it"
_DIGITS = {"\\x": 2, "\\u": 4, "\\U": 8}
_PLAIN_WORDS = {
    "did not find expected key": "a key is expected here",
    "did not find expected '-' indicator": "an item of a list is expected here",
    "did not find expected node content": "a value is expected here",
    "did not find expected <document start>": "the end of the file is expected here",
    "found character that cannot start any token": "no value can begin with this character",
    "could not find expected ':'": "a key and its colon are expected here",
    "found unexpected ':'": "no colon can stand here",
    "mapping values are not allowed in this context": "no key can stand here",
    "mapping keys are not allowed in this context": "no key can stand here",
    "block sequence entries are not allowed in this context": "no item of a list can stand here",
    "did not find expected comment or line break": "the text of a block begins on the next line",
    "did not find expected alphabetic or numeric character": "`*` and `&` want a name of letters and digits in YAML",
}


@dataclass(frozen=True)
class Failure:
    """Where the parser stopped and what it said.

    `opened` is where the thing began that it was reading, `bracket` the place of the innermost open bracket or brace.
    """

    source: Source
    message: str
    context: str
    offset: int
    opened: int | None
    bracket: int | None

    @cached_property
    def line(self) -> Line:
        """The line where the parser stopped; at the end of the file, the last that says something."""
        is_behind = "could not find expected ':'" in self.message and self.opened is not None
        line = line_at(self.source, self.opened if is_behind and self.opened is not None else self.offset)
        return line if line.text else next(lines_above(line), line)

    @cached_property
    def nearby(self) -> tuple[Line, ...]:
        """The line where the parser stopped, and the two above it."""
        return (self.line, *islice(lines_above(self.line), 2))

    @property
    def is_in_quotes(self) -> bool:
        """Whether it stopped between quotation marks."""
        return self.context.endswith("a quoted scalar")

    @property
    def is_at_beginning(self) -> bool:
        """Whether it stopped before the line's content, or at the colon of its first key."""
        column = self.offset - self.line.start
        return column <= self.line.indent or (self.line.key is not None and self.offset < self.line.value_at)

    def is_within_brackets(self, line: Line) -> bool:
        """Whether a line begins inside of the brackets in which the parser stopped: there, indentation means nothing,
        and keys and values share lines."""
        return self.bracket is not None and line.start > self.bracket

    def in_plain_words(self) -> Diagnostic:
        """What is left to say when nobody knows what was meant."""
        message = _PLAIN_WORDS.get(self.message, "YAML cannot read this")
        place = self.source.span(min(self.offset, max(self.line.start, self.line.content.end - 1)))
        return syntax_error(message, place, "look at this line and the one above it: indentation, quotes, brackets")


def closing_bracket(text: str, opened: int) -> int | None:
    """Where the bracket at `opened` is closed; what stands in quotes is not counted."""
    waiting, at = [], opened
    while at < len(text):
        char = text[at]
        if char in "[{":
            waiting.append(_CLOSING[char])
        elif char in "]}":
            if waiting.pop() != char:
                return None
            if not waiting:
                return at
        elif char in "\"'" and text[at - 1] in " \t\r\n[{,:":
            end = text.find(char, at + 1)
            at = end if end >= 0 else len(text)
        at += 1
    return None


@dataclass(frozen=True, slots=True)
class _Level:
    """A section that is open above a line: the column (from 0) of its keys, or of its items."""

    column: int
    is_item: bool
    line: Line

    @property
    def has_value(self) -> bool:
        return bool(self.line.value) and not self.line.value.startswith("#")

    @property
    def advice(self) -> str:
        """How to stand in this section."""
        beside = "like the items above" if self.is_item else f"like `{self.line.key}`"
        return f"indent it by {self.column}, {beside}" if self.column else f"do not indent it, {beside}"


def _levels_above(line: Line) -> list[_Level]:
    """The sections that are open above a line, the deepest first."""
    levels: list[_Level] = []
    for above in lines_above(line):
        if levels and above.indent >= levels[-1].column:
            continue
        if above.opens_block:
            levels.clear()  # what looked like sections was its text
        if above.key is not None and (not levels or above.inner < levels[-1].column):
            levels.append(_Level(above.inner, False, above))
        if above.is_item and (not levels or above.indent < levels[-1].column):
            levels.append(_Level(above.indent, True, above))
        if above.indent == 0:
            break
    return levels


def _instruction(failure: Failure) -> Diagnostic | None:
    """`%YAML 1.2` without `---` behind it, and what follows `...`."""
    if "<document start>" in failure.message:
        for above in failure.nearby[1:]:
            if above.text.startswith("%"):
                message = "a line that begins with `%` is an instruction to YAML, and none is needed"
                return syntax_error(message, above.content, "remove it")
            if above.text.startswith("..."):
                return syntax_error("`...` ends the file for YAML, and more follows", above.content, "remove it")
    return None


def _quotes(failure: Failure) -> Diagnostic | None:
    """A quotation mark without its partner, which the parser notices at the end of the file, and wrong escapes."""
    source = failure.source
    if not failure.is_in_quotes or failure.opened is None:
        return None
    at = source.text.rfind("\\", 0, failure.offset + 1)
    is_escape = "escape" in failure.message or "number" in failure.message
    if not is_escape or at + 1 == len(source.text):
        mark = source.text[failure.opened]
        return syntax_error(
            f"this `{mark}` is never closed", source.span(failure.opened), f"add `{mark}` where it ends"
        )
    wrong = source.text[at : at + 2]
    if wrong in _DIGITS:
        message = f"behind `{wrong}` stand the {_DIGITS[wrong]} hexadecimal digits of one character"
        hint = "write the character itself; or write `\\\\` for a backslash"
        return syntax_error(message, source.span(at, at + 2), hint)
    hint = f"write `\\{wrong}`, or put the text in single quotes"
    return syntax_error(f"`{wrong}` means nothing inside of double quotes", source.span(at, at + 2), hint)


def _brackets(failure: Failure) -> Diagnostic | None:
    """A bracket without its partner, or what the parser stumbles over between the two."""
    opened, source = failure.bracket, failure.source
    if opened is None:
        return None
    here, place = source.text[failure.offset : failure.offset + 1], source.span(failure.offset)
    bracket, closing = source.text[opened], _CLOSING[source.text[opened]]
    if here == "," and "node content" in failure.message:
        return syntax_error("there is no value before this comma", place, "write the value, or remove the comma")
    if here in ("]", "}"):
        return syntax_error(f"`{bracket}` is closed by `{closing}`, not by `{here}`", place, f"write `{closing}`")
    is_closed = closing_bracket(source.text, opened) is not None
    is_same_line = failure.line.start <= opened
    add = f"add `{closing}` where it ends"
    if not is_closed and not (is_same_line and here.strip()):
        return syntax_error(f"this `{bracket}` is never closed", source.span(opened), add)
    if here != ":" and source.text[failure.line.start : failure.offset].rstrip().endswith(('"', "'")):
        hint = "put a comma behind the quotes, or the whole text inside of them"
        return syntax_error(QUOTE_MUST_END, place, hint)
    if here == ":" and is_same_line:
        hint = "put a comma before the key; or put the value in quotes"
        return syntax_error("`: ` inside of a value begins another key in YAML", place, hint)
    if is_same_line:
        message = f"there is something here that does not belong in `{bracket} {closing}`"
        hint = "put a comma between the values, and quotes around texts"
        return syntax_error(message, place, hint if is_closed else f"{hint}; or {add}")
    message = f"a comma is missing before this, between `{bracket}` and `{closing}`"
    return syntax_error(message, failure.line.content, "end the line above with a comma")


def _less_indented_text(failure: Failure) -> Diagnostic | None:
    """A line that was to be a part of the text that `|` or `>` begins above it."""
    line = failure.line
    text: list[Line] = []
    for above in lines_above(line):
        if above.opens_block:
            break
        text.append(above)
    else:
        return None
    is_a_key_beside = line.key is not None and line.indent <= above.indent
    if is_a_key_beside or any(one.indent <= above.indent for one in text):
        return None
    message = "the text below `|` or `>` ends before this line, because it is indented less"
    indent = text[-1].indent if text else above.indent + 2
    return syntax_error(message, line.content, f"indent it by {indent}")


def _indentation(failure: Failure) -> Diagnostic | None:
    """A key or an item that stands in no section, or in a section of the other kind."""
    line = failure.line
    levels = _levels_above(line)
    if not failure.is_at_beginning or not levels or not (line.is_item or line.key is not None):
        return None
    what = "item" if line.is_item else "key"
    beside = next((level for level in levels if level.column == line.indent), None)
    if beside is not None:
        return _other_kind(line, beside, levels) if beside.is_item != line.is_item else None
    deeper = [level for level in levels if level.column > line.indent][-1:]
    around = [level for level in levels if level.column < line.indent][:1]
    if line.indent == 0:
        message = f"this {what} is not indented, and those above are"
    elif not deeper and around[0].has_value and not around[0].is_item:
        message = f"this {what} is indented below `{around[0].line.key}`, which has a value already"
    else:
        spaces = "1 space" if line.indent == 1 else f"{line.indent} spaces"
        message = f"this {what} is indented by {spaces}, and nothing above is"
    return syntax_error(message, line.content, "; or ".join(level.advice for level in (*deeper, *around)))


def _other_kind(line: Line, beside: _Level, levels: list[_Level]) -> Diagnostic:
    """An item among keys, or a key among items."""
    deeper = [level for level in levels if level.column > line.indent and level.is_item == line.is_item]
    if line.is_item:
        message, otherwise = "this item of a list stands among keys", "indent it below the key that it belongs to"
    else:
        message, otherwise = "this key stands among the items of a list", "begin it with `- `, or indent it"
    return syntax_error(message, line.content, deeper[-1].advice if deeper else otherwise)


def _colon_in_value(failure: Failure) -> Diagnostic | None:
    """`where: x == "a: b"`."""
    line = failure.line
    if "mapping values" not in failure.message or line.key is None or failure.is_at_beginning:
        return None
    place = failure.source.span(failure.offset)
    return syntax_error("`: ` inside of a value begins another key in YAML", place, written_whole(line))


def _no_colon(failure: Failure) -> Diagnostic | None:
    """A line that is no key with a colon, where one must stand."""
    line = failure.line
    if "mapping values" in failure.message:
        line = next(lines_above(line), line)
        levels = _levels_above(line)
        if levels and levels[0].column < line.indent and levels[0].has_value:
            return None  # it goes on with that value
    elif "could not find expected ':'" not in failure.message:
        return None
    if line.key is not None:
        return None
    if _WORD.fullmatch(line.value):
        return syntax_error("a key must have a colon", line.value_span, f"write {line.value}:")
    hint = "if it goes on with the text above, indent it deeper than that key; if it is a comment, begin it with `#`"
    return syntax_error("this line is no `key: value`", line.content, hint)


STRUCTURE_TRAPS: tuple[Callable[[Failure], Diagnostic | None], ...] = (
    _quotes, _brackets, _instruction, _less_indented_text, _colon_in_value, _no_colon, _indentation,
)  # fmt: skip
"""The surest first."""
