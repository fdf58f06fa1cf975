"""Findings as text for people, JSON for programs, and annotations for GitHub's pull-request view."""

from __future__ import annotations

import json
from collections.abc import Iterable

from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.source import Span


def as_text(findings: Iterable[Diagnostic]) -> str:
    """`file:line:column: error[code] message`, the line, a caret, a hint. One blank line between findings."""
    return "\n\n".join(_text_of(finding) for finding in findings)


def as_json(findings: Iterable[Diagnostic]) -> str:
    """A JSON array of objects: severity, code, message, file, line, column, end_line, end_column, hint."""
    return json.dumps([_object_of(finding) for finding in findings], ensure_ascii=False, indent=2)


def as_github(findings: Iterable[Diagnostic]) -> str:
    """Workflow commands as GitHub Actions reads them (docs.github.com: Workflow commands for GitHub Actions)."""
    return "\n".join(_annotation_of(finding) for finding in findings)


def excerpt(span: Span) -> str:
    """The line of a span with a caret under each of its characters on that line."""
    text = span.source.line_text(span.line)
    width = max(1, min(span.end - span.start, len(text) - span.column + 1))
    # A tab is as wide as the reader's terminal says: repeat it, so that the caret stays under its character.
    lead = "".join("\t" if char == "\t" else " " for char in text[: span.column - 1])
    return f"    {text}\n    {lead}{'^' * width}"


def _text_of(finding: Diagnostic) -> str:
    head = f"{finding.span}: {finding.severity}[{finding.code}] {finding.message}"
    hint = f"\n  hint: {finding.hint}" if finding.hint else ""
    return f"{head}\n{excerpt(finding.span)}{hint}"


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
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    place = f"file={finding.span.source.path},line={finding.span.line},col={finding.span.column}"
    return f"::{_COMMAND[finding.severity]} {place},title={finding.code}::{escaped}"
