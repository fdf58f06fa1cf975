"""Who gets room and rate when there is not enough for all, and that nobody in hand is forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from support.daemons import place
from support.driving import Driver
from support.worlds import APP, World, event, register, register_many, rule_text, token_of

from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.runs import RunState
from scheduler.engine.group_commit import GroupCommit
from scheduler.runs.pausing import pause, resume
from scheduler.runs.settling import settle
from scheduler.store.registry_changes import DeviceChange

TO_ONE_USER = {"app": APP, "users": ["{{ event.data.user }}"]}


@pytest.mark.slow
async def test_the_rate_of_a_rule_bounds_all_of_its_runs_together(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "100/s"})}) as at:
        register_many(at.world.store, 10)
        moment = at.clock.now() - timedelta(seconds=1)
        at.world.ingest(*(event(f"e{number}", at=moment) for number in range(10)))
        before = at.clock.monotonic()
        await at.run_until_idle()
        took = at.clock.monotonic() - before
        assert len(at.sent()) == 100
        assert took > (100 - 10) / 100


@pytest.mark.slow
async def test_small_runs_do_not_take_the_room_that_urgent_work_waits_for(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    rules = {
        "order": rule_text(trigger={"event": "com.example.order"}, audience=TO_ONE_USER, delivery={"lane": "bulk"}),
        "goal": rule_text(audience={"topics": ["team"]}, delivery={"lane": "urgent"}),
    }
    async with place(nursery, tmp_path, rules, app={"rate": "1000/s"}) as at:
        fans = [DeviceChange(app=APP, token=token_of(n), topics=["team"], user=f"f{n}") for n in range(1, 601)]
        buyers = [DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1001, 2001)]
        register(at.world.store, [*fans, *buyers])
        moment = at.clock.now() - timedelta(seconds=1)
        at.world.ingest(
            *(event(f"o{n}", at=moment, type_="com.example.order", user=f"u{n}") for n in range(1001, 2001))
        )
        at.world.ingest(event("goal", at=moment))
        await at.run_until_idle()
        order = at.sent()
        last_urgent = max(place for place, device in enumerate(order) if device < 1000)
        bulk_before = sum(device > 1000 for device in order[:last_urgent])
        assert len(order) == 1600
        assert bulk_before <= 500, "only what was open when the goal was scored may go before its last request"


def test_a_run_with_an_answer_outstanding_stays_in_hand_over_pause_and_resume(tmp_path: Path) -> None:
    world = World.make(tmp_path, {"goal": rule_text()})
    register_many(world.store, 6)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=2)
    (run,) = driver.work.runs.values()
    (window,) = driver.work.windows.values()
    pause(world.store, run.context.run.id.hex, world.now)
    run.stopped = True
    driver.settler.hand_over(window, set())
    driver.settle()
    assert driver.work.runs == {run.seq: run}, "its window still awaits two answers"
    resume(world.store, run.context.run.id.hex, world.now, apps=[APP])
    run.stopped = False
    driver.report(window, [(device, ACCEPTED_ANSWER) for device in list(window.waiting)])
    driver.settle()
    assert driver.work.runs == {run.seq: run}
    driver.finish_everything(limit=2)
    assert [one.state for one in world.runs()] == [RunState.FINISHED]
    assert world.report(world.runs()[0]).counts.accepted == 6
    world.store.close()


def test_work_is_looked_for_only_once_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who took work up before that found nothing, and nobody looked again."""
    world = World.make(tmp_path, {"goal": rule_text()})
    register_many(world.store, 3)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    run = window.run
    seen: list[object] = []

    def settle_and_look(*arguments: object, **options: object) -> object:
        seen.append(run.work_due)
        return settle(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("scheduler.engine.settler.settle", settle_and_look)
    driver.settler.hand_over(window, {1, 2, 3})
    driver.settle()
    assert (seen, run.work_due) == ([None], world.now)
    driver.finish_everything()
    assert world.report(world.runs()[0]).counts.accepted == 3
    world.store.close()


async def test_what_comes_while_a_group_is_committed_shares_the_next_one() -> None:
    groups: list[list[int]] = []
    gate = trio.Event()

    async def commit(items: list[int]) -> list[int]:
        groups.append(list(items))
        await gate.wait()
        return [item * 10 for item in items]

    commits: GroupCommit[int, int] = GroupCommit(commit, most=3)  # type: ignore[arg-type]
    results: dict[int, list[int]] = {}

    async def caller(number: int) -> None:
        results[number] = await commits.take([number])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run)
        for number in range(1, 6):
            nursery.start_soon(caller, number)
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert groups == [[1], [2, 3, 4], [5]]
    assert results == {number: [number * 10] for number in range(1, 6)}


async def test_a_group_that_fails_tells_each_of_its_callers() -> None:
    async def commit(items: list[int]) -> list[int]:
        raise OSError("no space left")

    commits: GroupCommit[int, int] = GroupCommit(commit, most=3)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.run)
        for _ in range(2):
            with pytest.raises(OSError, match="no space left"):
                await commits.take([1])
        nursery.cancel_scope.cancel()
