"""What the author meant when YAML's parser gave up: each trap in words of its own, with the corrected text.

The parser says where it stopped, which is often a line behind the mistake, and says it in words for programmers. So
the line where it stopped is looked at first, then the two above it, for what a line shows by itself; then how the
lines stand to each other (yaml_structure).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_lines import (
    Line,
    in_quotes,
    is_block_text,
    meant_as_entry,
    open_quote,
    syntax_error,
    written_whole,
)
from scheduler.diagnostics.yaml_misreadings import ODD_SPACES, odd_space
from scheduler.diagnostics.yaml_structure import QUOTE_MUST_END, STRUCTURE_TRAPS, Failure, closing_bracket

_ODD_SPACE = re.compile(rf"^[ ]*(?=[{ODD_SPACES}])|[:-](?=[{ODD_SPACES}])")
_TAB = re.compile(r"[ ]*(?:- +)*(?P<dash>-?)(?P<tab>\t[ \t]*)")
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?: |$)")
_QUOTE_ENDS = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*(?=[^\s#])""")
_QUOTED_OR_BRACES = re.compile(r"""(?<![^\W_])(?:"[^"]*"|'[^']*')|\{\{""")
_LIST_GOES_ON = re.compile(r""",[ ]*["']""")
_TEXT_BESIDE_HEADER = re.compile(r"[|>][-+0-9]*[ \t]+\S")
_BEGINNINGS = {
    "*": "`*` at the beginning of a value stands for another value in YAML (an alias)",
    "&": "`&` at the beginning of a value gives it a name in YAML (an anchor)",
    "%": "a value without quotes cannot begin with `%` in YAML",
    "@": "a value without quotes cannot begin with `@` in YAML",
    "`": "a value without quotes cannot begin with ` in YAML",
    ",": "a value without quotes cannot begin with `,` in YAML",
    "]": "a value without quotes cannot begin with `]` in YAML",
    "}": "a value without quotes cannot begin with `}` in YAML",
    "!": "`!` at the beginning of a value begins a tag in YAML",
    "|": "`|` at the beginning of a value begins a block of text in YAML, on the next line",
    ">": "`>` at the beginning of a value begins a block of text in YAML, on the next line",
    "-": "`- ` begins an item of a list, and items stand on lines of their own",
    "?": "`? ` at the beginning of a value begins a key in YAML",
}


def unquoted_template(span: Span, written: str) -> Diagnostic:
    """`collapse: {{ x }}`: for YAML a mapping in a mapping."""
    is_open = written.count("{{") > written.count("}}")
    whole = written.rstrip("} ") + " }}" if is_open and not written.endswith("}}") else written
    message = "braces without quotes are a YAML mapping, not a template"
    return error("unquoted-template", message, span, f"write {in_quotes(whole)}")


def explained(failure: Failure, reported: Sequence[Diagnostic]) -> Diagnostic:
    """The finding for what the parser could not read. `reported` is what was found before it in the file."""
    seen = {finding.span.line for finding in reported}
    for line in failure.nearby:
        if line.number == failure.line.number or not (line.number in seen or is_block_text(line)):
            for line_trap in _LINE_TRAPS:
                found = line_trap(failure, line)
                if found is not None:
                    return found
    for trap in STRUCTURE_TRAPS:
        found = trap(failure)
        if found is not None:
            return found
    return failure.in_plain_words()


def _pasted(failure: Failure, line: Line) -> Diagnostic | None:
    """What is no YAML at all, but comes along when files are copied and merged."""
    if line.text.startswith("```"):
        return syntax_error("this line belongs to Markdown, not to YAML", line.content, "remove it")
    if _CONFLICT.match(line.text):
        hint = "keep one of them, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`"
        return syntax_error("git could not merge this file, and left both versions in it", line.content, hint)
    if line.key is None and line.value.startswith(("//", "/*")):
        return syntax_error("a comment begins with `#` in YAML", line.content, f"write # {line.value.strip('/* ')}")
    return None


def _tab(failure: Failure, line: Line) -> Diagnostic | None:
    found = _TAB.match(line.text)
    if found is None or failure.is_within_brackets(line):
        return None
    place = line.span(*found.span("tab"))
    if found["dash"]:
        return syntax_error("a tab cannot stand behind the dash of an item", place, "write a space in its place")
    return syntax_error("a tab cannot be used for indentation", place, "indent with spaces")


def _odd_space(failure: Failure, line: Line) -> Diagnostic | None:
    found = _ODD_SPACE.search(line.text)
    if found is None or open_quote(line.text[: found.start()]) is not None:
        return None
    return odd_space(line.source, line.start + found.end())


def _template(failure: Failure, line: Line) -> Diagnostic | None:
    """A value that begins with braces and goes on, or braces inside of a list."""
    value = line.value
    if value.startswith("{%") and line.key is None and not line.is_item:
        message = "a template stands in a value; it cannot stand around keys"
        hint = 'write it in the value, in quotes: key: "{% if … %}…{% endif %}"'
        return error("unquoted-template", message, line.content, hint)
    if value.startswith(("{{", "{%", "{#")):
        return unquoted_template(line.value_span, value)
    if not value.startswith(("[", "{")) or failure.is_in_quotes:
        return None
    braces = next((found.start() for found in _QUOTED_OR_BRACES.finditer(value) if found[0] == "{{"), None)
    if braces is None:
        return None
    start, end = _value_around(value, braces)
    return unquoted_template(line.source.span(line.value_at + start, line.value_at + end), value[start:end])


def _value_around(text: str, braces: int) -> tuple[int, int]:
    """Where the value with the braces begins and ends in a list or mapping on one line."""
    start = max(text.rfind(sign, 0, braces) + len(sign) for sign in ("[", ",", "{", ": "))
    end = braces
    while end < len(text) and text[end] not in ",]}":
        if text.startswith("{{", end):
            close = text.find("}}", end)
            end = len(text) if close < 0 else close + 2
        else:
            end += 1
    written = text[start:end]
    return start + len(written) - len(written.lstrip()), start + len(written.rstrip())


def _beginning(failure: Failure, line: Line) -> Diagnostic | None:
    """A value that begins with a sign that means something to YAML."""
    value, start = line.value, line.value_at
    if failure.is_in_quotes or not start <= failure.offset <= start + len(value):
        return None
    if value.startswith("%") and start == line.start:
        message = "a line that begins with `%` is an instruction to YAML, and none is needed"
        return syntax_error(message, line.content, f"remove it; if it is a text, {written_whole(line)}")
    if value[:1] not in _BEGINNINGS or (value[0] in "-?" and value[1:2] not in ("", " ")):
        return None
    if value[0] == "-":
        hint = f"write the item on the next line, indented; if it is a text, {written_whole(line)}"
    elif _TEXT_BESIDE_HEADER.match(value) and not line.is_condition:
        key = f"{line.key}: " if line.key else "- "
        below = f"write {key}{value.split()[0]} and the text on the next line, indented"
        hint = f"{below}; if it is a text, {written_whole(line)}"
    else:
        hint = written_whole(line)
    return syntax_error(_BEGINNINGS[value[0]], line.value_span, hint)


def _beginning_in_brackets(failure: Failure, line: Line) -> Diagnostic | None:
    """The same for a value of a list or mapping on one line."""
    is_in_brackets = failure.bracket is not None or line.value.startswith(("[", "{"))
    if not is_in_brackets or failure.is_in_quotes:
        return None
    is_behind = failure.context.endswith(("an alias", "an anchor", "a tag"))
    at = failure.opened if is_behind and failure.opened is not None else failure.offset
    value = re.split(r"[,\]}]", line.text[max(at - line.start, 0) :])[0].rstrip()
    if value[:1] not in ("*", "&", "!", "%", "@", "`", "|", ">") or at < line.start:
        return None
    place = line.source.span(at, at + len(value))
    return syntax_error(_BEGINNINGS[value[0]], place, f"put it in quotes: {in_quotes(value)}")


def _quote_ends_early(failure: Failure, line: Line) -> Diagnostic | None:
    """`where: "a" in device.topics`, or `title: 'it's here'`."""
    value = line.value
    found = None if failure.is_within_brackets(line) else _QUOTE_ENDS.match(value)
    if found is None:
        return None
    behind = value[found.end() :]
    if behind in (",", ";"):
        hint = _without_sign(line, value[:-1].rstrip())
    elif _LIST_GOES_ON.match(behind):
        hint = f"a list stands in brackets: write {line.key + ': ' if line.key else ''}[{value}]"
    elif value[0] == value[-1]:
        inner = value[1:-1].replace("''", "'") if value[0] == "'" else value[1:-1]
        hint = f"a quotation mark inside of quotes ends them: write {in_quotes(inner)}"
    else:
        hint = written_whole(line)
    return syntax_error(QUOTE_MUST_END, line.value_span, hint)


def _bracket_ends_early(failure: Failure, line: Line) -> Diagnostic | None:
    """`where: [a, b] == device.topics`."""
    value = line.value
    end = closing_bracket(value, 0) if value.startswith(("[", "{")) else None
    if end is None or failure.is_within_brackets(line) or failure.offset <= line.value_at + end:
        return None
    behind = value[end + 1 :].strip()
    if not behind or behind.startswith("#"):
        return None
    hint = _without_sign(line, value[: end + 1]) if behind in (",", ";") else written_whole(line)
    message = f"a value that begins with `{value[0]}` must end with its `{value[end]}`"
    return syntax_error(message, line.value_span, hint)


def _without_sign(line: Line, value: str) -> str:
    return f"no sign separates the lines of YAML: write {line.key + ': ' if line.key else ''}{value}"


def _no_space(failure: Failure, line: Line) -> Diagnostic | None:
    """`category:sports`, and `category = sports`."""
    if line.key is not None or failure.is_within_brackets(line):
        return None
    meant = meant_as_entry(line.value)
    return syntax_error(meant[0], line.value_span, meant[1]) if meant else None


_LINE_TRAPS: tuple[Callable[[Failure, Line], Diagnostic | None], ...] = (
    _pasted, _tab, _odd_space, _template, _beginning, _beginning_in_brackets, _quote_ends_early, _bracket_ends_early,
    _no_space,
)  # fmt: skip
"""What a line shows by itself, the surest first."""
