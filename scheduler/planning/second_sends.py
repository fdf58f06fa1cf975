"""An edit of a schedule gives no device a second send on one date: which slots of the new one are left out for that.

What is known of the old one is the last slot that ran: an instant on the clock of its zone, or the date alone where it
came to each device at its own time, to all of them on that date.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from scheduler.domain.wall_times import Moment, local_date
from scheduler.planning.device_slots import LAST_ZONE, ZoneGroup
from scheduler.planning.slots import Slot


def may_be_second(slot: Slot, zone: ZoneInfo, *, last: Moment) -> bool:
    """Whether a slot of a zone comes on a date on which the last one ran: in its zone or in that of before, where both
    are the same for all; else on that of any device."""
    if not isinstance(last, datetime):
        return local_date(slot.at, LAST_ZONE) <= last
    return slot.wall.date() <= local_date(last, zone) or slot.at.astimezone(last.tzinfo).date() <= last.date()


def is_second_in(slot: Slot, group: ZoneGroup, *, last: Moment) -> bool:
    """Whether a slot at each device's own time comes there on a date on which the last one ran there."""
    if not isinstance(last, datetime):
        return slot.wall.date() <= last
    ahead = slot.wall.replace(tzinfo=UTC) - group.at
    return slot.wall.date() <= (last.astimezone(UTC) + ahead).date()
