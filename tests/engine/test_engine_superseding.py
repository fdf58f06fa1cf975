"""What a newer run, the kill switch and another rate do to a send that is under way, over real TLS."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
import trio
from support.daemons import Place, place, until
from support.worlds import APP, event, register_many, rule_text

from scheduler.domain.ids import apns_ids
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import RunState
from scheduler.domain.stops import StopKind
from scheduler.engine import dispatcher as dispatching
from scheduler.engine import held_back
from scheduler.engine.daemon import Daemon
from scheduler.runs.pausing import set_rate
from scheduler.runs.stopping import start, stop
from scheduler.simulator.faults import Delay, Fault, Script
from scheduler.store.database import open_store

pytestmark = pytest.mark.slow
KEY = {"collapse": "game-{{ event.subject }}"}


def _goal(at: Place, id_: str, seconds_ago: float = 0.0, **data: Any) -> Any:
    return event(id_, subject="g1", at=at.clock.now() - timedelta(seconds=seconds_ago), **data)


async def _run(at: Place, own: trio.Nursery) -> Daemon:
    daemon = at.daemon()
    await own.start(daemon.run)
    await until(lambda: daemon.sender.pool_of(APP).connected > 0)
    return daemon


async def _over(at: Place, count: int) -> None:
    await until(lambda: sum(run.finished_at is not None for run in at.world.runs()) == count)


@pytest.mark.parametrize("by", ["the daemon", "another process"])
async def test_a_newer_run_stops_the_older_one_and_everybody_gets_the_newer_last(
    nursery: trio.Nursery, tmp_path: Path, by: str
) -> None:
    rule = rule_text(delivery=KEY | {"rate": "600/s"})
    async with place(nursery, tmp_path, {"goal": rule}) as at, trio.open_nursery() as own:
        register_many(at.world.store, 300)
        daemon = await _run(at, own)
        await daemon.intake.take([_goal(at, "old", 1)])
        await until(lambda: at.statistics.accepted > 30)
        if by == "the daemon":
            await daemon.intake.take([_goal(at, "new")])
        else:
            at.world.ingest(_goal(at, "new"))
            await daemon.dispatcher.load()
        await _over(at, 2)
        daemon.stop()
    old, new = (at.world.report(run) for run in at.world.runs())
    assert (old.run.state, new.run.state, new.counts.accepted) == (RunState.SUPERSEDED, RunState.FINISHED, 300)
    assert 30 < old.counts.accepted < 290
    assert old.reasons.keys() <= {"suppressed"}
    assert old.counts.accepted + old.counts.suppressed == old.counts.selected
    last = {int(line["token"], 16): line["apns_id"] for line in at.log()}
    assert len(at.sent()) == 300 + old.counts.accepted
    assert _ids_of(at, new.run.id) >= set(last.values())


def _ids_of(at: Place, run: UUID) -> set[str]:
    mine = apns_ids(run)
    return {str(mine(device)) for device in range(1, 301)}


async def test_only_who_awaits_an_answer_in_the_older_run_waits_and_gets_the_newer_after_it(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    late = Script((Fault(action=Delay(0.6), request=2),))
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=KEY)}, faults=late) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 5)
        daemon = await _run(at, own)
        await daemon.intake.take([_goal(at, "old", 1)])
        await until(lambda: len(at.sent()) == 5 and len(_waiting(daemon)) == 1)
        (slow,) = _waiting(daemon)
        before = monotonic()
        await daemon.intake.take([_goal(at, "new")])
        await until(lambda: len(at.sent()) == 9)
        assert slow not in at.sent()[5:]
        await _over(at, 2)
        assert at.sent()[9:] == [slow]
        assert monotonic() - before < held_back.PATIENCE
        daemon.stop()
    assert [at.world.report(run).counts.accepted for run in at.world.runs()] == [5, 5]


async def test_an_answer_that_does_not_come_is_not_waited_for_longer(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "PATIENCE", 0.2)
    never = Script((Fault(action=Delay(), request=2),))
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=KEY)}, faults=never) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 2)
        daemon = await _run(at, own)
        await daemon.intake.take([_goal(at, "old", 1)])
        await until(lambda: len(at.sent()) == 2 and len(_waiting(daemon)) == 1)
        await daemon.intake.take([_goal(at, "new")])
        await until(lambda: len(at.sent()) == 4)
        daemon.stop()
        at.clock.shift += 40  # the answer that is still owed


def _waiting(daemon: Daemon) -> set[int]:
    return {device for window in daemon.work.windows.values() for device in window.waiting}


async def test_a_run_that_is_superseded_while_it_begins_is_not_sent(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=KEY | {"rate": "500/s"})}) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 40)
        daemon = await _run(at, own)
        real, begun = dispatching.start_runs, []

        def start_runs(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if not begun:
                begun.append(True)
                trio.from_thread.run(daemon.intake.take, [_goal(at, "new")])
            return result

        monkeypatch.setattr(dispatching, "start_runs", start_runs)
        await daemon.intake.take([_goal(at, "old", 1)])
        await _over(at, 2)
        daemon.stop()
    old, new = (at.world.report(run) for run in at.world.runs())
    assert (old.counts.accepted, old.reasons) == (0, {"suppressed": {"superseded": 40}})
    assert (new.counts.accepted, len(at.sent())) == (40, 40)


async def test_the_kill_switch_of_another_process_stops_a_send_and_starting_again_loses_nobody(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "500/s"})}) as at:
        register_many(at.world.store, 400)
        other = open_store(at.world.store.url)
        async with trio.open_nursery() as own:
            daemon = await _run(at, own)
            await daemon.intake.take([_goal(at, "a", 1)])
            await until(lambda: at.statistics.accepted > 60)
            now = at.clock.now()
            await trio.to_thread.run_sync(
                partial(stop, other, StopKind.CATEGORY, "sports", now, known=lambda: {"sports"})
            )
            await until(lambda: not daemon.work.runs)
            sent = len(at.sent())
            assert 60 < sent < 400
            await daemon.intake.take([_goal(at, "b", 1)])
            await trio.to_thread.run_sync(start, other, StopKind.CATEGORY, "sports")
            await _over(at, 2)
            daemon.stop()
        other.close()
    reports = [at.world.report(run) for run in at.world.runs()]
    assert [(one.counts.accepted, one.maybe_repeated) for one in reports] == [(400, 0), (400, 0)]
    assert len(at.sent()) == 800


async def test_until_idle_ends_with_what_is_stopped_and_says_so(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        register_many(at.world.store, 3)
        stop(at.world.store, StopKind.RULE, "goal", at.clock.now(), known=lambda: {"goal"})
        at.world.ingest(_goal(at, "a", 1))
        ended = await at.run_until_idle()
        (stopped,) = ended.remaining.stopped
        assert (ended.exit_code, str(stopped.stop), stopped.runs, at.sent()) == (0, "rule goal", 1, [])


async def _pass(seconds: float) -> None:
    end = monotonic() + seconds
    await until(lambda: monotonic() > end)


@pytest.mark.parametrize("before", ["1000/s", None])
async def test_another_rate_holds_for_what_waits_for_tokens_too(
    nursery: trio.Nursery, tmp_path: Path, before: str | None
) -> None:
    delivery = {"rate": before} if before else {}
    async with place(nursery, tmp_path, {"goal": rule_text(delivery=delivery)}, app={"rate": "1000/s"}) as at:
        register_many(at.world.store, 1_000)
        other = open_store(at.world.store.url)
        async with trio.open_nursery() as own:
            daemon = await _run(at, own)
            await daemon.intake.take([_goal(at, "a", 1)])
            await until(lambda: at.statistics.accepted > 200)
            run = at.world.runs()[0].id.hex
            await trio.to_thread.run_sync(set_rate, other, run, Rate.of(20))
            await until(lambda: any(one.context.run.rate == Rate.of(20) for one in daemon.work.runs.values()))
            await _pass(0.2)
            before_it = len(at.sent())
            await _pass(0.5)
            assert len(at.sent()) - before_it <= 20
            await trio.to_thread.run_sync(set_rate, other, run, Rate.of(100_000))
            await _over(at, 1)
            daemon.stop()
        other.close()
    report = at.world.report(at.world.runs()[0])
    assert (report.counts.accepted, report.maybe_repeated, len(at.sent())) == (1_000, 0, 1_000)
