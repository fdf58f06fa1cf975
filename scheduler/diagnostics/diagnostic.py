"""One finding about a file that a user wrote: what is wrong, where, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.diagnostics.source import Span


class Severity(StrEnum):
    """An error stops a workspace from being loaded; a warning counts with --strict; a note never counts."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding. `code` is a word, stable across versions, that `ignore` lists can name."""

    severity: Severity
    code: str
    message: str
    span: Span
    hint: str | None = None


def error(code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, span, hint)


def warning(code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, span, hint)


def note(code: str, message: str, span: Span, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.NOTE, code, message, span, hint)


def has_errors(findings: Iterable[Diagnostic]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def in_reading_order(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, then by place; what stands at one place keeps its order."""
    return sorted(findings, key=lambda finding: (finding.span.source.path, finding.span.start))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word, or None when nothing is near.

    >>> did_you_mean("tempalte", ["template", "with"])
    "did you mean 'template'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None
