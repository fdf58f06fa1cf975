"""A preview decides by limits as the run then does, takes nothing, and says what a person has had."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event as sql_event
from support.driving import Driver
from support.limits import capped, claims, ledger, limited
from support.worlds import APP, NOW, World, event, register, register_many, rule_text, token_of

from scheduler.rehearsal import preview as previewing
from scheduler.rehearsal.preview import preview
from scheduler.store.registry_changes import DeviceChange

EVERYONE = {"everyone": True}


def made(folder: Path, *caps: dict[str, object]) -> World:
    """Ann, with the devices 1 and 2, has had an offer and a goal; 3 is nobody's."""
    rules = {
        "offer": limited(trigger={"event": "offer"}),
        "goal": limited({"reentry": {"after": "3 days"}, "per_user": "latest"}, audience=EVERYONE),
    }
    world = World.make(folder, rules, settings=capped(*caps))
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user="ann" if n < 3 else None) for n in (1, 2, 3)])
    world.ingest(event("o", type_="offer", user="ann"))
    Driver(world).finish_everything()
    world.advance(60)
    return world


def test_a_preview_counts_who_would_be_over_a_cap_and_takes_nothing(tmp_path: Path) -> None:
    world = made(tmp_path, {"max": 1})
    before = claims(world)
    campaign = world.workspace.campaigns["goal"]
    shown = preview(world.store, world.workspace, campaign, event("a", at=world.now), world.now)
    assert (shown.selected, shown.would_send, shown.suppressed) == (3, 1, 2)
    assert shown.reasons == {"cap day": 1, "not_latest": 1}
    assert claims(world) == before
    world.ingest(event("a", at=world.now))
    Driver(world).finish_everything()
    assert list(ledger(world).values())[2:] == ["not_latest", "cap day", "accepted"]


def test_what_a_cap_would_hold_is_counted_with_its_reason(tmp_path: Path) -> None:
    rule = limited(audience=EVERYONE, delivery={"max_age": "9 days", "expires_after": "9 days"})
    world = made(tmp_path, {"max": 9})
    (tmp_path / "rules/offer.yaml").unlink()
    world.rewrite({"goal": rule}, settings=capped({"then": "hold"}))
    shown = preview(world.store, world.workspace, world.workspace.campaigns["goal"], event("a"), world.now)
    assert (shown.would_send, shown.held, shown.held_for) == (1, 2, {"cap day": 2})
    assert shown.held_until == {NOW + timedelta(days=1): 2}


@pytest.mark.parametrize("device", [None, 1, 2])
def test_a_preview_of_many_pages_gives_a_user_one_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: int | None
) -> None:
    monkeypatch.setattr(previewing, "MAX_WINDOW", 1)
    world = made(tmp_path, {"max": 9})
    register(world.store, [DeviceChange(app=APP, token=token_of(2))], now=world.now)
    campaign = world.workspace.campaigns["goal"]
    shown = preview(world.store, world.workspace, campaign, event("a"), world.now, device=device)
    assert shown.reasons == ({} if device == 2 else {"not_latest": 1})


def test_a_preview_of_one_device_names_the_earlier_runs(tmp_path: Path) -> None:
    world = made(tmp_path, {"max": 2}, {"name": "week", "max": 9, "per": "1 week"})
    world.ingest(event("g", at=world.now))
    Driver(world).finish_everything()
    world.advance(60)
    campaign = world.workspace.campaigns["goal"]
    shown = preview(world.store, world.workspace, campaign, event("a", at=world.now), world.now, device=2)
    assert shown.reasons == {"reentry": 1}
    offer, goal = world.runs()
    minute = NOW + timedelta(minutes=1)
    assert [(one.limit, one.rule, one.run, one.at) for one in shown.earlier] == [
        ("reentry", "goal", goal.id, minute),
        ("cap day", "offer", offer.id, NOW),
        ("cap day", "goal", goal.id, minute),
        ("cap week", "offer", offer.id, NOW),
        ("cap week", "goal", goal.id, minute),
    ]


def test_a_rule_under_no_limit_asks_for_no_claims(tmp_path: Path) -> None:
    world = World.make(tmp_path, {"goal": rule_text(), "user": rule_text(audience={"users": ["ann"]})})
    register_many(world.store, 5, user="ann")
    asked: list[str] = []
    for engine in (world.store._writer, world.store._reader):
        sql_event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    driver = Driver(world)
    driver.adopt(world.ingest(event("a"), room={APP: 100}).windows)
    driver.start(limit=2)
    for run in list(driver.work.runs.values()):
        while any(not shard.is_read for shard in run.shards):
            driver.open(run, limit=2)
    driver.accept_all()
    driver.settle()
    assert len(ledger(world)) == 10
    assert asked
    assert [statement for statement in asked if "claims" in statement] == []
