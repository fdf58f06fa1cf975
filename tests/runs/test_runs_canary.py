"""A run with a canary: who is in which part, when the rest may follow, and what a crash leaves of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from support.driving import Driver
from support.worlds import APP, World, event, register, register_many, set_user, token_of

from scheduler.apns.results import Answer, Unsent, UnsentCause
from scheduler.domain.runs import Part, Run, RunState
from scheduler.engine.active import ActiveRun, OpenWindow
from scheduler.planning.canaries import canaries
from scheduler.runs import opening, parts
from scheduler.runs.canary import Postponed
from scheduler.runs.opening import Paused
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.store import shards as shard_rows
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import LEDGER, WORK

MakeWorld = Callable[..., World]
DEVICES = 200
CANARY = {"share": "10%", "wait": "5 minutes", "max_rejects": "20%"}
GONE = Answer(410, "Unregistered", 1)


def _world(make: MakeWorld, *, devices: int = DEVICES, **canary: str) -> World:
    world = make(delivery={"canary": CANARY | canary})
    register_many(world.store, devices)
    world.ingest(event("a"))
    return world


def _run(world: World) -> Run:
    return world.runs()[0]


def _canaries(world: World, share: float = 0.1, devices: int = DEVICES) -> set[int]:
    persons = [f"device:{number}" for number in range(1, devices + 1)]
    return {n for n, is_one in enumerate(canaries(share, _run(world).id, persons), 1) if is_one}


def _send_canary(driver: Driver, rejected: int = 0, answered: int | None = None) -> None:
    """Open the canary's windows; of its devices so many are rejected, the others accepted. Who is beyond `answered`
    is not sent."""
    driver.start()
    (run,) = driver.work.runs.values()
    while any(not shard.is_read for shard in run.shards):
        assert driver.open(run, limit=1_000) is not None
    devices = [(window, device) for window in list(driver.work.windows.values()) for device in window.waiting]
    for number, (window, device) in enumerate(devices):
        report = GONE if number < rejected else Answer(200)
        driver.report(window, [(device, report if answered is None or number < answered else _LATER)])
    driver.settle()


_LATER = Unsent(UnsentCause.REFUSED)


def _wake(driver: Driver) -> ActiveRun:
    driver.wake()
    (run,) = driver.work.runs.values()
    return run


def test_first_the_canary_then_after_the_wait_the_rest(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver)
    with world.store.read() as tx:
        assert set(tx.execute(select(LEDGER.c.device)).scalars()) == _canaries(world)
    run = _run(world)
    assert (run.state, run.waits_until) == (RunState.WAITING, world.now + timedelta(minutes=5))
    assert driver.work.runs == {}, "a run that waits is in nobody's memory"
    world.advance(299)
    driver.wake()
    assert driver.work.runs == {}
    world.advance(1)
    active = _wake(driver)
    window = driver.open(active, limit=1_000)
    assert window is not None
    assert {one.id for one in window.recipients} == set(range(1, DEVICES + 1)) - _canaries(world)
    driver.accept_all()
    driver.settle()
    assert (_run(world).state, world.report(run).counts.accepted) == (RunState.FINISHED, DEVICES)


def test_too_many_rejects_pause_the_run_and_a_hand_sends_to_the_rest(make_world: MakeWorld) -> None:
    world = _world(make_world)
    count = len(_canaries(world))
    driver = Driver(world)
    _send_canary(driver, rejected=count // 5 + 1)
    world.advance(300)
    active = _wake(driver)
    run = _run(world)
    note = (
        f"canary: {count // 5 + 1} of {count} answered canaries were rejected "
        f"({(count // 5 + 1) / count * 100:.4g}%), more than 20%; the rest was not sent to: "
        f"'clarion runs show {run.id}' has the reasons, 'clarion runs resume {run.id}' sends to the rest all the same, "
        "'cancel' ends it"
    )
    assert driver.open_or_pause(active, limit=1_000) == Paused(note)
    assert (_run(world).state, _run(world).note) == (RunState.PAUSED, note)
    assert world.report(run).counts.selected == count
    resume(world.store, run.id.hex, world.now, apps=[APP])
    Driver(world).finish_everything()
    assert _run(world).state is RunState.FINISHED
    assert world.report(run).counts.selected == DEVICES


def test_as_many_rejects_as_allowed_stop_nothing(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver, rejected=len(_canaries(world)) // 5)
    driver.finish_everything()
    assert _run(world).state is RunState.FINISHED


def test_a_failed_canary_can_be_cancelled(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver, rejected=20)
    driver.finish_everything()
    cancel(world.store, _run(world).id.hex, world.now)
    assert (_run(world).state, _run(world).finished_at) == (RunState.CANCELLED, world.now)


def test_resuming_a_pause_by_hand_still_judges_the_canary(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver, rejected=20)
    pause(world.store, _run(world).id.hex, world.now)
    resume(world.store, _run(world).id.hex, world.now, apps=[APP])
    again = Driver(world)
    again.finish_everything()
    note = _run(world).note
    assert note is not None
    assert note.startswith("canary: ")


def test_while_no_canary_has_its_answer_the_rest_waits_once_more(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver, answered=0)  # each waits as a work row
    (active,) = driver.work.runs.values()
    world.advance(300)
    assert driver.open_or_pause(active, limit=1_000) == Postponed(world.now + timedelta(minutes=5), waits=False)
    assert world.report(_run(world)).counts.selected == len(_canaries(world))
    driver.finish_everything()
    assert world.report(_run(world)).counts.accepted == DEVICES


def test_one_answer_is_enough_to_judge_by(make_world: MakeWorld) -> None:
    world = _world(make_world)
    driver = Driver(world)
    _send_canary(driver, rejected=1, answered=1)
    world.advance(300)
    (active,) = driver.work.runs.values()
    assert isinstance(driver.open_or_pause(active, limit=1_000), Paused)


def test_a_canary_of_nobody_makes_nobody_wait(make_world: MakeWorld) -> None:
    world = _world(make_world, devices=3, share="0.0001%")
    before = world.now
    Driver(world).finish_everything()
    assert world.report(_run(world)).counts.accepted == 3
    assert world.now == before


def test_nobody_at_all_ends_at_once(make_world: MakeWorld) -> None:
    world = _world(make_world, devices=0)
    Driver(world).finish_everything()
    assert (_run(world).state, world.report(_run(world)).canary) == (RunState.FINISHED, None)


def test_canaries_that_get_nothing_hold_nobody_up(make_world: MakeWorld) -> None:
    world = make_world(delivery={"canary": CANARY | {"share": "50%"}})
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1, 20)])
    for n in range(1, 20):
        set_user(world.store, f"u{n}", opt_outs=["sports"])
    world.ingest(event("a"))
    Driver(world).finish_everything()
    assert (_run(world).state, world.report(_run(world)).counts.suppressed) == (RunState.FINISHED, 19)


def test_a_canary_whose_person_changes_in_between_gets_it_once_and_so_does_who_becomes_one(
    make_world: MakeWorld,
) -> None:
    world = _world(make_world, share="50%")
    before = _canaries(world, 0.5)
    driver = Driver(world)
    _send_canary(driver)
    register(
        world.store,
        [DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1, DEVICES + 1)],
        now=world.now,
    )
    now = canaries(0.5, _run(world).id, [f"user:u{n}" for n in range(1, DEVICES + 1)])
    assert before != {n for n, is_one in enumerate(now, 1) if is_one}
    driver.finish_everything()
    assert world.report(_run(world)).counts.accepted == DEVICES


def test_a_run_that_names_its_users_begins_with_its_canary_too(make_world: MakeWorld) -> None:
    world = make_world(
        audience={"users": ["{{ event.data.user }}"]}, delivery={"canary": CANARY | {"share": "50%", "wait": "1 hour"}}
    )
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user="ann") for n in range(1, 4)])
    world.ingest(event("a", user="ann"), room={APP: 100})
    assert _run(world).state is RunState.PENDING
    Driver(world).finish_everything()
    assert world.report(_run(world)).counts.accepted == 3


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_a_window_of_the_canary_looks_far_and_takes_no_more_than_its_limit(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(parts, "MAX_WINDOW", 7)
    monkeypatch.setattr(parts, "MAX_LOOKED_AT", 40)
    monkeypatch.setattr(opening, "SHARD_DEVICES", 90)
    world = _world(make_world)
    driver = Driver(world)
    driver.start()
    (run,) = driver.work.runs.values()
    seen: list[int] = []
    windows = 0
    while any(not shard.is_read for shard in run.shards):
        window = driver.open(run, limit=limit)
        assert window is not None
        assert len(window.recipients) <= limit
        seen += [one.id for one in window.recipients]
        windows += 1
    assert sorted(seen) == sorted(_canaries(world))
    assert windows <= len(seen) / limit + 9


@pytest.mark.parametrize("shard", [7, 64, 1_000])
@pytest.mark.parametrize("when", ["in the canary", "between", "in the rest"])
def test_after_a_crash_nobody_is_lost_and_the_sums_hold(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, shard: int, when: str
) -> None:
    monkeypatch.setattr(opening, "SHARD_DEVICES", shard)
    world = _world(make_world)
    driver = Driver(world)
    if when == "in the canary":
        driver.start()
        (run,) = driver.work.runs.values()
        _open_and_answer_half(driver, run)
    else:
        _send_canary(driver)
    if when == "in the rest":
        world.advance(300)
        _open_and_answer_half(driver, _wake(driver))
    again = Driver(world)
    counts = world.report(_run(world)).counts
    with world.store.read() as tx:
        rows = [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in (LEDGER, WORK)]
    assert counts.selected == sum(rows)
    again.finish_everything()
    counts = world.report(_run(world)).counts
    assert (counts.selected, counts.accepted, counts.pending) == (DEVICES, DEVICES, 0)


def _open_and_answer_half(driver: Driver, run: ActiveRun) -> None:
    """Several windows of it, of which every second device has its answer on disk."""
    for _ in range(3):
        if any(not shard.is_read for shard in run.shards):
            driver.open(run, limit=5)
    windows: list[OpenWindow] = [window for window in driver.work.windows.values() if window.waiting]
    for window in windows:
        driver.report(window, [(device, Answer(200)) for device in sorted(window.waiting)[::2]])
    driver.settle()


def test_a_crash_after_the_last_canary_and_before_the_rest_cannot_be_told_from_none(make_world: MakeWorld) -> None:
    """The rest's shards are written with the canary's last row, so the run is never without something to do."""
    world = _world(make_world)
    driver = Driver(world)
    driver.start()
    (run,) = driver.work.runs.values()
    driver.open(run, limit=1_000)  # its canaries are in doubt when the daemon is killed
    again = Driver(world)
    assert again.recovered.resend == len(_canaries(world))
    with world.store.read() as tx:
        rest = [shard for shard in shard_rows.shards_of(tx, [run.seq]) if shard.part == Part.REST]
    assert [shard.not_before for shard in rest] == [world.now + timedelta(minutes=5)]
    again.finish_everything()
    report = world.report(_run(world))
    assert (report.counts.accepted, report.maybe_repeated) == (DEVICES, len(_canaries(world)))


def test_the_report_says_where_the_canary_stands(make_world: MakeWorld) -> None:
    world = _world(make_world)
    count = len(_canaries(world))
    driver = Driver(world)
    assert world.report(_run(world)).canary is None
    _send_canary(driver, rejected=2)
    found = world.report(_run(world)).canary
    assert found is not None
    assert found.counts is not None
    assert (found.selected, found.counts.accepted, found.counts.rejected) == (count, count - 2, 2)
    assert (found.rest_at, found.passed) == (world.now + timedelta(minutes=5), False)
    driver.finish_everything()
    found = world.report(_run(world)).canary
    assert found is not None
    assert (found.selected, found.counts, found.passed) == (count, None, True)
