"""What YAML reads without a complaint and nobody meant: each with the corrected text.

A value without quotes is where this happens: it takes spaces that only look like spaces for letters, ends at ` #` or
at a comma, and swallows the lines below it that are indented deeper.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_lines import line_at, open_quote, syntax_error, written_whole
from scheduler.diagnostics.yaml_nodes import ScalarNode

ODD_SPACES = "\xa0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
"""What looks like a space or like nothing, for a class of a regular expression."""

_ODD_ENDS = re.compile(f"^[{ODD_SPACES}]+|[{ODD_SPACES}]+$")
_ODD_BEHIND_SIGN = re.compile(rf"(?:-|[A-Za-z_][\w-]*:)([{ODD_SPACES}])")
_CURLY = {"“": "”", "„": "“”", "‘": "’", "”": "”", "«": "»"}
"""Opening quotation marks of word processors, and what closes them."""
_COMMENT = re.compile(r"[ \t]+(#[^\r\n]*)")
_BREAK = re.compile(r"[\r\n]")
_DASH_WITHOUT_SPACE = re.compile(r"-[^\W\d]")
_ITEM_BELOW = re.compile(r"[\r\n][ \t]*(- )")
_KEYS_WITHOUT_SPACE = re.compile(r"[A-Za-z_][\w-]*:[^\s/:][^\r\n]*(?:[\r\n]\s*[A-Za-z_][\w-]*:[^\s/:][^\r\n]*)+")
_ITEMS_WITHOUT_SPACE = re.compile(r"-[^\W\d][^\r\n]*(?:[\r\n]\s*-[^\W\d][^\r\n]*)*")
_BULLETS = re.compile(r"([–—•·])[^\r\n]*(?:[\r\n]\s*\1[^\r\n]*)+")


def misread_value(node: ScalarNode) -> Iterator[Diagnostic]:
    """What is suspicious about a value without quotes."""
    text, places = node.text, node.places
    if not text.isascii():
        yield from _odd_spaces(node)
    behind = node.span.source.text[places[-1] : places[-1] + 1]
    if behind == ",":
        yield from _cut_at_comma(node)
    elif behind in (" ", "\t"):
        yield from _cut_at_comment(node)
    if places[-1] - places[0] > len(text) or text.startswith("-"):
        yield from _swallowed_lines(node)


def misread_key(node: ScalarNode) -> Iterator[Diagnostic]:
    """What is suspicious about a key without quotes: nothing invisible belongs in it."""
    if _DASH_WITHOUT_SPACE.match(node.text):
        yield syntax_error("there is no space behind the dash", node.span, f"write - {node.text[1:]}: …")
    if node.text.isascii():
        return
    for place, char in zip(node.places, node.text, strict=False):
        if not char.isascii() and unicodedata.category(char) in ("Zs", "Cf"):
            yield odd_space(node.span.source, place)
            return


def inside_odd_spaces(text: str) -> tuple[int, int]:
    """From where to where a text is without the odd spaces around it."""
    start, end = 0, len(text)
    for odd in _ODD_ENDS.finditer(text):
        start, end = (odd.end(), end) if odd.start() == 0 else (start, odd.start())
    return start, max(start, end)


def odd_space(source: Source, offset: int) -> Diagnostic:
    """A character that looks like a space, or like nothing, and is a letter to YAML."""
    char = source.text[offset]
    name = unicodedata.name(char, "odd character").lower()
    message = f"a {name} (U+{ord(char):04X}) is here, which YAML takes for a letter"
    return syntax_error(message, source.span(offset), "write a normal space in its place, or nothing")


def _odd_spaces(node: ScalarNode) -> Iterator[Diagnostic]:
    start, end = inside_odd_spaces(node.text)
    behind_sign = _ODD_BEHIND_SIGN.match(node.text)
    if start > 0:
        yield odd_space(node.span.source, node.places[0])
    elif behind_sign:
        yield odd_space(node.span.source, node.places[behind_sign.start(1)])
    elif end < len(node.text):
        yield odd_space(node.span.source, node.places[end])


def _cut_at_comma(node: ScalarNode) -> Iterator[Diagnostic]:
    """`{where: x == "a, b"}`, and `[“a, b”]`: quotation marks that hold nothing together."""
    mark, curly = open_quote(node.text), _CURLY.get(node.text[:1])
    if mark is not None and _stands_behind(mark, node):
        message = "the value is cut at the comma: quotation marks within a value are a part of it"
        yield syntax_error(message, node.span, "put the whole value in quotes, other ones than those in it")
    elif curly is not None and not any(one in node.text[1:] for one in curly):
        message = "the value is cut at the comma: curly quotation marks are no quotes to YAML"
        yield syntax_error(message, node.span, 'write straight ones: " before the text, and " behind it')


def _stands_behind(mark: str, node: ScalarNode) -> bool:
    """Whether a quotation mark follows in the same line."""
    text, end = node.span.source.text, node.places[-1]
    found = text.find(mark, end)
    return found >= 0 and not _BREAK.search(text, end, found)


def _cut_at_comment(node: ScalarNode) -> Iterator[Diagnostic]:
    """`where: x == "vip #1"`, `title: We are #1`. A comment that is meant has a space behind `#`."""
    source = node.span.source
    found = _COMMENT.match(source.text, node.places[-1])
    if found is None:
        return
    comment = found[1].rstrip()
    whole = written_whole(line_at(source, found.start()), f"{node.text}{found[0]}".strip())
    closing = "}}" if node.text.rfind("{{") > node.text.rfind("}}") else open_quote(node.text)
    if closing is not None and closing in comment:
        yield error("cut-at-comment", "the value is cut at `#`, which begins a comment in YAML", node.span, whole)
    elif re.match(r"#[\w{]", comment):
        message = "the value ends before `#`, which begins a comment in YAML"
        place = source.span(found.start(1), found.start(1) + len(comment))
        hint = f"if it is a comment, write a space behind `#`; if it belongs to the value, {whole}"
        yield warning("cut-at-comment", message, place, hint)


def _swallowed_lines(node: ScalarNode) -> Iterator[Diagnostic]:
    """Items or keys that are a part of a text, because a space is missing or because they are indented deeper."""
    source, start = node.span.source, node.places[0]
    written = source.text[start : node.places[-1]]
    first = _BREAK.split(written, maxsplit=1)[0].rstrip()
    place = source.span(start, start + len(first))
    stands_alone = line_at(source, start).content.start == start
    item = _ITEM_BELOW.search(written)
    if item is not None:
        message = "this line is a part of the text above, because it is indented deeper"
        hint = "indent it like the items of the list it belongs to; if it is a part of the text, put the text in quotes"
        yield syntax_error(message, line_at(source, start + item.start(1)).content, hint)
    elif _KEYS_WITHOUT_SPACE.fullmatch(written):
        yield syntax_error("there is no space behind the colon", place, f"write {first.replace(':', ': ', 1)}")
    elif stands_alone and _ITEMS_WITHOUT_SPACE.fullmatch(written):
        yield syntax_error("there is no space behind the dash", place, f"write - {first[1:]}")
    elif stands_alone and _BULLETS.fullmatch(written):
        message = f"the items of a list begin with `- `, not with `{first[0]}`"
        yield syntax_error(message, place, f"write - {first[1:].lstrip()}")
