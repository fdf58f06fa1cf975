"""Where each character of a scalar's value stands in the file, for every scalar style of YAML.

A caret must point at the wrong word also inside quotes, folded and literal blocks. The parser gives only the start
and the end of a scalar; this module reads its source text once more, the way the parser did. A character that is
written as it is has its own place, an escape that of its backslash, a folded line break that of the break.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BREAK = re.compile(r"\r\n|\n|\r")
_SPACES = re.compile("[ ]*")
_LINE = re.compile(r"[^\r\n]*")


def _parts(other: str, more: str = "") -> re.Pattern[str]:
    """The parts of a scalar on one or several lines: words with white space between them, a line break that is folded,
    any other white space, and `more` that begins with a character of `other`."""
    word = rf"[^ \t\r\n{other}]+"
    return re.compile(
        rf"(?P<words>{word}(?:[ \t]+{word})*)|[ \t]*(?P<fold>\r\n|\n|\r)[ \t]*(?![ \t\r\n])|(?P<white>[ \t\r\n]+){more}"
    )


_FLOW = {
    "": _parts(""),
    "'": _parts("'", r"|(?P<quote>'')"),
    '"': _parts(r"\\", r"|\\(?P<joined>[\r\n][ \t\r\n]*)|\\(?P<code>x..|u.{4}|U.{8})|\\(?P<named>.)"),
}
"""The parts of plain and of quoted scalars."""
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
    "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def places_of(text: str, start: int, end: int, style: str | None, value: str) -> Sequence[int]:
    """Offsets into `text` of every character of `value`, ascending, and one behind the last.

    `start` and `end` enclose the scalar as the parser reports it; `style` is the parser's: None, ', ", | or >.
    If the second reading disagrees with the parser, every character is placed at the start: vague, never wrong.
    """
    quotes = 1 if style in ("'", '"') else 0
    first = start + quotes
    if style not in ("|", ">") and text.startswith(value, first) and first + len(value) >= end - quotes:
        return range(first, first + len(value) + 1)  # written as it is: nearly every scalar
    if style in ("|", ">"):
        reading = _read_block(text, start, value, folded=style == ">")
    else:
        reading = _read_flow(text, first, end - quotes, quote=style or "")
    return reading.places(value) or (start,) * (len(value) + 1)


class _Reading:
    """Characters with their places, as they are read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces: list[str] = []
        self._offsets: list[int] = []

    def add(self, character: str, offset: int) -> None:
        self._pieces.append(character)
        self._offsets.append(offset)

    def add_written(self, start: int, end: int) -> None:
        """Characters that stand in the file as they are."""
        self._pieces.append(self._text[start:end])
        self._offsets.extend(range(start, end))

    def add_breaks(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self.add("\n", offset)

    def places(self, value: str) -> Sequence[int] | None:
        """The places of `value`; None when something else was read. A block is read to its end, and then its chomping
        drops line breaks."""
        characters = "".join(self._pieces)
        if not characters.startswith(value) or characters[len(value) :].strip("\n") or not value:
            return None
        offsets = self._offsets[: len(value)]
        return (*offsets, offsets[-1] + 1)


def _read_flow(text: str, at: int, end: int, *, quote: str) -> _Reading:
    """Plain and quoted scalars; lines are folded as YAML 1.2.2, section 6.5 says."""
    reading = _Reading(text)
    for part in _FLOW[quote].finditer(text, at, end):
        start = part.start()
        match part.lastgroup:
            case "words":
                reading.add_written(start, part.end())
            case "fold":
                reading.add(" ", part.start("fold"))
            case "white":
                breaks = [one.start() for one in _BREAK.finditer(text, start, part.end())]
                if not breaks:
                    reading.add_written(start, part.end())
                reading.add_breaks(breaks[1:])
            case "quote":
                reading.add("'", start)
            case "joined":
                # The line goes on in the next one: no space for this break, and a line break for each one behind it.
                breaks = [one.start() for one in _BREAK.finditer(text, start, part.end())]
                reading.add_breaks(breaks[1:])
            case "code":
                reading.add(chr(int(part["code"][1:], 16)), start)
            case _:
                reading.add(_ESCAPES.get(part["named"], part["named"]), start)
    return reading


def _read_block(text: str, start: int, value: str, *, folded: bool) -> _Reading:
    """Literal and folded blocks: YAML 1.2.2, section 8.1."""
    reading = _Reading(text)
    at = _next_line(text, start)
    indent = _indentation(text, at, value)
    at, breaks, is_content = _skip_blank_lines(text, at, indent)
    reading.add_breaks(breaks)
    while is_content:
        line_end = _line_end(text, at)
        may_fold = folded and text[at] not in " \t"
        reading.add_written(at, line_end)
        if line_end == len(text):
            break
        at, breaks, is_content = _skip_blank_lines(text, _next_line(text, line_end), indent)
        if not (may_fold and is_content and text[at] not in " \t"):
            reading.add("\n", line_end)
        elif not breaks:
            reading.add(" ", line_end)
        reading.add_breaks(breaks)
    return reading


def _indentation(text: str, at: int, value: str) -> int:
    """How far a block's lines are indented, whether its header says so or not: the first line with content has so many
    spaces more in the file than in the value. Each line break before it is one line of the file."""
    blank = len(value) - len(value.lstrip("\n"))
    if blank == len(value):
        return len(text)  # no line has any content, however far it is indented
    for _ in range(blank):
        at = _next_line(text, at)
    return _lead(text, at) - _lead(value, blank)


def _skip_blank_lines(text: str, at: int, indent: int) -> tuple[int, list[int], bool]:
    """Behind empty lines and the indentation of the next line: where that is, the breaks that were skipped, and
    whether the block goes on there."""
    breaks: list[int] = []
    while True:
        lead = min(_lead(text, at), indent)
        at += lead
        if at == len(text) or text[at] not in "\r\n":
            return at, breaks, lead == indent and at < len(text)
        breaks.append(at)
        at = _next_line(text, at)


def _lead(text: str, at: int) -> int:
    spaces = _SPACES.match(text, at)
    return spaces.end() - at if spaces else 0


def _line_end(text: str, at: int) -> int:
    line = _LINE.match(text, at)
    return line.end() if line else at


def _next_line(text: str, at: int) -> int:
    found = _BREAK.search(text, at)
    return found.end() if found else len(text)
