"""Where each character of a scalar's value stands in the file, for every scalar style of YAML 1.1/1.2.

A caret must point at the wrong word also inside quotes, folded and literal blocks. The parser gives only the start
and the end of a scalar; this module reads its source text once more, the way the parser did.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LINE_END = re.compile(r"\r\n|\n|\r")
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
    "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_CODES = {"x": 2, "u": 4, "U": 8}


def places_of(text: str, start: int, end: int, style: str | None, value: str) -> Sequence[int]:
    """Offsets into `text` of every character of `value`, and one behind the last.

    `start` and `end` enclose the scalar as the parser reports it; `style` is the parser's: None, ', ", | or >.
    If the second reading disagrees with the parser, every character is placed at the start: vague, never wrong.
    """
    first = start if style is None else start + 1
    if style not in ("|", ">") and text.startswith(value, first) and first + len(value) >= end - (style is not None):
        return range(first, first + len(value) + 1)  # written as it is: nearly every scalar
    match style:
        case "|" | ">":
            reading = _Block(text, start, value, folded=style == ">").read()
        case "'" | '"':
            reading = _Flow(text, start + 1, max(end - 1, start + 1), quote=style).read()
        case _:
            reading = _Flow(text, start, end, quote="").read()
    characters = "".join(reading.characters)
    if not characters.startswith(value) or characters[len(value) :].strip("\n"):
        return (start,) * (len(value) + 1)
    offsets = reading.offsets[: len(value)]
    behind = offsets[-1] + 1 if offsets else start
    return (*offsets, behind)


class _Reading:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start
        self.characters: list[str] = []
        self.offsets: list[int] = []

    def add(self, character: str, offset: int) -> None:
        self.characters.append(character)
        self.offsets.append(offset)

    def skip_break(self) -> None:
        self.at += 2 if self.text.startswith("\r\n", self.at) else 1


class _Flow(_Reading):
    """Plain and quoted scalars: line folding as YAML 1.2.2, section 6.5 says."""

    def __init__(self, text: str, start: int, end: int, *, quote: str) -> None:
        super().__init__(text, start)
        self.end = end
        self.quote = quote

    def read(self) -> _Reading:
        while self.at < self.end:
            char = self.text[self.at]
            if char in "\r\n":
                self._fold()
            elif self.quote == "'" and char == "'":
                self.add("'", self.at)
                self.at += 2
            elif self.quote == '"' and char == "\\":
                self._escape()
            else:
                self.add(char, self.at)
                self.at += 1
        return self

    def _fold(self) -> None:
        while self.characters and self.characters[-1] in " \t" and self.text[self.offsets[-1]] in " \t":
            self.characters.pop()
            self.offsets.pop()
        first, breaks = self.at, []
        while self.at < self.end and self.text[self.at] in "\r\n \t":
            if self.text[self.at] in "\r\n":
                breaks.append(self.at)
                self.skip_break()
            else:
                self.at += 1
        if len(breaks) == 1:
            self.add(" ", first)
        for place in breaks[1:]:
            self.add("\n", place)

    def _escape(self) -> None:
        place, code = self.at, self.text[self.at + 1]
        if code in "\r\n":
            self.at += 1
            self.skip_break()
            while self.at < self.end and self.text[self.at] in " \t":
                self.at += 1
            return
        if code in _CODES:
            digits = _CODES[code]
            self.add(chr(int(self.text[place + 2 : place + 2 + digits], 16)), place)
            self.at += 2 + digits
        else:
            self.add(_ESCAPES.get(code, code), place)
            self.at += 2


class _Block(_Reading):
    """Literal and folded blocks: YAML 1.2.2, section 8.1. Reads to the end of the block; the value may be shorter
    by the line breaks that its chomping drops."""

    def __init__(self, text: str, start: int, value: str, *, folded: bool) -> None:
        super().__init__(text, start)
        self.folded = folded
        header = _LINE_END.search(text, start)
        self.at = header.end() if header else len(text)
        self.indent = _lead_of_first_line(text, self.at) - _lead_of_first_line(value, 0)

    def read(self) -> _Reading:
        breaks = self._skip_blank_lines()
        for place in breaks:
            self.add("\n", place)
        while self._at_content():
            plain_start = self.text[self.at] not in " \t"
            while self.at < len(self.text) and self.text[self.at] not in "\r\n":
                self.add(self.text[self.at], self.at)
                self.at += 1
            if self.at >= len(self.text):
                break
            line_break = self.at
            self.skip_break()
            breaks = self._skip_blank_lines()
            folds = self.folded and plain_start and self._at_content() and self.text[self.at] not in " \t"
            if not folds:
                self.add("\n", line_break)
            elif not breaks:
                self.add(" ", line_break)
            for place in breaks:
                self.add("\n", place)
        return self

    def _skip_blank_lines(self) -> list[int]:
        """Skip empty lines and the indentation of the next line; the places of the breaks."""
        breaks = []
        while True:
            column = 0
            while column < self.indent and self.text.startswith(" ", self.at):
                self.at += 1
                column += 1
            if self.at < len(self.text) and self.text[self.at] in "\r\n":
                breaks.append(self.at)
                self.skip_break()
            else:
                self._column = column
                return breaks

    def _at_content(self) -> bool:
        return self._column == self.indent and self.at < len(self.text)


_BLANK_LINES = re.compile(r"(?:[ ]*(?:\r\n|\n|\r))*")
_SPACES = re.compile("[ ]*")


def _lead_of_first_line(text: str, at: int) -> int:
    """How many spaces stand before the first line from `at` that has anything else. What the file has more of them than
    the value is the block's indentation, whether its header says so or not."""
    blank = _BLANK_LINES.match(text, at)
    spaces = _SPACES.match(text, blank.end() if blank else at)
    return spaces.end() - spaces.start() if spaces else 0
