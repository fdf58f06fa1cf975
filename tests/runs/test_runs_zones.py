"""Dates are those of the person: the zone of conditions about days, and of `today` in templates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from support.driving import Driver
from support.worlds import APP, NOW, World, event, ids, register, rule_text, set_user, settings_text, token_of

from scheduler.domain.clock import VirtualClock
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.preparing import Preparation
from scheduler.runs.windows import Window
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import DEVICES

LATE = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
"""Still the 20th in London, the 21st in Berlin and on Kiritimati."""
DATED = 'aps: {alert: {title: "{{ today }}"}}'
BIRTHDAY = "user.attributes.from <= today"
MORNING = "event.time >= '2026-11-21 00:00'"
SETTINGS = settings_text(defaults={"time_zone": "Europe/London"})


def world_of(folder: Path, rule: str) -> World:
    world = World.make(folder, {"dated": rule}, templates={"dated": DATED}, settings=SETTINGS)
    world.clock = VirtualClock(LATE)
    return world


def device(number: int, user: str | None, zone: str | None, *, app: str = APP) -> DeviceChange:
    return DeviceChange(app=app, token=token_of(number), user=user, time_zone=zone)


def people(world: World) -> None:
    """1: own zone; 2 and 3: one user without a zone, whose latest device is 3; 4: the user's zone wins; 5, 6: none."""
    register(world.store, [device(1, None, "Europe/Berlin"), device(2, "ann", "Europe/Berlin")])
    register(world.store, [device(3, "ann", "Europe/London")], now=NOW)
    register(world.store, [device(4, "ben", "Europe/London"), device(5, "cleo", None), device(6, None, None)])
    set_user(world.store, "ben", time_zone="Pacific/Kiritimati")


def titles(world: World) -> dict[int, str]:
    """By device, the title that it would get."""
    (window,) = started(world)
    context = window.context
    preparation = Preparation(context.campaign, context.run.id, context.scope, bundle_id="b", expiration=0)
    requests, failures = preparation.prepare(window.recipients)
    assert not failures
    return {one.device: msgspec.json.decode(one.payload)["aps"]["alert"]["title"] for one in requests}


def started(world: World) -> Sequence[Window]:
    return Driver(world).start().windows


def test_today_in_a_template_is_the_date_of_each_person(tmp_path: Path) -> None:
    world = world_of(tmp_path, rule_text(template="dated"))
    people(world)
    world.ingest(event("e", at=LATE))
    today, tomorrow = "2026-11-20", "2026-11-21"
    assert titles(world) == {1: tomorrow, 2: today, 3: today, 4: tomorrow, 5: today, 6: today}


@pytest.mark.parametrize(
    ("where", "selected"),
    [
        ("today == '2026-11-21'", [1, 4]),
        ("event.time >= '2026-11-21 00:00'", [1, 4]),
        ("days_between(device.last_seen_at, today) > 1", [1]),
        ("device.last_seen_at < ago('1 day')", [1, 2, 4, 5, 6]),
    ],
)
def test_days_in_a_condition_are_those_of_the_person(tmp_path: Path, where: str, selected: list[int]) -> None:
    world = world_of(tmp_path, rule_text(template="dated", audience={"where": where}))
    people(world)
    world.ingest(event("e", at=LATE))
    assert [number for window in started(world) for number in ids(window.recipients)] == selected


def test_dates_in_when_are_those_of_the_default_zone(tmp_path: Path) -> None:
    rule = rule_text(trigger={"event": "com.example.goal", "when": MORNING}, template="dated")
    world = world_of(tmp_path, rule)
    world.ingest(event("before", at=LATE), event("after", at=LATE + timedelta(hours=1, minutes=30)))
    assert [run.event.id for run in world.runs() if run.event] == ["after"]


def test_a_zone_that_is_no_more_counts_as_none(tmp_path: Path) -> None:
    world = world_of(tmp_path, rule_text(template="dated"))
    register(world.store, [device(1, None, None)])
    with world.store.write() as tx:
        tx.execute(DEVICES.update().values(time_zone="Mars/Olympus"))
    world.ingest(event("e", at=LATE))
    assert titles(world) == {1: "2026-11-20"}


@pytest.mark.parametrize(
    ("template", "where", "asked"),
    [
        ("goal", "device.last_seen_at < ago('1 day')", False),
        ("goal", "event.data.all or device.last_seen_at < '2026-11-20 00:00'", False),
        ("goal", "event.data.none and device.last_seen_at < '2026-11-20 00:00'", False),
        ("goal", "event.data.none or device.last_seen_at < '2026-11-20 00:00'", True),
        ("goal", "user.attributes.from == today", True),
        ("dated", "device.attributes.a == 'x'", True),
    ],
)
def test_zones_are_asked_for_where_the_rest_of_a_condition_or_a_template_reads_them(
    tmp_path: Path, template: str, where: str, asked: bool
) -> None:
    world = world_of(tmp_path, rule_text(template=template, audience={"where": where}))
    people(world)
    world.ingest(event("e", at=LATE, all=True, none=False))
    (run,) = world.runs()
    (campaign,) = world.workspace.campaigns.values()
    context = context_of(run, campaign, world.workspace.settings)
    assert isinstance(context, RunContext)
    assert context.audience.zones is asked
