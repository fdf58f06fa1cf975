"""The kill switch, the audience's limit and a run's own rate, as services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.driving import Driver
from support.worlds import APP, GOAL, World, event, register, register_many, rule_text, token_of

from scheduler.apns.results import Answer
from scheduler.domain.errors import OperatorError
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import RunState
from scheduler.domain.stops import StopKind
from scheduler.runs.context import rate_bounds
from scheduler.runs.pausing import pause, resume, set_rate
from scheduler.runs.stopping import start, stop
from scheduler.store.registry_changes import DeviceChange

ALL, RULE, CATEGORY = StopKind.ALL, StopKind.RULE, StopKind.CATEGORY
WHAT = [(ALL, ""), (RULE, "goal"), (CATEGORY, "sports")]


def _world(folder: Path, rule: str | None = None, devices: int = 4) -> World:
    world = World.make(folder, {"goal": rule or rule_text()})
    register_many(world.store, devices)
    return world


def _at_most(most: int, audience: dict[str, object]) -> str:
    return json.dumps(json.loads(rule_text(audience=audience)) | {"limits": {"audience_max": most}})


def _stop(world: World, kind: StopKind, name: str) -> None:
    stop(world.store, kind, name, world.now, known=lambda: {"goal", "goal-alert", "sports"})


@pytest.mark.parametrize(("kind", "name"), WHAT)
def test_while_it_is_stopped_nothing_opens_and_started_again_everything_goes_on(
    tmp_path: Path, kind: StopKind, name: str
) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"), event("b"))
    driver = Driver(world)
    driver.start(limit=2, room=1)
    (run,) = driver.work.runs.values()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Answer(503, "ServiceUnavailable")), (2, Answer(200))])
    driver.settle()
    _stop(world, kind, name)
    world.advance(1_000)
    assert driver.open(run, limit=2) is None
    assert driver.take_up(run) is None
    assert driver.start().windows == []
    world.ingest(event("c"), room={APP: 100})
    assert [run.state for run in world.runs()] == [RunState.RUNNING, RunState.PENDING, RunState.PENDING]
    assert start(world.store, kind, name).in_force == ()
    driver.load()
    again = Driver(world)
    again.finish_everything()
    assert [world.report(run).counts.accepted for run in world.runs()] == [4, 4, 4]


@pytest.mark.parametrize(("kind", "name"), WHAT)
def test_an_event_that_would_be_sent_at_once_waits_for_the_start(tmp_path: Path, kind: StopKind, name: str) -> None:
    world = World.make(tmp_path, {"goal": rule_text(audience={"users": ["{{ event.data.user }}"]})})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    _stop(world, kind, name)
    assert world.ingest(event("a", user="ann"), room={APP: 10}).windows == []
    start(world.store, kind, name)
    assert len(world.ingest(event("b", user="ann"), room={APP: 10}).windows) == 1


def test_starting_undoes_exactly_what_was_stopped(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"))
    pause(world.store, world.runs()[0].id.hex, world.now)
    for kind, name in WHAT:
        _stop(world, kind, name)
        _stop(world, kind, name)
    left = start(world.store, ALL, "")
    assert [str(one) for one in left.in_force] == ["category sports", "rule goal"]
    start(world.store, RULE, "goal")
    start(world.store, CATEGORY, "sports")
    assert world.runs()[0].state is RunState.PAUSED, "who paused it has to resume it"


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    world = _world(tmp_path)
    with pytest.raises(OperatorError) as stopping:
        stop(world.store, RULE, "goall", world.now, known=lambda: {"goal"})
    assert str(stopping.value) == "there is no rule 'goall'\n  hint: did you mean 'goal'?"
    with pytest.raises(OperatorError) as nothing:
        stop(world.store, CATEGORY, "xyz", world.now, known=lambda: {"sports"})
    assert str(nothing.value) == "there is no category 'xyz'\n  hint: the categories are sports"
    with pytest.raises(OperatorError) as starting:
        start(world.store, ALL, "")
    assert str(starting.value) == "everything is not stopped\n  hint: nothing is stopped"
    _stop(world, RULE, "goal")
    with pytest.raises(OperatorError) as other:
        start(world.store, RULE, "gaol")
    assert str(other.value) == "rule 'gaol' is not stopped\n  hint: did you mean 'goal'?"


def test_a_rule_that_only_runs_know_can_be_stopped(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"))
    assert stop(world.store, RULE, "goal", world.now, known=set).name == "goal"


@pytest.mark.parametrize("where", [None, "device.attributes.n is defined", 'device.locale | lower == "xy"'])
def test_a_run_over_audience_max_is_paused_before_anybody_gets_it_and_a_hand_lets_it_start(
    tmp_path: Path, where: str | None
) -> None:
    audience = {"everyone": True} if where is None else {"where": where}
    text = _at_most(3, audience)
    world = World.make(tmp_path, {"goal": text})
    register_many(world.store, 4, attributes={"n": 1}, locale="xy")
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (run,) = world.runs()
    assert (run.state, world.report(run).counts.selected) == (RunState.PAUSED, 0)
    assert run.note == (
        "audience_max: more than 3 devices match, so it did not start; "
        f"'clarion runs resume {run.id}' starts it, 'cancel' ends it"
    )
    resume(world.store, run.id.hex, world.now, apps=[APP])
    driver.finish_everything()
    assert world.report(world.runs()[0]).counts.accepted == 4


@pytest.mark.parametrize("audience", [{"where": "device.attributes.n == 1"}, {"where": 'device.locale | lower == "xy"'},
                                      {"topics": ["t", "u"]}, {"users": ["ann", "ben"]}])  # fmt: skip
def test_who_does_not_match_does_not_count_for_audience_max(tmp_path: Path, audience: dict[str, object]) -> None:
    text = _at_most(3, audience)
    world = World.make(tmp_path, {"goal": text})
    three = {"attributes": {"n": 1}, "locale": "xy", "topics": ["t", "u"], "user": "ann"}
    register(world.store, [DeviceChange(app=APP, token=token_of(n), **(three if n < 4 else {})) for n in range(1, 9)])
    world.ingest(event("a"), room={APP: 100})
    Driver(world).finish_everything()
    assert world.report(world.runs()[0]).counts.accepted == 3


def test_a_run_that_names_too_many_users_does_not_start_at_once(tmp_path: Path) -> None:
    text = _at_most(1, {"users": ["ann"]})
    world = World.make(tmp_path, {"goal": text})
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user="ann") for n in (1, 2)])
    assert world.ingest(event("a"), room={APP: 100}).windows == []
    Driver(world).start()
    assert world.runs()[0].state is RunState.PAUSED


def test_resuming_a_pause_by_hand_does_not_lift_audience_max(tmp_path: Path) -> None:
    text = _at_most(3, {"everyone": True})
    world = _world(tmp_path, text)
    world.ingest(event("a"))
    pause(world.store, world.runs()[0].id.hex, world.now)
    resume(world.store, world.runs()[0].id.hex, world.now, apps=[APP])
    Driver(world).start()
    assert (world.runs()[0].state, world.runs()[0].note is not None) == (RunState.PAUSED, True)


def test_a_rate_by_hand_takes_the_place_of_the_rules_and_stays(tmp_path: Path) -> None:
    world = _world(tmp_path, rule_text(delivery={"rate": "100/s"}))
    world.ingest(event("a"), event("b"))
    mine = world.runs()[0]
    set_rate(world.store, mine.id.hex, Rate.of(5000))
    contexts = [Driver(world).context(run) for run in world.runs()]
    app = world.workspace.settings.apps[APP]
    assert [rate_bounds(context, app) for context in contexts] == [
        [(f"run:{mine.id}", Rate.of(5000))],
        [("rule:goal", Rate.of(100))],
    ]


def test_a_run_that_is_over_has_no_rate(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("a"))
    Driver(world).finish_everything()
    with pytest.raises(OperatorError, match="is finished: it starts nothing any more\n  hint: the rate of later runs"):
        set_rate(world.store, world.runs()[0].id.hex, Rate.of(1))


def test_a_stop_is_no_state_and_its_words_say_how_far_it_reaches(tmp_path: Path) -> None:
    world = _world(tmp_path, rule_text(trigger={"event": GOAL}))
    one = stop(world.store, ALL, "", world.now, known=set)
    assert (str(one), one.option) == ("everything", "--all")
    two = stop(world.store, CATEGORY, "sports", world.now, known=lambda: {"sports"})
    assert (str(two), two.option) == ("category sports", "--category sports")
