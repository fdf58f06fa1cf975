"""Tables of the reference, made from tables of fields, and put between the marks of a Markdown file.

A mark is a line `<!-- table: NAME -->`; the table reaches to the next `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from scheduler.rules.fields import Field, Table

_MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADING = re.compile(r"^(##|###) (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def markdown(rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table of rows of cells. The first row is its head."""
    head, *others = rows
    lines = (" | ".join(cell.replace("|", "\\|") for cell in cells) for cells in (head, *others))
    first, *rest = (f"| {line} |\n" for line in lines)
    return "".join((first, f"|{'---|' * len(head)}\n", *rest))


def built_rows(table: Table, *sections: str) -> str:
    """A Markdown table of the fields below these sections that are built ("" takes the fields of the top)."""
    rows = [("key", "value", "default", "example", "meaning")]
    for one in table.fields:
        if one.built and not one.reserved and _section_of(one) in sections:
            default = "**required**" if one.required else one.default or "none"
            rows.append((f"`{one.path}`", one.kind.words, default, f"`{one.example}`", one.meaning))
    return markdown(rows)


def unbuilt_rows(table: Table) -> str:
    """A Markdown table of what is in the language and not built, with the values that are accepted already."""
    rows = [("key", "value", "default", "accepted already", "example", "meaning")]
    for one in table.fields:
        if not one.built:
            off = ", ".join(f"`{word}`" for word in one.off) or "nothing"
            default = one.default or "none"
            rows.append((f"`{one.path}`", one.kind.words, default, off, f"`{one.example}`", one.meaning))
        elif one.kind.unbuilt:
            values = ", ".join(f"`{word}`" for word in sorted(one.kind.unbuilt))
            rows.append((f"`{one.path}`", values, one.default, "the others", "", one.meaning))
    return markdown(rows)


def part_rows(table: Table, *sections: str) -> str:
    """A Markdown table of the keys inside of what is a mapping, from what editors are told of them: of what is built
    below these sections; without any, of what is not built."""
    rows = [("key", "example", "meaning")]
    for one in table.fields:
        if one.reserved or (one.built and _section_of(one) not in sections) or (sections and not one.built):
            continue
        for name, meaning, example, words, required in dict.fromkeys(_parts(one.kind.json_schema)):
            among = f" One of {words}." if words else ""
            rows.append((f"`{one.path}.{name}`", f"`{example}`", f"{'**Required.** ' * required}{meaning}{among}"))
    return markdown(rows)


def reserved_words(table: Table) -> str:
    """The reserved keys with what to do today."""
    return "".join(f"- `{one.path}`: {one.meaning}\n" for one in table.fields if one.reserved)


def contents(text: str) -> str:
    """A list of the headings of a Markdown text, as links: a line for each of the second level."""
    lines: list[str] = []
    for level, title in _HEADING.findall(_FENCED.sub("", text)):
        link = f"[{title}](#{_NOT_IN_ANCHORS.sub('', title.lower()).replace(' ', '-')})"
        if level == "##":
            lines.append(f"- **{link}**")
        else:
            lines[-1] += f"{' · ' if ' · ' in lines[-1] or ': ' in lines[-1] else ': '}{link}"
    return "".join(f"{line}\n" for line in lines)


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The Markdown text with every marked table made anew. KeyError for a mark that no table answers."""
    return _MARKED.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", text)


def _section_of(one: Field) -> str:
    return one.path.partition(".")[0] if "." in one.path else ""


def _parts(schema: object) -> Iterator[tuple[str, str, str, str, bool]]:
    """The keys of the mappings that a JSON Schema describes: name, meaning, example, possible words, whether needed."""
    match schema:
        case {"properties": dict() as properties, **others}:
            needed = others.get("required", ())
            assert isinstance(needed, list | tuple)
            for name, below in properties.items():
                (example,) = below["examples"]
                shown = example if isinstance(example, str) else json.dumps(example)
                words = ", ".join(f"`{word}`" for word in below.get("enum", ()))
                quoted = f'"{shown}"' if "{{" in shown else shown
                yield name, below["description"], quoted, words, name in needed
        case {"items": below} | {"oneOf": [*_, below]}:
            yield from _parts(below)
