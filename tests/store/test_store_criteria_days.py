"""Days and instants that SQL knows by their bounds alone: nobody in any zone is dropped, at midnight and around it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hard_people import NOON_MS
from support.registries import Registry, add_devices, matching, recipients, selected

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import (
    Call,
    Compare,
    Comparison,
    Constant,
    Expression,
    Function,
    LocalDate,
    Name,
    WallTime,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR_MS = 3_600_000
TEXT, REGISTERED = Name("device", ("attributes", "a")), Name("device", ("registered_at",))
DAYS = [f"2026-11-{day:02}" for day in range(19, 28)]
CLOCKS = ["T00:00:00Z", "T23:59:59Z", "T00:00+23:59", "T23:59-23:59", " 12:00:00.000001+14:00", "t12:00:00-12:00"]
TEXTS = [*DAYS, *(day + clock for day in DAYS for clock in CLOCKS), "soon", "2026-11-23Tea", "2026-11-31",
         "2011-12-29", "2011-12-30", "2011-12-31"]  # fmt: skip
HOURS = [*range(-96, 97, 4), -37, -35, -13, -11, -1, 1, 11, 13, 35, 37]
MOMENTS: list[Expression] = [
    *(Constant(NOON + timedelta(hours=hours)) for hours in (-12, 0, 11.999)),
    *(WallTime(datetime(2026, 11, 23, hour)) for hour in (0, 9, 23)),  # noqa: DTZ001
    WallTime(date(2026, 11, 23)),
]
NO_DAY_IN_APIA = WallTime(datetime(2011, 12, 30, 12))  # noqa: DTZ001 - the 29th was followed by the 31st


def questions() -> Iterator[Expression]:
    """Every comparison with a day or an instant of what may be one."""
    days = [Constant("2026-11-23"), *map(LocalDate, MOMENTS[1::2]), LocalDate(NO_DAY_IN_APIA)]
    for comparison in Comparison:
        for moment in MOMENTS:
            yield Compare(comparison, REGISTERED, moment)
            yield Compare(comparison, moment, Call(Function.INSTANT, (TEXT,)))
        for day in days:
            yield Compare(comparison, TEXT, day)
            for asked in (TEXT, LocalDate(TEXT), LocalDate(REGISTERED)):
                for count in (1, -1.5):
                    yield Compare(comparison, Call(Function.DAYS_BETWEEN, (asked, day)), Constant(count))
                    yield Compare(comparison, Call(Function.DAYS_BETWEEN, (day, asked)), Constant(count))


@pytest.mark.slow
def test_nobody_is_dropped_around_midnight_in_any_zone(registry: Registry) -> None:
    people = [{"attributes": {"a": text}} for text in TEXTS]
    people += [{"registered_at": NOON_MS + HOUR_MS * hours} for hours in HOURS]
    with registry.trial() as tx:
        add_devices(tx, [{"id": number, "registered_at": None, **one} for number, one in enumerate(people)], app="days")
        everybody = recipients(tx, "days")
        for question in questions():
            condition = Condition(question, "")
            dropped = matching(everybody, condition) - selected(tx, "days", condition)
            assert not dropped, (question, [people[number] for number in dropped])
