"""A night over real TLS: what is held goes when it is over, in a daemon that stays or in the next one."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trio
from support.daemons import Place, place, until
from support.worlds import APP, event, register, rule_text, token_of

from scheduler.engine.daemon import Ending
from scheduler.runs.reports import Counts
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow
DEVICES = 30
HOUR = timedelta(hours=1)


def night_rule(now: datetime) -> str:
    """A night in UTC from an hour ago until two hours from now."""
    night = {"from": f"{now - HOUR:%H:%M}", "to": f"{now + 2 * HOUR:%H:%M}"}
    return json.dumps(json.loads(rule_text(delivery={"rate": "600/s"})) | {"timing": {"quiet_hours": night}})


def registered(at: Place) -> None:
    """Of six devices one is five hours ahead, where the night is over."""
    zones = ["UTC", None, "Etc/GMT-5", "UTC", "UTC", "UTC"]
    changes = [DeviceChange(app=APP, token=token_of(n), time_zone=zones[n % 6]) for n in range(1, DEVICES + 1)]
    register(at.world.store, changes)
    at.world.ingest(event("a", at=at.clock.now() - timedelta(seconds=1)))


def counts(at: Place, **given: int) -> bool:
    (run,) = at.world.runs()
    return at.world.report(run).counts == Counts(**{**dict.fromkeys(Counts.__slots__, 0), **given})


AWAKE = [n for n in range(1, DEVICES + 1) if n % 6 == 2]


async def test_until_idle_ends_with_the_held_and_the_next_one_sends_them(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        now = at.clock.now()
        at.world.rewrite({"goal": night_rule(now)}, settings=(tmp_path / "clarion.yaml").read_text())
        registered(at)
        morning = (now + 2 * HOUR).replace(second=0, microsecond=0)
        ended = await at.run_until_idle()
        assert (ended.ending, ended.exit_code, ended.remaining.runs) == (Ending.IDLE, 0, 1)
        assert ended.remaining.next_due == morning
        assert sorted(at.sent()) == AWAKE
        assert counts(at, selected=DEVICES, accepted=len(AWAKE), pending=DEVICES - len(AWAKE))
        at.clock.shift = (morning - at.clock.now()).total_seconds() - 120
        assert (await at.run_until_idle()).progress.outcomes == {}
        at.clock.shift += 121
        ended = await at.run_until_idle()
        assert (ended.remaining.runs, ended.remaining.next_due) == (0, None)
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))
        assert counts(at, selected=DEVICES, accepted=DEVICES)


async def test_a_daemon_that_stays_sends_them_when_the_night_is_over(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        at.world.rewrite({"goal": night_rule(at.clock.now())}, settings=(tmp_path / "clarion.yaml").read_text())
        registered(at)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await until(lambda: counts(at, selected=DEVICES, accepted=len(AWAKE), pending=DEVICES - len(AWAKE)))
            at.clock.shift += 2 * HOUR.total_seconds()
            await until(lambda: counts(at, selected=DEVICES, accepted=DEVICES))
            await until(lambda: not daemon.work.runs)
            daemon.stop()
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))


async def test_quiet_hours_that_were_read_again_count_for_runs_in_hand(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule_text()}) as at:
        now = at.clock.now()
        plain = json.loads((tmp_path / "clarion.yaml").read_text())

        def night(hours: int) -> None:
            limits = {"quiet_hours": {"from": f"{now - HOUR:%H:%M}", "to": f"{now + hours * HOUR:%H:%M}"}}
            at.world.rewrite({"goal": rule_text()}, settings=json.dumps(plain | {"limits": limits}))

        night(2)
        registered(at)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await until(lambda: counts(at, selected=DEVICES, accepted=len(AWAKE), pending=DEVICES - len(AWAKE)))
            night(3)
            at.reloads.append(at.world.workspace)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: daemon.workspace is at.world.workspace)
            at.clock.shift += 2 * HOUR.total_seconds()
            later = (now + 3 * HOUR).replace(second=0, microsecond=0)
            await until(lambda: at.world.report(at.world.runs()[0]).next_due == later)
            assert sorted(at.sent()) == AWAKE
            daemon.stop()
