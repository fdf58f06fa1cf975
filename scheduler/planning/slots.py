"""The slots of a schedule: its wall times, and the instants that they are in a zone.

A slot is keyed by its local wall time, so that whatever happens to clocks, it is one occasion. Its instant is the first
one at which the zone's clocks show its wall time or a later one: a time that is skipped is the next instant that
exists, one that is repeated the first of both. Wall times that fall on one instant so are one slot, the last of them.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import count, islice, takewhile

from scheduler.domain.wall_times import Moment, instant_of, local_date
from scheduler.planning.cron import cron_walls
from scheduler.rules.cron import CronExpression
from scheduler.rules.schedule import At, CatchUp, Every, Timing

ONCE = "once"
"""The key of the only slot of `at`, whatever the time is changed to."""
_ONE_DAY = timedelta(days=1)
_LONGEST_GAP = timedelta(days=2)
"""More than any zone skips or repeats at once."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule between the first instant and the last of its rule. `ends` as a date includes that day."""

    timing: Timing
    starts: Moment | None = None
    ends: Moment | None = None

    def signature(self, zone: str) -> str:
        """A text that is the same exactly as long as the schedule names the same slots, for all that its text says."""
        match self.timing:
            case CronExpression(text):
                timing = " ".join(text.split())
            case Every(units, clock):
                timing = f"every {units.count} {units.unit} at {clock}"
            case At(moment):
                timing = f"at {moment.isoformat()}"
        return f"{timing}; {zone}; {_text(self.starts)} to {_text(self.ends)}"


@dataclass(frozen=True, slots=True)
class Slot:
    """An instant that a schedule names (`at`, in UTC), and the wall time there that it stands for (`wall`, naive)."""

    key: str
    wall: datetime
    at: datetime


def start_instant(starts: Moment | None, zone: tzinfo) -> datetime | None:
    """Nothing starts before this instant; None: there is no such."""
    return None if starts is None else _instant(starts, zone)


def end_instant(ends: Moment | None, zone: tzinfo) -> datetime | None:
    """Nothing is sent from this instant on: for a date, where the next day begins; for a time, just after it."""
    if ends is None:
        return None
    try:
        after = ends + (timedelta.resolution if isinstance(ends, datetime) else _ONE_DAY)
    except OverflowError:  # the last day of the calendar
        return None
    return _instant(after, zone)


def slots_after(timetable: Timetable, zone: tzinfo, after: datetime) -> Iterator[Slot]:
    """The slots later than an instant, in their order. Without end for a cron or `every` that has none."""
    first, end = start_instant(timetable.starts, zone), end_instant(timetable.ends, zone)
    if first is not None and first > after:
        after = first - timedelta.resolution
    if isinstance(timetable.timing, At):
        at = _instant(timetable.timing.moment, zone)
        found = iter([Slot(ONCE, _wall(at, zone), at)] if at > after else [])
    else:
        # No clock that was moved since shows less: what is due later stands for a later wall time.
        found = _each_instant_once(walls_after(timetable, zone, _wall(after, zone)), zone, after)
    return found if end is None else takewhile(lambda slot: slot.at < end, found)


def walls_after(timetable: Timetable, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The wall times later than one, in order: all that the schedule names, also before `starts` and after `ends`."""
    match timetable.timing:
        case CronExpression() as cron:
            return cron_walls(cron, after)
        case Every() as every:
            assert timetable.starts is not None, "`every` counts from `starts`"
            return _every(every, _day(timetable.starts, zone), after)
        case At():
            return iter(())


def slots_between(timetable: Timetable, zone: tzinfo, after: datetime, until: datetime) -> Iterator[Slot]:
    """The slots in (after, until], in their order."""
    return takewhile(lambda slot: slot.at <= until, slots_after(timetable, zone, after))


def has_several_on(timetable: Timetable, zone: tzinfo, day: date) -> bool:
    """Whether more than one slot stands for a wall time of a date."""
    start = _instant(day, zone) - _LONGEST_GAP
    near = takewhile(lambda slot: slot.wall.date() <= day, slots_after(timetable, zone, start))
    return len(list(islice((slot for slot in near if slot.wall.date() == day), 2))) > 1


@dataclass(frozen=True, slots=True)
class Due:
    """What becomes of slots whose time has come: those that start now, and those that are missed (`slot_missed`)."""

    start: tuple[Slot, ...]
    missed: tuple[Slot, ...]


def due_slots(
    slots: Iterable[Slot], *, awake_since: datetime, now: datetime, grace: timedelta, catch_up: CatchUp
) -> Due:
    """Decide slots up to `now`, none of which was decided before. Those up to `awake_since` came while the daemon was
    down, and `catch_up` says which of them run; none runs that is later than the grace."""
    slots = list(slots)
    in_time = [slot for slot in slots if now - slot.at <= grace]
    while_down = [slot for slot in in_time if slot.at <= awake_since]
    match catch_up:
        case CatchUp.ALL:
            caught_up = while_down
        case CatchUp.LAST:
            caught_up = while_down[-1:]
        case CatchUp.SKIP:
            caught_up = []
    start = (*caught_up, *(slot for slot in in_time if slot.at > awake_since))
    started = set(start)
    return Due(start, tuple(slot for slot in slots if slot not in started))


def _text(moment: Moment | None) -> str:
    return "-" if moment is None else moment.isoformat()


def _every(every: Every, first: date, after: datetime) -> Iterator[datetime]:
    """From the first day on, each counted from it: the 31st, the last of February, the 31st again."""
    passed = max(0, (after.date() - first).days)
    longest = {"day": 1, "week": 7, "month": 31}[every.units.unit] * every.units.count
    for number in count(passed // longest):
        try:
            wall = datetime.combine(_add(first, every.units.unit, number * every.units.count), every.time)
        except (OverflowError, ValueError):  # the year 10000
            return
        if wall > after:
            yield wall


def _add(first: date, unit: str, number: int) -> date:
    if unit != "month":
        return first + timedelta(days=number * (7 if unit == "week" else 1))
    years, month = divmod(first.month - 1 + number, 12)
    year, month = first.year + years, month + 1
    return date(year, month, min(first.day, calendar.monthrange(year, month)[1]))


def _each_instant_once(walls: Iterable[datetime], zone: tzinfo, after: datetime) -> Iterator[Slot]:
    waiting: Slot | None = None
    for wall in walls:
        try:
            at = instant_of(wall, zone)
        except OverflowError:
            break
        if at <= after:
            continue
        if waiting is not None and at > waiting.at:
            yield waiting
        waiting = Slot(wall.isoformat(timespec="minutes"), wall, at)
    if waiting is not None:
        yield waiting


def _day(moment: Moment, zone: tzinfo) -> date:
    return local_date(_instant(moment, zone), zone) if isinstance(moment, datetime) else moment


def _instant(moment: Moment, zone: tzinfo) -> datetime:
    """As `instant_of`; outside of the calendar, its first instant or its last."""
    try:
        return instant_of(moment, zone)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


def _wall(instant: datetime, zone: tzinfo) -> datetime:
    try:
        return instant.astimezone(zone).replace(tzinfo=None, fold=0)
    except OverflowError:  # at the ends of the calendar
        return instant.astimezone(UTC).replace(tzinfo=None)
