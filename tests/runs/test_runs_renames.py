"""A rename (`renamed_from`) is not a new campaign: what goes by the name of a rule goes by all that it had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.driving import Driver
from support.worlds import APP, GOAL, NOW, World, event, register_many, rule_text

from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Run, RunState
from scheduler.runs.context import rate_bounds
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.schedules import open_due, watch

KEY = {"supersede": "game-{{ event.subject }}"}


def ruled(*earlier: str, **fields: Any) -> str:
    """A rule that was called so earlier."""
    rule = json.loads(rule_text(delivery=fields.pop("delivery", KEY), trigger=fields.pop("trigger", None))) | fields
    return json.dumps(rule | ({"renamed_from": list(earlier)} if earlier else {}))


def rename(world: World, old: str, new: str, text: str) -> None:
    (world.folder / f"rules/{old}.yaml").unlink()
    world.rewrite({new: text})


def _world(folder: Path, text: str | None = None, devices: int = 3) -> World:
    world = World.make(folder, {"old": text or ruled()})
    register_many(world.store, devices)
    return world


def _states(world: World) -> list[tuple[str, str]]:
    return [(run.rule, run.state.value) for run in world.runs()]


def _goal(id_: str, seconds_ago: float = 0.0) -> Any:
    return event(id_, subject="g1", at=NOW - timedelta(seconds=seconds_ago))


def test_a_newer_run_supersedes_those_of_the_earlier_names(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(_goal("a", 9))
    rename(world, "old", "newer", ruled("old"))
    world.ingest(_goal("b", 6))
    rename(world, "newer", "newest", ruled("old", "newer"))
    newest = world.ingest(_goal("c", 3))
    assert newest.superseded == {2}
    assert _states(world) == [("old", "superseded"), ("newer", "superseded"), ("newest", "pending")]
    assert [run.note for run in world.runs()][1] == f"superseded by run {world.runs()[2].id}"


def test_an_event_that_comes_late_does_not_overtake_a_run_of_an_earlier_name(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(_goal("a", 3))
    Driver(world).finish_everything()
    rename(world, "old", "new", ruled("old"))
    world.ingest(_goal("late", 9))
    assert _states(world) == [("old", "finished"), ("new", "superseded")]
    assert world.runs()[1].note == f"superseded by run {world.runs()[0].id}"
    world.ingest(_goal("b", 1))
    assert world.runs()[2].state is RunState.PENDING


def test_the_newest_of_several_names_is_found_whichever_it_is_of(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(_goal("a", 2))
    rename(world, "old", "newer", ruled("old"))
    world.ingest(_goal("b", 8))
    rename(world, "newer", "newest", ruled("old", "newer"))
    world.ingest(_goal("c", 5))
    assert _states(world) == [("old", "pending"), ("newer", "superseded"), ("newest", "superseded")]


def test_rules_that_are_no_rename_of_each_other_do_not_know_each_other(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(_goal("a", 3))
    rename(world, "old", "new", ruled())
    world.ingest(_goal("b"))
    assert _states(world) == [("old", "pending"), ("new", "pending")]


def test_a_firing_supersedes_what_began_under_an_earlier_name(tmp_path: Path) -> None:
    manual = {"trigger": {"event": GOAL, "manual": True}}
    world = _world(tmp_path, ruled(**manual))
    world.ingest(_goal("a", 3))
    rename(world, "old", "new", ruled("old", **manual))
    campaign, given = world.workspace.campaigns["new"], _goal("b")
    occasion = fired_occasion(campaign, None, given, world.workspace.settings, world.now)
    assert fire(world.store, campaign, occasion, given, world.now) is not None
    assert _states(world) == [("old", "superseded"), ("new", "pending")]


def test_a_slot_supersedes_the_one_before_of_an_earlier_name(tmp_path: Path) -> None:
    daily: dict[str, Any] = {"trigger": {"schedule": "0 9 * * *"}, "delivery": {"supersede": "digest"}}
    daily["message"] = {"template": "plain"}
    world = World.make(tmp_path, {"old": ruled(**daily)}, templates={"plain": "aps: {alert: Good morning}"})
    for name in ("old", "new"):
        if name == "new":
            rename(world, "old", "new", ruled("old", **daily))
        watch(world.store, world.workspace, world.now)
        world.advance(21 * 3600 if name == "old" else 24 * 3600)
        open_due(world.store, world.workspace, world.store.namespace(), world.now, awake_since=NOW)
    assert _states(world) == [("old", "superseded"), ("new", "pending")]


def test_a_run_in_hand_of_an_earlier_name_is_one_that_the_newer_run_waits_for(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(_goal("a", 3))
    driver = Driver(world)
    driver.start()
    (old,) = driver.work.runs.values()
    rename(world, "old", "new", ruled("old"))
    world.ingest(_goal("b"))
    driver.versions.keep(world.workspace.campaigns.values())
    driver.start()
    new = driver.work.runs[2]
    assert driver.work.older_with_key(new) == [old]
    assert driver.work.older_with_key(old) == []


def test_who_waited_in_a_run_that_a_renamed_rule_superseded_may_have_the_newer_one(tmp_path: Path) -> None:
    limits = {"limits": {"reentry": {"after": "1 day"}}, "timing": {"delay": "1 hour"}}
    world = _world(tmp_path, ruled(**limits))
    world.ingest(_goal("a", 600), room={APP: 100})
    Driver(world).start()
    rename(world, "old", "new", ruled("old", **limits))
    world.ingest(_goal("b"), room={APP: 100})
    Driver(world).finish_everything()
    old, new = (world.report(run) for run in world.runs())
    assert (old.run.state, old.counts.accepted, new.counts.accepted) == (RunState.SUPERSEDED, 0, 3)
    world.ingest(event("c", subject="g2", at=world.now))
    Driver(world).finish_everything()
    assert world.report(world.runs()[2]).reasons == {"suppressed": {"reentry": 3}}


def test_a_run_of_before_the_rename_that_is_due_later_knows_who_had_the_rule_since(tmp_path: Path) -> None:
    def late(*earlier: str, delay: str) -> str:
        return ruled(*earlier, delivery={}, limits={"reentry": "never"}, timing={"delay": delay})

    world = _world(tmp_path, late(delay="3 hours"))
    world.ingest(_goal("a"), room={APP: 100})
    Driver(world).start()
    rename(world, "old", "newer", late("old", delay="2 hours"))
    world.ingest(_goal("b"), room={APP: 100})
    Driver(world).start()
    rename(world, "newer", "newest", late("old", "newer", delay="1 hour"))
    world.ingest(_goal("c"), room={APP: 100})
    Driver(world).finish_everything()
    reports = {run.rule: world.report(run) for run in world.runs()}
    assert {rule: (one.counts.accepted, one.reasons) for rule, one in reports.items()} == {
        "newest": (3, {}),
        "newer": (0, {"suppressed": {"reentry": 3}}),
        "old": (0, {"suppressed": {"reentry": 3}}),
    }


def _scopes(world: World, runs: Sequence[Run]) -> list[list[tuple[str, Rate]]]:
    app = world.workspace.settings.apps[APP]
    return [rate_bounds(Driver(world).context(run), app) for run in runs]


def test_runs_of_all_names_of_a_rule_share_the_bucket_of_its_rate(tmp_path: Path) -> None:
    rated = {"delivery": {"rate": "100/s"}}
    world = _world(tmp_path, ruled(**rated))
    world.ingest(_goal("a", 9))
    rename(world, "old", "newer", ruled("old", **rated))
    world.ingest(_goal("b", 6))
    rename(world, "newer", "newest", ruled("old", "newer", **rated))
    world.ingest(_goal("c", 3))
    assert [run.rule for run in world.runs()] == ["old", "newer", "newest"]
    assert _scopes(world, world.runs()) == [[("rule:old", Rate.of(100))]] * 3
