"""A rule that is stopped is stopped under all names that it had: runs bear the one under which they were born."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.driving import Driver
from support.worlds import APP, NOW, World, event, register, register_many, rule_text, token_of

from scheduler.domain.errors import OperatorError
from scheduler.domain.rule_names import RuleNames
from scheduler.domain.runs import RunState
from scheduler.domain.stops import Stop, StopKind, Stops
from scheduler.engine.looking import read_remaining
from scheduler.runs.stopping import start, stop, stop_under_all_names, stops_in_force
from scheduler.store.registry_changes import DeviceChange

RULE = StopKind.RULE
TO_ANN = {"users": ["ann"]}
OLD, NEW = RuleNames((("old",),)), RuleNames((("new", "old"), ("other",)))


def _renamed(*earlier: str) -> str:
    return json.dumps(json.loads(rule_text(audience=TO_ANN)) | {"renamed_from": list(earlier)})


def _world(folder: Path) -> World:
    world = World.make(folder, {"old": rule_text(audience=TO_ANN), "other": rule_text(audience=TO_ANN)})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    return world


def _rename(world: World) -> None:
    (world.folder / "rules/old.yaml").unlink()
    world.rewrite({"new": _renamed("old")})


def _stop(world: World, name: str, names: RuleNames) -> Stop:
    return stop(world.store, RULE, name, world.now, known=lambda: {"old", "new", "other"}, names=names)


def _stopped(world: World) -> list[str]:
    return [str(one) for one in stops_in_force(world.store).in_force]


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_stop_by_any_name_of_a_rule_holds_its_runs_of_before_and_after_the_rename(tmp_path: Path, name: str) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"))
    _rename(world)
    _stop(world, name, NEW)
    assert world.ingest(event("b"), room={APP: 9}).windows[0].context.run.rule == "other"
    Driver(world).start()
    assert [(run.rule, run.state.value) for run in world.runs()] == [
        ("old", "pending"), ("other", "running"), ("new", "pending"), ("other", "running"),
    ]  # fmt: skip
    other = "new" if name == "old" else "old"
    assert start(world.store, RULE, other, names=NEW).in_force == ()
    again = Driver(world)
    again.finish_everything()
    assert {run.state for run in world.runs()} == {RunState.FINISHED}


def test_a_rule_that_was_stopped_stays_so_when_it_is_renamed(tmp_path: Path) -> None:
    world = _world(tmp_path)
    _stop(world, "old", OLD)
    _rename(world)
    world.advance(60)
    stop_under_all_names(world.store, world.workspace)
    assert [(one.name, one.since) for one in stops_in_force(world.store).in_force] == [("new", NOW), ("old", NOW)]
    opened = world.ingest(event("a"), room={APP: 9}).windows
    assert [window.context.run.rule for window in opened] == ["other"]
    assert _stop(world, "new", NEW).since == NOW, "it has been stopped since before it was renamed"


def test_what_is_not_stopped_is_not_stopped_by_a_rename_and_nothing_is_written(tmp_path: Path) -> None:
    world = _world(tmp_path)
    _stop(world, "other", OLD)
    stop(world.store, StopKind.CATEGORY, "old", world.now, known=lambda: {"old"})
    _rename(world)
    before = world.store.data_version()
    stop_under_all_names(world.store, world.workspace)
    assert (_stopped(world), world.store.data_version()) == (["category old", "rule other"], before)


def test_a_rule_that_is_in_no_file_any_more_is_stopped_by_itself(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"))
    (world.folder / "rules/old.yaml").unlink()
    world.rewrite({"other": rule_text(audience=TO_ANN)})
    stop(world.store, RULE, "old", world.now, known=set, names=world.workspace.names)
    assert _stopped(world) == ["rule old"]


def test_starting_what_is_not_stopped_names_each_stopped_rule_once(tmp_path: Path) -> None:
    world = _world(tmp_path)
    _rename(world)
    _stop(world, "old", NEW)
    with pytest.raises(OperatorError) as refused:
        start(world.store, RULE, "other", names=NEW)
    assert str(refused.value) == "rule 'other' is not stopped\n  hint: stopped: rule new"


def test_what_a_daemon_leaves_is_counted_once_under_the_name_of_now(tmp_path: Path) -> None:
    world = _world(tmp_path)
    register_many(world.store, 1)
    world.ingest(event("a"))
    _rename(world)
    world.ingest(event("b"))
    _stop(world, "old", NEW)
    (left,) = read_remaining(world.store, world.workspace.names).stopped
    assert (str(left.stop), left.runs) == ("rule new", 2)
    with_old_rules = read_remaining(world.store, OLD).stopped
    assert [(str(one.stop), one.runs) for one in with_old_rules] == [("rule new", 1), ("rule old", 1)]


_WORD = st.sampled_from("abcdef")
_NAMES = st.lists(st.lists(_WORD, min_size=1, max_size=3, unique=True).map(tuple), max_size=4).map(
    lambda had: RuleNames(tuple(had))
)


def _bound(names: RuleNames, name: str) -> set[str]:
    """The names that are bound to one, found by walking from rule to rule."""
    seen, left = set(), [name]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += [other for had in names.had if one in had for other in had]
    return seen


@given(_NAMES, st.dictionaries(_WORD, st.integers(0, 5)))
def test_stopped_under_all_names_is_what_is_bound_to_a_stop_since_the_first_of_them(
    names: RuleNames, stopped: dict[str, int]
) -> None:
    given_ = [Stop(RULE, name, NOW + timedelta(minutes=since)) for name, since in stopped.items()]
    every = Stops(tuple(given_)).with_all_names(names)
    found = {one.name: one.since for one in every.in_force}
    assert len(found) == len(every.in_force), "each name once"
    assert found.keys() == {name for one in given_ for name in _bound(names, one.name)}
    for name, since in found.items():
        bound = [one.since for one in given_ if one.name in _bound(names, name)]
        assert since == next((one.since for one in given_ if one.name == name), min(bound))
    assert every.with_all_names(names) == every


@given(_NAMES, st.sets(_WORD), _WORD)
def test_what_was_started_is_not_stopped_again_by_another_name(names: RuleNames, stopped: set[str], name: str) -> None:
    every = Stops(tuple(Stop(RULE, one, NOW) for one in sorted(stopped))).with_all_names(names)
    undone = every.of(RULE, name, names).in_force
    left = Stops(tuple(one for one in every.in_force if one not in undone))
    assert left.with_all_names(names) == left
    assert not left.hold(name, "sports")


@given(_NAMES, st.sets(_WORD, min_size=1))
def test_who_is_told_of_stops_is_told_of_every_rule(names: RuleNames, stopped: set[str]) -> None:
    every = Stops(tuple(Stop(RULE, one, NOW) for one in sorted(stopped))).with_all_names(names)
    told = every.told_once(names)
    now = {had[0] for had in names.had}
    assert {one.name for one in told.in_force} >= now & set(every.names(RULE))
    assert {stop for one in told.in_force for stop in every.of(RULE, one.name, names).in_force} == set(every.in_force)
