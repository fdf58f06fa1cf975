"""What must be true after any week of slots, and of what goes by each device's own clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from support.week_records import Outcome, People, Records, StoredRun
from support.week_rules import DEFAULT_ZONE, END, START, WeekRule


def check_slots(people: People, records: Records) -> None:
    """Each slot of a schedule has one run, at its instant, unless it came while the daemon was down."""
    had: dict[str, dict[str, datetime]] = defaultdict(dict)
    scheduled = [run for run in records.runs if run.rule.is_scheduled]
    for run in scheduled:
        if not run.rule.is_device_local:
            had[run.rule.name][run.occasion] = run.due
            assert run.created_at >= run.due
            assert run.created_at - run.due <= run.rule.grace
    for rule in {run.rule.name: run.rule for run in scheduled if not run.rule.is_device_local}.values():
        expected = _expected_slots(rule, people.downs)
        assert had[rule.name] == expected, (rule, had[rule.name].items() ^ expected.items(), people.downs)


def _expected_slots(rule: WeekRule, downs: list[tuple[datetime, datetime]]) -> dict[str, datetime]:
    slots = dict(sorted(_slots(rule), key=lambda slot: slot[1]))
    kept = {key: at for key, at in slots.items() if not any(down < at <= up for down, up in downs)}
    for down, up in downs:
        late = [key for key, at in slots.items() if down < at <= up and up - at <= rule.grace]
        caught_up = {"skip": [], "last": late[-1:], "all": late}[rule.catch_up]
        kept.update((key, slots[key]) for key in caught_up)
    return kept


def _slots(rule: WeekRule) -> Iterator[tuple[str, datetime]]:
    if rule.at is not None:
        if START < rule.at <= END and is_on(rule, rule.at):
            yield "once", rule.at
        return
    zone = ZoneInfo(rule.zone or DEFAULT_ZONE)
    first = None if rule.starts is None else rule.starts.astimezone(zone).date()
    day = (START - timedelta(days=2)).date()
    while day <= (END + timedelta(days=2)).date():
        is_one = rule.weekdays is None or day.weekday() in rule.weekdays
        if rule.every is not None:
            assert first is not None
            is_one = day >= first and (day - first).days % rule.every == 0
        for clock in rule.times if is_one else ():
            wall = datetime.combine(day, clock)
            at = wall.replace(tzinfo=zone).astimezone(UTC)
            if START < at <= END and is_on(rule, at):
                yield wall.isoformat(timespec="minutes"), at
        day += timedelta(days=1)


def check_local_slots(people: People, records: Records) -> None:
    """Of a slot that comes by each device's clock there is one run, and a device has it when its clock shows it: not
    earlier, and not later than the grace, if nothing but the clock kept it waiting."""
    for run in records.runs:
        if run.rule.is_device_local and run.rule.is_scheduled:
            assert _is_wall_of(run.rule, datetime.fromisoformat(run.occasion)), run
            for one in run.outcomes:
                if one.device not in people.moved:
                    assert one.at >= due_of(run, one, people), (run, one)

    every_zone = (timedelta(hours=14), timedelta(hours=12))
    for rule in {run.rule.name: run.rule for run in records.runs if run.rule.is_device_local}.values():
        if rule.is_scheduled and rule.every is None and rule.ends is None:
            had = {run.occasion for run in records.runs if run.rule.name == rule.name}
            assert had == {wall.isoformat(timespec="minutes") for wall in _walls(rule, *every_zone)}, rule


def _walls(rule: WeekRule, ahead: timedelta, behind: timedelta) -> Iterator[datetime]:
    """The wall times of a schedule that came to a zone this week: the first zone is ahead of UTC, the last behind."""
    day = (START - timedelta(days=2)).date()
    while day <= (END + timedelta(days=2)).date():
        for clock in rule.times if rule.weekdays is None or day.weekday() in rule.weekdays else ():
            wall = datetime.combine(day, clock)
            if wall.replace(tzinfo=UTC) + behind > START and wall.replace(tzinfo=UTC) - ahead <= END:
                yield wall
        day += timedelta(days=1)


def due_of(run: StoredRun, one: Outcome, people: People) -> datetime:
    """When a device is due: the run's time, or when its own clock shows the wall time of the slot."""
    if not (run.rule.is_device_local and run.rule.is_scheduled):
        return run.due
    zone = ZoneInfo(people.zone(one.device, one.at))
    return datetime.fromisoformat(run.occasion).replace(tzinfo=zone).astimezone(UTC)


def _is_wall_of(rule: WeekRule, wall: datetime) -> bool:
    return wall.time() in rule.times and (rule.weekdays is None or wall.weekday() in rule.weekdays)


def may_be_missed(run: StoredRun, device: int, people: People) -> bool:
    """Whether a slot that comes by each device's clock came to this one while nobody looked, or elsewhere."""
    if not (run.rule.is_device_local and run.rule.is_scheduled):
        return False
    zone = ZoneInfo(people.zone(device, END))
    at = datetime.fromisoformat(run.occasion).replace(tzinfo=zone).astimezone(UTC)
    return at <= START or device in people.moved or any(down < at <= up for down, up in people.downs)


def is_on(rule: WeekRule, at: datetime) -> bool:
    """Whether an instant lies between `starts` and `ends`, which includes its own."""
    return (rule.starts is None or at >= rule.starts) and (rule.ends is None or at <= rule.ends)
