"""What the author meant when YAML's parser gave up: each trap in words of its own, with the corrected text.

The parser says where it stopped, which is often a line behind the mistake, and says it in words for programmers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source, Span

_ENTRY = re.compile(r"(?P<lead>[ ]*(?:- +)*)(?:(?P<key>[\w.*-]+):[ \t]+)?(?P<value>\S.*?)[ \t]*$")
_KEY_ALONE = re.compile(r"[ ]*(?:- +)*[A-Za-z_][\w-]*$")
_NO_SPACE = re.compile(r"[ ]*(?:- +)*(?P<key>[A-Za-z_][\w-]*):(?P<value>[^\s/:].*?)[ \t]*$")
_EQUALS = re.compile(r"[ ]*(?P<key>[A-Za-z_][\w-]*)[ ]*=[ ]*(?P<value>\S.*?)[ \t]*$")
_ENDS_QUOTE_EARLY = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*[^\s#,\]}:]""")
_BRACES_IN_FLOW = re.compile(r"""[^\s,\[\]{}"']*\{\{[^{}]*\}\}[^\s,\[\]{}"']*""")
_BEGINNINGS = {
    "*": "`*` at the beginning of a value stands for another value in YAML (an alias)",
    "&": "`&` at the beginning of a value gives it a name in YAML (an anchor)",
    "%": "a value without quotes cannot begin with `%` in YAML",
    "@": "a value without quotes cannot begin with `@` in YAML",
    "`": "a value without quotes cannot begin with ` in YAML",
    "|": "`|` at the beginning of a value begins a block of text in YAML, on the next line",
    ">": "`>` at the beginning of a value begins a block of text in YAML, on the next line",
}
_BRACKETS = {"[": "]", "{": "}", '"': '"', "'": "'"}


def in_quotes(text: str) -> str:
    """The text as a quoted scalar, in the quotes that need the fewest escapes."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def unquoted_template(span: Span, written: str) -> Diagnostic:
    """`collapse: {{ x }}`: for YAML a mapping in a mapping."""
    return error("unquoted-template", "braces without quotes are a YAML mapping, not a template", span,
                 f"write {in_quotes(written)}")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """Where the parser stopped and what it said; `opened` is where the thing began that it was reading."""

    source: Source
    message: str
    context: str
    offset: int
    opened: int | None

    def line(self, offset: int) -> tuple[str, int]:
        """The text of the line of an offset, and the offset of its first character."""
        number, column = self.source.line_and_column(offset)
        return self.source.line_text(number), min(offset, len(self.source.text)) - column + 1

    def lines_before(self) -> Iterator[tuple[str, int]]:
        """The line where the parser stopped, and the two with content that stand above it."""
        number = self.source.line_and_column(self.offset)[0]
        found = 0
        while number >= 1 and found < 3:
            text, start = self.source.line_text(number), self.source.line_start(number)
            if text.strip() and not text.lstrip().startswith("#"):
                found += 1
                yield text, start
            number -= 1

    def error(self, message: str, start: int, end: int, hint: str | None, code: str = "yaml-syntax") -> Diagnostic:
        return error(code, message, self.source.span(start, end), hint)


def explained(failure: Failure) -> Diagnostic:
    """The finding for what the parser could not read."""
    for trap in _TRAPS:
        found = trap(failure)
        if found is not None:
            return found
    return failure.error(failure.message, failure.offset, failure.offset + 1, None)


def _tab(failure: Failure) -> Diagnostic | None:
    for text, start in failure.lines_before():
        lead = text[: len(text) - len(text.lstrip(" \t"))]
        if "\t" in lead and text.strip():
            at = start + lead.index("\t")
            return failure.error("a tab cannot be used for indentation", at, start + len(lead), "indent with spaces")
    return None


def _odd_indentation(failure: Failure) -> Diagnostic | None:
    """A key that stands deeper or less deep than every line it could belong to."""
    text, start = failure.line(failure.offset)
    lead = len(text) - len(text.lstrip(" "))
    nearer = [line for line, _ in failure.lines_before() if line != text]
    entry = re.compile(r"[ ]*(- +)*[\w<*-]+:(\s|$)")
    stops = failure.offset - start >= lead
    if not entry.match(text) or not nearer or not entry.match(nearer[0]) or not stops:
        return None
    above = len(nearer[0]) - len(nearer[0].lstrip(" "))
    plain_above = not nearer[0].rstrip().endswith(":")
    if lead == above or (lead > above and not plain_above):
        return None
    if failure.opened is not None and failure.context.startswith("while parsing a flow"):
        return None
    levels = _levels_above(failure, failure.source.line_and_column(failure.offset)[0])
    if lead in levels and lead < above:
        return None
    nearest = min(levels, key=lambda level: (abs(level - lead), level))
    spaces = "1 space" if lead == 1 else f"{lead} spaces"
    message = f"this key is indented by {spaces}, and no section above is"
    hint = f"indent it by {nearest}" if nearest else "do not indent it"
    return failure.error(message, start + lead, start + len(text.rstrip()), f"{hint}, like the keys beside it")


def _levels_above(failure: Failure, number: int) -> list[int]:
    """The indentations of the keys that are open above a line, the deepest first."""
    levels: list[int] = []
    for above in range(number - 1, 0, -1):
        text = failure.source.line_text(above)
        lead = len(text) - len(text.lstrip(" "))
        if text.strip() and not text.lstrip().startswith("#") and (not levels or lead < levels[-1]):
            levels.append(lead)
        if levels and levels[-1] == 0:
            break
    return levels or [0]


def _template(failure: Failure) -> Diagnostic | None:
    """A value that begins with braces and goes on, or braces inside of a list."""
    for text, start in failure.lines_before():
        entry = _ENTRY.match(text)
        if entry is None or "{" not in entry["value"]:
            continue
        value, at = entry["value"], start + entry.start("value")
        if value.startswith(("{{", "{%")):
            span = failure.source.span(at, at + len(value))
            return unquoted_template(span, value)
        inside = _BRACES_IN_FLOW.search(value)
        if value.startswith(("[", "{")) and inside and _open_quotes(value[: inside.start()]) is None:
            span = failure.source.span(at + inside.start(), at + inside.end())
            return unquoted_template(span, inside[0])
    return None


def _open_quotes(text: str) -> str | None:
    """The quotation mark that is open at the end of a text."""
    opened = None
    for char in text:
        if opened is None and char in "\"'":
            opened = char
        elif char == opened:
            opened = None
    return opened


def _beginning(failure: Failure) -> Diagnostic | None:
    text, start = failure.line(failure.offset)
    entry = _ENTRY.match(text)
    if entry is None or entry["value"][0] not in _BEGINNINGS:
        return None
    value, at = entry["value"], start + entry.start("value")
    if failure.offset > at + 2 + len(value) or failure.offset < at:
        return None
    key = f"{entry['key']}: " if entry["key"] else ""
    return failure.error(_BEGINNINGS[value[0]], at, at + len(value), f"put it in quotes: {key}{in_quotes(value)}")


def _quote_ends_early(failure: Failure) -> Diagnostic | None:
    """`where: "a" in device.topics`, or `title: 'it's here'`."""
    for text, start in failure.lines_before():
        entry = _ENTRY.match(text)
        if entry is None or entry["value"][0] not in "\"'" or not _ENDS_QUOTE_EARLY.match(entry["value"]):
            continue
        value, at = entry["value"], start + entry.start("value")
        if len(value) > 1 and value[0] == value[-1]:
            inner = value[1:-1].replace("''", "'")
            hint = f"a quotation mark inside of quotes ends them: write {in_quotes(inner)}"
        else:
            hint = f"write it in a block: `>-`, and on the next line, indented: {value}"
        return failure.error("a value that begins with a quotation mark must end with it", at, at + len(value), hint)
    return None


def _never_closed(failure: Failure) -> Diagnostic | None:
    """A bracket or a quotation mark without its partner: the parser notices it far behind."""
    if failure.opened is None or failure.opened >= len(failure.source.text):
        return None
    bracket = failure.source.text[failure.opened]
    in_flow = failure.context.startswith(("while parsing a flow", "while scanning a quoted"))
    if bracket not in _BRACKETS or not in_flow or "escape" in failure.message:
        return None
    hint = f"add `{_BRACKETS[bracket]}` where it ends"
    here = failure.source.line_and_column(failure.offset)[0] == failure.source.line_and_column(failure.opened)[0]
    if here and failure.offset < len(failure.source.text.rstrip()) and bracket in "[{":
        return failure.error(f"there is something here that does not belong in `{bracket} {_BRACKETS[bracket]}`",
                             failure.offset, failure.offset + 1,
                             f"put a comma between the values, and quotes around texts; or {hint}")  # fmt: skip
    return failure.error(f"this `{bracket}` is never closed", failure.opened, failure.opened + 1, hint)


def _colon_in_value(failure: Failure) -> Diagnostic | None:
    """`where: x == "a: b"`."""
    text, start = failure.line(failure.offset)
    entry = _ENTRY.match(text)
    if "mapping values are not allowed" not in failure.message or entry is None or entry["key"] is None:
        return None
    value, at = entry["value"], start + entry.start("value")
    if failure.offset <= at or value[0] in "\"'[{|>":
        return None
    return failure.error("`: ` inside of a value begins another key in YAML", failure.offset, failure.offset + 1,
                         f"write it in a block: `>-`, and on the next line, indented: {value}")  # fmt: skip


def _no_space(failure: Failure) -> Diagnostic | None:
    """`category:sports`, and `category = sports`."""
    for text, start in failure.lines_before():
        for pattern, message in ((_NO_SPACE, "there is no space behind the colon"),
                                 (_EQUALS, "a key and its value are written with a colon, not with `=`")):  # fmt: skip
            found = pattern.match(text)
            if found is not None:
                at, end = start + found.start("key"), start + found.end("value")
                return failure.error(message, at, end, f"write {found['key']}: {found['value']}")
    return None


def _odd_space(failure: Failure) -> Diagnostic | None:
    for text, start in failure.lines_before():
        odd = re.search(r":(\xa0|\u3000|\u202f)", text)
        if odd is not None:
            at = start + odd.start(1)
            return failure.error(f"this space is no normal one (U+{ord(odd[1]):04X}): YAML takes it for a letter", at,
                                 at + 1, "write a normal space in its place")  # fmt: skip
    return None


def _no_colon(failure: Failure) -> Diagnostic | None:
    """A word alone in its line, where a key must have a colon."""
    if "could not find expected ':'" not in failure.message:
        return None
    for text, start in failure.lines_before():
        if _KEY_ALONE.match(text.rstrip()):
            word = text.strip()
            at = start + text.index(word)
            return failure.error("a key must have a colon", at, at + len(word), f"write {word}:")
    return None


def _unknown_escape(failure: Failure) -> Diagnostic | None:
    if "unknown escape" not in failure.message:
        return None
    at = failure.source.text.rfind("\\", 0, failure.offset + 1)
    wrong = failure.source.text[at : at + 2]
    return failure.error(f"`{wrong}` means nothing inside of double quotes", at, at + 2,
                         f"write `\\{wrong}`, or put the text in single quotes")  # fmt: skip


def _markdown(failure: Failure) -> Diagnostic | None:
    text, start = failure.line(failure.offset)
    if not text.startswith("```"):
        return None
    return failure.error("this line belongs to Markdown, not to YAML", start, start + len(text), "remove it")


_TRAPS: tuple[Callable[[Failure], Diagnostic | None], ...] = (
    _markdown, _tab, _unknown_escape, _template, _beginning, _quote_ends_early, _never_closed, _odd_space,
    _no_space, _odd_indentation, _colon_in_value, _no_colon,
)  # fmt: skip
"""The surest first: what a line shows by itself before what needs its neighbours."""
