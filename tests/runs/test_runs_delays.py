"""Delays in the life of a run: who waits is decided when the event comes, what becomes of them when it is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.driving import Driver
from support.worlds import APP, NOW, World, event, ids, register, rule_text, set_user, token_of

from scheduler.domain.runs import CALLED_OFF, RunState
from scheduler.domain.stops import StopKind
from scheduler.runs import opening
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.pausing import cancel, pause, pause_what_cannot_run, resume
from scheduler.runs.preparing import Preparation
from scheduler.runs.reports import Counts, RunReport
from scheduler.runs.stopping import start, stop
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import WORK

HOUR = timedelta(hours=1)
DUE = NOW + 2 * HOUR


def rule(timing: Any = None, *, ends: str | None = None, **fields: Any) -> str:
    more = {"timing": {"delay": "2 hours", **(timing or {})}, "ends": ends}
    return json.dumps(json.loads(rule_text(**fields)) | {key: value for key, value in more.items() if value})


def made(folder: Path, timing: Any = None, **fields: Any) -> World:
    """Devices 1 and 2 are ann's, 3 is ben's, 4 and 5 nobody's."""
    world = World.make(folder, {"tested": rule(timing, **fields)})
    for user in ("ann", "ben"):
        set_user(world.store, user, attributes={"plan": "free"})
    users = ["ann", "ann", "ben", None, None]
    register(
        world.store,
        [DeviceChange(app=APP, token=token_of(n), user=user) for n, user in enumerate(users, start=1)],
    )
    return world


def rows(world: World) -> dict[int, tuple[str, str | None, datetime]]:
    """The work rows: device → state, reason, not before."""
    with world.store.read() as tx:
        return {
            row.device: (row.state, row.reason, datetime.fromtimestamp(row.not_before / 1000, UTC))
            for row in tx.execute(select(WORK))
        }


def some(**given: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **given})


def shown(world: World) -> RunReport:
    return world.report(world.runs()[0])


FREE: Any = {"where": "user.attributes.plan == 'free'"}
NAMED: Any = {"users": ["{{ event.data.user_id }}"]}


@pytest.mark.parametrize("shard", [2, 100])
def test_everybody_waits_from_the_event_and_goes_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int
) -> None:
    monkeypatch.setattr(opening, "SHARD_DEVICES", shard)
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=shard)
    for run in list(driver.work.runs.values()):
        while any(not one.is_read for one in run.shards):
            driver.open(run, limit=2)
    driver.settle()
    assert rows(world) == dict.fromkeys(range(1, 6), ("deferred", "delay", DUE))
    report = shown(world)
    assert (report.counts, report.deferred, report.next_due) == (some(selected=5, pending=5), {"delay": 5}, DUE)
    driver.finish_everything()
    assert world.now == DUE
    assert (shown(world).counts, world.runs()[0].state) == (some(selected=5, accepted=5), RunState.FINISHED)


def test_the_delay_counts_from_the_events_own_time_and_not_from_its_arrival(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a", at=NOW - HOUR))
    driver = Driver(world)
    driver.start()
    assert {until for _, _, until in rows(world).values()} == {NOW + HOUR}


def test_an_event_that_comes_when_it_is_due_already_waits_for_nothing(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a", at=NOW - 3 * HOUR))
    driver = Driver(world)
    driver.start()
    assert rows(world) == {}
    driver.finish_everything()
    assert (shown(world).counts, world.now) == (some(selected=5, accepted=5), NOW)
    assert world.runs()[0].due == NOW - HOUR


@pytest.mark.parametrize("room", [{}, {APP: 0}, {APP: 1}, {APP: 100}])
def test_whoever_takes_an_event_in_settles_who_waits_without_room_to_send(tmp_path: Path, room: dict[str, int]) -> None:
    world = made(tmp_path, audience=NAMED, delivery={"rate": "1/s"})
    world.ingest(event("a", user_id="ann"), room=room)
    assert rows(world) == dict.fromkeys((1, 2), ("deferred", "delay", DUE))
    assert shown(world).counts == some(selected=2, pending=2)
    set_user(world.store, "ann", attributes={"plan": "pro"})
    driver = Driver(world)
    driver.finish_everything()
    assert shown(world).counts == some(selected=2, accepted=2)


def test_who_does_not_match_when_the_event_comes_is_not_selected_later(tmp_path: Path) -> None:
    world = made(tmp_path, audience=FREE)
    set_user(world.store, "ben", attributes={"plan": "pro"})
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    set_user(world.store, "ben", attributes={"plan": "free"})
    driver.finish_everything()
    assert shown(world).counts == some(selected=2, accepted=2)


@pytest.mark.parametrize(("recheck", "sent"), [(True, 1), (False, 3)])
def test_where_is_asked_again_when_the_delay_is_over_unless_the_rule_says_no(
    tmp_path: Path, recheck: bool, sent: int
) -> None:
    world = made(tmp_path, {"recheck": recheck}, audience=FREE)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    set_user(world.store, "ann", attributes={"plan": "pro"})
    driver.finish_everything()
    report = shown(world)
    assert report.counts == some(selected=3, accepted=sent, suppressed=3 - sent)
    assert report.reasons == ({"suppressed": {"no_longer_matches": 2}} if recheck else {})


@pytest.mark.parametrize(("where", "kept"), [("now < '{}'", 0), ("now >= '{}' or user.id == 'ann'", 2)])
def test_now_is_the_birth_of_the_run_and_then_the_end_of_its_delay(tmp_path: Path, where: str, kept: int) -> None:
    """Also for a daemon that was down when it was due."""
    world = made(tmp_path, audience={"where": where.format("2026-11-20T13:00:00Z")})
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    selected = shown(world).counts.selected
    world.advance(9 * 3600)
    driver.finish_everything()
    assert shown(world).counts == some(selected=selected, accepted=kept, suppressed=selected - kept)


def test_the_date_of_a_person_is_asked_in_its_zone_when_the_delay_is_over(tmp_path: Path) -> None:
    """At its birth the condition is true without it, so that nobody's zone would be read."""
    where = "now < '2026-11-20T13:00:00Z' or today == '2026-11-21'"
    world = made(tmp_path, {"delay": "6 hours"}, audience={"where": where})
    register(world.store, [DeviceChange(app=APP, token=token_of(4), time_zone="Pacific/Auckland")])
    world.ingest(event("a"))
    Driver(world).finish_everything()
    report = shown(world)
    assert (report.counts, report.reasons) == (
        some(selected=5, accepted=1, suppressed=4), {"suppressed": {"no_longer_matches": 4}}
    )  # fmt: skip


def test_what_is_said_is_of_the_time_when_it_is_due(tmp_path: Path) -> None:
    world = made(tmp_path)
    world.ingest(event("a"))
    driver = Driver(world)
    context = driver.context(world.runs()[0])
    assert (context.run.created_at, context.scope["now"]) == (NOW, DUE)
    Preparation(context.campaign, context.run.id, context.scope, bundle_id="b", expiration=0)


def test_where_is_not_asked_a_third_time_after_a_night(tmp_path: Path) -> None:
    night = {"from": "13:00", "to": "18:00", "then": "hold"}
    world = made(tmp_path, {"quiet_hours": night}, audience=FREE)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    driver.settle()
    world.advance(2 * 3600)
    driver.wake()
    (run,) = driver.work.runs.values()
    driver.take_up(run)
    driver.settle()
    assert rows(world) == {device: ("deferred", "quiet_hours", NOW.replace(hour=18)) for device in (1, 2, 3)}
    set_user(world.store, "ann", attributes={"plan": "pro"})
    driver.finish_everything()
    assert shown(world).counts == some(selected=3, accepted=3)


def test_consent_and_token_are_read_when_the_event_comes_and_when_it_is_due(tmp_path: Path) -> None:
    world = made(tmp_path)
    set_user(world.store, "ben", opt_outs=["sports"])
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    assert shown(world).counts == some(selected=5, suppressed=1, pending=4)
    set_user(world.store, "ben", opt_outs=[])
    set_user(world.store, "ann", opt_outs=["sports"])
    with world.store.write() as tx:
        delete_device(tx, APP, token_of(5))
    driver.finish_everything()
    report = shown(world)
    assert (report.counts, report.reasons) == (
        some(selected=5, accepted=1, suppressed=4), {"suppressed": {"opted_out": 3, "token_retired": 1}}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("delivery", "late", "reasons"),
    [
        ({"max_age": "1 hour"}, 0, {}),
        ({"max_age": "1 hour"}, 3600, {}),
        ({"max_age": "1 hour"}, 3601, {"suppressed": {"stale": 5}}),
        ({"expires_after": "1 hour"}, 3599, {}),
    ],
)
def test_age_and_expiration_count_from_due(
    tmp_path: Path, delivery: dict[str, str], late: int, reasons: dict[str, Any]
) -> None:
    world = made(tmp_path, delivery=delivery)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    world.advance(2 * 3600 + late)
    driver.finish_everything()
    assert shown(world).reasons == reasons


def test_what_will_be_due_after_the_end_of_the_rule_is_over_at_once(tmp_path: Path) -> None:
    world = made(tmp_path, ends="2026-11-20T13:59:59Z")
    world.ingest(event("a"))
    Driver(world).start()
    report = shown(world)
    assert (report.counts, report.reasons) == (some(selected=5, suppressed=5), {"suppressed": {"ended": 5}})
    assert world.runs()[0].state is RunState.FINISHED


def test_a_manual_rule_that_is_fired_without_an_event_waits_from_then_on(tmp_path: Path) -> None:
    world = made(tmp_path, trigger={"event": "com.example.goal", "manual": True})
    campaign = world.workspace.campaigns["tested"]
    given = event("e", at=NOW - HOUR)
    for key, with_event, due in (("k", None, DUE), ("with", given, NOW + HOUR)):
        occasion = fired_occasion(campaign, key, with_event, world.workspace.settings, NOW)
        run = fire(world.store, campaign, occasion, with_event, NOW)
        assert run is not None
        assert run.due == due
    driver = Driver(world)
    driver.start()
    assert {until for _, _, until in rows(world).values()} <= {DUE, NOW + HOUR}
    driver.finish_everything()
    assert [world.report(one).counts for one in world.runs()] == [some(selected=5, accepted=5)] * 2


def test_a_newer_run_of_the_key_stops_the_one_that_waits(tmp_path: Path) -> None:
    world = made(tmp_path, audience=NAMED, delivery={"supersede": "{{ event.data.user_id }}"})
    world.ingest(event("a", user_id="ann"))
    world.advance(1800)
    result = world.ingest(event("b", at=world.now, user_id="ann"))
    assert result.superseded == {world.runs()[0].seq}
    while clear_superseded(world.store, world.now):
        pass
    first, second = world.runs()
    assert (first.state, world.report(first).reasons) == (
        RunState.SUPERSEDED, {"suppressed": {"superseded": 2}}
    )  # fmt: skip
    Driver(world).finish_everything()
    assert (world.report(second).counts, world.now) == (some(selected=2, accepted=2), DUE + HOUR / 2)


def test_a_late_event_of_the_key_waits_for_nothing(tmp_path: Path) -> None:
    world = made(tmp_path, audience=NAMED, delivery={"supersede": "{{ event.data.user_id }}"})
    world.ingest(event("a", user_id="ann"))
    world.ingest(event("b", at=NOW - HOUR, user_id="ann"))
    assert [run.state in CALLED_OFF for run in world.runs()] == [False, True]
    assert len(rows(world)) == 2


def test_what_waits_is_paused_resumed_and_cancelled_with_its_run(tmp_path: Path) -> None:
    world = made(tmp_path, audience=NAMED)
    for name in "ab":
        world.ingest(event(name, user_id="ann"))
    first, second = world.runs()
    for run in (first, second):
        pause(world.store, run.id.hex, world.now)
    world.advance(3 * 3600)
    Driver(world).finish_everything()
    assert len(rows(world)) == 2
    assert [run.state for run in world.runs()] == [RunState.PAUSED] * 2
    resume(world.store, first.id.hex, world.now, apps=[APP])
    cancel(world.store, second.id.hex, world.now)
    Driver(world).finish_everything()
    assert [world.report(run).counts for run in world.runs()] == [
        some(selected=2, accepted=2), some(selected=2, suppressed=2)
    ]  # fmt: skip


def test_a_rule_that_is_disabled_pauses_what_waits_until_a_hand_says_what_becomes_of_it(tmp_path: Path) -> None:
    world = made(tmp_path, audience=NAMED)
    world.ingest(event("a", user_id="ann"))
    world.rewrite({"tested": json.dumps(json.loads(rule(audience=NAMED)) | {"enabled": False})})
    pause_what_cannot_run(world.store, world.workspace, world.versions())
    world.advance(3 * 3600)
    Driver(world).finish_everything()
    assert (world.runs()[0].state, len(rows(world))) == (RunState.PAUSED, 2)
    resume(world.store, world.runs()[0].id.hex, world.now, apps=[APP])
    pause_what_cannot_run(world.store, world.workspace, world.versions())
    Driver(world).finish_everything()
    assert shown(world).counts == some(selected=2, accepted=2)


def test_a_stop_holds_what_is_due_and_time_goes_on(tmp_path: Path) -> None:
    world = made(tmp_path, audience=NAMED)
    world.ingest(event("a", user_id="ann"))
    stop(world.store, StopKind.RULE, "tested", world.now, known=lambda: ["tested"])
    world.ingest(event("b", user_id="ann"))
    world.advance(2 * 3600)
    driver = Driver(world)
    for run in driver.work.runs.values():
        assert driver.take_up(run) is None
    assert (shown(world).counts, world.runs()[1].state) == (some(selected=2, pending=2), RunState.PENDING)
    start(world.store, StopKind.RULE, "tested")
    Driver(world).finish_everything()
    assert [world.report(run).counts for run in world.runs()] == [some(selected=2, accepted=2)] * 2
    assert world.now == DUE


def test_a_crash_while_it_waits_doubts_nobody(tmp_path: Path) -> None:
    world = made(tmp_path, audience=FREE)
    world.ingest(event("a"))
    Driver(world, process="before").start()
    set_user(world.store, "nobody", attributes={"plan": "free"})
    register(world.store, [DeviceChange(app=APP, token=token_of(4), user="nobody")])
    world.advance(3 * 3600)
    after = Driver(world, process="after")
    assert (after.recovered.resend, after.recovered.dropped) == (0, 0)
    after.finish_everything()
    assert (shown(world).counts, shown(world).maybe_repeated) == (some(selected=3, accepted=3), 0)


def test_a_crash_after_it_was_taken_up_sends_again_and_asks_where_no_more(tmp_path: Path) -> None:
    world = made(tmp_path, audience=FREE)
    world.ingest(event("a"))
    before = Driver(world, process="before")
    before.start()
    world.advance(2 * 3600)
    before.wake()
    taken = before.take_up(next(iter(before.work.runs.values())))
    assert taken is not None
    assert ids(taken.recipients) == [1, 2, 3]
    set_user(world.store, "ann", attributes={"plan": "pro"})
    after = Driver(world, process="after")
    assert after.recovered.resend == 3
    after.finish_everything()
    assert (shown(world).counts, shown(world).maybe_repeated) == (some(selected=3, accepted=3), 3)
