"""Kinds of times: dates, instants, times of the day, zones and schedules."""

from __future__ import annotations

import re
from datetime import datetime, time
from zoneinfo import ZoneInfo, available_timezones

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.diagnostics.yaml_nodes import Node, ScalarNode
from scheduler.domain.quantities import parse_calendar_units, parse_duration
from scheduler.domain.wall_times import Moment, parse_moment
from scheduler.rules.cron import CronMistake, parse_cron
from scheduler.rules.fields import Field
from scheduler.rules.kinds import Kind, Misfit, parsed, text_of
from scheduler.rules.records import either, record
from scheduler.rules.schedule import BY_DEVICE

_LOCAL = frozenset({"local", "user", "recipient", "person"})
"""What others call the zone of each device."""
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def _moment(text: str) -> Moment:
    try:
        return parse_moment(text)
    except ValueError as problem:
        raise ValueError(f"{text!r} {problem}") from None


def _point_in_time(text: str) -> datetime:
    moment = _moment(text)
    if not isinstance(moment, datetime):
        raise ValueError(f"{text!r} has no time of the day; write '{text} 09:00'")
    return moment


def _time_of_day(text: str) -> time:
    match = _TIME.fullmatch(text.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError(f"must be a time of the day such as 22:00, not '{text}'")
    return time(int(match[1]), int(match[2]))


def cities() -> set[str]:
    """The zones that are called by a place. Who writes letters such as CEST means one of these, not other letters."""
    return {name for name in available_timezones() if "/" in name}


def _read_zone(node: Node) -> object:
    words = f"an IANA zone such as Europe/Berlin, or {BY_DEVICE}"
    text = text_of(node, words)
    if text == BY_DEVICE:
        return text
    try:
        return ZoneInfo(text).key
    except (KeyError, ValueError, OSError):
        hint = f"write {BY_DEVICE}" if text.lower() in _LOCAL else did_you_mean(text, cities())
        raise Misfit(f"must be {words}, not '{text}'", node, hint) from None


def _since(text: str) -> object:
    if not text.endswith(" before"):
        raise ValueError(f"must be such as 1 hour before, not '{text}'")
    return parse_duration(text.removesuffix(" before"))


def _read_cron(node: Node) -> object:
    text = text_of(node, 'a schedule such as "0 9 * * mon"')
    try:
        return parse_cron(text)
    except CronMistake as mistake:
        span = node.span_of(mistake.start, mistake.end) if isinstance(node, ScalarNode) else None
        raise Misfit(str(mistake), node, mistake.hint, span=span) from None


MOMENT = parsed("a date or a time such as 2026-11-27 or 2026-11-27 09:00", _moment)
POINT_IN_TIME = parsed("a time such as 2026-11-27 09:00", _point_in_time)
TIME_OF_DAY = parsed("a time of the day such as 22:00", _time_of_day, {"type": ["string", "number"]})
ZONE = Kind(f"an IANA zone such as Europe/Berlin, or {BY_DEVICE}", _read_zone, {"type": "string"})
SINCE = parsed("a time before the event such as 1 hour before", _since)
CALENDAR_UNITS = parsed("a number of days, weeks or months such as 2 days", parse_calendar_units)
SCHEDULE = either(
    Kind('a schedule such as "0 9 * * mon"', _read_cron, {"type": "string"}),
    record(
        "trigger.schedule",
        Field(path="every", kind=CALENDAR_UNITS, required=True, meaning="How many days, weeks or months lie between.",
              example="2 days"),
        Field(path="time", kind=TIME_OF_DAY, required=True, meaning="The wall time of the day.", example="09:00"),
    ),
)  # fmt: skip
