"""The law of slots: each once, at the instant that a clock on the wall gives, however often the daemon restarts."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning.slot_oracle import (
    FIRST,
    LAST,
    Pattern,
    cron_pattern,
    distinct_zones,
    every_pattern,
    expected_slots,
    transitions,
)

from scheduler.domain.quantities import CalendarUnits
from scheduler.planning.slots import Slot, Timetable, due_slots, slots_between
from scheduler.rules.cron import parse_cron
from scheduler.rules.schedule import CatchUp, Every

HARD_ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # moved at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "Africa/Casablanca",  # back and on around Ramadan
    "Asia/Tehran",  # at midnight, until 2022
    "Africa/Cairo",
    "Asia/Gaza",
    "America/Nuuk",
    "Asia/Kathmandu",  # never
)
DAY = timedelta(days=1)
YEARS = timedelta(days=10_000)


def _subset(low: int, high: int, most: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(low, high), min_size=1, max_size=most)


_patterns = st.builds(
    cron_pattern,
    minutes=_subset(0, 59, 4),
    hours=st.one_of(st.none(), _subset(0, 4, 3), _subset(0, 23, 6)),
    days=st.one_of(st.none(), st.none(), _subset(1, 31, 8)),
    weekdays=st.one_of(st.none(), st.none(), _subset(0, 6, 3)),
)


def looked_up(timetable: Timetable, zone: ZoneInfo, looks: list[datetime]) -> list[Slot]:
    """The slots that a daemon starts which looks at these instants, and begins anew each time."""
    started: list[Slot] = []
    for handled, now in pairwise(looks):
        slots = slots_between(timetable, zone, handled, now)
        due = due_slots(slots, awake_since=now, now=now, grace=YEARS, catch_up=CatchUp.ALL)
        assert not due.missed
        started.extend(due.start)
    return started


def held(pattern: Pattern, timetable: Timetable, zone: ZoneInfo, looks: list[datetime]) -> None:
    """The law, between the first look and the last."""
    found = [(slot.at, slot.wall) for slot in looked_up(timetable, zone, looks)]
    assert found == expected_slots(pattern, zone, looks[0], looks[-1]), (pattern.text, zone.key)


@given(st.data())
def test_each_slot_of_a_cron_runs_once_at_the_right_instant_around_a_moved_clock(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(HARD_ZONES))
    moved = data.draw(st.sampled_from(transitions(zone) or (datetime(2026, 3, 29, tzinfo=UTC),)))
    pattern = data.draw(_patterns)
    start, end = moved - DAY, moved + 2 * DAY
    restarts = data.draw(st.lists(st.datetimes(start.replace(tzinfo=None), end.replace(tzinfo=None)), max_size=5))
    looks = [start, *sorted(one.replace(tzinfo=UTC) for one in restarts), end]
    held(pattern, Timetable(parse_cron(pattern.text)), ZoneInfo(zone), looks)


@given(st.data())
def test_every_so_many_days_is_counted_in_days_of_the_wall(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(HARD_ZONES))
    moved = data.draw(st.sampled_from(transitions(zone) or (datetime(2026, 3, 29, tzinfo=UTC),)))
    first = data.draw(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
    days, clock = data.draw(st.integers(1, 3)), time(data.draw(st.integers(0, 4)), data.draw(st.integers(0, 59)))
    start, end = moved - DAY, moved + 2 * DAY
    middle = data.draw(st.datetimes(start.replace(tzinfo=None), end.replace(tzinfo=None))).replace(tzinfo=UTC)
    timetable = Timetable(Every(CalendarUnits(days, "day"), clock), starts=first)
    held(every_pattern(days, clock, first), timetable, ZoneInfo(zone), [start, middle, end])


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_every_table_of_transitions_holds_the_law_from_2020_to_2037(part: int) -> None:
    for zone in list(distinct_zones())[part::8]:
        _hold_everywhere(zone)


def _hold_everywhere(zone: str) -> None:
    chance = random.Random(zone)
    samples = [FIRST + (LAST - FIRST) * chance.random() for _ in range(12)]
    quiet = [at for at in samples if all(abs(at - moved) > 6 * DAY for moved in transitions(zone))]
    for centre in (*transitions(zone), *(at.replace(second=0, microsecond=0) for at in quiet)):
        looks = sorted([centre - 2 * DAY, centre + 2 * DAY, *(centre + DAY * chance.uniform(-2, 2) for _ in range(4))])
        for pattern in _PATTERNS:
            held(pattern, Timetable(parse_cron(pattern.text)), ZoneInfo(zone), looks)


_PATTERNS = (
    cron_pattern(frozenset(range(0, 60, 15)), None, None, None),
    cron_pattern(frozenset({30}), frozenset({0, 1, 2, 3}), None, None),
    cron_pattern(frozenset({0}), frozenset({9}), frozenset({1, 15}), frozenset({0, 1})),
)
