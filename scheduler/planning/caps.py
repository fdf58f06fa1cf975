"""Caps: how many runs one person gets in a time, when one counts, and when there is room again.

A run counts once for a person, at the instant at which the first of the person's devices was committed. A rolling cap
counts what is less than `period` old: at the very end of it there is room again. A calendar cap counts what lies in
the day, the week (from Monday) or the month that it is now in the person's zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from scheduler.domain.wall_times import instant_of, local_date

_TICK = timedelta(milliseconds=1)
"""Instants are kept in milliseconds."""
_LONGEST = timedelta(days=33)
"""More than a month of any zone lasts."""


class CapAction(StrEnum):
    """What is done with what is over a cap."""

    DROP = "drop"
    """It never goes."""
    HOLD = "hold"
    """It goes when there is room."""


class CalendarPeriod(StrEnum):
    """A part of the calendar in the zone of a person."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` runs in a `period`, one of the calendar or a rolling one; of some `categories` (None: of all)."""

    name: str
    most: int
    period: CalendarPeriod | timedelta
    action: CapAction = CapAction.DROP
    categories: frozenset[str] | None = None

    def counts(self, category: str) -> bool:
        """Whether it is about rules of a category."""
        return self.categories is None or category in self.categories


def counted_since(cap: Cap, zone: tzinfo, now: datetime) -> datetime:
    """What counts now is what was committed at this instant or later. `now` is in whole milliseconds.

    >>> from datetime import UTC
    >>> from zoneinfo import ZoneInfo
    >>> friday = datetime(2026, 11, 27, 12, tzinfo=UTC)
    >>> str(counted_since(Cap("marketing", 3, CalendarPeriod.WEEK), ZoneInfo("Europe/Berlin"), friday))
    '2026-11-22 23:00:00+00:00'
    """
    if isinstance(cap.period, timedelta):
        return now - cap.period + _TICK
    return instant_of(_first_day(cap.period, local_date(now, zone)), zone)


def at_least_since(cap: Cap, now: datetime) -> datetime:
    """Not later than `counted_since` in any zone."""
    return now - (cap.period if isinstance(cap.period, timedelta) else _LONGEST)


def room_at(cap: Cap, zone: tzinfo, now: datetime, counted: Sequence[datetime]) -> datetime:
    """When a cap that is full has room again, if nothing else takes it. `counted`: when each run that counts was
    committed, in order; at least `most` of them."""
    if isinstance(cap.period, timedelta):
        return counted[len(counted) - cap.most] + cap.period
    # A clock that is put back over midnight shows the date of before again, and only then the new one for good.
    midnight = datetime.combine(_day_after(cap.period, local_date(now, zone)), time())
    return instant_of(midnight, zone, last=True)


def _first_day(period: CalendarPeriod, day: date) -> date:
    match period:
        case CalendarPeriod.DAY:
            return day
        case CalendarPeriod.WEEK:
            return day - timedelta(days=day.weekday())
        case CalendarPeriod.MONTH:
            return day.replace(day=1)


def _day_after(period: CalendarPeriod, day: date) -> date:
    """The first day of the next period."""
    length = {CalendarPeriod.DAY: 1, CalendarPeriod.WEEK: 7, CalendarPeriod.MONTH: 31}[period]
    return _first_day(period, _first_day(period, day) + timedelta(days=length))
