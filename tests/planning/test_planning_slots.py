"""Slots by examples: what a schedule means, and what becomes of slots that come while nobody looks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from scheduler.domain.quantities import CalendarUnits
from scheduler.domain.wall_times import Moment, parse_moment
from scheduler.planning.slots import Timetable, due_slots, end_instant, has_several_on, slots_after, slots_between
from scheduler.rules.cron import parse_cron
from scheduler.rules.schedule import At, CatchUp, Every, Timing

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


def wall(text: str) -> datetime:
    """A wall time."""
    moment = parse_moment(text)
    assert isinstance(moment, datetime)
    return moment


def keys(
    timing: str | Timing, after: str, count: int = 3, *, starts: Moment | None = None, ends: Moment | None = None
) -> list[str]:
    """The keys of the next slots in Berlin."""
    timetable = Timetable(parse_cron(timing) if isinstance(timing, str) else timing, starts, ends)
    begin = wall(after).replace(tzinfo=BERLIN)
    return [slot.key for slot in islice(slots_after(timetable, BERLIN, begin), count)]


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 9 * * 0", ["2026-11-29"]),
        ("0 9 * * 7", ["2026-11-29"]),
        ("0 9 * * sun", ["2026-11-29"]),
        ("0 9 * * 1", ["2026-11-30"]),
        ("0 9 * * mon-fri", ["2026-11-27", "2026-11-30"]),
        ("0 9 * * 5-7", ["2026-11-27", "2026-11-28", "2026-11-29", "2026-12-04"]),
        ("0 9 13 * fri", ["2026-11-27", "2026-12-04", "2026-12-11", "2026-12-13"]),
        ("0 9 29 2 *", ["2028-02-29", "2032-02-29"]),
        ("0 9 31 * *", ["2026-12-31", "2027-01-31", "2027-03-31"]),
    ],
)
def test_a_weekday_is_the_one_that_crontab_means(cron: str, days: list[str]) -> None:
    assert keys(cron, "2026-11-26 12:00", len(days)) == [f"{day}T09:00" for day in days]


def test_a_time_that_is_skipped_runs_when_the_clock_goes_on() -> None:
    timetable = Timetable(parse_cron("30 2 * * *"))
    (slot,) = slots_between(
        timetable, BERLIN, datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    )
    assert (slot.key, slot.at) == ("2026-03-29T02:30", datetime(2026, 3, 29, 1, tzinfo=UTC))


def test_a_time_that_is_repeated_runs_once_the_first_time() -> None:
    timetable = Timetable(parse_cron("30 2 * * *"))
    (slot,) = slots_between(
        timetable, BERLIN, datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)
    )
    assert (slot.key, slot.at) == ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))


def test_times_that_a_gap_brings_together_are_one_slot() -> None:
    assert keys("*/30 * * * *", "2026-03-29 01:15", 3) == ["2026-03-29T01:30", "2026-03-29T03:00", "2026-03-29T03:30"]


def test_every_month_counts_from_its_first_day_and_is_at_most_its_last() -> None:
    monthly = Every(CalendarUnits(1, "month"), time(9))
    assert keys(monthly, "2026-12-31 10:00", starts=date(2026, 10, 31)) == [
        "2027-01-31T09:00",
        "2027-02-28T09:00",
        "2027-03-31T09:00",
    ]


def test_every_two_weeks_begins_with_its_first_day_unless_that_is_over() -> None:
    every = Every(CalendarUnits(2, "week"), time(9))
    assert keys(every, "2026-01-01 00:00", 2, starts=date(2026, 11, 27)) == ["2026-11-27T09:00", "2026-12-11T09:00"]
    late = wall("2026-11-27 10:00")
    assert keys(every, "2026-01-01 00:00", 2, starts=late) == ["2026-12-11T09:00", "2026-12-25T09:00"]


def test_a_day_that_ends_a_rule_belongs_to_it() -> None:
    assert keys("0 9 * * *", "2026-11-26 12:00", 9, ends=date(2026, 11, 28)) == ["2026-11-27T09:00", "2026-11-28T09:00"]
    assert keys("0 9 * * *", "2026-11-26 12:00", 9, ends=wall("2026-11-28 09:00")) == [
        "2026-11-27T09:00",
        "2026-11-28T09:00",
    ]
    assert keys("0 9 * * *", "2026-11-26 12:00", 9, ends=wall("2026-11-28 08:59")) == ["2026-11-27T09:00"]
    assert end_instant(date(2026, 10, 25), BERLIN) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert end_instant(None, BERLIN) is None


def test_one_time_has_the_same_key_whatever_it_is_changed_to() -> None:
    assert keys(At(wall("2026-11-27 09:00")), "2026-11-26 12:00") == ["once"]
    assert keys(At(datetime(2026, 11, 27, 7, tzinfo=UTC)), "2026-11-26 12:00") == ["once"]
    assert keys(At(wall("2026-11-27 09:00")), "2026-11-27 09:00") == []


def test_a_calendar_that_ends_ends_the_slots() -> None:
    assert keys("0 9 * * *", "9999-12-30 12:00", 9) == ["9999-12-31T09:00"]
    assert keys(Every(CalendarUnits(1, "month"), time(9)), "9999-12-30 12:00", 9, starts=date(2026, 1, 31)) == [
        "9999-12-31T09:00"
    ]


@pytest.mark.parametrize(("cron", "several"), [("0 9 * * *", False), ("0 9,18 * * *", True), ("0 9 1 1 *", False)])
def test_several_on_a_date_are_told_from_one(cron: str, several: bool) -> None:
    assert has_several_on(Timetable(parse_cron(cron)), BERLIN, date(2026, 11, 27)) is several


@pytest.mark.parametrize(
    ("catch_up", "started", "missed"),
    [
        (CatchUp.SKIP, ["12:00"], ["08:00", "09:00", "10:00", "11:00"]),
        (CatchUp.LAST, ["11:00", "12:00"], ["08:00", "09:00", "10:00"]),
        (CatchUp.ALL, ["10:00", "11:00", "12:00"], ["08:00", "09:00"]),
    ],
)
def test_what_came_while_the_daemon_was_down_is_caught_up_within_the_grace(
    catch_up: CatchUp, started: list[str], missed: list[str]
) -> None:
    timetable = Timetable(parse_cron("0 * * * *"))
    day = datetime(2026, 11, 27, tzinfo=UTC)
    slots = slots_between(timetable, ZoneInfo("UTC"), day + 7.5 * HOUR, day + 12 * HOUR)
    due = due_slots(slots, awake_since=day + 11.5 * HOUR, now=day + 12 * HOUR, grace=2 * HOUR, catch_up=catch_up)
    assert [slot.key[-5:] for slot in due.start] == started
    assert [slot.key[-5:] for slot in due.missed] == missed


def test_a_wall_time_has_one_key_in_every_zone_and_each_has_its_own_instant() -> None:
    timetable, after = (
        Timetable(parse_cron("0 9 27 11 *"), starts=date(2026, 11, 27)),
        datetime(2026, 11, 1, tzinfo=UTC),
    )
    slots = {
        zone: next(slots_after(timetable, ZoneInfo(zone), after))
        for zone in ("Pacific/Kiritimati", "Europe/Berlin", "America/New_York", "Pacific/Pago_Pago")
    }
    assert {slot.key for slot in slots.values()} == {"2026-11-27T09:00"}
    assert [slot.at.isoformat()[:16] for slot in slots.values()] == [
        "2026-11-26T19:00", "2026-11-27T08:00", "2026-11-27T14:00", "2026-11-27T20:00",
    ]  # fmt: skip


def test_the_ends_of_the_calendar_are_no_end_of_the_program() -> None:
    assert end_instant(date(9999, 12, 31), BERLIN) is None
    timetable = Timetable(parse_cron("0 9 * * *"), starts=date(1, 1, 1))
    assert next(slots_after(timetable, BERLIN, datetime(2026, 11, 27, tzinfo=UTC))).key == "2026-11-27T09:00"
