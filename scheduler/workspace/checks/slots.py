"""Schedules that never come, or that take away what is still to come: found at once, not when nothing was sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.planning.device_slots import FIRST_ZONE, LAST_ZONE, times_in
from scheduler.planning.slots import walls_after
from scheduler.rendering.texts import TextTemplate
from scheduler.rules.rule import Rule
from scheduler.rules.schedule import At
from scheduler.workspace.campaign import Surroundings, planned_of
from scheduler.workspace.planned import Planned

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_ANY_TIME = _BEGINNING.replace(year=2000, tzinfo=None)
_SLOTS_LOOKED_AT = 100
_AROUND_THE_WORLD = timedelta(hours=26)


def check_slots(rule: Rule, around: Surroundings) -> Iterator[Diagnostic]:
    """A schedule none of whose slots lies between the rule's `starts` and `ends`."""
    schedule, planned = rule.trigger.schedule, planned_of(rule, around)
    if schedule is None or planned is None or (rule.starts is None and rule.ends is None):
        return
    if not _comes(planned, around.time_zone):
        what = "this time" if isinstance(schedule.timing, At) else "no time of this schedule"
        lies = "does not lie" if isinstance(schedule.timing, At) else "lies"
        message = f"{what} {lies} between the rule's `starts` and `ends`: it never comes"
        yield error("contradiction", message, schedule.span, "change the schedule, or `starts` and `ends`")


def check_superseded_zones(rule: Rule, supersede: TextTemplate | None, around: Surroundings) -> Iterator[Diagnostic]:
    """A slot at each device's own time that supersedes the one before, while that is still to come in the west."""
    planned = planned_of(rule, around)
    if planned is None or not planned.by_device or supersede is None:
        return
    if {"slot", "now"}.intersection(name.split(".")[0] for name in supersede.variables):
        return  # each slot has a key of its own
    walls = islice(walls_after(planned.timetable, FIRST_ZONE, _ANY_TIME), _SLOTS_LOOKED_AT)
    if any(later - earlier < _AROUND_THE_WORLD for earlier, later in pairwise(walls)):
        said = rule.delivery.supersede or rule.delivery.collapse
        assert isinstance(said, ScalarNode)
        of = "" if said is rule.delivery.supersede else " (`collapse` does, where no `supersede` is)"
        message = f"a slot begins in the east while the one before is still to come in the west, and supersedes it{of}"
        yield error("contradiction", message, said.span,
                    'give each slot a key of its own: `supersede: "{{ slot }}"`')  # fmt: skip


def _comes(planned: Planned, default: str) -> bool:
    if not planned.by_device:
        return next(planned.slots_after(_BEGINNING), None) is not None
    zones = (FIRST_ZONE, ZoneInfo(default), LAST_ZONE)
    slots = planned.slots_after(_BEGINNING)
    return any(times_in(planned.timetable, slot.wall, zone) for slot in slots for zone in zones)
