"""When a rule comes, as its file says it: by cron, every so many days, or once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import TypeAlias

from scheduler.diagnostics.source import Span
from scheduler.domain.quantities import CalendarUnits
from scheduler.rules.cron import CronExpression
from scheduler.rules.fields import Values

ONE_HOUR = timedelta(hours=1)
BY_DEVICE = "device"
"""The `time_zone` of a schedule that comes to each device at its own wall time."""


class CatchUp(StrEnum):
    """Which slots run that came while the daemon was down, of those that are within the grace."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many days, weeks or months, counted from `starts`, at a wall time. A month without that day: its
    last."""

    units: CalendarUnits
    time: time


@dataclass(frozen=True, slots=True)
class At:
    """Once: at a wall time (naive), or at an instant (aware, in UTC)."""

    moment: datetime


Timing: TypeAlias = CronExpression | Every | At


@dataclass(frozen=True, slots=True)
class Schedule:
    """`trigger.schedule` or `trigger.at` with what belongs to it. `time_zone` None is the workspace's default,
    BY_DEVICE each device's own; `span` is where it stands."""

    timing: Timing
    time_zone: str | None
    grace: timedelta
    catch_up: CatchUp
    span: Span


def schedule_of(values: Values) -> Schedule | None:
    """The schedule that a rule's fields give. None: it has none, or one that could not be read."""
    timing = _timing(values)
    if timing is None:
        return None
    return Schedule(
        timing=timing,
        time_zone=values.optional("trigger.time_zone", str),
        grace=values.get("trigger.grace", timedelta, ONE_HOUR),
        catch_up=CatchUp(values.get("trigger.catch_up", str, CatchUp.LAST)),
        span=values.span("trigger.at" if isinstance(timing, At) else "trigger.schedule"),
    )


def _timing(values: Values) -> Timing | None:
    at = values.optional("trigger.at", datetime)
    if at is not None:
        return At(at)
    match values.optional("trigger.schedule", object):
        case CronExpression() as cron:
            return cron
        case Values() as every:
            units, clock = every.optional("every", CalendarUnits), every.optional("time", time)
            return None if units is None or clock is None else Every(units, clock)
        case _:
            return None
