"""Rates over real TLS, with several links: exact on our starts, and with 100 ms of grace on the wire.

Starts are recorded where tokens are taken, arrivals by the server; every interval of both is checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from support.daemons import ShiftedClock, place, until
from support.rate_bounds import LATE, RecordingBucket, StampingWalker, excess, recorded, stamp_requests
from support.worlds import (
    APP,
    World,
    event,
    load_workspace,
    new_store,
    register_many,
    rule_text,
    settings_text,
    write_workspace,
)

from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.quantities import Rate
from scheduler.engine.daemon import Daemon
from scheduler.runs.pausing import set_rate
from scheduler.simulator.faults import AnswerWith, Fault, GoAway, Refuse, Script
from scheduler.simulator.listening import Listen
from scheduler.simulator.sink import serve_sink
from scheduler.store.database import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("recorded")]
EXACT = 1e-6
LINKS = 3
__all__ = ["recorded"]


@dataclass(eq=False)
class AtSink:
    """A daemon before a sink that notes when each request came in."""

    world: World
    daemon: Daemon
    arrivals: list[float]

    @property
    def buckets(self) -> dict[str, RecordingBucket]:
        """By what they bound."""
        return self.daemon.sender._buckets  # type: ignore[return-value]


@asynccontextmanager
async def at_sink(
    nursery: trio.Nursery, folder: Path, *, app: Mapping[str, Any], delivery: Mapping[str, Any], devices: int
) -> AsyncIterator[AtSink]:
    clock, arrivals = ShiftedClock(), list[float]()
    walker = partial(StampingWalker, clock, arrivals)
    port = await nursery.start(partial(serve_sink, Listen(folder / "ca.pem", port=0), clock=clock, walker=walker))
    settings = settings_text(port=port, app={"links": LINKS, **app})
    write_workspace(folder, {"goal": rule_text(delivery=delivery)}, settings=settings)
    world = World(folder, load_workspace(folder), new_store(folder / "clarion.db"), clock)
    register_many(world.store, devices)
    world.ingest(event("goal", at=clock.now()))
    daemon = Daemon(world.store, world.workspace, clock, reload_workspace=lambda: None)
    try:
        yield AtSink(world, daemon, arrivals)
    finally:
        world.store.close()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("rate", "devices"), [("1/s", 3), ("50/s", 60), ("5000/s", 5_000)])
@pytest.mark.parametrize("bounded", ["app", "lane", "rule"])
async def test_every_interval_keeps_to_the_rate(
    nursery: trio.Nursery, tmp_path: Path, bounded: str, rate: str, devices: int
) -> None:
    app: dict[str, Any] = {"app": {"rate": rate}, "lane": {"lanes": {"bulk": {"rate": rate}}}, "rule": {}}[bounded]
    delivery = {"lane": "bulk", **({"rate": rate} if bounded == "rule" else {})}
    scope = {"app": f"app:{APP}", "lane": f"lane:{APP}:bulk", "rule": "rule:goal"}[bounded]
    async with at_sink(nursery, tmp_path, app=app, delivery=delivery, devices=devices) as at:
        with trio.fail_after(60):
            ended = await at.daemon.run(until_idle=True)
        assert ended.progress.outcomes == {OutcomeKind.ACCEPTED: devices}
        (bucket,) = at.buckets.values()
        assert at.buckets == {scope: bucket}
        assert len(bucket.starts) == len(at.arrivals) == devices
        assert excess(bucket.starts, bucket.paces) <= EXACT
        assert excess(at.arrivals, bucket.paces, late=LATE) <= EXACT


async def test_the_bounds_of_app_lane_and_rule_hold_together(nursery: trio.Nursery, tmp_path: Path) -> None:
    app = {"rate": {"max": "400/s", "burst": 1}, "lanes": {"bulk": {"rate": "200/s"}}}
    delivery = {"lane": "bulk", "rate": "300/s"}
    async with at_sink(nursery, tmp_path, app=app, delivery=delivery, devices=300) as at:
        with trio.fail_after(60):
            await at.daemon.run(until_idle=True)
        assert sorted(at.buckets) == [f"app:{APP}", f"lane:{APP}:bulk", "rule:goal"]
        for bucket in at.buckets.values():
            assert len(bucket.starts) == 300
            assert excess(bucket.starts, bucket.paces) <= EXACT
            assert excess(at.arrivals, bucket.paces, late=LATE) <= EXACT


@pytest.mark.parametrize(("before", "after"), [("1000/s", 100.0), ("200/s", 2_000.0), ("400/s", 401.0)])
async def test_a_rate_by_hand_bounds_what_the_two_rates_start_together(
    nursery: trio.Nursery, tmp_path: Path, before: str, after: float
) -> None:
    """The bucket of the new rate has nothing saved up: its burst right behind that of the old one would be too much."""
    async with at_sink(nursery, tmp_path, app={}, delivery={"rate": before}, devices=2_000) as at:
        other = open_store(at.world.store.url)
        async with trio.open_nursery() as own:
            await own.start(at.daemon.run)
            await until(lambda: len(at.arrivals) > 150)
            run = at.world.runs()[0]
            await trio.to_thread.run_sync(set_rate, other, run.id.hex, Rate.of(after))
            await until(lambda: f"run:{run.id}" in at.buckets)
            await trio.sleep(0.3)
            await trio.to_thread.run_sync(set_rate, other, run.id.hex, Rate.of(20_000))
            await until(lambda: len(at.arrivals) == 2_000, within=30)
            at.daemon.stop()
        other.close()
        old, new = at.buckets["rule:goal"], at.buckets[f"run:{run.id}"]
        assert [pace.rate for pace in new.paces] == [Rate.of(after), Rate.of(20_000)]
        assert old.starts[-1] <= new.paces[0].since
        as_if_spent = [new.paces[0].since] * Rate.of(after).burst
        for starts, paces in (
            (old.starts, old.paces),
            (new.starts, new.paces),
            (as_if_spent + [one for one in new.starts if one < new.paces[1].since], new.paces[:1]),
            (old.starts + new.starts, old.paces + new.paces),
        ):
            assert excess(starts, paces) <= EXACT
        assert excess(at.arrivals, old.paces + new.paces, late=LATE) <= EXACT


@dataclass(frozen=True)
class Trouble:
    """What a server does at which of its requests while a rule sends to so many devices at a rate."""

    rate: str
    devices: int
    refused: tuple[int, int]
    """Streams: the first, and how many from there on."""
    left: tuple[int, int]
    """By a GOAWAY: at which request, and how many before it were not processed."""
    too_many: tuple[int, int]
    """Answers 429."""
    shut: int
    """A GOAWAY that leaves nothing."""

    def script(self) -> Script:
        (refused, refusals), (leaves, left), (too_many, limited) = self.refused, self.left, self.too_many
        return Script((
            Fault(action=Refuse(), request=refused, times=refusals),
            Fault(action=GoAway(unprocessed=left), request=leaves),
            Fault(action=AnswerWith(reason="TooManyRequests"), request=too_many, times=limited),
            Fault(action=GoAway(reason="Shutdown"), request=self.shut),
        ))  # fmt: skip


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("1/s", 4, refused=(2, 1), left=(3, 1), too_many=(5, 1), shut=6),
        Trouble("50/s", 80, refused=(15, 10), left=(40, 3), too_many=(50, 15), shut=70),
        Trouble("5000/s", 5_000, refused=(800, 400), left=(2_000, 20), too_many=(3_000, 400), shut=4_500),
    ],
    ids=lambda trouble: trouble.rate,
)
async def test_what_is_sent_again_costs_tokens_too(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    """Refused streams and what a GOAWAY left are resent at once, devices with a 429 are taken up later: by the rate."""
    (_, refusals), (_, limited) = trouble.refused, trouble.too_many
    rules = {"goal": rule_text(delivery={"rate": trouble.rate})}
    async with place(nursery, tmp_path, rules, app={"links": LINKS}, faults=trouble.script()) as at:
        arrivals = stamp_requests(monkeypatch, at.clock)
        register_many(at.world.store, trouble.devices)
        at.world.ingest(event("goal", at=at.clock.now()))
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            first = trouble.devices - limited
            await until(lambda: at.statistics.accepted == first and not daemon.work.windows, within=30)
            at.clock.shift += 900
            await until(lambda: at.statistics.accepted == trouble.devices, within=30)
            daemon.stop()
        bucket = daemon.sender._buckets["rule:goal"]
        assert isinstance(bucket, RecordingBucket)
        assert len(bucket.starts) == daemon.sender.pool_of(APP).counters.requests
        assert len(arrivals) >= trouble.devices + refusals + limited
        assert len(bucket.starts) >= len(arrivals)
        assert excess(bucket.starts, bucket.paces) <= EXACT
        assert excess(arrivals, bucket.paces, late=LATE) <= EXACT
