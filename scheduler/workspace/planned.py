"""The schedule of a campaign where it stands: in a zone, or at each device's own wall time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from scheduler.planning.device_slots import device_slots_after
from scheduler.planning.slots import Slot, Timetable, slots_after
from scheduler.rules.schedule import BY_DEVICE, CatchUp


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planned:
    """The schedule of a campaign in its zone, and what becomes of slots that come late.

    `by_device`: a slot comes to each device at its own wall time. Then `zone` is the one in which it comes first.
    """

    timetable: Timetable
    zone: ZoneInfo
    by_device: bool
    grace: timedelta
    catch_up: CatchUp

    @property
    def signature(self) -> str:
        """Changes when the schedule is edited."""
        return self.timetable.signature(BY_DEVICE if self.by_device else self.zone.key)

    def slots_after(self, instant: datetime) -> Iterator[Slot]:
        """The slots that begin later than an instant, in their order."""
        if self.by_device:
            return device_slots_after(self.timetable, instant)
        return slots_after(self.timetable, self.zone, instant)

    def slots_between(self, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots that begin in (after, until], in their order."""
        return takewhile(lambda slot: slot.at <= until, self.slots_after(after))
