"""Caps in the life of a run: who is over one, when a place is taken, when it is given back, and what is held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from support.driving import Driver
from support.limits import capped, claims, ledger, limited, waiting
from support.worlds import APP, NOW, World, event, ids, register, set_user, token_of

from scheduler.apns.results import Answer, Unanswered
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.runs import RunState
from scheduler.engine.active import OpenWindow
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.opening import start_runs
from scheduler.runs.pausing import cancel
from scheduler.runs.registering import erase
from scheduler.runs.verdicts import HELD_OUT, Report
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange

DAY = 86_400
EVERYONE = {"everyone": True}


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.store.close()


def made(folder: Path, rules: dict[str, str], *caps: dict[str, Any], **settings: Any) -> World:
    """Ann has the devices 1 and 2, Ben 3; 4 is nobody's."""
    world = World.make(folder, rules, settings=capped(*(caps or ({},)), **settings))
    users = ["ann", "ann", "ben", None]
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user=user) for n, user in enumerate(users, 1)])
    return world


def send(world: World, *events: Any, driver: Driver | None = None) -> None:
    """Take events in, send and accept everything."""
    world.ingest(*events)
    (driver or Driver(world)).finish_everything()


def test_a_person_gets_as_many_runs_as_a_cap_lets_through_by_all_devices(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited(audience=EVERYONE)}, {"max": 2})
    for name in "abc":
        send(world, event(name))
    assert ledger(world) == {
        (f"goal {run}", device): "accepted" if run < 3 else "cap day" for run in (1, 2, 3) for device in (1, 2, 3, 4)
    }
    report = world.report(world.runs()[-1])
    assert (report.counts.selected, report.reasons) == (4, {"suppressed": {"cap day": 4}})


def test_a_cap_counts_rules_of_its_categories_together(tmp_path: Path) -> None:
    rules = {
        name: limited(category=category, trigger={"event": name})
        for name, category in {"sale": "marketing", "news": "news", "digest": "marketing"}.items()
    }
    world = made(tmp_path, rules, {"categories": ["marketing"]}, categories={"marketing": {}, "news": {}})
    for name in ("sale", "news", "digest", "news"):
        send(world, event(f"{name}{len(world.runs())}", type_=name, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "accepted", "cap day", "accepted"]
    assert {scope for _, _, scope, *_ in claims(world)} == {"day"}
    assert len(claims(world)) == 1


@pytest.mark.parametrize("way", ["rule", "category"])
def test_what_ignores_caps_is_neither_limited_nor_counted(tmp_path: Path, way: str) -> None:
    free = limited({"caps": "ignore"} if way == "rule" else None, trigger={"event": "free"}, category="service")
    world = made(
        tmp_path,
        {"free": free, "goal": limited()},
        categories={"service": {"caps": "ignore" if way == "category" else "apply"}, "sports": {}},
    )
    for name, type_ in (
        ("a", "free"),
        ("b", "free"),
        ("c", "com.example.goal"),
        ("d", "free"),
        ("e", "com.example.goal"),
    ):
        send(world, event(name, type_=type_, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "accepted", "accepted", "accepted", "cap day"]


def test_the_first_cap_that_is_full_is_the_reason(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited()}, {"name": "wide", "max": 2}, {"name": "narrow"})
    for name in "ab":
        send(world, event(name, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "cap narrow"]
    world.advance(3600)
    world.rewrite({"goal": limited()}, settings=capped({"name": "wide"}, {"name": "narrow"}))
    send(world, event("c", user="ben"))
    assert list(ledger(world).values()) == ["accepted", "cap narrow", "cap wide"]


@pytest.mark.parametrize(
    ("zone", "midnight"), [(None, 12 * 3600), ("Asia/Tokyo", 3 * 3600), ("America/New_York", 17 * 3600)]
)
def test_a_calendar_cap_goes_by_the_day_of_the_person(tmp_path: Path, zone: str | None, midnight: int) -> None:
    world = made(tmp_path, {"goal": limited()}, {"window": "calendar"})
    set_user(world.store, "ben", time_zone=zone)
    send(world, event("a", user="ben"))
    world.advance(midnight - 1)
    send(world, event("b", at=world.now, user="ben"))
    world.advance(1)
    send(world, event("c", at=world.now, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "cap day", "accepted"]


def test_a_rolling_cap_has_room_again_when_its_time_is_over(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited()}, {"per": "2 hours"})
    send(world, event("a", user="ben"))
    world.advance(7199.999)
    send(world, event("b", at=world.now, user="ben"))
    world.advance(0.001)
    send(world, event("c", at=world.now, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "cap day", "accepted"]


def test_what_a_cap_holds_goes_when_there_is_room_and_not_all_of_it(tmp_path: Path) -> None:
    rule = limited(delivery={"max_age": "3 days", "expires_after": "9 days"})
    world = made(tmp_path, {"goal": rule}, {"then": "hold"})
    driver = Driver(world)
    for name in "abc":
        world.ingest(event(name, user="ben"))
    driver.start()
    driver.accept_all()
    driver.settle()
    assert waiting(world) == {3: ("cap day", NOW + timedelta(days=1))}
    assert [world.report(run).counts.pending for run in world.runs()] == [0, 1, 1]
    assert world.report(world.runs()[1]).deferred == {"cap day": 1}
    driver.finish_everything()
    assert list(ledger(world).values()) == ["accepted", "accepted", "accepted"]
    assert world.now == NOW + timedelta(days=2)


def test_nothing_is_held_for_a_place_that_comes_too_late(tmp_path: Path) -> None:
    rules = {
        "old": limited(trigger={"event": "old"}, delivery={"max_age": "23 hours"}),
        "over": limited(trigger={"event": "over"}, delivery={"max_age": "9 days", "expires_after": "1 day"}),
        "goal": limited(delivery={"max_age": "1 day"}),
    }
    world = made(tmp_path, rules, {"then": "hold"})
    for name in ("com.example.goal", "old", "over"):
        send(world, event(name, type_=name, user="ben"))
    assert list(ledger(world).values()) == ["accepted", "stale", "expired"]
    assert world.now == NOW


@pytest.mark.parametrize(
    ("report", "kept"),
    [
        (Answer(200), True),
        (Answer(410, "Unregistered", 1), False),
        (Answer(400, "PayloadTooLarge"), False),
        (Unanswered(UnknownCause.NO_ANSWER), True),
        (RenderFailure("aps.alert", "no"), False),
        (Aborted("no"), False),
    ],
)
@pytest.mark.parametrize("handed_over", [False, True])
def test_a_place_is_given_back_by_who_certainly_got_nothing(
    tmp_path: Path, report: Report, kept: bool, handed_over: bool
) -> None:
    world = made(tmp_path, {"goal": limited(delivery={"on_unknown": "drop"})})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ben"), room={APP: 9}).windows)
    assert claims(world) == {("user:ben", "cap", "day", 1, 3)}
    (window,) = driver.work.windows.values()
    if handed_over:
        driver.settler.hand_over(window, set())
        driver.settle()
    driver.report(window, [(3, report)])
    driver.settle()
    assert bool(claims(world)) == kept
    send(world, event("b", user="ben"), driver=driver)
    assert ledger(world)["goal 2", 3] == ("cap day" if kept else "accepted")


def _only_window(driver: Driver) -> OpenWindow:
    (window,) = driver.work.windows.values()
    return window


def test_a_retry_keeps_its_place_and_passes_the_cap_by_it(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited(), "other": limited(trigger={"event": "other"})})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ben"), room={APP: 9}).windows)
    driver.report(_only_window(driver), [(3, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    send(world, event("b", type_="other", user="ben"), driver=driver)
    assert ledger(world) == {("goal 1", 3): "accepted", ("other 2", 3): "cap day"}


def test_what_waits_again_for_the_morning_holds_no_place(tmp_path: Path) -> None:
    """A retry comes due at night; another run has its place meanwhile, and in the morning it is too late for it."""
    world = made(tmp_path, {"goal": limited(), "loud": limited(trigger={"event": "loud"}, category="loud")},
                 {"per": "20 hours"}, categories={"sports": {}, "loud": {"quiet_hours": "ignore"}})  # fmt: skip
    settings = world.folder / "clarion.yaml"
    text = settings.read_text().replace('"limits": {', '"limits": {"quiet_hours": {"from": "12:10", "to": "20:00"}, ')
    world.rewrite({}, settings=text)
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ben"), room={APP: 9}).windows)
    driver.report(_only_window(driver), [(3, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    world.advance(15 * 60)
    driver.wake()
    driver.take_up(next(iter(driver.work.runs.values())))
    driver.settle()
    assert claims(world) == set()
    driver.adopt(world.ingest(event("b", type_="loud", at=world.now, user="ben"), room={APP: 9}).windows)
    driver.finish_everything()
    assert ledger(world) == {("goal 1", 3): "cap day", ("loud 2", 3): "accepted"}


def test_who_is_held_out_is_asked_for_a_place_and_takes_none(tmp_path: Path) -> None:
    out = {"experiment": {"holdout": "100%"}}
    world = made(tmp_path, {"out": limited(trigger={"event": "out"}, **out), "goal": limited()})
    driver = Driver(world)

    def send_one(name: str, type_: str) -> None:
        driver.adopt(world.ingest(event(name, type_=type_, user="ben"), room={APP: 9}).windows)
        for window in driver.work.windows.values():
            held = {one.id for one in window.waiting.values() if one.held_out}
            driver.report(window, [(one, HELD_OUT if one in held else Answer(200)) for one in window.waiting])
        driver.settle()

    for name, type_ in (("a", "out"), ("b", "out"), ("c", "com.example.goal"), ("d", "out")):
        send_one(name, type_)
    assert list(ledger(world).values()) == ["held_out", "held_out", "accepted", "cap day"]


@pytest.mark.parametrize("how", ["cancelled", "superseded"])
def test_what_is_called_off_gives_its_places_back(tmp_path: Path, how: str) -> None:
    rule = limited(delivery={"supersede": "{{ event.subject }}"})
    world = made(tmp_path, {"goal": rule}, {"max": 1})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", subject="g", user="ben"), room={APP: 9}).windows)
    driver.settler.hand_over(_only_window(driver), {3})
    driver.settle()
    assert len(claims(world)) == 1
    if how == "cancelled":
        cancel(world.store, world.runs()[0].id.hex, world.now)
    else:
        world.ingest(event("b", subject="g", user="ben"))
        clear_superseded(world.store, world.now)
    assert claims(world) == set()
    assert ledger(world) == {("goal 1", 3): how}


def test_a_device_that_is_gone_gives_its_place_back(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited()})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ben"), room={APP: 9}).windows)
    driver.settler.hand_over(_only_window(driver), {3})
    driver.settle()
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(3))
    driver.wake()
    driver.take_up(next(iter(driver.work.runs.values())))
    assert claims(world) == set()


def test_all_devices_of_a_person_stand_in_one_place(tmp_path: Path) -> None:
    """The place counts from the first device, and is there as long as one device holds it."""
    world = made(tmp_path, {"goal": limited()}, {"per": "1 hour"})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ann"), room={APP: 9}).windows)
    driver.report(_only_window(driver), [(1, Answer(410, "Unregistered", 1)), (2, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    assert claims(world) == {("user:ann", "cap", "day", 1, 2)}
    world.advance(3600)
    world.ingest(event("b", at=world.now, user="ann"))
    driver.start()
    assert {(run, device) for *_, run, device in claims(world)} == {(1, 2), (2, 1), (2, 2)}
    driver.wake()
    driver.take_up(driver.work.runs[1])
    driver.accept_all()
    driver.settle()
    assert list(ledger(world).values()) == ["Unregistered", "accepted", "accepted", "accepted"]


def test_a_run_in_shards_counts_a_person_once(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited(audience=EVERYONE)})
    world.ingest(event("a"), event("b"))
    driver = Driver(world)
    driver.start(limit=1)
    for run in list(driver.work.runs.values()):
        while any(not shard.is_read for shard in run.shards):
            driver.open(run, limit=1)
    driver.accept_all()
    driver.settle()
    assert list(ledger(world).values()).count("accepted") == 4
    assert {reason for (run, _), reason in ledger(world).items() if run == "goal 2"} == {"cap day"}


def test_runs_of_one_transaction_see_what_those_before_them_take(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited()}, {"max": 2})
    opened = world.ingest(*(event(name, user="ann") for name in "abcd"), room={APP: 100}).windows
    assert [(window.context.run.seq, ids(window.recipients)) for window in opened] == [(1, [1, 2]), (2, [1, 2])]
    assert [run.state for run in world.runs()] == [RunState.RUNNING] * 2 + [RunState.FINISHED] * 2
    assert list(ledger(world).values()) == ["cap day"] * 4


def test_two_runs_that_meet_a_person_in_the_same_moment_take_one_place(tmp_path: Path) -> None:
    rules = {f"r{number}": limited(audience=EVERYONE, trigger={"event": f"e{number}"}) for number in range(8)}
    world = made(tmp_path, rules)
    world.ingest(*(event(f"e{number}", type_=f"e{number}") for number in range(8)))
    driver = Driver(world)
    contexts = [driver.context(run) for run in world.runs()]
    together, given = Barrier(len(contexts)), []

    def begin(context: Any) -> None:
        together.wait()
        started = start_runs(world.store, [(context, 1_000)], world.now, room=1_000)
        given.extend((context.run.seq, one.person) for window in started.windows for one in window.recipients)

    threads = [Thread(target=begin, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted({person for _, person in given}) == ["device:4", "user:ann", "user:ben"]
    assert len(set(given)) == 3


def test_who_is_erased_leaves_nothing(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited({"reentry": "never"}, audience=EVERYONE)})
    send(world, event("a"))
    assert {person for person, *_ in claims(world)} == {"user:ann", "user:ben", "device:4"}
    erase(world.store, "ann")
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(4))
    assert {person for person, *_ in claims(world)} == {"user:ben"}


def test_a_cap_that_is_loaded_anew_holds_for_what_runs(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited()}, {"max": 9})
    send(world, event("a", user="ben"))
    world.ingest(event("b", user="ben"))
    world.rewrite({}, settings=capped({"max": 1}))
    Driver(world).finish_everything()
    assert list(ledger(world).values()) == ["accepted", "cap day"]
