"""Days and times of the person where the person's zone is not known: the first and the last that they may be.

A zone is less than a day ahead of UTC or behind it. What is compared with both ends leaves nobody out. Everything here
raises OverflowError outside of the years 1 to 9999.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias

from scheduler.conditions.expressions import Comparison, Constant, Expression, LocalDate, WallTime
from scheduler.conditions.functions import read_date, read_instant
from scheduler.store.criteria_fields import UNKNOWN, Field, InstantField, Sides, within

Days: TypeAlias = tuple[date, date]
_DAY = timedelta(days=1)


def bounds_of(expression: Expression) -> tuple[object, object] | None:
    """The least and the greatest value that an expression without names may have; None where nobody can say."""
    match expression:
        case Constant(value):
            return value, value
        case WallTime(moment):
            wall = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
            return wall.replace(tzinfo=UTC) - _DAY, wall.replace(tzinfo=UTC) + _DAY
        case LocalDate():
            days = days_of(expression)
            return None if days is None else (days[0].isoformat(), days[1].isoformat())
        case _:
            return None


def days_of(expression: Expression) -> Days | None:
    """The first and the last date that an expression without names may be; None where nobody can say."""
    match expression:
        case Constant(value) if (day := read_date(value)) is not None:
            return day, day
        case LocalDate(Constant(value)) if (instant := read_instant(value)) is not None:
            return _utc_date(instant) - _DAY, _utc_date(instant) + _DAY
        case LocalDate(WallTime(moment)):  # a time that its zone skips is the next one, which may be tomorrow
            day = moment.date() if isinstance(moment, datetime) else moment
            return day, day + _DAY
        case _:
            return None


def shifted(days: Days, count: float) -> Days:
    """The dates that are so many days later."""
    return days[0] + timedelta(math.floor(count)), days[1] + timedelta(math.ceil(count))


def compare_instant(field: Field, comparison: Comparison, low: object, high: object) -> Sides:
    """A field that is an instant, or the text of one in any offset, compared with a value from `low` to `high`."""
    if not isinstance(low, datetime) or not isinstance(high, datetime):
        return UNKNOWN
    if isinstance(field, InstantField):
        return within(field, comparison, low, high)
    # The text begins with the date in its own offset.
    return _inexact(within(field, comparison, *_texts((_utc_date(low) - 2 * _DAY, _utc_date(high) + 2 * _DAY))))


def compare_days(field: Field, comparison: Comparison, days: Days, *, may_be_instant: bool) -> Sides:
    """A field that is the text of a date (or an instant, then its date in the person's zone) compared with a date in
    between. Text that is no date is let through."""
    first, last = days
    if isinstance(field, InstantField):
        midnight = time(tzinfo=UTC)
        bounds = datetime.combine(first, midnight) - _DAY, datetime.combine(last, midnight) + 2 * _DAY
        return _inexact(within(field, comparison, *bounds))
    if may_be_instant:  # whose text begins with a date that is less than two days off, and goes on behind it
        days = first - 2 * _DAY, last + 3 * _DAY
    return _inexact(within(field, comparison, *_texts(days)))


def _utc_date(instant: datetime) -> date:
    return instant.astimezone(UTC).date()


def _texts(days: Days) -> tuple[str, str]:
    """ISO dates are in the order of the days."""
    return days[0].isoformat(), days[1].isoformat()


def _inexact(sides: Sides) -> Sides:
    return replace(sides, exact=False)
