"""Processes that are killed, and what the next one makes of what they left."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from sqlalchemy import select
from support.daemons import until
from support.processes import simulator_process, start_daemon
from support.worlds import APP, World, event, register, register_many, rule_text, settings_text, token_of

from scheduler.cli.clock import SystemClock
from scheduler.domain.runs import RunState
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import LEDGER, WORK

pytestmark = pytest.mark.slow

DEVICES = 2000
RATE = 2000
OPEN_AT_ONCE = RATE // 2
"""Devices in the open windows of the app: half a second of its rate."""
KILLS = 20


@dataclass
class Scene:
    """A world with a simulator in another process."""

    world: World
    log_file: Path
    started: list[ForkServerProcess] = field(default_factory=list)

    def start(self, *options: str) -> ForkServerProcess:
        """A daemon; killed with the scene if it is still there."""
        process = start_daemon(self.world.folder, *options)
        self.started.append(process)
        return process

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_bytes().splitlines()]

    def requests(self) -> int:
        """How many requests there were: lines, counted in bytes that are read once."""
        return self.log_file.read_bytes().count(b"\n")

    def emit(self, id_: str) -> None:
        """An event of a second ago."""
        self.world.clock = SystemClock()
        self.world.ingest(event(id_, at=self.world.now - timedelta(seconds=1)))

    def ledger(self) -> list[Any]:
        with self.world.store.read() as tx:
            return list(tx.execute(select(LEDGER)).all())


@contextmanager
def scene(folder: Path, *, devices: int, rate: int, users: int = 0, **files: Any) -> Iterator[Scene]:
    """`users`: so many share the devices; 0: nobody does."""
    log_file = folder / "requests.ndjson"
    with simulator_process(folder, log_file) as port:
        settings = settings_text(port=port, app={"rate": {"max": f"{rate}/s"}, "links": 2}, **files)
        world = World.make(folder, {"goal": rule_text()}, settings=settings)
        if users:
            changes = (
                DeviceChange(app=APP, token=token_of(number), user=f"u{number % users}")
                for number in range(1, devices + 1)
            )
            register(world.store, changes)
        else:
            register_many(world.store, devices)
        at = Scene(world, log_file)
        try:
            yield at
        finally:
            for process in at.started:
                process.kill()
                process.join()
            world.store.close()


async def ended(process: ForkServerProcess, *, within: float = 20.0) -> int | None:
    """Wait for a process to end by itself; its exit code."""
    await until(lambda: process.exitcode is not None, within=within)
    process.join()
    return process.exitcode


async def test_whenever_it_is_killed_every_device_ends_once(tmp_path: Path) -> None:
    chance = Random(20261123)
    kills = events = 0
    with scene(tmp_path, devices=DEVICES, rate=RATE) as at:
        while kills < KILLS:
            if not at.world.runs() or at.world.runs()[-1].state is RunState.FINISHED:
                events += 1
                at.emit(f"e{events}")
            process = at.start("--until-idle")
            seen = at.requests()
            if chance.random() < 0.25:
                await trio.sleep(chance.uniform(0, 0.3))  # at its start, or while it recovers
            else:
                more = chance.randint(1, DEVICES // 8)
                await until(lambda p=process, n=seen + more: p.exitcode is not None or at.requests() >= n)  # type: ignore[misc]
            if process.exitcode is None:
                process.kill()
                kills += 1
            process.join()
        assert await ended(at.start("--until-idle")) == 0
        _check_everything(at, kills)


def _check_everything(at: Scene, kills: int) -> None:
    sent = Counter(line["apns_id"] for line in at.log())
    accepted = {line["apns_id"] for line in at.log() if line["status"] == 200}
    by_device = {(line["collapse_id"], line["token"]) for line in at.log()}
    assert len(by_device) == len(sent)  # a repeat has the same apns-id, in the same run
    rows = at.ledger()
    maybe_repeated = sum(row.maybe_repeated for row in rows)
    runs = at.world.runs()
    assert {run.state for run in runs} == {"finished"}
    for run in runs:
        counts = at.world.report(run).counts
        assert (counts.selected, counts.accepted, counts.pending) == (DEVICES, DEVICES, 0)
    assert len(rows) == len({(row.run, row.device) for row in rows}) == len(runs) * DEVICES
    assert len(accepted) == len(rows)
    repeated = sum(count > 1 for count in sent.values())
    assert 0 < repeated <= maybe_repeated
    assert sum(sent.values()) - len(sent) <= kills * OPEN_AT_ONCE
    ids = {run.seq: run.id for run in runs}
    marked = {(ids[row.run].hex, f"{row.device:064x}") for row in rows if row.maybe_repeated}
    twice = Counter((line["collapse_id"], line["token"]) for line in at.log())
    assert {who for who, count in twice.items() if count > 1} <= marked
    with at.world.store.read() as tx:
        assert tx.execute(select(WORK)).all() == []


async def test_whenever_it_is_killed_nobody_gets_more_than_a_cap(tmp_path: Path) -> None:
    """Each of 200 users has three devices and two places; four runs want them at once."""
    chance = Random(20261126)
    caps = {"caps": [{"name": "day", "max": 2, "per": "1 day"}]}
    with scene(tmp_path, devices=600, rate=1000, users=200, limits=caps) as at:
        for name in "abcd":
            at.emit(name)
        for _ in range(6):
            process, seen = at.start("--until-idle"), at.requests()
            more = chance.randint(1, 200)
            await until(lambda p=process, n=seen + more: p.exitcode is not None or at.requests() >= n)  # type: ignore[misc]
            process.kill()
            process.join()
        assert await ended(at.start("--until-idle")) == 0
        sent: dict[int, set[str]] = {}
        for line in at.log():
            sent.setdefault(int(line["token"], 16) % 200, set()).add(line["collapse_id"])
        assert {len(runs) for runs in sent.values()} == {2}
        assert len(sent) == 200
        became = Counter(row.reason or row.outcome for row in at.ledger())
        assert became == {"accepted": 2 * 600, "cap day": 2 * 600}


async def test_a_killed_run_goes_on_with_its_old_template(tmp_path: Path) -> None:
    with scene(tmp_path, devices=600, rate=2000) as at:
        at.emit("a")
        process = at.start("--until-idle")
        await until(lambda: at.requests() > 50)
        (tmp_path / "templates/goal.yaml").write_text("aps: {alert: {body: the new text}}")
        process.kill()
        process.join()
        killed_at = at.requests()
        assert killed_at < 600
        assert await ended(at.start("--until-idle")) == 0
        assert at.requests() >= 600
        for line in at.log():
            body = f"device {int(line['token'], 16)}"
            assert json.loads(line["payload"]) == {"aps": {"alert": {"title": "Goal", "body": body}}}


async def test_sigterm_drains_and_leaves_nothing_unknown(tmp_path: Path) -> None:
    with scene(tmp_path, devices=1200, rate=2000) as at:
        at.emit("a")
        at.emit("b")
        process = at.start()
        await until(lambda: at.requests() > 200)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        assert await ended(process) == 0
        assert at.requests() < 2400
        with at.world.store.read() as tx:
            assert set(tx.execute(select(WORK.c.state)).scalars()) <= {"unsent", "retry"}
        assert len(at.ledger()) == at.requests()
        assert await ended(at.start("--until-idle")) == 0
        assert at.requests() == 2400
        assert [row.maybe_repeated for row in at.ledger()] == [False] * 2400
