"""What a preview shows of slots: when the next ones come; of one at each device's own time, where and to how many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from scheduler.domain.runs import Recipient
from scheduler.planning.device_slots import SPAN, times_in, zone_groups, zone_of
from scheduler.planning.slots import Slot
from scheduler.runs.context import RunContext
from scheduler.runs.windows import Window
from scheduler.workspace.campaign import Campaign

SLOTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ShownSlot:
    """A slot, and the instant at which it comes last: that of the slot itself unless it goes by each device's clock."""

    slot: Slot
    last_at: datetime


@dataclass(slots=True)
class PlaceCount:
    """How many devices a slot selects at one instant, and the names of their zones; None is the default."""

    devices: int = 0
    zones: set[str | None] = field(default_factory=set)

    def add(self, window: Window, page: Sequence[Recipient]) -> None:
        """Count the selected devices of a window, which was made of this page."""
        kept = (*window.recipients, *(one.recipient for one in window.deferred))
        selected = {*(one.id for one in kept), *(entry.device for entry in window.suppressed)}
        self.devices += window.selected
        self.zones.update(one.time_zone for one in page if one.id in selected)


def next_slots(campaign: Campaign, now: datetime) -> tuple[ShownSlot, ...]:
    """The next slots of a campaign from an instant on; one that has begun elsewhere is still to come somewhere."""
    planned = campaign.planned
    if planned is None:
        return ()
    if not planned.by_device:
        coming = planned.slots_after(now - timedelta.resolution)
        return tuple(ShownSlot(slot, slot.at) for slot in islice(coming, SLOTS_SHOWN))
    shown = (
        ShownSlot(slot, groups[-1].at)
        for slot in planned.slots_after(now - SPAN)
        if (groups := zone_groups(planned.timetable, campaign.zone.key, slot.wall)) and groups[-1].at >= now
    )
    return tuple(islice(shown, SLOTS_SHOWN))


def parts_by_slot(
    context: RunContext, recipients: Sequence[Recipient], now: datetime
) -> Iterator[tuple[datetime, list[Recipient]]]:
    """These devices by the instant at which the run is about them: now, or when the slot comes to each. To some zones
    it may come at no time."""
    planned, wall = context.campaign.planned, context.run.wall
    if wall is None or planned is None:
        yield now, list(recipients)
        return
    parts: dict[datetime, list[Recipient]] = {}
    known: dict[str | None, datetime | None] = {}
    for recipient in recipients:
        name = recipient.time_zone
        if name not in known:
            times = times_in(planned.timetable, wall, zone_of(name, context.campaign.zone.key))
            known[name] = None if times is None else times[0]
        at = known[name]
        if at is not None:
            parts.setdefault(at, []).append(recipient)
    yield from sorted(parts.items())
