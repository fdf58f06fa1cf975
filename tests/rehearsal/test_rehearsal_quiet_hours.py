"""A preview says who would be held until when, and who dropped, as the run then does."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.driving import Driver
from support.worlds import APP, NOW, World, event, register, rule_text, settings_text, token_of

from scheduler.rehearsal.preview import preview
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import WORK

ZONES = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "America/Los_Angeles", None]
TEMPLATE = "aps: {alert: {body: \"{{ abort('muted') if device.id == 4 else 'Goal' }}\"}}\n"
MORNINGS = {NOW.replace(hour=16): 1, NOW.replace(hour=19): 1}


@pytest.mark.parametrize(
    ("action", "held", "reasons"),
    [("hold", MORNINGS, {"muted": 1}), ("drop", {}, {"quiet_hours": 3}), ("ignore", {}, {"muted": 1})],
)
def test_who_is_held_until_when_is_counted(
    tmp_path: Path, action: str, held: dict[datetime, int], reasons: dict[str, int]
) -> None:
    timing: dict[str, Any] = {"timing": {"quiet_hours": action}}
    rule = json.dumps(json.loads(rule_text(template="muting")) | timing)
    settings = settings_text(limits={"quiet_hours": {"from": "22:00", "to": "08:00"}})
    world = World.make(tmp_path, {"goal": rule}, settings=settings, templates={"muting": TEMPLATE})
    register(
        world.store,
        [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(ZONES, start=1)],
    )
    shown = preview(world.store, world.workspace, world.workspace.campaigns["goal"], event("a"), NOW, samples=10)
    assert (shown.held_until, shown.held, shown.reasons) == (held, sum(held.values()), reasons)
    assert shown.selected == shown.would_send + shown.held + shown.suppressed + shown.expired == len(ZONES)
    assert len(shown.samples) == shown.would_send + shown.held
    world.ingest(event("a"))
    Driver(world).start()
    with world.store.read() as tx:
        rows = tx.execute(select(WORK.c.not_before, WORK.c.device)).all()
    waiting = Counter(datetime.fromtimestamp(row.not_before / 1000, UTC) for row in rows if row.device != 4)
    assert waiting == held
