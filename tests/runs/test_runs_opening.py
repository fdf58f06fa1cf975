"""Whom a run reaches, what is decided when a window opens, and what is decided again when a work row is taken up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.driving import Driver
from support.worlds import APP, GOAL, NOW, World, event, ids, register, register_many, set_user, settings_text, token_of

from scheduler.apns.results import Answer, Unanswered, Unsent, UnsentCause
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.runs import RunState
from scheduler.runs import ranges
from scheduler.runs.reports import Counts
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange

Make = Callable[..., World]


def _fill(world: World) -> None:
    """1 ann, team a; 2 ann, team b; 3 ben, teams a and b; 4 ben; 5 nobody, team a; 6 nobody; 7 team a, retired."""
    topics = [["a"], ["b"], ["a", "b"], [], ["a"], [], ["a"]]
    users = ["ann", "ann", "ben", "ben", None, None, "ann"]
    changes = [
        DeviceChange(app=APP, token=token_of(number), user=user, topics=of_device, attributes={"n": number})
        for number, (user, of_device) in enumerate(zip(users, topics, strict=True), start=1)
    ]
    register(world.store, changes)
    register(world.store, [DeviceChange(app=APP, token=token_of(8), replaces=token_of(7))])
    register(world.store, [DeviceChange(app="other", token=token_of(9), user="ann", topics=["a"])])
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(8))


@pytest.mark.parametrize(
    ("audience", "data", "reached"),
    [
        ({"everyone": True}, {}, [1, 2, 3, 4, 5, 6]),
        ({"users": ["{{ event.data.who }}"]}, {"who": "ann"}, [1, 2]),
        ({"users": ["{{ event.data.who }}", "ben"]}, {"who": "ann"}, [1, 2, 3, 4]),
        ({"users": ["{{ event.data.who }}", "ben"]}, {}, [3, 4]),
        ({"topics": ["{{ event.data.team }}"]}, {"team": "a"}, [1, 3, 5]),
        ({"topics": ["{{ event.data.team }}", "b"]}, {"team": "a"}, [1, 2, 3, 5]),
        ({"topics": ["{{ event.data.team }}", "b"]}, {}, [2, 3]),
        ({"topics": ["nobody's"]}, {}, []),
        ({"users": ["ann", "ben"], "topics": ["a"]}, {}, [1, 3]),
        ({"where": "device.attributes.n > event.data.n"}, {"n": 4}, [5, 6]),
        ({"topics": ["a"], "where": "device.attributes.n > 1"}, {}, [3, 5]),
        ({"users": ["ann"], "where": "device.attributes.n > 1"}, {}, [2]),
        ({"users": ["ann", "ben"], "topics": ["a", "b"], "where": "device.attributes.n > 1"}, {}, [2, 3]),
        ({"where": "'a' in device.topics and user.id is defined"}, {}, [1, 3]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_an_audience_is_who_is_named_and_matches(
    make_world: Make, audience: dict[str, Any], data: dict[str, Any], reached: list[int], limit: int
) -> None:
    world = make_world(audience=audience)
    _fill(world)
    world.ingest(event("a", **data))
    driver = Driver(world)
    found = [ids(window.recipients) for window in driver.start(limit=limit).windows]
    for run in list(driver.work.runs.values()):
        while any(not shard.is_read for shard in run.shards):
            window = driver.open(run, limit=limit)
            assert window is not None
            found.append(ids(window.recipients))
    assert [device for window in found for device in window] == reached
    assert all(len(window) <= limit for window in found)


@pytest.mark.parametrize("named", ["users", "topics"])
def test_an_audience_that_renders_to_missing_ends_the_run_and_never_widens(make_world: Make, named: str) -> None:
    world = make_world(audience={named: ["{{ event.data.a }}", "{{ event.data.b }}"]})
    register_many(world.store, 3)
    world.ingest(event("a"))
    assert Driver(world).start().windows == []
    (run,) = world.runs()
    assert (run.state, run.note) == ("finished", f"audience_missing: every value of audience.{named} is missing")
    assert (run.finished_at, run.selected) == (NOW, 0)


def test_who_came_after_the_start_is_not_in_the_run(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 4)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=2)
    register(world.store, [DeviceChange(app=APP, token=token_of(5))])
    driver.finish_everything(limit=2)
    assert world.report(world.runs()[0]).counts.selected == 4


def _counts(**counts: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **counts})


@pytest.mark.parametrize("room", [None, {APP: 100}])
@pytest.mark.parametrize("limit", [1, 1000])
def test_opt_outs_are_read_when_the_window_opens(make_world: Make, room: dict[str, int] | None, limit: int) -> None:
    world = make_world(audience={"users": ["ann", "ben"]})
    for number, user in ((1, "ann"), (2, "ben")):
        register(world.store, [DeviceChange(app=APP, token=token_of(number), user=user)])
    set_user(world.store, "ann", opt_outs=["sports"])
    set_user(world.store, "ben", opt_outs=["marketing"])
    result = world.ingest(event("a"), room=room)
    if room is None:
        Driver(world).finish_everything(limit=limit)
    else:
        assert [ids(window.recipients) for window in result.windows] == [[2]]
    report = world.report(world.runs()[0])
    assert report.reasons == {"suppressed": {"opted_out": 1}}
    assert (report.counts.selected, report.counts.suppressed) == (2, 1)


def test_an_opt_out_after_the_first_attempt_stops_the_second(make_world: Make) -> None:
    world = make_world(audience={"users": ["ann"]})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED))])
    driver.settle()
    set_user(world.store, "ann", opt_outs=["sports"])
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert (report.run.state, report.reasons) == ("finished", {"suppressed": {"opted_out": 1}})


def test_an_opt_out_does_not_count_where_the_category_has_none(make_world: Make) -> None:
    settings = settings_text(categories={"sports": {"opt_out": False}})
    world = make_world(audience={"users": ["ann"]}, files={"settings": settings})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    set_user(world.store, "ann", opt_outs=["sports"])
    world.ingest(event("a"))
    driver = Driver(world)
    driver.finish_everything()
    assert world.report(world.runs()[0]).counts == _counts(selected=1, accepted=1)


@pytest.mark.parametrize(
    ("delivery", "age", "counts", "reasons"),
    [
        ({"max_age": "10 minutes"}, 600, {"accepted": 3}, {}),
        ({"max_age": "10 minutes"}, 600.001, {"suppressed": 3}, {"suppressed": {"stale": 3}}),
        ({"max_age": "1 hour", "expires_after": "10 minutes"}, 599.999, {"accepted": 3}, {}),
        ({"max_age": "1 hour", "expires_after": "10 minutes"}, 600, {"expired": 3}, {}),
        ({"max_age": "5 minutes", "expires_after": "10 minutes"}, 600, {"suppressed": 3}, {"suppressed": {"stale": 3}}),
        ({"expires_after": "never_store"}, 86_400, {"accepted": 3}, {}),
    ],
)
@pytest.mark.parametrize("limit", [1, 1000])
def test_what_is_too_old_is_not_sent(
    make_world: Make, delivery: dict[str, Any], age: float, counts: dict[str, int], reasons: dict[str, Any], limit: int
) -> None:
    world = make_world(delivery=delivery)
    register_many(world.store, 3)
    world.ingest(event("a"))
    world.advance(age)
    Driver(world).finish_everything(limit=limit)
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (_counts(selected=3, **counts), reasons)


def test_a_device_that_is_gone_when_its_row_is_taken_up_is_suppressed(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 2)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED)), (2, Answer(503, "Shutdown"))])
    driver.settle()
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(1))
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (
        _counts(selected=2, accepted=1, suppressed=1),
        {"suppressed": {"token_retired": 1}},
    )


def test_where_is_not_asked_again_for_a_work_row(make_world: Make) -> None:
    world = make_world(audience={"where": "device.attributes.n == 1"})
    register_many(world.store, 1, attributes={"n": 1})
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED))])
    driver.settle()
    register_many(world.store, 1, attributes={"n": 2})
    driver.finish_everything()
    assert world.report(world.runs()[0]).counts == _counts(selected=1, accepted=1)


def test_a_run_is_not_over_while_its_first_window_is_open(make_world: Make) -> None:
    """Its work rows may come to an end before the window does."""
    world = make_world(audience={"users": ["ann", "ben"]})
    for number, user in ((1, "ann"), (2, "ben")):
        register(world.store, [DeviceChange(app=APP, token=token_of(number), user=user)])
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED))])
    driver.settle()
    set_user(world.store, "ann", opt_outs=["sports"])
    world.advance(2)
    driver.take_up(window.run)
    driver.settle()
    assert world.runs()[0].state is RunState.RUNNING
    driver.report(window, [(2, Unanswered(UnknownCause.LINK_LOST))])
    driver.settle()
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert (report.run.state, report.counts) == ("finished", _counts(selected=2, accepted=1, suppressed=1))


def test_a_rule_may_listen_to_many_types(make_world: Make) -> None:
    world = make_world(trigger={"event": "com.example.*"})
    assert (
        world.ingest(event("a", type_=GOAL), event("b", type_="com.example.x"), event("c", type_="com.exam")).runs == 2
    )


def test_work_that_is_due_later_is_not_taken_up(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 2)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Answer(503, "ServiceUnavailable")), (2, Answer(200))])
    driver.settle()
    assert driver.work.runs == {}
    (run,) = world.runs()
    assert (run.state, run.waits_until) == (RunState.WAITING, NOW + timedelta(minutes=15))
    world.advance(15 * 60 - 1)
    driver.wake()
    assert driver.work.runs == {}
    world.advance(1)
    driver.wake()
    (active,) = driver.work.runs.values()
    taken = driver.take_up(active)
    assert taken is not None
    assert ids(taken.recipients) == [1]


def test_work_that_is_due_in_a_moment_is_not_worth_a_wait(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 1)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED))])
    driver.settle()
    (run,) = driver.work.runs.values()
    assert run.context.run.seq == world.runs(RunState.RUNNING)[0].seq
    early = driver.take_up(run)
    assert early is not None
    assert early.recipients == []


def test_a_large_run_begins_with_its_first_window(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 5)
    world.ingest(event("a"))
    driver = Driver(world)
    (window,) = driver.start(limit=2).windows
    assert (ids(window.recipients), window.end) == ([1, 2], 2)
    assert world.report(world.runs()[0]).counts.selected == 2
    driver.finish_everything(limit=2)
    assert world.report(world.runs()[0]).counts.accepted == 5


def test_the_first_window_keeps_to_the_first_shard(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "SHARD_DEVICES", 3)
    world = make_world()
    register_many(world.store, 9)
    world.ingest(event("a"))
    driver = Driver(world)
    (window,) = driver.start(limit=5).windows
    assert (ids(window.recipients), window.end) == ([1, 2, 3], 3)
    driver.finish_everything(limit=5)
    assert world.report(world.runs()[0]).counts.accepted == 9


def test_a_first_window_with_nobody_to_send_to_is_gone_on_from(make_world: Make) -> None:
    world = make_world()
    users = ["ann", "ann", "ann", None, None, None]
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user=user) for n, user in enumerate(users, 1)])
    set_user(world.store, "ann", opt_outs=["sports"])
    world.ingest(event("a"))
    driver = Driver(world)
    (window,) = driver.start(limit=2).windows
    assert window.recipients == []
    driver.finish_everything(limit=2)
    counts = world.report(world.runs()[0]).counts
    assert (world.runs()[0].state, counts.suppressed, counts.accepted) == (RunState.FINISHED, 3, 3)
