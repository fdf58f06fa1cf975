"""Findings as text for people, JSON for programs, and annotations for GitHub's pull-request view."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.source import Span

LONGEST_LINE = 200
"""What is shown of a line, in characters: a file may be one line, and every finding in it shows it."""

_LEAD = 40
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would steer a terminal, turn its text around, or cannot be written at all."""


def as_text(findings: Iterable[Diagnostic]) -> str:
    """`file:line:column: error[code] message`, the line, a caret, a hint. One blank line between findings."""
    return "\n\n".join(_text_of(finding) for finding in findings)


def as_json(findings: Iterable[Diagnostic]) -> str:
    """A JSON array of objects: severity, code, message, file, line, column, end_line, end_column, hint."""
    return _shown(json.dumps([_object_of(finding) for finding in findings], ensure_ascii=False, indent=2))


def as_github(findings: Iterable[Diagnostic]) -> str:
    """Workflow commands as GitHub Actions reads them (docs.github.com: Workflow commands for GitHub Actions)."""
    return "\n".join(_annotation_of(finding) for finding in findings)


def excerpt(span: Span) -> str:
    """The line of a span with a caret under each of its characters on that line; of a long line, what is around it."""
    line, at = span.source.line_text(span.line), span.column - 1
    first = max(0, at - _LEAD) if len(line) > LONGEST_LINE else 0
    text = _shown(line[first : first + LONGEST_LINE])
    marked = text[at - first :][: max(1, span.end - span.start)]
    before, behind = "…" if first else "", "…" if first + len(text) < len(line) else ""
    carets = "^" * max(1, len(_blank(marked)))
    return f"    {before}{text}{behind}\n    {_blank(before + text[: at - first])}{carets}"


def _blank(text: str) -> str:
    """White space that is as wide as a text. How wide a tab is only the terminal knows, so it is repeated."""
    return "".join("\t" if char == "\t" else " " * _width(char) for char in text)


def _width(char: str) -> int:
    """The cells that a character takes in a terminal: emoji and Chinese letters two, an accent by itself none."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def _shown(text: str) -> str:
    """A text with a sign in place of each character that is better not sent to a terminal."""
    return _UNSHOWN.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] < " " else "\ufffd", text)


def _text_of(finding: Diagnostic) -> str:
    head = f"{finding.span}: {finding.severity}[{finding.code}] {finding.message}"
    hint = f"\n  hint: {finding.hint}" if finding.hint else ""
    return f"{_shown(head)}\n{excerpt(finding.span)}{_shown(hint)}"


def _object_of(finding: Diagnostic) -> dict[str, str | int | None]:
    end_line, end_column = finding.span.source.line_and_column(finding.span.end)
    return {
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "file": finding.span.source.path,
        "line": finding.span.line,
        "column": finding.span.column,
        "end_line": end_line,
        "end_column": end_column,
        "hint": finding.hint,
    }


_COMMAND = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def _annotation_of(finding: Diagnostic) -> str:
    text = finding.message + (f"\nhint: {finding.hint}" if finding.hint else "")
    path = _escaped(finding.span.source.path).replace(":", "%3A").replace(",", "%2C")
    place = f"file={path},line={finding.span.line},col={finding.span.column}"
    return f"::{_COMMAND[finding.severity]} {place},title={finding.code}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return _shown(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
