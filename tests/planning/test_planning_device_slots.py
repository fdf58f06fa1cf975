"""Slots at each device's own wall time: in every zone what a schedule of that zone would have, and each zone once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning.slot_oracle import cron_pattern, distinct_zones, every_pattern, expected_slots, transitions

from scheduler.domain.quantities import CalendarUnits
from scheduler.domain.wall_times import Moment
from scheduler.planning.device_slots import (
    ALL_BUT,
    FIRST_ZONE,
    SPAN,
    Fate,
    device_slots_after,
    due_in,
    fate_of,
    is_among,
    times_in,
    zone_groups,
    zone_names,
)
from scheduler.planning.slots import Slot, Timetable, due_slots, slots_between
from scheduler.rules.cron import parse_cron
from scheduler.rules.schedule import At, CatchUp, Every

HARD_ZONES = (
    "Pacific/Kiritimati",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "America/Santiago",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Africa/Cairo",
    "America/Nuuk",
    "Europe/Berlin",
    "Etc/GMT+12",
)
DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"
_some = st.frozensets(st.integers(0, 59), min_size=1, max_size=3)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    """A time on a clock, wherever it hangs."""
    return datetime.fromisoformat(text)


def in_zone(timetable: Timetable, zone: ZoneInfo, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """(instant, wall time) of what comes in a zone in (start, end], by the slots of each device's own time."""
    found = []
    for slot in device_slots_after(timetable, start - SPAN):
        if slot.at > end:
            return found
        times = times_in(timetable, slot.wall, zone)
        if times is not None and start < times[0] <= end:
            found.append((times[0], slot.wall))
    return found


@given(st.data())
def test_in_each_zone_the_slots_are_what_a_clock_on_its_wall_shows(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(HARD_ZONES))
    moved = data.draw(st.sampled_from(transitions(zone) or (utc("2026-03-29"),)))
    hours = data.draw(st.one_of(st.none(), st.frozensets(st.integers(0, 4), min_size=1)))
    pattern = cron_pattern(data.draw(_some), hours, None, None)
    start, end = moved - DAY, moved + 2 * DAY
    found = in_zone(Timetable(parse_cron(pattern.text)), ZoneInfo(zone), start, end)
    assert found == expected_slots(pattern, ZoneInfo(zone), start, end)


@given(st.data())
def test_every_so_many_days_is_counted_by_each_zones_own_days(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(HARD_ZONES))
    moved = data.draw(st.sampled_from(transitions(zone) or (utc("2026-03-29"),)))
    first, days = data.draw(st.dates(date(2020, 1, 1), date(2030, 12, 31))), data.draw(st.integers(1, 3))
    clock = time(data.draw(st.integers(0, 4)), data.draw(st.integers(0, 59)))
    timetable = Timetable(Every(CalendarUnits(days, "day"), clock), starts=first)
    start, end = moved - DAY, moved + 2 * DAY
    found = in_zone(timetable, ZoneInfo(zone), start, end)
    assert found == expected_slots(every_pattern(days, clock, first), ZoneInfo(zone), start, end)


_moments = st.one_of(
    st.none(),
    st.dates(date(2026, 3, 25), date(2026, 4, 2)),
    st.datetimes(wall("2026-03-25 00:00"), wall("2026-04-02 00:00")),
    st.datetimes(wall("2026-03-25 00:00"), wall("2026-04-02 00:00")).map(lambda one: one.replace(tzinfo=UTC)),
)


@given(st.sampled_from(HARD_ZONES), _moments, _moments)
def test_starts_and_ends_are_each_zones_own_unless_they_are_instants(
    zone: str, starts: Moment | None, ends: Moment | None
) -> None:
    timetable = Timetable(parse_cron("30 */3 * * *"), starts, ends)
    start, end = utc("2026-03-24"), utc("2026-04-04")
    expected = [(slot.at, slot.wall) for slot in slots_between(timetable, ZoneInfo(zone), start, end)]
    assert in_zone(timetable, ZoneInfo(zone), start, end) == expected


def test_each_zone_is_in_one_group_and_devices_without_one_are_with_the_default() -> None:
    monday = wall("2026-11-30 09:00")
    groups = zone_groups(Timetable(parse_cron("0 9 * * mon")), BERLIN, monday)
    (rest,) = [group for group in groups if group.has_the_rest]
    named = Counter(name for group in groups if not group.has_the_rest for name in group.zones)
    assert set(named.values()) == {1}
    assert rest.zones == (ALL_BUT, *sorted(named))
    assert BERLIN not in named
    assert [group.at for group in groups] == sorted(group.at for group in groups)
    assert all(due_in(monday, name, BERLIN) == one.at for one in groups if one is not rest for name in one.zones)
    assert (len(groups), groups[0].at, groups[-1].at) == (38, utc("2026-11-29 19:00"), utc("2026-11-30 21:00"))
    for name in (None, "", "Mars/Olympus", BERLIN, *named):
        (mine,) = [group for group in groups if is_among(group.zones, name)]
        assert (mine is rest) is (name not in named)


def test_a_name_that_is_no_zone_goes_by_the_default() -> None:
    monday = wall("2026-11-30 09:00")
    for name in (None, "", "Mars/Olympus", "posix/Asia/Tokyo"):
        assert due_in(monday, name, BERLIN) == utc("2026-11-30 08:00")


def test_times_that_a_skipped_hour_brings_together_are_one_slot_there_the_last_of_them() -> None:
    timetable = Timetable(parse_cron("0,30 2,3 * * *"))
    berlin = ZoneInfo(BERLIN)
    walls = [wall(f"2026-03-29 {hour:02}:{minute:02}") for hour in (2, 3) for minute in (0, 30)]
    assert [times_in(timetable, one, berlin) is not None for one in walls] == [False, False, True, True]
    assert all(times_in(timetable, one, ZoneInfo("Asia/Tokyo")) for one in walls)


def test_where_the_default_zone_has_no_such_slot_the_rest_has_none_either() -> None:
    groups = zone_groups(Timetable(parse_cron("0,30 2,3 * * *")), BERLIN, wall("2026-03-29 02:00"))
    assert groups
    assert not any(group.has_the_rest or BERLIN in group.zones for group in groups)


def test_a_day_that_is_skipped_comes_when_the_next_one_begins() -> None:
    timetable = Timetable(parse_cron("0 9 * * *"))
    apia = ZoneInfo("Pacific/Apia")
    times = [times_in(timetable, wall(f"2011-12-{day} 09:00"), apia) for day in (29, 30, 31)]
    assert times == [
        (utc("2011-12-29 19:00"), utc("2011-12-30 10:00")),
        (utc("2011-12-30 10:00"), utc("2011-12-30 19:00")),
        (utc("2011-12-30 19:00"), utc("2011-12-31 19:00")),
    ]


def test_one_wall_time_is_one_slot_everywhere() -> None:
    timetable = Timetable(At(wall("2026-11-27 09:00")))
    (slot,) = device_slots_after(timetable, utc("2026-11-01"))
    assert (slot.key, slot.at) == ("once", utc("2026-11-26 19:00"))
    assert times_in(timetable, slot.wall, ZoneInfo("America/New_York")) == (utc("2026-11-27 14:00"), None)


def test_the_calendar_ends() -> None:
    timetable = Timetable(parse_cron("0 9 * * *"))
    assert max(slot.wall for slot in device_slots_after(timetable, utc("9998-12-01"))) == wall("9998-12-31 09:00")
    assert list(islice(device_slots_after(timetable, datetime.min.replace(tzinfo=UTC)), 1))


@given(
    st.sampled_from(HARD_ZONES),
    st.sampled_from(CatchUp),
    st.integers(0, 30),
    st.integers(0, 48),
    st.integers(0, 48),
)
def test_what_becomes_of_a_slot_in_a_zone_is_what_becomes_of_one_of_its_schedule(
    zone: str, catch_up: CatchUp, grace: int, awake: int, asleep: int
) -> None:
    timetable, hour = Timetable(parse_cron("30 */2 * * *")), timedelta(hours=1)
    start = utc("2026-03-28 00:07")
    awake_since = start + awake * hour
    now = awake_since + asleep * hour
    slots = list(slots_between(timetable, ZoneInfo(zone), start, now))
    due = due_slots(slots, awake_since=awake_since, now=now, grace=grace * hour, catch_up=catch_up)

    def fate(slot: Slot) -> Fate:
        times = times_in(timetable, slot.wall, ZoneInfo(zone))
        assert times is not None
        at, next_at = times
        return fate_of(
            at, next_at, since=start, awake_since=awake_since, now=now, grace=grace * hour, catch_up=catch_up
        )

    fates = {slot: fate(slot) for slot in slots}
    assert {slot for slot, one in fates.items() if one is Fate.STARTS} == set(due.start)
    assert all(one in (Fate.STARTS, Fate.TOO_LATE, Fate.WHILE_DOWN) for one in fates.values())


def test_what_came_before_the_schedule_was_seen_is_nothing_missed() -> None:
    at, hour = utc("2026-03-28"), timedelta(hours=1)
    fates = [
        fate_of(at, None, since=since, awake_since=at, now=now, grace=hour, catch_up=CatchUp.LAST)
        for since, now in ((at, at + hour), (at - hour, at + 2 * hour), (at - hour, at - hour / 2))
    ]
    assert fates == [Fate.BEFORE, Fate.TOO_LATE, Fate.TO_COME]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("year", range(2020, 2038))
def test_every_zone_has_each_slot_from_2020_to_2037_as_a_schedule_of_its_own(year: int) -> None:
    """`slots_between` is held against a clock on the wall by test_planning_slots_law.py."""
    timetable = Timetable(parse_cron("30 0-3 * * *"))
    start, end = utc(f"{year}-01-01"), utc(f"{year + 1}-01-01")
    zones = list(distinct_zones())
    found: dict[str, list[tuple[datetime, datetime]]] = {zone: [] for zone in zones}
    for slot in device_slots_after(timetable, start - SPAN):
        if slot.at > end:
            break
        for group in zone_groups(timetable, BERLIN, slot.wall):
            there = zone_names().difference(group.zones) if group.has_the_rest else group.zones
            for zone in there:
                if zone in found and start < group.at <= end:
                    found[zone].append((group.at, slot.wall))
    for zone in zones:
        slots = slots_between(timetable, ZoneInfo(zone), start, end)
        assert found[zone] == [(slot.at, slot.wall) for slot in slots], zone


def test_nowhere_a_slot_comes_before_it_begins_or_after_its_span() -> None:
    for shown in (wall("2026-03-29 02:30"), wall("2026-11-01 01:30"), wall("2021-09-26 03:00")):
        groups = zone_groups(Timetable(parse_cron("* * * * *")), BERLIN, shown)
        begins = shown.replace(tzinfo=FIRST_ZONE)
        assert all(begins <= group.at < begins + SPAN for group in groups)
