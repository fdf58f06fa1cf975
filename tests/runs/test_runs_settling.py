"""What is written when windows end: by answers, by being handed over, by hand, or by a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from support.driving import Driver
from support.worlds import APP, NOW, World, event, ids, register, register_many, rule_text, token_of

from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Unanswered, Unsent, UnsentCause
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.runs import RunState
from scheduler.engine.active import OpenWindow
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.runs.reports import Counts
from scheduler.runs.verdicts import Report
from scheduler.store import ledger
from scheduler.store.registry import find_device
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import LEDGER, WORK

Make = Callable[..., World]


def _counts(**counts: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **counts})


def _opened(world: World, devices: int) -> tuple[Driver, OpenWindow]:
    """A run of one window that is open."""
    register_many(world.store, devices)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    return driver, window


def _work(world: World) -> dict[int, tuple[str, str | None, datetime]]:
    """The only run's work rows: device → state, reason, and when it is due."""
    with world.store.read() as tx:
        rows = tx.execute(select(WORK)).all()
    return {
        row.device: (row.state, row.reason, datetime.fromtimestamp(row.not_before / 1000, NOW.tzinfo)) for row in rows
    }


@pytest.mark.parametrize(
    ("report", "state", "reason", "pause"),
    [
        (Answer(503, "ServiceUnavailable"), "retry", "ServiceUnavailable", timedelta(minutes=15)),
        (Answer(500, "InternalServerError"), "retry", "InternalServerError", timedelta(minutes=15)),
        (Answer(502, None), "retry", "status 502", timedelta(minutes=15)),
        (Answer(503, "Shutdown"), "unsent", "Shutdown", timedelta(seconds=1)),
        (Answer(400, "IdleTimeout"), "unsent", "IdleTimeout", timedelta(seconds=1)),
        (Answer(429, "TooManyRequests"), "retry", "TooManyRequests", timedelta(minutes=1)),
        (Answer(403, "InvalidProviderToken"), "unsent", "InvalidProviderToken", timedelta(0)),
        (Unsent(UnsentCause.GOING_AWAY), "unsent", "going_away", timedelta(seconds=1)),
        (Unanswered(UnknownCause.LINK_LOST), "unsent", "link_lost", timedelta(seconds=1)),
    ],
)
def test_what_may_still_succeed_becomes_a_work_row(
    make_world: Make, report: Report, state: str, reason: str, pause: timedelta
) -> None:
    world = make_world(delivery={"expires_after": "1 day"})
    driver, window = _opened(world, 2)
    driver.report(window, [(1, report), (2, ACCEPTED_ANSWER)])
    driver.settle()
    assert _work(world) == {1: (state, reason, NOW + pause)}
    assert world.report(world.runs()[0]).counts == _counts(selected=2, accepted=1, pending=1)


@pytest.mark.parametrize(
    ("lifetime", "age", "pause"),
    [("20 minutes", 0, 600), ("20 minutes", 600, 300), ("20 minutes", 1194, 5), ("1 hour", 0, 900)],
)
def test_a_retry_comes_before_the_end_of_its_life(make_world: Make, lifetime: str, age: float, pause: float) -> None:
    world = make_world(delivery={"expires_after": lifetime})
    driver, window = _opened(world, 1)
    world.advance(age)
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    assert _work(world)[1][2] == world.now + timedelta(seconds=pause)


def test_a_retry_that_would_come_too_late_is_expired(make_world: Make) -> None:
    world = make_world(delivery={"expires_after": "20 minutes"})
    driver, window = _opened(world, 2)
    world.advance(1195.5)
    driver.report(window, [(1, Answer(503, "ServiceUnavailable")), (2, Answer(429, "TooManyRequests"))])
    driver.settle()
    report = world.report(world.runs()[0])
    assert report.counts == _counts(selected=2, expired=2)
    assert report.reasons == {"expired": {"ServiceUnavailable": 1, "TooManyRequests": 1}}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, "BadDeviceToken"), "BadDeviceToken"),
        (Answer(413, "PayloadTooLarge"), "PayloadTooLarge"),
        (Answer(418, "Never heard of"), "Never heard of"),
        (Answer(404, None), "status 404"),
    ],
)
def test_a_refusal_for_good_keeps_the_providers_word(make_world: Make, answer: Answer, reason: str) -> None:
    world = make_world()
    driver, window = _opened(world, 1)
    driver.report(window, [(1, answer)])
    driver.settle()
    report = world.report(world.runs()[0])
    assert (report.counts, report.reasons) == (_counts(selected=1, rejected=1), {"rejected": {reason: 1}})
    assert (report.run.state, report.run.finished_at) == ("finished", NOW)


@pytest.mark.parametrize(("later", "active"), [(-1, True), (0, True), (1, False)])
def test_a_token_is_retired_only_by_news_that_is_newer_than_its_registration(
    make_world: Make, later: int, active: bool
) -> None:
    world = make_world()
    register(world.store, [DeviceChange(app=APP, token=token_of(1))], now=NOW - timedelta(hours=1))
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    told = int((NOW - timedelta(hours=1)).timestamp() * 1000) + later
    driver.report(window, [(1, Answer(410, "Unregistered", told))])
    driver.settle()
    with world.store.read() as tx:
        found = find_device(tx, APP, token_of(1))
    assert found is not None
    assert found.device.active is active
    assert world.report(world.runs()[0]).reasons == {"rejected": {"Unregistered": 1}}
    world.ingest(event("b"))
    assert [ids(window.recipients) for window in driver.start().windows] == ([[1]] if active else [[]])


@pytest.mark.parametrize(("on_unknown", "counts"), [("resend", {"accepted": 1}), ("drop", {"unknown": 1})])
def test_what_got_no_answer_is_sent_again_or_dropped_as_the_rule_says(
    make_world: Make, on_unknown: str, counts: dict[str, int]
) -> None:
    world = make_world(delivery={"on_unknown": on_unknown})
    driver, window = _opened(world, 1)
    driver.report(window, [(1, Unanswered(UnknownCause.NO_ANSWER))])
    driver.settle()
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert report.counts == _counts(selected=1, **counts)
    assert report.maybe_repeated == (on_unknown == "resend")


def test_what_never_gets_an_answer_goes_again_ever_more_seldom(make_world: Make) -> None:
    """It may have rung each time."""
    world = make_world(delivery={"expires_after": "6 hours"})
    driver, window = _opened(world, 1)
    pauses: list[float] = []
    for _ in range(13):
        driver.report(window, [(1, Unanswered(UnknownCause.RESET))])
        driver.settle()
        pauses.append((_work(world)[1][2] - world.now).total_seconds())
        world.advance(pauses[-1])
        driver.take_up(window.run)
        (window,) = driver.work.windows.values()
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_the_first_time_without_an_answer_goes_again_soon_however_often_it_was_tried(make_world: Make) -> None:
    world = make_world(delivery={"expires_after": "6 hours"})
    driver, window = _opened(world, 1)
    for report in [Unsent(UnsentCause.REFUSED)] * 3 + [Unanswered(UnknownCause.RESET)]:
        driver.report(window, [(1, report)])
        driver.settle()
        assert _work(world)[1][2] == world.now + timedelta(seconds=1)
        world.advance(1)
        driver.take_up(window.run)
        (window,) = driver.work.windows.values()


def test_a_window_that_is_handed_over_leaves_work_rows_and_answers_replace_them(make_world: Make) -> None:
    world = make_world()
    driver, window = _opened(world, 4)
    driver.report(window, [(1, ACCEPTED_ANSWER)])
    driver.settle()
    driver.settler.hand_over(window, {2})
    driver.settle()
    deadline = NOW + timedelta(seconds=30)
    assert _work(world) == {2: ("unsent", None, NOW), 3: ("awaiting", None, deadline), 4: ("awaiting", None, deadline)}
    driver.report(window, [(3, ACCEPTED_ANSWER), (4, Answer(400, "BadDeviceToken"))])
    driver.settle()
    assert _work(world) == {2: ("unsent", None, NOW)}
    driver.finish_everything()
    report = world.report(world.runs()[0])
    assert report.counts == _counts(selected=4, accepted=3, rejected=1)
    assert report.maybe_repeated == 0


def test_a_window_that_is_handed_over_twice_is_handed_over_once(make_world: Make) -> None:
    """The next look at silent windows may come before the first was settled."""
    world = make_world()
    driver, window = _opened(world, 2)
    driver.settler.hand_over(window, {1})
    driver.settler.hand_over(window, set())
    driver.settle()
    assert (window.run.open_windows, window.run.open_devices) == (0, 0)
    assert {device: row[0] for device, row in _work(world).items()} == {1: "unsent", 2: "awaiting"}


def test_a_window_whose_last_answers_come_while_it_is_handed_over_is_closed_by_them(make_world: Make) -> None:
    world = make_world()
    driver, window = _opened(world, 2)
    driver.settler.hand_over(window, set())
    driver.report(window, [(1, ACCEPTED_ANSWER), (2, ACCEPTED_ANSWER)])
    driver.settle()
    assert _work(world) == {}
    assert world.runs()[0].state is RunState.FINISHED
    assert driver.work.open_devices[APP] == 0


def test_a_paused_run_sends_nothing_new_and_goes_on_where_it_was(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 6)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=2)
    (run,) = driver.work.runs.values()
    paused = pause(world.store, world.runs()[0].id.hex, NOW)
    assert (paused.state, paused.note) == ("paused", "paused by hand")
    assert driver.open(run, limit=2) is None
    driver.accept_all()
    driver.settle()
    assert world.report(world.runs()[0]).counts == _counts(selected=2, accepted=2)
    assert resume(world.store, paused.id.hex, NOW, apps=[APP]).state is RunState.RUNNING
    driver.finish_everything(limit=2)
    assert world.report(world.runs()[0]).counts == _counts(selected=6, accepted=6)


def test_a_run_whose_last_answers_come_while_it_is_paused_is_finished(make_world: Make) -> None:
    world = make_world()
    driver, _ = _opened(world, 2)
    pause(world.store, world.runs()[0].id.hex, NOW)
    driver.accept_all()
    driver.settle()
    assert (world.runs()[0].state, world.runs()[0].finished_at) == ("finished", NOW)


def test_a_run_that_was_paused_before_it_began_begins_when_it_is_resumed(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 2)
    world.ingest(event("a"))
    pause(world.store, world.runs()[0].id.hex, NOW)
    driver = Driver(world)
    assert driver.start().considered == 0
    assert resume(world.store, world.runs()[0].id.hex, NOW, apps=[APP]).state is RunState.PENDING
    driver.finish_everything()
    assert world.report(world.runs()[0]).counts == _counts(selected=2, accepted=2)


def test_cancelling_suppresses_what_waits_and_keeps_the_outcome_of_what_is_in_flight(make_world: Make) -> None:
    world = make_world()
    driver, window = _opened(world, 4)
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    run = cancel(world.store, world.runs()[0].id.hex, NOW)
    assert world.report(run).counts == _counts(selected=4, suppressed=1, pending=3)
    assert world.runs()[0].finished_at is None
    driver.report(window, [(2, ACCEPTED_ANSWER), (3, Answer(503, "ServiceUnavailable")), (4, Answer(400, "BadTopic"))])
    driver.settle()
    report = world.report(run)
    assert report.counts == _counts(selected=4, accepted=1, rejected=1, suppressed=2)
    assert report.reasons["suppressed"] == {"cancelled": 2}
    assert (report.run.state, report.run.finished_at) == ("cancelled", NOW)


def test_work_that_was_taken_up_and_not_sent_is_final_when_its_run_is_cancelled(make_world: Make) -> None:
    """It had a work row: the ledger's takes its place."""
    world = make_world()
    driver, window = _opened(world, 1)
    driver.report(window, [(1, Unsent(UnsentCause.REFUSED))])
    driver.settle()
    world.advance(2)
    driver.take_up(window.run)
    cancel(world.store, world.runs()[0].id.hex, NOW)
    (again,) = driver.work.windows.values()
    driver.settler.hand_over(again, {1})
    driver.settle()
    assert _work(world) == {}
    assert world.report(world.runs()[0]).reasons == {"suppressed": {"cancelled": 1}}


def test_what_was_in_flight_in_a_cancelled_run_is_unknown_after_a_crash(make_world: Make) -> None:
    world = make_world()
    driver, window = _opened(world, 3)
    driver.report(window, [(1, ACCEPTED_ANSWER)])
    driver.settle()
    cancel(world.store, world.runs()[0].id.hex, NOW)
    recovered = Driver(world).recovered
    assert (recovered.resend, recovered.dropped) == (0, 2)
    report = world.report(world.runs()[0])
    assert report.counts == _counts(selected=3, accepted=1, unknown=2)
    assert (report.reasons, report.run.finished_at) == ({"unknown": {"crash": 2}}, NOW)


def test_a_pending_run_that_is_cancelled_is_over_at_once(make_world: Make) -> None:
    world = make_world()
    world.ingest(event("a"))
    cancel(world.store, world.runs()[0].id.hex, NOW)
    assert (world.runs()[0].state, world.runs()[0].finished_at) == ("cancelled", NOW)


def test_who_matches_only_after_the_window_was_closed_is_not_taken_for_unknown_at_the_next_start(
    make_world: Make,
) -> None:
    """The only window of a small run is closed for good, even where a retry keeps the run open over a restart."""
    world = make_world({"goal": rule_text(audience={"topics": ["a"]})})
    register(world.store, [DeviceChange(app=APP, token=token_of(1))])
    register(world.store, [DeviceChange(app=APP, token=token_of(2), topics=["a"])])
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(2, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    register(world.store, [DeviceChange(app=APP, token=token_of(1), topics=["a"])])
    again = Driver(world)
    assert again.recovered.resend == 0
    again.finish_everything()
    assert world.report(world.runs()[0]).counts == _counts(selected=1, accepted=1)


def _ledger(world: World) -> list[Any]:
    with world.store.read() as tx:
        return [(row.device, row.outcome, row.maybe_repeated) for row in tx.execute(select(LEDGER)).all()]


def test_a_crash_makes_unknown_exactly_what_had_no_row(make_world: Make) -> None:
    world = make_world()
    register_many(world.store, 9)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=3)
    (run,) = driver.work.runs.values()
    driver.open(run, limit=3)
    first, second = driver.work.windows.values()
    driver.report(second, [(device, ACCEPTED_ANSWER) for device in (4, 5, 6)])
    driver.report(first, [(2, ACCEPTED_ANSWER)])
    driver.settle()
    with world.store.read() as tx:
        assert ledger.left_behind(tx, run.seq) == []
    after = Driver(world)
    assert (after.recovered.resend, after.recovered.dropped) == (2, 0)
    after.finish_everything(limit=3)
    assert _ledger(world) == [(device, "accepted", device in (1, 3)) for device in range(1, 10)]
