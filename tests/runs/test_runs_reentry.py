"""Re-entry and one device a user in the life of a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.limits import claims, ledger, limited, waiting
from support.worlds import APP, NOW, World, event, ids, register, settings_text, token_of

from scheduler.apns.results import Answer
from scheduler.domain.errors import OperatorError
from scheduler.domain.runs import RunState
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.schedules import open_due, watch
from scheduler.runs.verdicts import HELD_OUT
from scheduler.store.registry_changes import DeviceChange

EVERYONE = {"everyone": True}
SEEN = NOW - timedelta(days=1)


def made(folder: Path, rules: dict[str, str], *, settings: str | None = None) -> World:
    """Ann has the devices 1 to 3, of which 2 was seen last, Ben 4; 5 is nobody's."""
    world = World.make(folder, rules, settings=settings, templates={"plain": "aps: {alert: It is time}"})
    for number, (user, hours) in enumerate((("ann", 0), ("ann", 2), ("ann", 1), ("ben", 0), (None, 0)), start=1):
        change = DeviceChange(app=APP, token=token_of(number), user=user)
        register(world.store, [change], now=SEEN + timedelta(hours=hours))
    return world


def send(world: World, *events: Any) -> list[str]:
    """Take events in, send and accept everything; what became of everybody."""
    world.ingest(*events)
    Driver(world).finish_everything()
    return list(ledger(world).values())


def test_never_is_once_a_person_by_all_devices_in_all_runs(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited({"reentry": "never"}, audience=EVERYONE)})
    assert send(world, event("a"), event("b")) == ["accepted"] * 5 + ["reentry"] * 5
    register(
        world.store, [DeviceChange(app=APP, token=token_of(6), user="ben"), DeviceChange(app=APP, token=token_of(7))]
    )
    world.advance(400 * 86_400)
    assert send(world, event("c", at=world.now))[10:] == ["reentry"] * 6 + ["accepted"]


@pytest.mark.parametrize(
    ("hours", "became"),
    [
        ((0, 71), ["accepted", "reentry"]),
        ((0, 72), ["accepted", "accepted"]),
        ((0, 71, 72), ["accepted", "reentry", "accepted"]),  # what was suppressed does not count
        ((72, 1), ["accepted", "reentry"]),  # an event that comes late
        ((72, 0), ["accepted", "accepted"]),
    ],
)
def test_the_same_person_again_counts_from_occasion_to_occasion(
    tmp_path: Path, hours: tuple[int, ...], became: list[str]
) -> None:
    rule = limited({"reentry": {"after": "3 days"}}, delivery={"max_age": "9 days", "expires_after": "9 days"})
    world = made(tmp_path, {"goal": rule})
    world.advance(80 * 3600)
    for number in hours:
        found = send(world, event(f"e{number}", at=NOW + timedelta(hours=number), user="ben"))
    assert found == became


def test_with_a_key_it_is_an_entry_of_its_own(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited({"reentry": {"after": "3 days", "key": "{{ event.data.basket }}"}})})
    events = [event(f"e{n}", user="ben", basket=basket) for n, basket in enumerate(("x", "y", "x", "y", "z"))]
    assert send(world, *events) == ["accepted", "accepted", "reentry", "reentry", "accepted"]


def test_an_event_without_the_key_starts_no_run_and_is_counted(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": limited({"reentry": {"after": "3 days", "key": "{{ event.data.basket }}"}})})
    assert send(world, event("a", user="ben")) == []
    assert world.misses() == [("goal", "key_missing", "event.data.basket", 1)]


def test_a_firing_without_the_key_is_refused(tmp_path: Path) -> None:
    limits = {"reentry": {"after": "3 days", "key": "{{ event.data.basket }}"}}
    rule = limited(limits, trigger={"event": "basket", "manual": True}, audience=EVERYONE)
    world = made(tmp_path, {"goal": rule})
    campaign, settings = world.workspace.campaigns["goal"], world.workspace.settings
    with pytest.raises(OperatorError) as refused:
        fired_occasion(campaign, None, None, settings, world.now)
    assert str(refused.value) == (
        "rule goal: event.data.basket is missing for limits.reentry.key\n"
        "  hint: give an event that has it: --event FILE"
    )
    given = event("e", basket="x")
    assert fire(world.store, campaign, fired_occasion(campaign, "k", given, settings, world.now), given, world.now)


def test_each_slot_is_an_occasion_of_its_own(tmp_path: Path) -> None:
    rule = limited(
        {"reentry": {"after": "2 days"}}, trigger={"schedule": "0 9 * * *"}, audience=EVERYONE, template="plain"
    )
    world = made(tmp_path, {"goal": rule})
    watch(world.store, world.workspace, world.now)
    for _ in range(3):
        world.advance(86_400)
        open_due(world.store, world.workspace, world.store.namespace(), world.now, awake_since=NOW)
        Driver(world).finish_everything()
    assert list(ledger(world).values()) == []  # nine o'clock is three hours ago, and the grace is one
    world.advance(21 * 3600)
    for _ in range(3):
        open_due(world.store, world.workspace, world.store.namespace(), world.now, awake_since=NOW)
        Driver(world).finish_everything()
        world.advance(86_400)
    assert list(ledger(world).values()) == ["accepted"] * 5 + ["reentry"] * 5 + ["accepted"] * 5


def test_at_is_once_by_itself_and_claims_nothing_unless_it_says_so(tmp_path: Path) -> None:
    rules = {
        "plain": limited(trigger={"at": "2026-11-20 12:30"}, audience=EVERYONE, template="plain"),
        "said": limited({"reentry": "never"}, trigger={"at": "2026-11-20 12:30"}, audience=EVERYONE, template="plain"),
    }
    world = made(tmp_path, rules)
    watch(world.store, world.workspace, world.now)
    world.advance(1800)
    open_due(world.store, world.workspace, world.store.namespace(), world.now, awake_since=NOW)
    Driver(world).finish_everything()
    assert len(ledger(world)) == 10
    assert {scope for _, _, scope, *_ in claims(world)} == {"said"}


def test_a_rule_that_was_renamed_knows_who_had_it(tmp_path: Path) -> None:
    world = made(tmp_path, {"old": limited({"reentry": "never"})})
    assert send(world, event("a", user="ben")) == ["accepted"]
    (tmp_path / "rules/old.yaml").unlink()
    renamed = limited({"reentry": "never"})
    world.rewrite({"new": renamed[:-1] + ', "renamed_from": ["older", "old"]}'})
    assert send(world, event("b", user="ben")) == ["accepted", "reentry"]


@pytest.mark.parametrize(
    ("report", "again"),
    [(Answer(200), "reentry"), (HELD_OUT, "reentry"), (Answer(400, "PayloadTooLarge"), "accepted")],
)
def test_held_out_counts_and_a_failure_does_not(tmp_path: Path, report: Any, again: str) -> None:
    world = made(tmp_path, {"goal": limited({"reentry": "never"})})
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user="ben"), room={APP: 9}).windows)
    (window,) = driver.work.windows.values()
    driver.report(window, [(4, report)])
    driver.settle()
    assert send(world, event("b", user="ben"))[1] == again


def one_device(**rule: Any) -> str:
    return limited({"per_user": "latest"}, audience=EVERYONE, **rule)


def test_of_the_devices_of_a_user_the_one_that_was_seen_last_gets_it(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": one_device()})
    assert send(world, event("a")) == ["not_latest", "accepted", "not_latest", "accepted", "accepted"]
    counts = world.report(world.runs()[0]).counts
    assert (counts.selected, counts.accepted, counts.suppressed) == (5, 3, 2)


def test_of_devices_that_were_seen_at_once_the_highest_number_gets_it(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": one_device()})
    for number in (1, 2, 3):
        register(world.store, [DeviceChange(app=APP, token=token_of(number))], now=NOW)
    assert send(world, event("a"))[:3] == ["not_latest", "not_latest", "accepted"]


@pytest.mark.parametrize(
    "audience",
    [
        {"everyone": True, "where": 'device.attributes.kind == "phone"'},
        {"topics": ["a", "b"]},
        {"users": ["ann", "ben"], "topics": ["a", "b"]},
    ],
)
def test_only_devices_that_match_are_compared(tmp_path: Path, audience: dict[str, Any]) -> None:
    rule = limited({"per_user": "latest"}, audience=audience)
    world = World.make(tmp_path, {"goal": rule})
    for number, (kind, topic) in enumerate((("phone", "a"), ("watch", "c"), ("phone", "b"), ("watch", "a")), start=1):
        in_topic = topic if "where" not in audience else "a"
        register(world.store, [DeviceChange(app=APP, token=token_of(number), user="ann" if number < 4 else "ben",
                 topics=[in_topic], attributes={"kind": kind})], now=SEEN + timedelta(hours=number % 3))  # fmt: skip
    world.ingest(event("a"))
    Driver(world).finish_everything(limit=1)
    got = {device: became for (_, device), became in ledger(world).items()}
    assert got | {4: "accepted"} == {1: "accepted", 3: "not_latest", 4: "accepted"}


def opened(world: World, *, limit: int = 1) -> tuple[Driver, Callable[[], list[int]]]:
    """A run in windows of one device, and how to open the next."""
    world.ingest(event("a"))
    driver = Driver(world)
    begun = driver.start(limit=limit).windows
    (run,) = driver.work.runs.values()

    def open_next() -> list[int]:
        window = begun.pop() if begun else driver.open(run, limit=limit)
        assert window is not None
        return ids(window.recipients)

    return driver, open_next


def test_the_first_window_says_it_for_the_others(tmp_path: Path) -> None:
    """Whatever is seen, logs in or registers between two windows of a run, one device of a user gets it."""
    world = made(tmp_path, {"goal": one_device()})
    _, open_next = opened(world)
    assert open_next() == []
    assert ("user:ann", "latest", "", 1, 2) in claims(world)
    register(world.store, [DeviceChange(app=APP, token=token_of(3))], now=NOW)
    assert [open_next(), open_next()] == [[2], []]
    assert open_next() == [4]
    register(world.store, [DeviceChange(app=APP, token=token_of(5), user="ben")], now=NOW)
    assert open_next() == []


def test_a_device_that_registers_while_the_run_goes_is_not_compared(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": one_device()})
    _, open_next = opened(world)
    register(world.store, [DeviceChange(app=APP, token=token_of(6), user="ann")], now=NOW)
    assert [open_next() for _ in range(5)] == [[], [2], [], [4], [5]]


def test_a_device_that_waits_for_its_morning_stays_the_one(tmp_path: Path) -> None:
    settings = settings_text(limits={"quiet_hours": {"from": "22:00", "to": "08:00"}})
    world = made(tmp_path, {"goal": one_device()}, settings=settings)
    register(world.store, [DeviceChange(app=APP, token=token_of(2), time_zone="Pacific/Auckland")], now=NOW)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    assert waiting(world).keys() == {2}
    driver.finish_everything()
    assert list(ledger(world).values()) == ["not_latest", "accepted", "not_latest", "accepted", "accepted"]


def test_it_stays_decided_after_a_failure_and_a_crash(tmp_path: Path) -> None:
    world = made(tmp_path, {"goal": one_device()})
    world.ingest(event("a"))
    Driver(world).start()
    register(world.store, [DeviceChange(app=APP, token=token_of(1))], now=NOW)
    driver = Driver(world, process="next")
    driver.finish_everything()
    assert list(ledger(world).values()) == ["not_latest", "accepted", "not_latest", "accepted", "accepted"]
    assert world.runs()[0].state is RunState.FINISHED


def test_latest_comes_before_re_entry_and_that_before_caps(tmp_path: Path) -> None:
    settings = settings_text(limits={"caps": [{"name": "day", "max": 1, "per": "1 day"}]})
    rules = {
        "all": limited({"per_user": "latest", "reentry": "never"}, audience={"users": ["ann"]}),
        "caps": limited(trigger={"event": "other"}, audience={"users": ["ben"]}),
        "both": limited({"reentry": "never"}, trigger={"event": "both"}, audience={"users": ["ann", "ben"]}),
    }
    world = made(tmp_path, rules, settings=settings)
    assert send(world, event("a")) == ["not_latest", "accepted", "not_latest"]
    assert send(world, event("b"))[3:] == ["not_latest", "reentry", "not_latest"]
    assert send(world, event("c", type_="other"))[6:] == ["accepted"]
    assert send(world, event("d", type_="both"))[7:] == ["cap day"] * 4
