"""Durations and rates as people write them: `15 minutes`, `24 h`, `9000/s`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_UNIT_SECONDS = {
    "s": 1, "second": 1, "seconds": 1,
    "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "day": 86400, "days": 86400,
    "week": 604800, "weeks": 604800,
}  # fmt: skip
_DURATION = re.compile(r"(\d+)\s*([a-z]+)")
_RATE = re.compile(r"(\d+(?:\.\d{1,6})?)\s*/\s*(s|min)")
_MAX_DAYS = 400
"""A year and a month. Longer is a slip of the pen, and `datetime` itself ends in the year 9999."""
_MAX_RATE = 1_000_000
"""Starts per second: far above what one machine can do."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most this many starts a second, on average; `burst` may start at once."""

    per_second: float
    burst: int

    @classmethod
    def of(cls, per_second: float, burst: int | None = None) -> Rate:
        """A rate with its default burst: a tenth of a second of the rate, at least one."""
        return cls(per_second, max(1, int(per_second / 10)) if burst is None else burst)


@dataclass(frozen=True, slots=True)
class CalendarUnits:
    """Calendar days, weeks or months: a day is one of the calendar here, of 23 to 25 hours."""

    count: int
    unit: str


def parse_duration(text: str) -> timedelta:
    """`15 minutes` → 15 minutes, at most 400 days. A day has 24 hours here. ValueError says which units there are.

    >>> parse_duration("2 hours"), parse_duration("30 s")
    (datetime.timedelta(seconds=7200), datetime.timedelta(seconds=30))
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or match[2] not in _UNIT_SECONDS:
        raise ValueError(f"{text!r} is not a duration; write a whole number and s, min, h, day or week: '15 minutes'")
    digits, unit = match[1], _UNIT_SECONDS[match[2]]
    if len(digits) > 9 or int(digits) * unit > _MAX_DAYS * _UNIT_SECONDS["day"]:
        raise ValueError(f"{text!r} is longer than {_MAX_DAYS} days")
    return timedelta(seconds=int(digits) * unit)


def parse_calendar_units(text: str) -> CalendarUnits:
    """`2 days` → two calendar days; weeks and months too. ValueError says which units there are.

    >>> parse_calendar_units("1 week")
    CalendarUnits(count=1, unit='week')
    """
    match = _DURATION.fullmatch(text.strip())
    unit = match[2].removesuffix("s") if match else ""
    if match is None or unit not in ("day", "week", "month") or not 1 <= int(match[1][:4]) <= 400:
        raise ValueError(f"{text!r} is no number of days, weeks or months; write '2 days'")
    return CalendarUnits(int(match[1]), unit)


def parse_rate(text: str) -> float:
    """`9000/s` or `30/min` → starts per second, at most a million. ValueError says how a rate is written.

    >>> parse_rate("30/min")
    0.5
    """
    match = _RATE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is not a rate; write a number above 0 and /s or /min: '500/s'")
    per_second = float(match[1]) / (1 if match[2] == "s" else 60)
    if per_second > _MAX_RATE:
        raise ValueError(f"{text!r} is above {_MAX_RATE}/s")
    return per_second


def format_rate(per_second: float) -> str:
    """As `parse_rate` reads it: whole numbers a second, or else a minute.

    >>> format_rate(500.0), format_rate(0.5)
    ('500/s', '30/min')
    """
    by_minute = per_second != int(per_second) and per_second * 60 == round(per_second * 60)
    number = f"{per_second * 60 if by_minute else per_second:.6f}".rstrip("0").rstrip(".")
    return f"{number}/{'min' if by_minute else 's'}"


def format_duration(duration: timedelta) -> str:
    """The largest unit that divides it: 900 s → `15 minutes`.

    >>> format_duration(timedelta(minutes=15)), format_duration(timedelta(seconds=1))
    ('15 minutes', '1 second')
    """
    seconds = int(duration.total_seconds())
    for unit, size in (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "0 seconds"
