"""What happens while a thread works on the database: the moments are made to meet, so that they always do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trio
from support.daemons import Place, place, until
from support.driving import Driver
from support.worlds import APP, event, register, register_many, rule_text, settings_text, token_of

from scheduler.apns.results import Unsent, UnsentCause
from scheduler.engine import dispatcher as dispatching
from scheduler.engine import intake as taking_in
from scheduler.engine.daemon import Daemon, Ending
from scheduler.runs.pausing import pause
from scheduler.runs.reports import Counts
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow


def _during(patch: pytest.MonkeyPatch, module: object, service: str, meanwhile: Callable[[], Any]) -> None:
    """When a thread has done `service` the first time, and before its result is known: run `meanwhile` in Trio."""
    real = getattr(module, service)
    done: list[bool] = []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if not done:
            done.append(True)
            trio.from_thread.run(meanwhile)
        return result

    patch.setattr(module, service, wrapped)


def _counts(**counts: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **counts})


def _emit(at: Place, id_: str, **data: Any) -> None:
    at.world.ingest(event(id_, at=at.clock.now() - timedelta(seconds=1), **data))


async def _linked(daemon: Daemon) -> None:
    await until(lambda: daemon.sender.pool_of(APP).connected > 0)


async def test_reading_the_running_runs_while_one_is_started_gives_it_its_shards_once(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "2000/s"})}) as at:
        register_many(at.world.store, 600)
        _emit(at, "a")
        daemon = at.daemon()

        async def load() -> None:
            nursery.start_soon(daemon.dispatcher.load)
            with trio.move_on_after(0.1):
                await until(lambda: bool(daemon.work.runs))

        _during(monkeypatch, dispatching, "start_runs", load)
        await daemon.run(until_idle=True)
        assert at.world.report(at.world.runs()[0]).counts == _counts(selected=600, accepted=600)
        assert sorted(at.sent()) == list(range(1, 601))


async def test_work_that_is_settled_while_work_is_taken_up_is_not_forgotten(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        register_many(at.world.store, 2)
        _emit(at, "a")
        daemon = at.daemon()
        held: list[int] = []
        deliver = daemon.settler.deliver

        def one_at_a_time(number: int, reports: Any) -> None:
            """The first window's devices are refused: one at once, the other while the first is taken up again."""
            if number != 1:
                deliver(number, reports)
            elif not held:
                held.append(number)
                deliver(number, [(1, Unsent(UnsentCause.REFUSED))])

        async def the_other() -> None:
            deliver(1, [(2, Unsent(UnsentCause.REFUSED))])
            await daemon.settler.settled()

        monkeypatch.setattr(daemon.sender, "_deliver", one_at_a_time)
        _during(monkeypatch, dispatching, "take_up_work", the_other)
        ended = await daemon.run(until_idle=True)
        assert ended.remaining.runs == 0
        assert at.world.report(at.world.runs()[0]).counts == _counts(selected=2, accepted=2)


@pytest.mark.parametrize("opened_by", ["dispatcher", "intake"])
async def test_a_window_that_is_opened_while_it_drains_is_handed_back(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened_by: str
) -> None:
    audience = {"users": ["{{ event.data.user }}"]}
    async with place(nursery, tmp_path, {"goal": rule_text(audience=audience)}) as at:
        register(at.world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
        daemon = at.daemon()

        async def stop() -> None:
            daemon.stop()
            with trio.move_on_after(0.3):
                await trio.sleep_forever()

        if opened_by == "dispatcher":
            _emit(at, "a", user="ann")
            _during(monkeypatch, dispatching, "start_runs", stop)
        else:
            _during(monkeypatch, taking_in, "ingest", stop)
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await _linked(daemon)
            if opened_by == "intake":
                own.start_soon(daemon.intake.take, [event("a", at=at.clock.now(), user="ann")])
        again = await at.run_until_idle()
        assert again.recovered.resend == 0
        report = at.world.report(at.world.runs()[0])
        assert (report.counts, report.maybe_repeated) == (_counts(selected=1, accepted=1), 0)
        assert at.sent() == [1]


async def test_until_idle_does_not_wait_for_a_run_that_was_paused_while_it_was_sent(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "1000/s"})}) as at:
        register_many(at.world.store, 900)
        _emit(at, "a")
        daemon = at.daemon()
        async with trio.open_nursery() as own:

            async def pause_it() -> None:
                await until(lambda: at.statistics.accepted > 20)
                await trio.to_thread.run_sync(pause, at.world.store, at.world.runs()[0].id.hex, at.clock.now())

            own.start_soon(pause_it)
            ended = await daemon.run(until_idle=True)
        assert (ended.exit_code, ended.remaining.runs) == (0, 1)
        report = at.world.report(at.world.runs()[0])
        assert report.run.state == "paused"
        assert 0 < report.counts.accepted < 900


async def test_a_run_whose_app_is_gone_waits_paused(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        register_many(at.world.store, 2)
        _emit(at, "a")
        text = (tmp_path / "clarion.yaml").read_text()
        at.world.rewrite({"goal": rule_text()}, settings=text.replace('"scores"', '"renamed"'))
        ended = await at.run_until_idle()
        (run,) = at.world.runs()
        assert (ended.exit_code, run.state, run.note) == (0, "paused", "clarion.yaml has no app scores any more")


async def test_work_that_is_due_and_cannot_be_sent_does_not_keep_the_dispatcher_busy(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}, listening=False) as at:
        register_many(at.world.store, 1)
        daemon = at.daemon()
        run = daemon.work.activate(_context_of_a_new_run(at))
        daemon.work.expect_work(run.seq, at.clock.now() - timedelta(seconds=1))
        assert daemon.dispatcher._nap() == 30.0
        assert not daemon.dispatcher.is_idle(at.clock.now(), timedelta(seconds=60))


def _context_of_a_new_run(at: Place) -> Any:
    _emit(at, "a")
    return Driver(at.world).context(at.world.runs()[0])


async def test_a_version_that_cannot_be_compiled_any_more_stops_its_own_runs_alone(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    rules = {"goal": rule_text(), "other": rule_text(trigger={"event": "com.example.other"})}
    async with place(nursery, tmp_path, rules) as at:
        register_many(at.world.store, 2)
        _emit(at, "a")
        stored = at.world.workspace.campaigns["goal"].version
        at.world.rewrite(
            {**rules, "goal": rule_text(delivery={"lane": "bulk"})}, settings=(tmp_path / "clarion.yaml").read_text()
        )
        with sqlite3.connect(tmp_path / "clarion.db") as database:
            settings = json.dumps({"app": APP, "locale": "en", "time_zone": "UTC"})
            sources = json.dumps({"rules/goal.yaml": "trigger: nonsense", "settings.json": settings})
            database.execute("UPDATE rule_versions SET sources = ? WHERE hash = ?", (sources, stored))
        database.close()
        _emit(at, "b", type_="com.example.other")
        ended = await at.run_until_idle()
        broken, sound = at.world.runs()
        assert (ended.exit_code, broken.state, sound.state) == (0, "paused", "finished")
        assert broken.note == f"this Clarion cannot compile rule version {stored} any more"


async def test_until_idle_ends_at_once_when_nothing_waits_even_without_a_link(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        at.world.rewrite({"goal": rule_text()}, settings=settings_text(port=1))
        before = monotonic()
        ended = await at.run_until_idle()
        assert (ended.ending, ended.exit_code) == (Ending.IDLE, 0)
        assert monotonic() - before < 20, "it would be a minute if it waited for a link"
