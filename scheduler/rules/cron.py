"""Cron expressions: five fields of text → the times that they name, as sets of numbers. Pure; nothing is planned here.

The grammar is that of POSIX crontab with the usual extensions: steps, ranges, lists, names of months and weekdays, and
0 and 7 for Sunday. A day matches by its date or by its weekday when both fields are restricted (crontab(5)).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from scheduler.diagnostics.diagnostic import did_you_mean

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NO_SPECIAL = "`L`, `W` and `#` are not known; fire the rule by hand, or write several rules"
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_PART = re.compile(r"(\*|[0-9]{1,4}|[A-Za-z]+)(?:-([0-9]{1,4}|[A-Za-z]+))?(?:/([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class CronExpression:
    """When a schedule comes: minutes 0–59, hours 0–23, days 1–31, months 1–12, weekdays 0–6 from Sunday.

    `any_day` and `any_weekday`: the field is `*`, so the other one alone decides.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool


class CronMistake(ValueError):
    """What is wrong with a cron expression, and the characters of its text that it is about."""

    def __init__(self, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.start = start
        self.end = end
        self.hint = hint


_Mistake: TypeAlias = Callable[[str, str | None], CronMistake]


@dataclass(frozen=True, slots=True)
class _Range:
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()


_RANGES = (
    _Range("minute", 0, 59),
    _Range("hour", 0, 23),
    _Range("day of the month", 1, 31),
    _Range("month", 1, 12, _MONTHS),
    _Range("day of the week", 0, 7, _WEEKDAYS),
)


def parse_cron(text: str) -> CronExpression:
    """The expression that a text is. CronMistake says what is wrong with it, also when it never comes.

    >>> sorted(parse_cron("0 9,17 * * mon-fri").hours)
    [9, 17]
    """
    fields = [(match[0], match.start()) for match in re.finditer(r"\S+", text)]
    if text.strip() in _NICKNAMES:
        raise CronMistake(f"'{text.strip()}' is no schedule here", 0, len(text),
                          f'write "{_NICKNAMES[text.strip()]}"')  # fmt: skip
    if len(fields) != 5:
        hint = 'minute, hour, day of the month, month, day of the week: "0 9 * * mon" is Mondays at 9:00'
        if len(fields) == 6:
            hint = "there are no seconds: leave the first field out"
        clock = _CLOCK.fullmatch(text.strip())
        if clock:
            hint = f'for every day at that time write "{int(clock[2])} {int(clock[1])} * * *"'
        raise CronMistake(f"a schedule has five fields, and this has {len(fields)}", 0, len(text), hint)
    minutes, hours, days, months, weekdays = (
        _field(field, start, limits) for (field, start), limits in zip(fields, _RANGES, strict=True)
    )
    expression = CronExpression(
        text=text,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        any_day=fields[2][0].startswith("*"),
        any_weekday=fields[4][0].startswith("*"),
    )
    if expression.any_weekday and not any(min(days) <= _LONGEST.get(month, 31) for month in months):
        raise CronMistake("this day never comes: no such month has so many days", fields[2][1],
                          fields[3][1] + len(fields[3][0]),
                          "write a day that such a month has, `28` say, or another month")  # fmt: skip
    return expression


def _field(text: str, start: int, limits: _Range) -> frozenset[int]:
    values: set[int] = set()
    at = start
    for part in text.split(","):
        values |= _part(part, at, limits)
        at += len(part) + 1
    return frozenset(values)


def _part(part: str, start: int, limits: _Range) -> set[int]:
    def mistake(message: str, hint: str | None = None) -> CronMistake:
        return CronMistake(message, start, start + max(1, len(part)), hint)

    match = _PART.fullmatch(part)
    if match is None:
        hint = "write `*`" if part == "?" else "write numbers, names, `*`, a range `1-5`, a list `1,3`, a step `*/15`"
        if re.search(r"[LW#]", part):
            hint = _NO_SPECIAL
        raise mistake(f"'{part}' is no {limits.name}", hint)
    first, last, step = match.groups()
    if first == "*":
        if last is not None:
            raise mistake(f"'{part}' is no {limits.name}", "a range goes from a number to a number: `1-5`")
        low, high = limits.lowest, limits.highest - (limits.words == _WEEKDAYS)
    else:
        low = _number(first, limits, mistake)
        high = low if last is None else _number(last, limits, mistake)
        if last is None and step is not None:
            raise mistake(f"'{part}' steps from a single {limits.name}", f"write `{first}-{limits.highest}/{step}`")
        if high == 0 and last is not None and limits.words == _WEEKDAYS:
            high = 7  # fri-sun
        if low > high:
            top = limits.highest - (limits.words == _WEEKDAYS)
            hint = f"write `{low}-{top},{limits.lowest}-{high}`"
            raise mistake(f"the range '{part.partition('/')[0]}' runs backwards", hint)
    if step is not None and not 1 <= int(step) <= limits.highest:
        raise mistake(
            f"a step of {int(step)} does not fit the {limits.name}", f"write a step from 1 to {limits.highest}"
        )
    return set(range(low, high + 1, int(step or 1)))


def _number(text: str, limits: _Range, mistake: _Mistake) -> int:
    if text.isdigit():
        number = int(text)
        if not limits.lowest <= number <= limits.highest:
            raise mistake(f"{number} is no {limits.name}: those are {limits.lowest} to {limits.highest}", None)
        return number
    word = text.lower()
    if word in limits.words:
        return limits.words.index(word) + (limits.words == _MONTHS)
    if text in ("L", "W", "LW"):
        raise mistake(f"'{text}' is no {limits.name}", _NO_SPECIAL)
    known = did_you_mean(word, limits.words) or did_you_mean(word[:3], limits.words)
    hint = known or (f"the names are {', '.join(limits.words)}" if limits.words else None)
    raise mistake(f"'{text}' is no {limits.name}", hint)
