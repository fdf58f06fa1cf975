"""Quiet hours against an oracle that knows nothing but a zone's clock, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.domain.quiet_hours import NO_OVERRIDE, QuietAction, QuietHours, QuietOverride
from scheduler.planning.quiet_hours import QuietTerms, quiet_terms, quiet_until

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = sorted(available_timezones())
NIGHT = QuietHours(time(22), time(8))


@lru_cache(maxsize=8)
def clock_around(zone: str, middle: datetime) -> list[tuple[datetime, datetime]]:
    """(instant, what the clock shows) of each minute from three days before an instant to three days after."""
    first = middle - 3 * DAY
    instants = [first + number * MINUTE for number in range(6 * 24 * 60)]
    return [(instant, instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for instant in instants]


def oracle(hours: QuietHours, zone: str, instant: datetime) -> datetime | None:
    """By the definition alone: a night begins when the clock first shows `from` or later, and ends when it has last
    shown less than `to`; nights that touch are one."""
    minutes = clock_around(zone, instant.replace(second=0, microsecond=0))
    nights = []
    for offset in range(-2, 3):
        evening = instant.date() + offset * DAY
        morning = evening + DAY if hours.end < hours.start else evening
        begin, end = datetime.combine(evening, hours.start), datetime.combine(morning, hours.end)
        first = next((at for at, shown in minutes if shown >= begin), None)
        last = next((at for at, shown in reversed(minutes) if shown < end), None)
        if first is not None and last is not None:
            nights.append((first, last + MINUTE))
    over = None
    for first, last in sorted(nights):
        if first <= (over or instant) < last:
            over = last
    return over


@lru_cache(maxsize=1024)
def changes_of(zone: str, year: int) -> list[datetime]:
    """The hours of a year in which the zone's clock is changed."""
    info, first = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    days = [first + number * DAY for number in range(366)]
    offsets = [(day, day.astimezone(info).utcoffset()) for day in days]
    return [before for (before, one), (_, other) in pairwise(offsets) if one != other]


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and an instant that is mostly within a day of a change of its clock."""
    zone, year = draw(st.sampled_from(ZONES)), draw(st.integers(2020, 2037))
    near = changes_of(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]
    return zone, draw(st.sampled_from(near)) + draw(st.integers(-24 * 60, 48 * 60)) * MINUTE


of_day = st.builds(time, st.integers(0, 23), st.integers(0, 59))
hours = st.builds(QuietHours, of_day, of_day).filter(lambda one: one.start != one.end)
in_the_small_hours = st.builds(
    QuietHours, st.builds(time, st.integers(0, 3), st.integers(0, 59)), st.builds(time, st.integers(0, 4))
).filter(lambda one: one.start != one.end)


@given(place=near_changes(), quiet=hours | in_the_small_hours)
@example(("Europe/Berlin", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)), QuietHours(time(2, 30), time(5)))
@example(("Europe/Berlin", datetime(2026, 10, 25, 0, 45, tzinfo=UTC)), QuietHours(time(22), time(2, 30)))
@example(("Europe/Dublin", datetime(2026, 10, 25, 0, 0, tzinfo=UTC)), QuietHours(time(0), time(1)))
@example(("America/Havana", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)), QuietHours(time(0, 15), time(0, 45)))
@example(("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 15, tzinfo=UTC)), QuietHours(time(1, 45), time(1, 40)))
def test_quiet_hours_end_when_the_clock_at_the_device_says_so(place: tuple[str, datetime], quiet: QuietHours) -> None:
    zone, instant = place
    assert quiet_until(quiet, ZoneInfo(zone), instant) == oracle(quiet, zone, instant)


@given(place=near_changes(), quiet=hours)
def test_nothing_goes_at_a_time_that_the_clock_shows_as_quiet(place: tuple[str, datetime], quiet: QuietHours) -> None:
    zone, instant = ZoneInfo(place[0]), place[1]
    shown = instant.astimezone(zone).time()
    is_quiet = (
        quiet.start <= shown < quiet.end if quiet.start < quiet.end else (shown >= quiet.start or shown < quiet.end)
    )
    end = quiet_until(quiet, zone, instant)
    assert end is not None or not is_quiet
    if end is not None:
        assert end > instant
        assert end.tzinfo is UTC
        assert quiet_until(quiet, zone, end) is None
        assert quiet_until(quiet, zone, end - timedelta(microseconds=1)) == end


@pytest.mark.parametrize(
    ("zone", "at", "until"),
    [
        ("Europe/Berlin", "2026-11-26 20:59", None),
        ("Europe/Berlin", "2026-11-26 21:00", "2026-11-27 07:00"),
        ("Europe/Berlin", "2026-11-27 06:59", "2026-11-27 07:00"),
        ("Europe/Berlin", "2026-11-27 07:00", None),
        ("Europe/Berlin", "2026-03-28 21:00", "2026-03-29 06:00"),  # a night of nine hours
        ("Europe/Berlin", "2026-10-24 20:00", "2026-10-25 07:00"),  # and one of eleven
        ("Asia/Kathmandu", "2026-11-26 16:15", "2026-11-27 02:15"),
        ("Pacific/Kiritimati", "2026-11-26 12:00", "2026-11-26 18:00"),
        ("UTC", "2026-11-26 00:00", "2026-11-26 08:00"),
    ],
)
def test_nights_by_example(zone: str, at: str, until: str | None) -> None:
    expected = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)
    assert quiet_until(NIGHT, ZoneInfo(zone), datetime.fromisoformat(at).replace(tzinfo=UTC)) == expected


def test_nights_that_a_change_of_the_clock_leaves_nothing_between_are_one() -> None:
    quiet = QuietHours(time(3), time(2))  # loud from two to three, and that hour is skipped
    at = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert quiet_until(quiet, ZoneInfo("Europe/Berlin"), at) == datetime(2026, 3, 30, 0, 0, tzinfo=UTC)


HOLD, DROP, IGNORE = QuietAction
ALL_DAY = QuietHours(time(9), time(17))


@pytest.mark.parametrize(
    ("override", "category", "workspace", "terms"),
    [
        (NO_OVERRIDE, HOLD, NIGHT, QuietTerms(NIGHT, HOLD)),
        (NO_OVERRIDE, DROP, NIGHT, QuietTerms(NIGHT, DROP)),
        (NO_OVERRIDE, IGNORE, NIGHT, None),
        (NO_OVERRIDE, HOLD, None, None),
        (QuietOverride(action=DROP), HOLD, NIGHT, QuietTerms(NIGHT, DROP)),
        (QuietOverride(action=IGNORE), HOLD, NIGHT, None),
        (QuietOverride(action=HOLD), IGNORE, NIGHT, QuietTerms(NIGHT, HOLD)),
        (QuietOverride(action=HOLD), IGNORE, None, None),
        (QuietOverride(start=time(0)), HOLD, NIGHT, QuietTerms(QuietHours(time(0), time(8)), HOLD)),
        (QuietOverride(end=time(0)), DROP, NIGHT, QuietTerms(QuietHours(time(22), time(0)), DROP)),
        (QuietOverride(time(9), time(17)), HOLD, None, QuietTerms(ALL_DAY, HOLD)),
        (QuietOverride(time(9), time(17), DROP), IGNORE, NIGHT, QuietTerms(ALL_DAY, DROP)),
        (QuietOverride(time(9), time(17)), IGNORE, NIGHT, None),
        (QuietOverride(start=time(9)), HOLD, None, None),
    ],
)
def test_a_rule_overrides_its_category_and_the_workspace_key_by_key(
    override: QuietOverride, category: QuietAction, workspace: QuietHours | None, terms: QuietTerms | None
) -> None:
    assert quiet_terms(override, category=category, workspace=workspace) == terms
