"""A text file as people see it: lines and columns, counted from 1."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field

_LINE_ENDS = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, eq=False)
class Source:
    """One file: its path as the user wrote it, and its text."""

    path: str
    text: str
    _line_starts: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = [0, *(end.end() for end in _LINE_ENDS.finditer(self.text))]
        object.__setattr__(self, "_line_starts", starts)

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Both from 1. The end of the text is a valid place."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a line (from 1), without its end."""
        end = self._line_starts[line] if line < len(self._line_starts) else len(self.text)
        return self.text[self.line_start(line) : end].rstrip("\r\n")

    def line_start(self, line: int) -> int:
        """The offset of the first character of a line (from 1)."""
        return self._line_starts[line - 1]

    def span(self, start: int, end: int | None = None) -> Span:
        """The characters from `start` up to `end` (one character when it is left out)."""
        return Span(self, start, start + 1 if end is None else max(end, start + 1))


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source, at least one character wide."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.line_and_column(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.line_and_column(self.start)[1]

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"
