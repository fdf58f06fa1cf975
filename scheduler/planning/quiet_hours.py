"""Quiet hours: whose they are, whether an instant falls into them, and when they are over.

The clock at the device decides. Quiet hours begin when it first shows `from` or later, and end when it has last shown
less than `to`. So a night that summer time cuts short begins or ends at the change of the clock; where the clock is
put back, nothing goes at a time that it shows as quiet, and the quiet hours of a night are one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache

from scheduler.domain.quiet_hours import QuietAction, QuietHours, QuietOverride
from scheduler.domain.wall_times import instant_of, local_date

_ONE_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class QuietTerms:
    """The quiet hours of a rule, where there are any that it heeds. `action` is hold or drop."""

    hours: QuietHours
    action: QuietAction


def quiet_terms(override: QuietOverride, *, category: QuietAction, workspace: QuietHours | None) -> QuietTerms | None:
    """What holds for a rule: its own words key by key, else its category's action and the workspace's hours.

    None: it has no quiet hours, because they are ignored or because nobody says from when to when.
    """
    action = override.action or category
    start = override.start or (workspace.start if workspace else None)
    end = override.end or (workspace.end if workspace else None)
    if action is QuietAction.IGNORE or start is None or end is None:
        return None
    return QuietTerms(QuietHours(start, end), action)


def quiet_until(hours: QuietHours, zone: tzinfo, instant: datetime) -> datetime | None:
    """When the quiet hours that this instant falls into are over in a zone, in UTC; None: they are not now.

    >>> from datetime import UTC, time
    >>> from zoneinfo import ZoneInfo
    >>> night = QuietHours(time(22), time(8))
    >>> str(quiet_until(night, ZoneInfo("Europe/Berlin"), datetime(2026, 11, 26, 23, tzinfo=UTC)))
    '2026-11-27 07:00:00+00:00'
    >>> quiet_until(night, ZoneInfo("Asia/Tokyo"), datetime(2026, 11, 26, 23, tzinfo=UTC))
    """
    over = None
    # A change of the clock may leave nothing between two nights: then they are one.
    while (end := _end_of_night(hours, zone, instant if over is None else over)) is not None:
        over = end
    return over


def _end_of_night(hours: QuietHours, zone: tzinfo, instant: datetime) -> datetime | None:
    """The end of a night that holds this instant. A night is dated by its evening; when the clock is put back over
    midnight, the next date's may have begun already."""
    today = local_date(instant, zone)
    for evening in (today - _ONE_DAY, today, today + _ONE_DAY):
        begins, ends = _night(hours, zone, evening)
        if begins <= instant < ends:
            return ends
    return None


@lru_cache(maxsize=4_096)  # runs by the thousand ask for the nights of this date, in every zone
def _night(hours: QuietHours, zone: tzinfo, evening: date) -> tuple[datetime, datetime]:
    """When the night of an evening begins and ends in a zone."""
    morning = evening + _ONE_DAY if hours.end < hours.start else evening
    begins = instant_of(datetime.combine(evening, hours.start), zone)
    return begins, _last_before(datetime.combine(morning, hours.end), zone)


def _last_before(wall: datetime, zone: tzinfo) -> datetime:
    """When the clock has last shown less than a wall time. One that is put back to exactly this time shows it twice,
    but less only before the first."""
    return min(instant_of(wall, zone, last=True), instant_of(wall - _TICK, zone, last=True) + _TICK)
