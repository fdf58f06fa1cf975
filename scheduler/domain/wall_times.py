"""Dates and times as people write them, and the instants that they are in a zone.

A wall time that the zone skips (summer time begins) is the next instant that exists; one that happens twice (summer
time ends) is the first of them, unless the last is asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

Moment: TypeAlias = date | datetime
"""A date, a wall time (a naive datetime), or an instant (an aware one, in UTC)."""

_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?: ?([Zz]|[+-]\d{2}:?\d{2}))?)?"
)
_ONE_SECOND = timedelta(seconds=1)


def parse_moment(text: str) -> Moment:
    """`2026-11-27` → a date; `2026-11-27 09:00` → a wall time; `2026-11-27T09:00:00Z` → an instant.

    ValueError is the end of a sentence that begins with the text.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise ValueError("is no date or time; write 2026-11-27, 2026-11-27 09:00 or 2026-11-27T09:00:00Z")
    day, clock, offset = match.groups()
    try:
        if clock is None:
            return date.fromisoformat(day)
        hours, rest = clock.split(":", 1)
        wall = datetime.fromisoformat(f"{day}T{hours:0>2}:{rest}{(offset or '').upper()}")
        return wall.astimezone(UTC) if offset else wall
    except (ValueError, OverflowError):
        raise ValueError("does not exist in the calendar") from None


def instant_of(moment: Moment, zone: tzinfo, *, last: bool = False) -> datetime:
    """The instant of a moment, in UTC: of a date, the first one of that day in the zone; of a wall time that happens
    twice the first, or the `last`. OverflowError outside of the years 1 to 9999."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    before, after = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    skipped = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
    if skipped <= timedelta():
        return (after if last else before).astimezone(UTC)
    # In a gap the one reading lies after the change of the clock and the other before it: search between them.
    earlier, later = after.astimezone(UTC), before.astimezone(UTC)
    offset = earlier.astimezone(zone).utcoffset()
    while later - earlier > _ONE_SECOND:
        middle = earlier + (later - earlier) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            earlier = middle
        else:
            later = middle
    return later.replace(microsecond=0)


def local_date(instant: datetime, zone: tzinfo) -> date:
    """The date of an instant in a zone. OverflowError outside of the years 1 to 9999."""
    return instant.astimezone(zone).date()


@lru_cache(maxsize=1024)
def zone_called(name: str | None) -> tzinfo | None:
    """The zone of an IANA name; None for no name, and for one that is no zone (any more)."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None
