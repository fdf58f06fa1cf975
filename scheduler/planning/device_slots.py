"""Slots at each device's own wall time: where on earth a slot comes when.

A slot is one wall time, wherever its clock hangs. It begins where the day begins first, 14 hours ahead of UTC, and ends
where the day ends last. Zones in which it comes at one instant are a group. In each zone the slots are those that a
schedule of that zone would have: times that a skipped hour brings together are one, the last of them, and `starts` and
`ends` as dates or wall times are the zone's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

from scheduler.domain.wall_times import instant_of, zone_called
from scheduler.planning.slots import Slot, Timetable, end_instant, slots_after, start_instant, walls_after
from scheduler.rules.schedule import CatchUp

FIRST_ZONE = ZoneInfo("Etc/GMT-14")
"""Nowhere a day begins earlier. No clock is moved here, so no wall time is skipped or comes twice."""
LAST_ZONE = ZoneInfo("Etc/GMT+12")
"""Nowhere a day ends later."""
SPAN = timedelta(hours=26 + 25)
"""More than lies between the first zone and the last, and what a clock that skips a day adds to it."""
ALL_BUT = "*"
"""Begins the list of a group that is everything but the zones behind it: that of devices without a zone."""
_LAST_YEAR = 9998


@dataclass(frozen=True, slots=True)
class ZoneGroup:
    """Zones whose clocks show a wall time first at the instant `at`. `next_at` is the instant of the slot behind it
    there, None where there is none. `zones` are names, or ALL_BUT and the names that are not meant."""

    at: datetime
    next_at: datetime | None
    zones: tuple[str, ...]

    @property
    def has_the_rest(self) -> bool:
        """Whether devices without a zone, or with a name that is none, are here."""
        return self.zones[0] == ALL_BUT


@cache
def zone_names() -> frozenset[str]:
    """The names that are zones; any other counts as none."""
    return frozenset(name for name in available_timezones() if zone_called(name) is not None)


def zone_of(name: str | None, default: str) -> ZoneInfo:
    """The zone by which a device's slots go: the one of its name, else the default."""
    return ZoneInfo(name if name in zone_names() and name is not None else default)


def is_among(zones: tuple[str, ...], name: str | None) -> bool:
    """Whether a device whose zone has this name is in a group with these zones."""
    return name not in zones[1:] if zones[0] == ALL_BUT else name in zones


@lru_cache(maxsize=4096)
def due_in(wall: datetime, name: str | None, default: str) -> datetime:
    """When a wall time comes to a device of this zone, in UTC."""
    return instant_of(wall, zone_of(name, default))


def device_slots_after(timetable: Timetable, after: datetime) -> Iterator[Slot]:
    """The slots that begin later than an instant, in order; `at` is the first instant anywhere."""
    starts = timetable.starts
    if isinstance(starts, datetime) and starts.tzinfo is not None:  # elsewhere the slot comes later, and has started
        timetable = replace(timetable, starts=starts - SPAN)
    return takewhile(lambda slot: slot.wall.year <= _LAST_YEAR, slots_after(timetable, FIRST_ZONE, after))


def times_in(timetable: Timetable, wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime | None] | None:
    """When the slot of a wall time comes in a zone, and when the slot behind it does; None where there is no such slot:
    it lies outside of `starts` and `ends` there, or its clock shows the next one's time at the same instant."""
    return _times_in(timetable, wall, next(walls_after(timetable, FIRST_ZONE, wall), None), zone)


def zone_groups(timetable: Timetable, default: str, wall: datetime) -> tuple[ZoneGroup, ...]:
    """Where the slot of a wall time comes, in the order of the instants: no zone twice, and none in which the schedule
    names no such slot."""
    following = next(walls_after(timetable, FIRST_ZONE, wall), None)
    found: dict[tuple[datetime, datetime | None], list[str]] = {}
    for name in sorted(zone_names() | {default}):
        times = _times_in(timetable, wall, following, ZoneInfo(name))
        if times is not None:
            found.setdefault(times, []).append(name)
    return tuple(_group(at, next_at, names, default) for (at, next_at), names in sorted(found.items(), key=_order))


class Fate(StrEnum):
    """What becomes of a slot in a group of zones."""

    STARTS = "starts"
    TO_COME = "to_come"
    BEFORE = "before"
    """It came before the schedule was first seen: nothing is started, and nothing was missed."""
    TOO_LATE = "too_late"
    WHILE_DOWN = "while_down"


def fate_of(
    at: datetime,
    next_at: datetime | None,
    *,
    since: datetime | None,
    awake_since: datetime,
    now: datetime,
    grace: timedelta,
    catch_up: CatchUp,
) -> Fate:
    """The same that `due_slots` says of the slots of one zone, of one slot. `since` is when the schedule was first
    seen."""
    if at > now:
        return Fate.TO_COME
    if since is not None and at <= since:
        return Fate.BEFORE
    if now - at > grace:
        return Fate.TOO_LATE
    if at > awake_since or catch_up is CatchUp.ALL:
        return Fate.STARTS
    is_last = next_at is None or next_at > awake_since
    return Fate.STARTS if catch_up is CatchUp.LAST and is_last else Fate.WHILE_DOWN


def _times_in(
    timetable: Timetable, wall: datetime, following: datetime | None, zone: ZoneInfo
) -> tuple[datetime, datetime | None] | None:
    at = _instant_within(timetable, wall, zone)
    next_at = None if following is None else _instant_within(timetable, following, zone)
    return None if at is None or at == next_at else (at, next_at)


def _instant_within(timetable: Timetable, wall: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant of a wall time in a zone; None where it is not between `starts` and `ends`, or in no year."""
    try:
        at = instant_of(wall, zone)
    except OverflowError:
        return None
    starts, ends = start_instant(timetable.starts, zone), end_instant(timetable.ends, zone)
    return at if (starts is None or at >= starts) and (ends is None or at < ends) else None


def _group(at: datetime, next_at: datetime | None, names: list[str], default: str) -> ZoneGroup:
    if default not in names:
        return ZoneGroup(at, next_at, tuple(names))
    return ZoneGroup(at, next_at, (ALL_BUT, *sorted(zone_names() - set(names))))


def _order(item: tuple[tuple[datetime, datetime | None], list[str]]) -> tuple[datetime, bool, datetime]:
    (at, next_at), _ = item
    return at, next_at is None, next_at or at
