"""A preview of a delay says when it is over, and what becomes of everybody then, by what is known now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.worlds import APP, NOW, World, event, register, rule_text, set_user, token_of

from scheduler.rehearsal.preview import preview
from scheduler.store.registry_changes import DeviceChange

HOUR = timedelta(hours=1)
ORDER = "com.example.order"
TEMPLATE = 'aps: {alert: {body: "{{ now }} {{ today }}"}}\n'


def made(folder: Path, timing: Mapping[str, Any], **fields: Any) -> World:
    rule = json.loads(rule_text(template="clock", **fields)) | {"timing": timing}
    world = World.make(folder, {"tested": json.dumps(rule)}, templates={"clock": TEMPLATE})
    register(
        world.store,
        [DeviceChange(app=APP, token=token_of(n), user=user) for n, user in enumerate(["ann", "ben", None], start=1)],
    )
    return world


@pytest.mark.parametrize(("ago", "due"), [(0, NOW + 2 * HOUR), (1, NOW + HOUR), (2, None), (3, None)])
def test_it_says_when_the_delay_is_over(tmp_path: Path, ago: int, due: datetime | None) -> None:
    world = made(tmp_path, {"delay": "2 hours"})
    given = event("a", at=NOW - ago * HOUR)
    shown = preview(world.store, world.workspace, world.workspace.campaigns["tested"], given, NOW)
    assert (shown.due, shown.selected, shown.would_send, shown.held) == (due, 3, 3, 0)
    said = json.loads(shown.samples[0].payload)["aps"]["alert"]["body"]
    assert said == f"{NOW + (2 - ago) * HOUR} 2026-11-20"


@pytest.mark.parametrize("recheck", [True, False])
def test_it_counts_what_the_run_then_does_if_nothing_happens_meanwhile(tmp_path: Path, recheck: bool) -> None:
    timing = {
        "delay": "2 hours",
        "recheck": recheck,
        "unless": {"event": ORDER, "since": "1 hour before"},
        "quiet_hours": {"from": "14:00", "to": "15:00", "then": "hold"},
    }
    where = "now < '2026-11-20T13:00:00Z' or user.id == 'ann' or user.id == 'ben'"
    world = made(tmp_path, timing, audience={"where": where})
    set_user(world.store, "nobody")
    world.ingest(event("o", type_=ORDER, at=NOW - HOUR, user_id="ann"))
    given = event("a")
    shown = preview(world.store, world.workspace, world.workspace.campaigns["tested"], given, NOW)
    world.ingest(given)
    Driver(world).finish_everything()
    (run,) = world.runs()
    counts, reasons = world.report(run).counts, world.report(run).reasons.get("suppressed", {})
    assert dict(shown.reasons) == reasons == {"exit_event": 1, **({"no_longer_matches": 1} if recheck else {})}
    assert (shown.selected, shown.suppressed, shown.held) == (3, counts.suppressed, counts.accepted)
    assert dict(shown.held_until) == {NOW.replace(hour=15): counts.accepted}
