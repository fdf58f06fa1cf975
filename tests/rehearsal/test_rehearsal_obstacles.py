"""A preview promises nobody what something keeps back, and asks what that is as the run does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.worlds import APP, NOW, World, event, register, register_many, rule_text, settings_text, token_of

from scheduler.domain.runs import RunState
from scheduler.domain.stops import StopKind
from scheduler.rehearsal.preview import Preview, preview
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.stopping import stop
from scheduler.store.registry_changes import DeviceChange

KEYED = {"supersede": "{{ event.subject }}"}
NIGHT = {"quiet_hours": {"from": "10:00", "to": "14:00"}}
"""With the noon of the tests in its middle."""


def made(folder: Path, rule: str, devices: int = 12, **settings: Any) -> World:
    world = World.make(folder, {"goal": rule}, settings=settings_text(**settings))
    register_many(world.store, devices)
    return world


def shown_of(world: World, subject: str = "match-1", *, at: int = 0, **kwargs: Any) -> Preview:
    """A preview of an event that comes so many minutes after noon."""
    sent = event(f"e{at}", subject=subject, at=NOW + timedelta(minutes=at))
    return preview(world.store, world.workspace, world.workspace.campaigns["goal"], sent, world.now, **kwargs)


def sums_up(shown: Preview) -> bool:
    return shown.selected == shown.would_send + shown.kept_back + shown.held + shown.suppressed + shown.expired


@pytest.mark.parametrize(("most", "keeps"), [(11, True), (12, False)])
@pytest.mark.parametrize("in_the_rule", [True, False])
def test_more_devices_than_may_start_are_kept_back_as_the_run_is(
    tmp_path: Path, most: int, keeps: bool, in_the_rule: bool
) -> None:
    rule = rule_text()
    if in_the_rule:
        rule = rule.replace("{", f'{{"limits": {{"audience_max": {most}}},', 1)
    world = made(tmp_path, rule, **({} if in_the_rule else {"limits": {"audience_max": most}}))
    shown = shown_of(world)
    assert shown.obstacles.words == (("audience_max",) if keeps else ())
    assert (shown.selected, shown.would_send, shown.kept_back) == ((12, 0, 12) if keeps else (12, 12, 0))
    assert sums_up(shown)
    assert shown_of(world, device=3).obstacles == shown.obstacles
    world.ingest(event("e0", subject="match-1"))
    Driver(world).start()
    assert (world.runs()[0].state is RunState.PAUSED) is keeps


@pytest.mark.parametrize(
    ("kind", "name", "keeps"),
    [
        (StopKind.ALL, "", True),
        (StopKind.RULE, "goal", True),
        (StopKind.CATEGORY, "sports", True),
        (StopKind.RULE, "other", False),
    ],
)
def test_what_the_kill_switch_holds_is_kept_back(tmp_path: Path, kind: StopKind, name: str, keeps: bool) -> None:
    world = made(tmp_path, rule_text())
    stop(world.store, kind, name, NOW, known=lambda: ["goal", "other", "sports"])
    shown = shown_of(world)
    assert [(one.kind, one.name, one.since) for one in shown.obstacles.stops] == ([(kind, name, NOW)] if keeps else [])
    assert (shown.would_send, shown.kept_back) == ((0, 12) if keeps else (12, 0))
    world.ingest(event("e0", subject="match-1"))
    driver = Driver(world)
    driver.finish_everything()
    assert (world.runs()[0].state is RunState.PENDING) is keeps


def test_nothing_starts_a_rule_that_is_disabled(tmp_path: Path) -> None:
    world = made(tmp_path, rule_text().replace("{", '{"enabled": false,', 1))
    shown = shown_of(world)
    assert (shown.obstacles.words, shown.would_send, shown.kept_back) == (("disabled",), 0, 12)
    assert world.ingest(event("e0")).runs == 0


@pytest.mark.parametrize("minutes", [-10, -1, 0, 1])
def test_an_event_is_superseded_in_a_preview_exactly_where_its_run_is(tmp_path: Path, minutes: int) -> None:
    world = made(tmp_path, rule_text(delivery=KEYED))
    world.ingest(event("first", subject="match-1"))
    world.advance(120)
    shown = shown_of(world, at=minutes)
    assert shown_of(world, "match-2", at=minutes).obstacles.words == ()
    first = world.runs()[0]
    world.ingest(event(f"e{minutes}", subject="match-1", at=NOW + timedelta(minutes=minutes)))
    late = world.runs()[1]
    assert (late.note == f"superseded by run {first.id}") is (shown.obstacles.superseded_by == first.id)
    assert (shown.obstacles.superseded_by is not None) is (minutes < 0)
    assert (shown.would_send, shown.kept_back) == ((0, 12) if minutes < 0 else (12, 0))


def test_what_holds_a_rule_under_an_earlier_name_is_known_before_the_rules_are_read_again(tmp_path: Path) -> None:
    world = made(tmp_path, rule_text(delivery=KEYED))
    world.ingest(event("first", subject="match-1"))
    stop(world.store, StopKind.RULE, "goal", NOW, known=lambda: ["goal"])
    world.advance(120)
    (tmp_path / "rules/goal.yaml").unlink()
    world.rewrite({"score": rule_text(delivery=KEYED).replace("{", '{"renamed_from": ["goal"],', 1)})
    late = event("late", subject="match-1", at=NOW - timedelta(minutes=1))
    shown = preview(world.store, world.workspace, world.workspace.campaigns["score"], late, world.now)
    assert shown.obstacles.words == ("stopped", "superseded")
    assert [(one.name, one.since) for one in shown.obstacles.stops] == [("score", NOW)]
    assert shown.obstacles.superseded_by == world.runs()[0].id


def test_an_occasion_that_was_had_is_not_compared_with_what_came_after_it(tmp_path: Path) -> None:
    world = made(tmp_path, rule_text(delivery=KEYED))
    world.ingest(event("e-5", subject="match-1", at=NOW - timedelta(minutes=5)), event("new", subject="match-1"))
    shown = shown_of(world, at=-5)
    assert shown.note is not None
    assert (shown.obstacles.words, shown.would_send) == ((), 12)


def test_a_preview_of_a_firing_knows_a_newer_one(tmp_path: Path) -> None:
    rule = rule_text(trigger={"manual": True}, delivery={"supersede": "one"})
    world = made(tmp_path, rule)
    campaign, settings = world.workspace.campaigns["goal"], world.workspace.settings
    run = fire(world.store, campaign, fired_occasion(campaign, "a", None, settings, NOW), None, NOW)
    assert run is not None
    before = NOW - timedelta(hours=1)
    shown = preview(world.store, world.workspace, campaign, None, before, key="b", as_fired=True)
    assert shown.obstacles.superseded_by == run.id


def test_who_would_be_held_is_kept_back_with_the_others(tmp_path: Path) -> None:
    rule = rule_text().replace("{", f'{{"timing": {NIGHT},'.replace("'", '"'), 1)
    world = made(tmp_path, rule)
    assert (held := shown_of(world)).held == sum(held.held_until.values()) == 12
    stop(world.store, StopKind.ALL, "", NOW, known=list)
    shown = shown_of(world)
    assert (shown.held, shown.kept_back, dict(shown.held_for), dict(shown.held_until)) == (0, 12, {}, {})
    assert sums_up(shown)


def test_several_obstacles_are_all_named(tmp_path: Path) -> None:
    world = made(tmp_path, rule_text().replace("{", '{"enabled": false,', 1), limits={"audience_max": 1})
    stop(world.store, StopKind.ALL, "", NOW, known=list)
    assert shown_of(world).obstacles.words == ("disabled", "stopped", "audience_max")


def test_canaries_that_are_held_are_counted(tmp_path: Path) -> None:
    canary = {"canary": {"share": "50%", "wait": "1 minute", "max_rejects": "2%"}}
    rule = rule_text(delivery=canary).replace("{", f'{{"timing": {NIGHT},'.replace("'", '"'), 1)
    world = World.make(tmp_path, {"goal": rule}, settings=settings_text(defaults={"time_zone": "UTC"}))
    zones = [None, "Asia/Tokyo"]
    changes = [DeviceChange(app=APP, token=token_of(n), time_zone=zones[n % 2]) for n in range(1, 101)]
    register(world.store, changes)
    shown = shown_of(world)
    assert shown.canaries is not None
    assert 0 < shown.canaries_held < shown.canaries
    assert shown.held == 50
