"""What a cap counts and when it has room again, against an oracle that knows only what a zone's calendar shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.domain.reentry import Reentry
from scheduler.planning.caps import CalendarPeriod, Cap, at_least_since, counted_since, room_at

ZONES = sorted(available_timezones())
TICK = timedelta(milliseconds=1)
INSTANTS = st.integers(0, 18 * 365 * 86_400_000).map(lambda ms: datetime(2020, 1, 1, tzinfo=UTC) + ms * TICK)


def shown(period: CalendarPeriod, zone: str, instant: datetime) -> tuple[int, ...]:
    """The day, the ISO week or the month that a calendar in the zone shows."""
    day = instant.astimezone(ZoneInfo(zone)).date()
    match period:
        case CalendarPeriod.DAY:
            return day.year, day.month, day.day
        case CalendarPeriod.WEEK:
            return tuple(day.isocalendar()[:2])
        case CalendarPeriod.MONTH:
            return day.year, day.month


@given(st.sampled_from(CalendarPeriod), st.sampled_from(ZONES), INSTANTS)
@example(CalendarPeriod.DAY, "America/Havana", datetime(2026, 11, 1, 4, 30, tzinfo=UTC))  # back at 1:00 to 0:00
@example(CalendarPeriod.DAY, "America/Asuncion", datetime(2024, 3, 24, 3, 30, tzinfo=UTC))  # back at 0:00 to 23:00
@example(CalendarPeriod.DAY, "Asia/Beirut", datetime(2026, 3, 28, 22, 0, tzinfo=UTC))  # on at 0:00 to 1:00
def test_a_calendar_cap_counts_what_the_calendar_shows_as_now(period: CalendarPeriod, zone: str, now: datetime) -> None:
    cap = Cap("cap", 1, period)
    since, until = counted_since(cap, ZoneInfo(zone), now), room_at(cap, ZoneInfo(zone), now, [now])
    assert since <= now < until
    assert shown(period, zone, since) == shown(period, zone, now) == shown(period, zone, until - TICK)
    assert shown(period, zone, since - TICK) < shown(period, zone, now) < shown(period, zone, until)
    assert at_least_since(cap, now) <= since


@given(st.lists(INSTANTS, min_size=1, max_size=6), st.integers(1, 6), st.timedeltas(TICK, timedelta(days=400)))
def test_a_rolling_cap_has_room_again_exactly_when_one_less_than_its_most_is_younger_than_its_time(
    sends: list[datetime], most: int, period: timedelta
) -> None:
    period -= timedelta(microseconds=period.microseconds % 1000)
    cap, now, sends = Cap("cap", most, period), max(sends), sorted(sends)
    since = counted_since(cap, UTC, now)
    counted = [at for at in sends if at >= since]
    assert counted == [at for at in sends if now - at < period]
    assert at_least_since(cap, now) <= since
    if len(counted) >= most:
        free = room_at(cap, UTC, now, counted)
        assert free > now
        assert sum(free - at < period for at in counted) < most <= sum(free - TICK - at < period for at in counted)


@pytest.mark.parametrize(
    ("after", "others", "admitted"),
    [
        (None, [], True),
        (None, [0], False),
        (24, [0], False),
        (24, [-24], True),
        (24, [-23.99], False),
        (24, [23.99], False),
        (24, [24], True),
        (24, [-24, 30], True),
        (24, [-30, -2], False),
        (0, [0], True),
    ],
)
def test_a_person_enters_again_when_the_time_lies_between_the_occasions(
    after: float | None, others: list[float], admitted: bool
) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    reentry = Reentry(None if after is None else timedelta(hours=after))
    assert reentry.admits(at, [at + timedelta(hours=hours) for hours in others]) == admitted
