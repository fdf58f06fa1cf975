"""The daemon as a whole: real TLS on the loopback, a real simulator, a real database."""

from __future__ import annotations

import json
import logging
import os
import signal
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.daemons import Place, place, rates, until
from support.worlds import (
    APP,
    BUNDLE_ID,
    event,
    load_workspace,
    register,
    register_many,
    rule_text,
    token_of,
    write_workspace,
)

from scheduler.domain.errors import OperatorError
from scheduler.domain.events import Event
from scheduler.domain.runs import RunState
from scheduler.engine.daemon import Ending
from scheduler.runs.ingest import ingest
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.runs.reports import Counts
from scheduler.simulator.client_certificates import issue_push_certificate
from scheduler.store.database import open_store
from scheduler.store.registry_changes import DeviceChange
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import LoadResult, load

pytestmark = pytest.mark.slow
TO_ONE_USER = {"app": APP, "users": ["{{ event.data.user }}"]}


def _counts(**counts: int) -> Counts:
    return Counts(**{**dict.fromkeys(Counts.__slots__, 0), **counts})


def _now(at: Place, id_: str, **fields: Any) -> Event:
    return event(id_, at=at.clock.now() - timedelta(seconds=1), **fields)


def _emit(at: Place, *events: Event) -> None:
    """As another process does: the daemon notices by itself."""
    store = open_store(at.world.store.url)
    ingest(store, at.world.workspace, store.namespace(), events, at.clock.now())
    store.close()


async def test_an_event_becomes_outcomes(nursery: trio.Nursery, tmp_path: Path) -> None:
    devices: list[dict[str, Any]] = [{"token": token_of(n), "topic": BUNDLE_ID} for n in (1, 2, 3)]
    devices[1] |= {"state": "unregistered"}
    devices[2] |= {"topic": "com.example.other"}
    async with place(nursery, tmp_path, {"goal": rule_text()}, devices=devices) as at:
        register_many(at.world.store, 4)
        at.world.ingest(_now(at, "a", title="1-0"))
        ended = await at.run_until_idle()
        (run,) = at.world.runs()
        report = at.world.report(run)
        assert (ended.ending, ended.exit_code, ended.remaining.runs) == (Ending.IDLE, 0, 0)
        assert report.counts == _counts(selected=4, accepted=1, rejected=3)
        assert report.reasons == {"rejected": {"Unregistered": 1, "DeviceTokenNotForTopic": 1, "BadDeviceToken": 1}}
        assert sorted(at.sent()) == [1, 2, 3, 4]
        request = next(line for line in at.log() if int(line["token"], 16) == 1)
        assert json.loads(request["payload"]) == {"aps": {"alert": {"title": "1-0", "body": "device 1"}}}
        assert (request["topic"], request["push_type"], request["priority"]) == (BUNDLE_ID, "alert", 10)
        assert request["expiration"] == int((run.due + timedelta(days=1)).timestamp())
        assert request["collapse_id"] == run.id.hex
        at.world.ingest(_now(at, "b"))
        await at.run_until_idle()
        assert 2 not in at.sent()[4:]  # the retired one is not meant any more


async def test_events_that_come_while_it_runs_are_sent_at_once(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(audience=TO_ONE_USER)}) as at:
        register(at.world.store, (DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1, 51)))
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await until(lambda: daemon.sender.pool_of(APP).connected > 0)
            taken = await daemon.intake.take([_now(at, f"e{n}", user=f"u{n}") for n in range(1, 51)])
            assert (taken.accepted, taken.duplicates) == (50, 0)
            await until(lambda: at.statistics.accepted == 50)
            _emit(at, _now(at, "from outside", user="u1"))
            await until(lambda: at.statistics.accepted == 51)
            await until(lambda: not daemon.work.windows)
            daemon.stop()
        assert {run.state for run in at.world.runs()} == {"finished"}


async def test_urgent_work_overtakes_a_bulk_run(nursery: trio.Nursery, tmp_path: Path) -> None:
    rules = {
        "sale": rule_text(trigger={"event": "com.example.sale"}, delivery={"lane": "bulk", "rate": "3000/s"}),
        "goal": rule_text(audience=TO_ONE_USER, delivery={"lane": "urgent"}),
    }
    async with place(nursery, tmp_path, rules) as at:
        register_many(at.world.store, 2500)
        register(at.world.store, [DeviceChange(app=APP, token=token_of(9999), user="ann")])
        at.world.ingest(_now(at, "sale", type_="com.example.sale"))
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(partial(daemon.run, until_idle=True))
            await until(lambda: at.statistics.accepted > 300)
            await daemon.intake.take([_now(at, "goal", user="ann")])
        order = at.sent()
        assert len(order) == 2502
        assert 300 < order.index(9999) < 1500  # the sale's own message to this device is its last


async def test_starts_keep_to_the_rate(nursery: trio.Nursery, tmp_path: Path) -> None:
    """At most rate × t + burst in every interval; the simulator reads a little later than we start."""
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "600/s"})}) as at:
        register_many(at.world.store, 500)
        at.world.ingest(_now(at, "a"))
        before = at.clock.monotonic()
        await at.run_until_idle()
        took = at.clock.monotonic() - before
        assert took > (500 - 60) / 600
        instants = [_instant(line["at"]) for line in at.log()]
        late = 0.1
        for window in (0.1, 0.25, 0.5):
            assert rates(instants, window) <= 600 * (window + late) + 60


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_a_second_daemon_is_refused(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            with pytest.raises(OperatorError) as refused:
                await at.daemon().run()
            assert str(refused.value) == (
                f"{tmp_path / 'clarion.db'}: another daemon works on this database (process {os.getpid()})\n"
                "  hint: stop it first, or let it do the work: 'clarion emit' and 'clarion fire' reach it"
            )
            daemon.stop()
        assert (await at.run_until_idle()).exit_code == 0


async def test_a_wrong_key_stops_the_app_and_loses_nothing(nursery: trio.Nursery, tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    async with place(nursery, tmp_path, {"goal": rule_text()}, key=other) as at:
        register_many(at.world.store, 20)
        at.world.ingest(_now(at, "a"))
        ended = await at.run_until_idle()
        assert (ended.ending, ended.exit_code) == (Ending.APP_STOPPED, 1)
        assert ended.detail == "app scores is stopped: InvalidProviderToken"
        assert at.world.report(at.world.runs()[0]).counts == _counts(selected=20, pending=20)
        assert ended.remaining.runs == 1


async def test_without_a_link_for_a_minute_it_gives_up(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}, listening=False) as at:
        register_many(at.world.store, 3)
        at.world.ingest(_now(at, "a"))
        daemon = at.daemon()
        ended = []
        async with trio.open_nursery() as own:

            async def run() -> None:
                ended.append(await daemon.run(until_idle=True))

            own.start_soon(run)
            await until(lambda: daemon.sender.pool_of(APP).last_failure is not None)
            assert not ended
            at.clock.shift += 61
        assert (ended[0].ending, ended[0].exit_code) == (Ending.NO_LINK, 1)
        assert ended[0].detail is not None
        assert ended[0].detail.startswith("app scores had no link for 60 s: ")
        assert at.world.report(at.world.runs()[0]).counts == _counts()


async def test_an_app_that_cannot_send_keeps_the_others_from_nothing(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {}, app={"rate": "40/s"}) as at:
        settings = json.loads((tmp_path / "clarion.yaml").read_text())
        settings["apps"]["dead"] = settings["apps"][APP] | {"endpoint": "https://127.0.0.1:1"}  # nobody listens there
        rules = {app: rule_text(audience={"app": app, "everyone": True}) for app in settings["apps"]}
        write_workspace(tmp_path, rules, settings=json.dumps(settings))
        at.world.workspace = load_workspace(tmp_path)
        register_many(at.world.store, 60)
        register(at.world.store, [DeviceChange(app="dead", token=token_of(1))])
        at.world.ingest(_now(at, "a"))
        daemon = at.daemon()
        async with trio.open_nursery() as own:

            async def give_up() -> None:
                await until(lambda: at.statistics.accepted > 0)
                at.clock.shift += 61

            own.start_soon(give_up)
            with trio.fail_after(30):
                ended = await daemon.run(until_idle=True)
        assert (ended.ending, ended.exit_code, ended.remaining.runs) == (Ending.NO_LINK, 1, 1)
        assert ended.detail is not None
        assert ended.detail.startswith("app dead had no link for 60 s: ")
        by_rule = {run.rule: at.world.report(run).counts for run in at.world.runs()}
        assert by_rule == {APP: _counts(selected=60, accepted=60), "dead": _counts()}


async def test_a_paused_run_holds_and_goes_on_and_a_cancelled_one_ends(nursery: trio.Nursery, tmp_path: Path) -> None:
    """By another process, while windows are open."""
    async with place(nursery, tmp_path, {"goal": rule_text(delivery={"rate": "500/s"})}) as at:
        register_many(at.world.store, 700)
        at.world.ingest(_now(at, "a"), _now(at, "b"))
        first, second = at.world.runs()
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await until(lambda: at.statistics.accepted > 100)
            other = open_store(at.world.store.url)
            pause(other, first.id.hex, at.clock.now())
            cancel(other, second.id.hex, at.clock.now())
            await until(lambda: at.world.report(first).counts.pending == 0 or first.seq not in daemon.work.runs)
            held = at.world.report(first).counts
            assert held.accepted < 700
            resume(other, first.id.hex, at.clock.now(), apps=[APP])
            other.close()
            await until(lambda: at.world.report(first).run.state is RunState.FINISHED)
            daemon.stop()
        report = at.world.report(first)
        assert (report.counts, report.maybe_repeated) == (_counts(selected=700, accepted=700), 0)
        stopped = at.world.report(second)
        assert (stopped.run.state, stopped.counts.pending) == ("cancelled", 0)
        assert stopped.run.finished_at is not None
        assert stopped.counts.selected == stopped.counts.accepted + stopped.counts.suppressed < 700


async def test_a_reload_takes_new_rules_and_keeps_the_old_when_the_new_have_an_error(
    nursery: trio.Nursery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text(audience=TO_ONE_USER)}) as at:
        register(at.world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
        daemon = at.daemon()
        caplog.set_level(logging.INFO, "clarion.engine")

        async def reload(files: dict[str, str], says: str) -> None:
            for name, text in files.items():
                (tmp_path / name).write_text(text)
            loaded: LoadResult = load(read_folder(tmp_path), tmp_path, {})
            at.reloads.append(loaded.workspace)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: says in caplog.text)
            caplog.clear()

        async with trio.open_nursery() as own:
            await own.start(daemon.run)  # from here on it listens to signals
            await reload({"templates/goal.yaml": "aps: {alert: {body: new}}"}, "reloaded rules=1")
            await until(lambda: daemon.sender.pool_of(APP).connected > 0)
            await daemon.intake.take([_now(at, "a", user="ann")])
            await reload({"templates/goal.yaml": "aps: {alert: {body: '{{'}}"}, "reload.refused the rules of before")
            await daemon.intake.take([_now(at, "b", user="ann")])
            await until(lambda: at.statistics.accepted == 2)
            moved = (tmp_path / "clarion.yaml").read_text().replace('"links": 1', '"links": 2')
            good = {"templates/goal.yaml": "aps: {alert: {body: newest}}", "clarion.yaml": moved}
            await reload(good, "reload.refused apps, store and api of clarion.yaml are read at the start only")
            daemon.stop()
        bodies = [json.loads(line["payload"])["aps"]["alert"]["body"] for line in at.log()]
        assert bodies == ["new", "new"]


async def test_a_run_goes_on_with_the_version_that_it_began_with(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        register_many(at.world.store, 3)
        at.world.ingest(_now(at, "a"))
        at.world.rewrite(
            {"goal": rule_text()},
            settings=(tmp_path / "clarion.yaml").read_text(),
            templates={"goal": "aps: {alert: {body: other}}"},
        )
        at.world.ingest(_now(at, "b"))
        await at.run_until_idle()
        bodies = sorted(json.loads(line["payload"])["aps"]["alert"]["body"] for line in at.log())
        assert bodies == ["device 1", "device 2", "device 3", "other", "other", "other"]


async def test_app_with_a_certificate_sends_without_a_token(nursery: trio.Nursery, tmp_path: Path) -> None:
    (tmp_path / "push.pem").write_bytes(issue_push_certificate(tmp_path / "ca.pem", BUNDLE_ID))
    auth = {"certificate_file": "push.pem"}
    async with place(nursery, tmp_path, {"goal": rule_text()}, app={"auth": auth}) as at:
        register_many(at.world.store, 3)
        at.world.ingest(_now(at, "a"))
        await at.run_until_idle()
        assert at.world.report(at.world.runs()[0]).counts == _counts(selected=3, accepted=3)
        assert at.watch.verdict().provider_tokens.distinct == 0
