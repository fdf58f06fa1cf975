"""One line of a YAML file, taken apart as people read it: indentation, key, value. For messages about mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source, Span

MAX_LOOK_BACK = 1_000
"""How many lines above a mistake are looked at: it is near, and a hostile file has a million lines."""

_PARTS = re.compile(
    r"(?P<lead>[ ]*)(?P<dashes>(?:-(?:[ ]+|$))*)"
    r"""(?:(?P<key>[\w.*<][\w.*<,:/@ -]*?|"[^"]*"[ ]?|'[^']*'[ ]?):(?=\s|$))?"""
)
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*[ \t]*(?:#.*)?$")
_CONDITIONS = ("when", "where")
_NO_SPACE = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?P<value>[^\s/:].*)")
_WRONG_SIGN = re.compile(r"(?P<key>[A-Za-z_][\w-]*)[ ]*(?P<sign>=>?|->|：)[ ]*(?P<value>[^\s=].*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line: where it begins, how far its content is indented, and what stands in it."""

    source: Source
    number: int
    start: int
    text: str
    indent: int
    is_item: bool
    """It begins with `- `."""
    inner: int
    """The column (from 0) behind the indentation and the dashes of items."""
    key: str | None
    value: str
    """What stands behind the dashes and the key; without a key, all that the line says."""
    value_at: int

    @property
    def is_condition(self) -> bool:
        """Whether its key is that of a condition."""
        return self.key in _CONDITIONS

    @property
    def is_said(self) -> bool:
        """Whether it is more than an empty line or a comment."""
        said = self.text.strip()
        return bool(said) and not said.startswith("#")

    @property
    def opens_block(self) -> bool:
        """Whether its value is `|` or `>`: the text is on the lines below."""
        return _BLOCK_HEADER.match(self.value) is not None

    def span(self, start: int, end: int) -> Span:
        """The characters from the column `start` up to `end`."""
        return self.source.span(self.start + start, self.start + end)

    @property
    def content(self) -> Span:
        """All that stands in it, without the white space around."""
        return self.span(self.indent, len(self.text.rstrip()))

    @property
    def value_span(self) -> Span:
        return self.source.span(self.value_at, self.value_at + len(self.value))


def syntax_error(message: str, span: Span, hint: str | None) -> Diagnostic:
    return error("yaml-syntax", message, span, hint)


def line_at(source: Source, offset: int) -> Line:
    """The line that a place of the file is in."""
    return numbered_line(source, source.line_and_column(offset)[0])


def numbered_line(source: Source, number: int) -> Line:
    text, start = source.line_text(number), source.line_start(number)
    parts = _PARTS.match(text)
    assert parts is not None  # all of it may be empty
    inner = parts.end("dashes")
    behind = text[parts.end() :]
    value = behind.strip(" \t")
    value_at = start + parts.end() + len(behind) - len(behind.lstrip(" \t"))
    key = parts["key"].rstrip() if parts["key"] is not None else None
    is_item = bool(parts["dashes"])
    return Line(source, number, start, text, len(parts["lead"]), is_item, inner, key, value, value_at)


def lines_above(line: Line) -> Iterator[Line]:
    """The lines that say something, upward, as far as it is worth looking."""
    for number in range(line.number - 1, max(0, line.number - 1 - MAX_LOOK_BACK), -1):
        above = numbered_line(line.source, number)
        if above.is_said:
            yield above


def is_block_text(line: Line) -> bool:
    """Whether a line is a part of a text that `|` or `>` began above it."""
    indent = line.indent
    for above in lines_above(line):
        if indent == 0:
            return False
        if above.indent < indent:
            if above.opens_block:
                return True
            indent = above.indent
    return False


def open_quote(text: str) -> str | None:
    """The quotation mark that is open at the end of a text. Behind a letter or a digit it opens nothing: `it's`."""
    mark = None
    for at, char in enumerate(text):
        if char == mark:
            mark = None
        elif mark is None and char in "\"'" and not text[at - 1 : at].isalnum():
            mark = char
    return mark


def in_quotes(text: str) -> str:
    """The text as a quoted scalar, in the quotes that need the fewest escapes."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def written_whole(line: Line, value: str | None = None) -> str:
    """A hint that shows how the value of a line is written so that YAML takes it as one text.

    Conditions go into a block, the documented style; other texts into quotes.
    """
    value = line.value if value is None else value
    if line.is_condition:
        return f"write it in a block: `>-`, and on the next line, indented: {value}"
    return f"put it in quotes: {line.key + ': ' if line.key else ''}{in_quotes(value)}"


def meant_as_entry(text: str) -> tuple[str, str] | None:
    """What is wrong with a text that was to be a key with its value, and the corrected text.

    >>> meant_as_entry("category:sports")
    ('there is no space behind the colon', 'write category: sports')
    """
    found = _NO_SPACE.fullmatch(text)
    if found is not None:
        return "there is no space behind the colon", f"write {found['key']}: {found['value']}"
    found = _WRONG_SIGN.fullmatch(text)
    if found is not None:
        message = f"a key and its value are written with a colon, not with `{found['sign']}`"
        return message, f"write {found['key']}: {found['value']}"
    return None
