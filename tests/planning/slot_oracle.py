"""What slots must be, said a second time and without the planner: a clock on the wall is watched minute by minute.

A wall time comes when the clock shows it, or a later time, for the first time. Only zoneinfo is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

MINUTE = timedelta(minutes=1)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Pattern:
    """A schedule as a text and as a question that is asked of a wall time."""

    text: str
    matches: Callable[[datetime], bool]


def cron_pattern(
    minutes: frozenset[int], hours: frozenset[int] | None, days: frozenset[int] | None, weekdays: frozenset[int] | None
) -> Pattern:
    """Of sets; None is any. Weekdays count from Sunday, and a day matches by its date or its weekday."""

    def of_day(wall: datetime) -> bool:
        by_date = days is not None and wall.day in days
        by_weekday = weekdays is not None and wall.isoweekday() % 7 in weekdays
        return by_date or by_weekday or (days is None and weekdays is None)

    def field(values: frozenset[int] | None) -> str:
        return "*" if values is None else ",".join(map(str, sorted(values)))

    text = f"{field(minutes)} {field(hours)} {field(days)} * {field(weekdays)}"
    return Pattern(text, lambda wall: wall.minute in minutes and (hours is None or wall.hour in hours) and of_day(wall))


def every_pattern(days: int, clock: time, first: date) -> Pattern:
    """Every so many days from the first."""
    return Pattern(
        f"every {days} days at {clock} from {first}",
        lambda wall: wall.time() == clock and wall.date() >= first and (wall.date() - first).days % days == 0,
    )


def expected_slots(pattern: Pattern, zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """(instant, wall time) of the slots in (start, end]; no clock is moved in the two days before `start`."""
    found = []
    peak = max(_wall(start, zone), _wall(start - timedelta(days=2), zone))
    at = start
    while at < end:
        at += MINUTE
        shown = _wall(at, zone)
        last = None
        while peak < shown:
            peak += MINUTE
            if pattern.matches(peak):
                last = peak
        if last is not None:
            found.append((at, last))
    return found


@cache
def transitions(zone: str) -> tuple[datetime, ...]:
    """The minutes at which a zone's clocks are moved, 2020 to 2037."""
    info = ZoneInfo(zone)
    found = []
    day = FIRST
    while day < LAST:
        after = day + timedelta(days=1)
        if day.astimezone(info).utcoffset() != after.astimezone(info).utcoffset():
            found.append(_between(day, after, info))
        day = after
    return tuple(found)


def distinct_zones() -> Iterator[str]:
    """One name for every table of offsets and transitions that any IANA zone has, 2020 to 2037."""
    seen = set()
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        info = ZoneInfo(name)
        moved = transitions(name)
        table = tuple((at, at.astimezone(info).utcoffset()) for at in (FIRST, *moved))
        if table not in seen:
            seen.add(table)
            yield name


def _between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    before = low.astimezone(zone).utcoffset()
    while high - low > MINUTE:
        middle = low + (high - low) // 2 // MINUTE * MINUTE
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)
