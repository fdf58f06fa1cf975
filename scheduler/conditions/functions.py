"""What functions and filters mean: pure functions of values that are there. None is unknown.

Whatever comes in may be of any type, for a name may be undeclared: what does not fit is unknown. Text is that of
Python: case mapping and length go by Unicode code points. Numbers have 64 bits; beyond them is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from scheduler.conditions.expressions import Function
from scheduler.domain.json_values import MAX_INTEGER, MIN_INTEGER

Apply: TypeAlias = Callable[..., object]

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*([Zz]|[+-][0-9]{2}:[0-9]{2})")


def bounded(number: int | float) -> int | float | None:
    """A number, or unknown when it is beyond 64 bits or no finite number."""
    if type(number) is int:
        return number if MIN_INTEGER <= number <= MAX_INTEGER else None
    return number if math.isfinite(number) else None


def is_number(value: object) -> bool:
    """Whether a value is a number; true and false are none."""
    return type(value) is int or type(value) is float


def read_instant(value: object) -> datetime | None:
    """An instant, also from JSON's text of one with its offset (RFC 3339)."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or _ISO_INSTANT.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_date(value: object) -> date | None:
    """A date from its ISO text."""
    if not isinstance(value, str) or _ISO_DATE.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def same_json(one: object, other: object) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, true and 1 are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else None


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else None


def _length(value: object) -> object:
    return len(value) if isinstance(value, str | list | tuple) else None


def _int(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.fullmatch(text):
            return bounded(int(text))
        value = _float(text)
    if not is_number(value):
        return None
    assert isinstance(value, int | float)
    return bounded(int(value))


def _float(value: object) -> object:
    if isinstance(value, str):
        return bounded(float(value)) if _NUMBER.fullmatch(value.strip()) else None
    if not is_number(value):
        return None
    assert isinstance(value, int | float)
    return float(value)


def _first(value: object) -> object:
    return value[0] if isinstance(value, str | list | tuple) and value else None


def _last(value: object) -> object:
    return value[-1] if isinstance(value, str | list | tuple) and value else None


def _starts_with(text: object, beginning: object) -> object:
    return text.startswith(beginning) if isinstance(text, str) and isinstance(beginning, str) else None


def _days_between(start: object, end: object) -> object:
    first, last = read_date(start), read_date(end)
    return None if first is None or last is None else (last - first).days


def _ago(now: object, duration: object) -> object:
    if not isinstance(now, datetime) or not isinstance(duration, timedelta):
        return None
    try:
        return now - duration
    except OverflowError:
        return None


def _product(left: object, right: object) -> object:
    if not is_number(left) or not is_number(right):
        return None
    assert isinstance(left, int | float)
    assert isinstance(right, int | float)
    try:
        return bounded(left * right)
    except OverflowError:  # an integer that is too large for a float
        return None


def _join(*parts: object) -> object:
    texts: Sequence[str] = [part if isinstance(part, str) else str(part) if is_number(part) else "" for part in parts]
    fits = all(isinstance(part, str) or is_number(part) for part in parts)
    return "".join(texts) if fits else None


MEANING: Mapping[Function, Apply] = {
    Function.LOWER: _lower,
    Function.UPPER: _upper,
    Function.LENGTH: _length,
    Function.INT: _int,
    Function.FLOAT: _float,
    Function.FIRST: _first,
    Function.LAST: _last,
    Function.STARTS_WITH: _starts_with,
    Function.DAYS_BETWEEN: _days_between,
    Function.AGO: _ago,
    Function.PRODUCT: _product,
    Function.JOIN: _join,
    Function.INSTANT: read_instant,
}
