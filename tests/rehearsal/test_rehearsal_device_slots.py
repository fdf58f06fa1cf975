"""The preview of a slot at each device's own time: where it comes when, to how many, and what each would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.limits import limited
from support.worlds import APP, World, register, rule_text, set_user, settings_text, token_of

from scheduler.rehearsal.preview import Preview, preview
from scheduler.store.registry_changes import DeviceChange

ZONES = ("Pacific/Kiritimati", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", None, "Mars/Olympus")
TEMPLATE = {"digest": 'aps: {alert: {title: "{{ today }}", body: "{{ slot }}"}}'}
MONDAY = {"schedule": "0 9 * * mon", "time_zone": "device"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World.make(
        tmp_path,
        {"digest": rule_text(trigger=MONDAY, template="digest")},
        templates=TEMPLATE,
        settings=settings_text(defaults={"time_zone": "Europe/Berlin"}),
    )
    devices = [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(ZONES, 1)]
    register(made.store, [*devices, DeviceChange(app=APP, token=token_of(9), user="ann")])
    set_user(made.store, "ann", time_zone="Asia/Kathmandu")
    yield made
    made.store.close()


def shown_at(world: World, at: str, **options: Any) -> Preview:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return preview(world.store, world.workspace, world.workspace.campaigns["digest"], None, now, **options)


def places(shown: Preview) -> list[tuple[str, int, set[str | None]]]:
    return [(f"{at:%d %H:%M}", place.devices, place.zones) for at, place in shown.places.items()]


def test_it_counts_the_devices_by_the_instants_at_which_it_comes_to_them(world: World) -> None:
    shown = shown_at(world, "2026-11-27")
    assert places(shown) == [
        ("29 19:00", 1, {"Pacific/Kiritimati"}),
        ("30 03:15", 2, {"Asia/Kathmandu"}),
        ("30 08:00", 3, {"Europe/Berlin", None, "Mars/Olympus"}),
        ("30 14:00", 1, {"America/New_York"}),
    ]
    assert (shown.selected, shown.would_send, shown.gone_by, shown.occasion) == (7, 7, 0, "2026-11-30T09:00")


def test_the_next_five_slots_have_their_first_instant_and_their_last(world: World) -> None:
    slots = shown_at(world, "2026-11-27").slots
    assert [f"{one.slot.wall:%m-%d %H:%M}" for one in slots] == [
        "11-30 09:00", "12-07 09:00", "12-14 09:00", "12-21 09:00", "12-28 09:00",
    ]  # fmt: skip
    first = slots[0]
    assert (f"{first.slot.at:%d %H:%M}", f"{first.last_at:%d %H:%M}") == ("29 19:00", "30 21:00")


def test_a_slot_on_its_way_round_is_shown_where_it_is_still_to_come(world: World) -> None:
    shown = shown_at(world, "2026-11-30 08:00")
    assert [one[:2] for one in places(shown)] == [("30 08:00", 3), ("30 14:00", 1)]
    assert (shown.selected, shown.gone_by) == (4, 3)
    assert shown_at(world, "2026-11-30 21:01").occasion == "2026-12-07T09:00"


def test_each_is_shown_what_its_own_slot_says(world: World) -> None:
    samples = {one.device: json.loads(one.payload) for one in shown_at(world, "2026-11-27", samples=9).samples}
    alerts = {device: payload["aps"]["alert"] for device, payload in samples.items()}
    assert {alert["title"] for alert in alerts.values()} == {"2026-11-30"}
    assert alerts[1]["body"] == "2026-11-29 19:00:00+00:00"
    assert alerts[2]["body"] == alerts[7]["body"] == "2026-11-30 03:15:00+00:00"
    assert alerts[3]["body"] == alerts[5]["body"] == alerts[6]["body"] == "2026-11-30 08:00:00+00:00"


def test_one_device_is_asked_about_by_its_own_time(world: World) -> None:
    assert places(shown_at(world, "2026-11-27", device=4)) == [("30 14:00", 1, {"America/New_York"})]


def test_of_a_users_devices_one_whose_time_has_gone_by_is_not_the_one(world: World) -> None:
    """Ann has one in Berlin and one in Nairobi, which was seen last."""
    world.rewrite(
        {"digest": limited({"per_user": "latest"}, trigger=MONDAY, template="digest", audience={"everyone": True})},
        templates=TEMPLATE,
        settings=settings_text(defaults={"time_zone": "Europe/Berlin"}),
    )
    anns = [(3, "Europe/Berlin", 27), (9, "Africa/Nairobi", 28)]
    for number, zone, day in anns:
        change = DeviceChange(app=APP, token=token_of(number), user="ann", time_zone=zone)
        register(world.store, [change], now=datetime(2026, 11, day, tzinfo=UTC))
    for_all = shown_at(world, "2026-11-29")
    assert (for_all.selected, for_all.reasons) == (7, {"not_latest": 1})
    later = shown_at(world, "2026-11-30 07:00")
    assert (later.selected, later.gone_by, later.reasons) == (4, 3, {})
