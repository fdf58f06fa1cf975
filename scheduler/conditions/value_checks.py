"""What is checked at the door about one value that the registry or an event brings.

Some checks hold always, with or without a schema: integers within 64 bit, finite numbers, no NUL and no lone
surrogate in a string, no nesting beyond what JSON functions of databases take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TypeGuard

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.json_values import MAX_INTEGER, MIN_INTEGER, JsonScalar

MAX_DEPTH = 50
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")


def unsafe(value: object, depth: int = 0) -> str | None:
    """Why a JSON value is refused whatever its type is; None when it is fine."""
    kind = type(value)
    if kind is str:
        return unsafe_text(value)  # type: ignore[arg-type]  # the exact type is known; isinstance would cost twice
    if kind is int:
        return None if MIN_INTEGER <= value <= MAX_INTEGER else f"is {value}, beyond 64 bits"  # type: ignore[operator]
    if kind is float:
        return None if math.isfinite(value) else f"is {value}, not a finite number"  # type: ignore[arg-type]
    if isinstance(value, Mapping | list | tuple):
        if depth >= MAX_DEPTH:
            return f"is nested over {MAX_DEPTH} levels"
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        return next((found for item in inner if (found := unsafe(item, depth + 1)) is not None), None)
    return None


def unsafe_text(text: str) -> str | None:
    """Why a string is refused; None when it is fine."""
    if "\0" in text:
        return "contains a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair"
    return None


def problem_of(kind: str, allowed: Sequence[JsonScalar], value: object) -> str | None:
    """Why a value is not of the type of this word in schema.yaml: the end of a sentence. None when it is.

    >>> problem_of("integer", (), "12"), problem_of("number", (), 1.5), problem_of("enum", ("all", "none"), "al")
    ("is '12', not an integer", None, "is 'al', not one of 'all', 'none'; did you mean 'all'?")
    """
    match kind:
        case "enum":
            if any(type(value) is type(one) and value == one for one in allowed):
                return None
            words = ", ".join(repr(one) for one in allowed)
            near = did_you_mean(value, [one for one in allowed if isinstance(one, str)]) if _is_text(value) else None
            return f"is {_short(value)}, not one of {words}" + (f"; {near}" if near else "")
        case "date":
            return None if _is_date(value) else f"is {_short(value)}, not a date such as '2026-11-27'"
        case "instant":
            return None if _is_instant(value) else f"is {_short(value)}, not an instant such as '2026-11-27T09:00:00Z'"
        case _:
            wanted, article = _TYPES[kind]
            fits = isinstance(value, wanted) and (kind in ("boolean", "any") or not isinstance(value, bool))
            return None if fits else f"is {_short(value)}, not {article} {kind}"


_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a"),
    "integer": (int, "an"),
    "number": ((int, float), "a"),
    "boolean": (bool, "a"),
    "list": ((list, tuple), "a"),
    "object": (Mapping, "an"),
    "any": (object, ""),
}


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_instant(value: object) -> bool:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        return False
    return True


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
