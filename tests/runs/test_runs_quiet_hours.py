"""Quiet hours in the life of a run: who is held until when, who is dropped, and what is decided again after them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.driving import Driver
from support.walking import Walk
from support.worlds import APP, NOW, World, event, ids, register, rule_text, set_user, settings_text, token_of

from scheduler.apns.results import Answer
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import RunState
from scheduler.runs import opening
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.runs.reports import Counts
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import EVENTS, LEDGER, RUNS, SHARDS, USERS, WORK

NIGHT = {"from": "22:00", "to": "08:00"}
ZONES = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", None, None]
"""Of the devices 1 to 5. At noon in London it is night for 2 (until 16:00 UTC) and 3 (until 19:00 UTC); 5 is a device
of a user in Los Angeles."""
LOS_ANGELES, AUCKLAND = NOW.replace(hour=16), NOW.replace(hour=19)


def rule(timing: Any = None, **fields: Any) -> str:
    return json.dumps(json.loads(rule_text(**fields)) | ({"timing": {"quiet_hours": timing}} if timing else {}))


def made(folder: Path, timing: Any = None, *, category: str = "hold", **fields: Any) -> World:
    text = settings_text(limits={"quiet_hours": NIGHT}, categories={"sports": {"quiet_hours": category}})
    world = World.make(folder, {"tested": rule(timing, **fields)}, settings=text)
    set_user(world.store, "lou", time_zone="America/Los_Angeles")
    register(
        world.store,
        [
            DeviceChange(app=APP, token=token_of(number), time_zone=zone, user="lou" if number == 5 else None)
            for number, zone in enumerate(ZONES, start=1)
        ],
    )
    return world


def rows(world: World) -> dict[int, tuple[str, str | None, datetime]]:
    """The work rows: device → state, reason, not before."""
    with world.store.read() as tx:
        return {
            row.device: (row.state, row.reason, datetime.fromtimestamp(row.not_before / 1000, UTC))
            for row in tx.execute(select(WORK))
        }


def counts(world: World) -> Counts:
    return world.report(world.runs()[0]).counts


def some(**given: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **given})


@pytest.mark.parametrize("shard", [2, 100])
def test_each_device_is_held_until_its_own_morning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int) -> None:
    monkeypatch.setattr(opening, "SHARD_DEVICES", shard)
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=shard)
    for run in list(driver.work.runs.values()):
        while any(not shard.is_read for shard in run.shards):
            driver.open(run, limit=2)
    assert {device for window in driver.work.windows.values() for device in window.waiting} == {1, 4}
    held = {2: LOS_ANGELES, 3: AUCKLAND, 5: LOS_ANGELES}
    assert rows(world) == {device: ("deferred", "quiet_hours", until) for device, until in held.items()}
    driver.accept_all()
    driver.settle()
    report = world.report(world.runs()[0])
    assert report.counts == some(selected=5, accepted=2, pending=3)
    assert (report.deferred, report.next_due) == ({"quiet_hours": 3}, LOS_ANGELES)
    assert driver.work.runs == {}
    (waiting,) = world.runs()
    assert (waiting.state, waiting.waits_until) == (RunState.WAITING, LOS_ANGELES)
    world.advance((LOS_ANGELES - NOW).total_seconds() - 1)
    driver.wake()
    assert driver.work.runs == {}
    world.advance(1)
    driver.wake()
    (run,) = driver.work.runs.values()
    morning = driver.take_up(run)
    assert morning is not None
    assert ids(morning.recipients) == [2, 5]
    assert run.work_due == AUCKLAND
    driver.accept_all()
    driver.settle()
    driver.finish_everything()
    assert world.now == AUCKLAND
    assert (counts(world), world.runs()[0].state) == (some(selected=5, accepted=5), RunState.FINISHED)


def test_a_small_run_that_an_event_opens_at_once_holds_too(tmp_path: Path) -> None:
    world = made(tmp_path, audience={"users": ["lou"]})
    result = world.ingest(event("a"), room={APP: 100})
    assert (result.windows, result.waits_until) == ([], {Lane.NORMAL: LOS_ANGELES})
    driver = Driver(world)
    assert (counts(world), world.runs()[0].state, world.runs()[0].intent) == (
        some(selected=1, pending=1), RunState.WAITING, None
    )  # fmt: skip
    driver.finish_everything()
    assert (counts(world), world.now) == (some(selected=1, accepted=1), LOS_ANGELES)


def test_runs_that_only_hold_are_in_nobodys_memory_until_the_first_is_due(tmp_path: Path) -> None:
    world = made(tmp_path, audience={"users": ["{{ event.data.user }}"]})
    register(world.store, [DeviceChange(app=APP, token=token_of(6), time_zone="Pacific/Auckland", user="kiri")])
    driver = Driver(world)
    for user in ("lou", "kiri"):
        driver.adopt(world.ingest(*(event(f"{user}{n}", user=user) for n in range(5)), room={APP: 100}).windows)
    driver.load()
    assert driver.work.runs == {}
    world.advance((LOS_ANGELES - NOW).total_seconds())
    driver.wake()
    assert [run.work_due for run in driver.work.runs.values()] == [LOS_ANGELES] * 5
    world.advance((AUCKLAND - LOS_ANGELES).total_seconds())
    driver.wake()
    assert len(driver.work.runs) == 10


def test_dropped_is_said_with_its_reason(tmp_path: Path) -> None:
    world = made(tmp_path, "drop")
    world.ingest(event("a"))
    Driver(world).finish_everything()
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (
        some(selected=5, accepted=2, suppressed=3), {"suppressed": {"quiet_hours": 3}}
    )  # fmt: skip
    assert world.now == NOW


@pytest.mark.parametrize(
    ("timing", "category", "held"),
    [
        (None, "ignore", set()),
        ("hold", "ignore", {2, 3, 5}),
        ("ignore", "hold", set()),
        ({"from": "05:00"}, "hold", set()),  # it is four in Los Angeles, and one in Auckland
        ({"from": "05:00", "to": "04:00"}, "hold", {1, 3, 4}),
        ({"to": "01:00"}, "hold", set()),
        ({"to": "01:30"}, "hold", {3}),
        ({"from": "12:00", "to": "14:00", "then": "hold"}, "ignore", {1, 4}),
    ],
)
def test_a_rule_has_the_last_word(tmp_path: Path, timing: Any, category: str, held: set[int]) -> None:
    world = made(tmp_path, timing, category=category)
    world.ingest(event("a"))
    Driver(world).start()
    assert rows(world).keys() == held


def test_who_opts_out_or_leaves_in_the_night_gets_nothing_in_the_morning(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    set_user(world.store, "lou", opt_outs=["sports"])
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(3))
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert report.counts == some(selected=5, accepted=3, suppressed=2)
    assert report.reasons == {"suppressed": {"opted_out": 1, "token_retired": 1}}


def test_who_has_moved_in_the_night_is_in_the_zone_of_the_morning(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    driver.accept_all()
    driver.settle()
    register(world.store, [DeviceChange(app=APP, token=token_of(2), time_zone="Asia/Tokyo")])
    world.advance((LOS_ANGELES - NOW).total_seconds())
    driver.wake()
    taken = driver.take_up(next(iter(driver.work.runs.values())))
    assert taken is not None
    assert ids(taken.recipients) == [5]
    assert rows(world)[2] == ("deferred", "quiet_hours", NOW.replace(hour=23))  # it is one in the morning in Tokyo


@pytest.mark.parametrize(
    ("delivery", "ends", "reasons"),
    [
        ({"expires_after": "4 hours"}, some(selected=5, accepted=2, expired=3), {}),
        ({"expires_after": "5 hours"}, some(selected=5, accepted=4, expired=1), {}),
        ({"expires_after": "never_store"}, some(selected=5, accepted=5), {}),
        ({"max_age": "4 hours"}, some(selected=5, accepted=4, suppressed=1), {"suppressed": {"stale": 1}}),
        ({"max_age": "3 hours"}, some(selected=5, accepted=2, suppressed=3), {"suppressed": {"stale": 3}}),
    ],
)
def test_nothing_is_held_that_cannot_be_sent_afterwards(
    tmp_path: Path, delivery: dict[str, str], ends: Counts, reasons: dict[str, Any]
) -> None:
    """It is over at once, as it would be in the morning. Holds count for max_age; at its very end it is still sent."""
    world = made(tmp_path, delivery=delivery)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    report = world.report(world.runs()[0])
    assert (report.counts.expired, report.counts.suppressed) == (ends.expired, ends.suppressed)
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (ends, reasons)


@pytest.mark.parametrize(("timing", "reason"), [("hold", None), ("ignore", "stale")])
def test_what_may_be_held_has_no_age_unless_the_rule_says_one(tmp_path: Path, timing: str, reason: str | None) -> None:
    world = made(tmp_path, timing, audience={"where": "device.time_zone == 'Europe/Berlin'"},
                 delivery={"expires_after": "9 days"})  # fmt: skip
    world.ingest(event("a", at=NOW - timedelta(days=2)))
    Driver(world).finish_everything()
    report = world.report(world.runs()[0])
    assert report.reasons == ({"suppressed": {reason: 1}} if reason else {})


def test_a_retry_that_comes_due_at_night_waits_for_the_morning(tmp_path: Path) -> None:
    world = made(tmp_path, {"from": "13:05", "to": "15:00"}, audience={"where": "device.time_zone == 'Europe/Berlin'"})
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    world.advance(15 * 60)
    driver.wake()
    (run,) = driver.work.runs.values()
    taken = driver.take_up(run)
    driver.settle()
    assert taken is not None
    assert taken.recipients == []
    assert rows(world) == {1: ("deferred", "quiet_hours", NOW.replace(hour=14))}
    driver.finish_everything()
    with world.store.read() as tx:
        (row,) = tx.execute(select(LEDGER)).all()
    assert (row.outcome, row.attempts, row.maybe_repeated) == ("accepted", 2, False)


def test_what_is_held_pauses_and_ends_with_its_run(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    driver.accept_all()
    driver.settle()
    run_id = world.runs()[0].id.hex
    pause(world.store, run_id, world.now)
    world.advance(86_400)
    driver.wake()
    assert driver.work.runs == {}
    assert len(rows(world)) == 3
    resume(world.store, run_id, world.now, apps=[APP])
    cancel(world.store, run_id, world.now)
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (
        some(selected=5, accepted=2, suppressed=3), {"suppressed": {"cancelled": 3}}
    )  # fmt: skip


def test_a_crash_leaves_the_held_as_they_are_and_doubts_only_the_sent(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a"))
    Driver(world, process="before").start()
    held = rows(world)
    after = Driver(world, process="after")
    assert (after.recovered.resend, after.recovered.dropped) == (2, 0)
    assert held.items() <= rows(world).items()
    assert counts(world) == some(selected=5, pending=5)
    after.finish_everything()
    report = world.report(world.runs()[0])
    assert (report.counts, report.maybe_repeated) == (some(selected=5, accepted=5), 2)


class NightWalk(Walk):
    """A walk through days and nights. Whoever is given to the provider is awake."""

    def pass_time(self) -> None:
        self.world.advance(self.chance.choice([1, 1000, 3 * 3600, 8 * 3600]))

    def _given_out(self) -> None:
        seen = set(self._in_doubt)
        for number, window in self.driver.work.windows.items():
            if number not in seen:
                for recipient in window.waiting.values():
                    zone = recipient.device["time_zone"] or "UTC"
                    assert isinstance(zone, str)
                    shown = self.world.now.astimezone(ZoneInfo(zone)).time()
                    assert time(8) <= shown < time(22), (zone, shown)
        super()._given_out()


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    text = settings_text(limits={"quiet_hours": NIGHT})
    delivery = {"expires_after": "90 days"}
    rules = {
        "everyone": rule(delivery=delivery),
        "user": rule(audience={"users": ["{{ event.data.user }}"]}, delivery=delivery),
    }
    world = World.make(tmp_path_factory.mktemp("nights"), rules, settings=text)
    zones = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata", None]
    register(
        world.store,
        [
            DeviceChange(app=APP, token=token_of(n), user=["ann", "ben", None][n % 3], time_zone=zones[n % 5])
            for n in range(1, 12)
        ],
    )
    yield world
    world.store.close()


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 6)
@given(seed=st.integers(0, 2**32), length=st.integers(5, 45))
def test_whatever_happens_nobody_is_sent_to_at_night_and_everybody_ends_once(
    nights: World, seed: int, length: int
) -> None:
    chance = Random(seed)
    with nights.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK, USERS):
            tx.execute(delete(table))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "SHARD_DEVICES", chance.choice([3, 5, 100]))
        walk = NightWalk(nights, chance)
        walk.event()
        for _ in range(length):
            walk.step()
        walk.end()
    with nights.store.read() as tx:
        assert tx.execute(select(WORK)).all() == []
        repeated = {(row.run, row.device) for row in tx.execute(select(LEDGER)) if row.maybe_repeated}
    assert repeated == walk.doubted
    for run in nights.runs():
        assert run.state in (RunState.FINISHED, RunState.CANCELLED)
        assert nights.report(run).counts.pending == 0
