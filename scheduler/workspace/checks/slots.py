"""Schedules that never come: found at once, not when nothing was sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.planning.slots import slots_after
from scheduler.rules.rule import Rule
from scheduler.rules.schedule import At
from scheduler.workspace.campaign import Surroundings, planned_of

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def check_slots(rule: Rule, around: Surroundings) -> Iterator[Diagnostic]:
    """A schedule none of whose slots lies between the rule's `starts` and `ends`."""
    schedule, planned = rule.trigger.schedule, planned_of(rule, around)
    if schedule is None or planned is None or (rule.starts is None and rule.ends is None):
        return
    if next(slots_after(planned.timetable, planned.zone, _BEGINNING), None) is None:
        what = "this time" if isinstance(schedule.timing, At) else "no time of this schedule"
        lies = "does not lie" if isinstance(schedule.timing, At) else "lies"
        message = f"{what} {lies} between the rule's `starts` and `ends`: it never comes"
        yield error("contradiction", message, schedule.span, "change the schedule, or `starts` and `ends`")
