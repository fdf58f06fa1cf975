"""Schedules in the daemon: a slot is sent when it comes, and `--until-idle` waits for those that come at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from support.daemons import place, until
from support.worlds import APP, load_workspace, register, register_many, rule_text, token_of, write_workspace

from scheduler.domain.runs import RunState
from scheduler.engine.daemon import IDLE_HORIZON, Ended, Ending
from scheduler.runs.pausing import pause
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow
TEMPLATES = {"digest": 'aps: {alert: {title: "{{ slot }}", body: "{{ today }}"}}'}


def _at(seconds: float) -> str:
    """A rule that comes once, so many seconds from now."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251 - as the daemon's clock
    return rule_text(trigger={"at": moment.isoformat(timespec="milliseconds")}, template="digest")


async def test_until_idle_waits_for_a_slot_that_comes_within_a_minute(nursery: trio.Nursery, tmp_path: Path) -> None:
    rules = {"soon": _at(55), "later": _at(3600)}
    async with place(nursery, tmp_path, rules, templates=TEMPLATES) as at:
        register_many(at.world.store, 3)
        ends: list[Ended] = []
        daemon = at.daemon()

        async def run() -> None:
            ends.append(await daemon.run(until_idle=True))

        async with trio.open_nursery() as own:
            own.start_soon(run)
            await until(lambda: daemon.sender.pool_of(APP).connected > 0)
            await until(lambda: daemon.dispatcher.is_idle(at.clock.now(), IDLE_HORIZON))
            assert not daemon._is_idle()
            at.clock.shift += 55
        (ended,) = ends
        (run,) = at.world.runs()
        assert (ended.ending, run.rule, run.occasion) == (Ending.IDLE, "soon", "once")
        assert sorted(at.sent()) == [1, 2, 3]
        assert ended.next_slot is not None
        assert ended.next_slot > at.clock.now() + timedelta(minutes=50)
        await at.run_until_idle()
        assert len(at.world.runs()) == 1


async def test_a_reload_brings_slots_and_a_clock_that_jumps_loses_none(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}, templates=TEMPLATES) as at:
        register_many(at.world.store, 2)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            write_workspace(tmp_path, {"digest": _at(1000)}, settings=(tmp_path / "clarion.yaml").read_text())
            at.reloads.append(load_workspace(tmp_path))
            await daemon._reload()
            assert daemon.ticker.next_at is not None
            assert not at.sent()
            at.clock.shift += 1001
            await until(lambda: at.statistics.accepted == 2)
            daemon.stop()
        assert [run.rule for run in at.world.runs()] == ["digest"]


async def test_a_slot_goes_from_zone_to_zone_and_a_zone_that_was_slept_through_is_missed(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    wall = (datetime.now(UTC) + timedelta(seconds=1000)).replace(tzinfo=None)  # noqa: TID251 - as the daemon's clock
    trigger = {"at": wall.isoformat(" ", "milliseconds"), "time_zone": "device"}
    rules = {"digest": rule_text(trigger=trigger, template="digest")}
    async with place(nursery, tmp_path, rules, templates=TEMPLATES) as at:
        zones = ("Etc/GMT-1", "Etc/GMT", None, "Etc/GMT+1", "Etc/GMT+2")  # the first has had it
        register(
            at.world.store, [DeviceChange(app=APP, token=token_of(n), time_zone=z) for n, z in enumerate(zones, 1)]
        )
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            (run,) = at.world.runs()
            assert run.state is RunState.WAITING
            assert daemon.work.runs == {}
            at.clock.shift += 1001
            await until(lambda: at.statistics.accepted == 2)
            await until(lambda: at.world.runs()[0].state is RunState.WAITING)
            at.clock.shift += 8000
            assert not await daemon.dispatcher._open_next(), "before anybody has looked what was missed"
            await until(lambda: at.statistics.accepted == 3)
            await until(lambda: at.world.runs()[0].state in (RunState.WAITING, RunState.FINISHED))
            daemon.stop()
        assert sorted(at.sent()) == [2, 3, 5]
        assert [detail for _, _, detail, _ in at.world.misses()] == ["later than the grace, at UTC-1:00"]
        at.clock.shift += 24 * 3600
        await at.run_until_idle()
        assert at.world.runs()[0].state is RunState.FINISHED


async def test_until_idle_waits_for_no_zone_of_a_run_that_was_paused(nursery: trio.Nursery, tmp_path: Path) -> None:
    wall = (datetime.now(UTC) + timedelta(seconds=30)).replace(tzinfo=None)  # noqa: TID251 - as the daemon's clock
    trigger = {"at": wall.isoformat(" ", "milliseconds"), "time_zone": "device"}
    rules = {"digest": rule_text(trigger=trigger, template="digest")}
    async with place(nursery, tmp_path, rules, templates=TEMPLATES) as at:
        register_many(at.world.store, 2)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            pause(at.world.store, at.world.runs()[0].id.hex, at.clock.now())
            daemon.stop()
        ended = await at.run_until_idle()  # well before the zone is due
        assert (ended.ending, ended.next_slot, at.sent()) == (Ending.IDLE, None, [])
        assert at.clock.now() < wall.replace(tzinfo=UTC)
