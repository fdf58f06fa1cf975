"""Runs whose rule, app or version is gone: they pause, and what a hand resumed is not paused again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import update
from support.driving import Driver
from support.worlds import APP, NOW, World, event, register_many, rule_text, settings_text

from scheduler.domain.errors import OperatorError
from scheduler.domain.runs import Run
from scheduler.runs.pausing import pause, pause_what_cannot_run, resume
from scheduler.store.rule_versions import sources_of
from scheduler.store.tables import RULE_VERSIONS

Make = Callable[..., World]
WITHOUT_APP = settings_text().replace(f'"{APP}"', '"other"')
GONE = "the rule is disabled or gone"


def _born(make_world: Make, count: int = 1) -> World:
    world = make_world()
    register_many(world.store, 2)
    world.ingest(*(event(f"e{number}") for number in range(count)))
    return world


def _without_rule(world: World, **files: str) -> None:
    (world.folder / "rules/goal.yaml").unlink()
    world.rewrite({"other": rule_text()}, **files)


def _start_again(world: World) -> list[tuple[str, str | None]]:
    """What a daemon does when it starts or reloads; the states and notes of the runs after it."""
    pause_what_cannot_run(world.store, world.workspace, world.versions())
    return [(run.state, run.note) for run in world.runs()]


def _resume(world: World) -> Run:
    return resume(world.store, world.runs()[0].id.hex, NOW, apps=world.workspace.settings.apps)


def _forget_how_to_compile(world: World) -> str:
    version = world.runs()[0].version
    with world.store.write() as tx:
        sources = {**(sources_of(tx, version) or {}), "rules/goal.yaml": "category: news\n"}
        tx.execute(update(RULE_VERSIONS).values(sources=json.dumps(sources)))
    return version


def test_what_a_hand_resumed_goes_on_without_its_rule(make_world: Make) -> None:
    world = _born(make_world, 2)
    _without_rule(world)
    assert _start_again(world) == [("paused", GONE), ("paused", GONE)]
    resumed = _resume(world)
    assert (resumed.state, resumed.note) == ("pending", "resumed by hand")
    assert _start_again(world) == [("pending", "resumed by hand"), ("paused", GONE)]
    driver = Driver(world)
    driver.start(limit=1)
    (run,) = driver.work.runs.values()
    driver.open(run, limit=1)
    assert _start_again(world)[0] == ("running", "resumed by hand")
    driver.finish_everything()
    assert [world.report(run).counts.accepted for run in world.runs()] == [2, 0]


def test_what_a_hand_resumed_can_be_paused_by_hand_and_resumed_once_more(make_world: Make) -> None:
    world = _born(make_world)
    _without_rule(world)
    _start_again(world)
    _resume(world)
    pause(world.store, world.runs()[0].id.hex, NOW)
    assert _start_again(world) == [("paused", "paused by hand")]
    _resume(world)
    assert _start_again(world) == [("pending", "resumed by hand")]


def test_what_a_hand_resumed_pauses_when_its_rule_goes_afterwards(make_world: Make) -> None:
    world = _born(make_world)
    pause(world.store, world.runs()[0].id.hex, NOW)
    _resume(world)
    _without_rule(world)
    assert _start_again(world) == [("paused", GONE)]
    _resume(world)
    assert _start_again(world) == [("pending", "resumed by hand")]


def test_a_rule_that_comes_back_and_goes_again_pauses_what_a_hand_had_resumed(make_world: Make) -> None:
    world = _born(make_world)
    _without_rule(world)
    _start_again(world)
    _resume(world)
    world.rewrite({"goal": rule_text()})
    assert _start_again(world) == [("pending", "resumed by hand")]
    _without_rule(world)
    assert _start_again(world) == [("paused", GONE)]


def test_whoever_resumes_a_run_after_its_rule_has_gone_is_obeyed(make_world: Make) -> None:
    """Whatever it was paused for: a hand, say, before the rule went."""
    world = _born(make_world)
    pause(world.store, world.runs()[0].id.hex, NOW)
    _without_rule(world)
    assert _start_again(world) == [("paused", "paused by hand")]
    _resume(world)
    assert _start_again(world) == [("pending", "resumed by hand")]


def test_what_a_hand_resumed_still_pauses_without_its_app(make_world: Make) -> None:
    world = _born(make_world)
    _without_rule(world)
    _start_again(world)
    _resume(world)
    world.rewrite({}, settings=WITHOUT_APP)
    assert _start_again(world) == [("paused", "clarion.yaml has no app scores any more")]


def test_what_a_hand_resumed_still_pauses_if_it_cannot_be_compiled(make_world: Make) -> None:
    world = _born(make_world)
    _without_rule(world)
    _start_again(world)
    _resume(world)
    version = _forget_how_to_compile(world)
    assert _start_again(world) == [("paused", f"this Clarion cannot compile rule version {version} any more")]


def test_a_run_without_its_app_is_not_resumed(make_world: Make) -> None:
    world = _born(make_world)
    pause(world.store, world.runs()[0].id.hex, NOW)
    world.rewrite({}, settings=WITHOUT_APP)
    with pytest.raises(OperatorError) as refused:
        _resume(world)
    assert str(refused.value) == (
        f"run {world.runs()[0].id} cannot go on: clarion.yaml has no app scores any more\n"
        f"  hint: put it right, or end it: 'clarion runs cancel {world.runs()[0].id}'"
    )
    assert world.runs()[0].state == "paused"


def test_a_run_whose_version_cannot_be_compiled_is_not_resumed(make_world: Make) -> None:
    world = _born(make_world)
    pause(world.store, world.runs()[0].id.hex, NOW)
    version = _forget_how_to_compile(world)
    with pytest.raises(OperatorError) as refused:
        _resume(world)
    assert str(refused.value) == (
        f"run {world.runs()[0].id} cannot go on: this Clarion cannot compile rule version {version} any more\n"
        f"  hint: put it right, or end it: 'clarion runs cancel {world.runs()[0].id}'"
    )
    assert world.runs()[0].state == "paused"
