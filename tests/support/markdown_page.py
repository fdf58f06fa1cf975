"""A Markdown page as its headings, fenced blocks and tables, for tests that execute what a page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADING = re.compile(r"#{2,} (.+)")
_CELL_END = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words behind the fence, the text, and the line of the fence."""

    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: by the words of its head, the cells; and its line."""

    cells: dict[str, str]
    line: int

    def code(self, head: str) -> str:
        """The one code that a cell holds."""
        (only,) = self.codes(head)
        return only

    def codes(self, head: str) -> list[str]:
        return _CODE.findall(self.cells[head])


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, up to the next of any level. `chapter` is the heading of the second level."""

    chapter: str
    title: str
    parts: list[Block | Row] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        return [one for one in self.parts if isinstance(one, Block)]

    def rows(self, *heads: str) -> list[Row]:
        """The rows of the tables that have these columns."""
        return [one for one in self.parts if isinstance(one, Row) and set(heads) <= set(one.cells)]


def read_page(text: str) -> list[Section]:
    """The sections of a page. What stands before the first heading of the second level is a section without title."""
    sections = [Section("", "")]
    head: list[str] | None = None
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        heading = _HEADING.fullmatch(line)
        if heading:
            chapter = heading[1] if line.startswith("## ") else sections[-1].chapter
            sections.append(Section(chapter, heading[1]))
        elif line.startswith("```"):
            body = "".join(f"{inner}\n" for inner in _until_fence(lines))
            sections[-1].parts.append(Block(line.removeprefix("```"), body, number))
        elif line.startswith("|---"):
            continue
        elif line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in _CELL_END.split(line)[1:-1]]
            if head is None:
                head = [cell.replace("`", "") for cell in cells]
            else:
                sections[-1].parts.append(Row(dict(zip(head, cells, strict=True)), number))
            continue
        head = None
    return sections


def links_of(text: str) -> list[str]:
    """Where the links of a page lead."""
    return [target for _, target in _LINK.findall(text)]


def without_links(cell: str) -> str:
    """A cell with the words of its links only."""
    return _LINK.sub(r"\1", cell)


def _until_fence(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line
