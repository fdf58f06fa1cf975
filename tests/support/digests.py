"""A weekly digest at each device's own time, and five devices around the world that get it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import Run
from scheduler.runs.reports import Counts
from scheduler.store.registry_changes import DeviceChange
from support.globe import Globe
from support.worlds import (
    APP,
    World,
    load_workspace,
    new_store,
    register,
    rule_text,
    settings_text,
    token_of,
    write_workspace,
)

TEMPLATES = {"digest": 'aps: {alert: {title: "{{ today }}", body: "{{ slot }}"}}'}
WEEKLY = {"schedule": "0 9 * * mon", "time_zone": "device"}
ZONES = ("Pacific/Kiritimati", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", None)
ROUND = [
    (1, "29 19:00"),
    (2, "30 03:15"),
    (3, "30 08:00"),
    (5, "30 08:00"),
    (4, "30 14:00"),
]
"""Which device gets the digest of Monday when, in UTC."""


def utc(text: str) -> datetime:
    """`30 08:00` is in November 2026."""
    day, clock = text.split()
    return datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=UTC)


def ruled(trigger: Mapping[str, Any] | None = None, **keys: Any) -> str:
    """A weekly rule at each device's own time, or with another trigger."""
    whole = json.loads(rule_text(trigger={**WEEKLY, **(trigger or {})}, template="digest"))
    return json.dumps({**whole, **keys})


def digest_settings(**settings: Any) -> str:
    """Devices without a zone are in Berlin."""
    return settings_text(defaults={"time_zone": "Europe/Berlin"}, **settings)


def make_digest_globe(
    folder: Path, at: str = "27 12:00", rules: Mapping[str, str] | None = None, **settings: Any
) -> Globe:
    """Devices 1 to 5 in the zones of ZONES, and nobody is up yet."""
    write_workspace(folder, rules or {"digest": ruled()}, settings=digest_settings(**settings), templates=TEMPLATES)
    store = new_store(folder / "clarion.db")
    world = World(folder, load_workspace(folder), store, VirtualClock(utc(at)))
    register(store, [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(ZONES, 1)])
    return Globe(world)


def got(globe: Globe) -> list[tuple[int, str]]:
    """(device, instant), in order."""
    return [(device, f"{at:%d %H:%M}") for device, _, at in globe.got]


def the_run(globe: Globe) -> Run:
    """The only one."""
    (run,) = globe.world.runs()
    return run


def counts(globe: Globe) -> Counts:
    """Of the only run."""
    return globe.world.report(the_run(globe)).counts
