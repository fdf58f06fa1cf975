"""Tables of the reference, made from tables of fields, and put between the marks of a Markdown file.

A mark is a line `<!-- table: NAME -->`; the table reaches to the next `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scheduler.rules.fields import Field, Table

_MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def built_rows(table: Table, *sections: str) -> str:
    """A Markdown table of the fields below these sections that are built ("" takes the fields of the top)."""
    lines = ["| key | value | default | example | meaning |", "|---|---|---|---|---|"]
    for one in table.fields:
        if one.built and not one.reserved and _section_of(one) in sections:
            default = "**required**" if one.required else one.default or "none"
            cells = (f"`{one.path}`", one.kind.words, default, f"`{one.example}`", one.meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def unbuilt_rows(table: Table) -> str:
    """A Markdown table of what is in the language and not built, with the values that are accepted already."""
    lines = ["| key | value | default | accepted already | example | meaning |", "|---|---|---|---|---|---|"]
    for one in table.fields:
        if not one.built:
            off = ", ".join(f"`{word}`" for word in one.off) or "nothing"
            cells = (f"`{one.path}`", one.kind.words, one.default or "none", off, f"`{one.example}`", one.meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        elif one.kind.unbuilt:
            values = ", ".join(f"`{word}`" for word in sorted(one.kind.unbuilt))
            lines.append(f"| `{one.path}` | {values} | {one.default} | the others | | {one.meaning} |")
    return "\n".join(lines) + "\n"


def reserved_words(table: Table) -> str:
    """The reserved keys with what to do today."""
    return "".join(f"- `{one.path}`: {one.meaning}\n" for one in table.fields if one.reserved)


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The Markdown text with every marked table made anew. KeyError for a mark that no table answers."""
    return _MARKED.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", text)


def _section_of(one: Field) -> str:
    return one.path.partition(".")[0] if "." in one.path else ""
