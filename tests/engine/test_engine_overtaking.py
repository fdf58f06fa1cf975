"""An urgent event during a bulk send at full speed, as the server sees it: real TLS, no rate, several links.

benchmarks/urgent.py has the times, with the server in another process; here is what holds on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
from support.daemons import ShiftedClock, until
from support.worlds import (
    APP,
    World,
    event,
    load_workspace,
    new_store,
    register,
    rule_text,
    settings_text,
    token_of,
    write_workspace,
)

from scheduler.domain.runs import RunState
from scheduler.engine.active import MAX_OPEN_WINDOWS
from scheduler.engine.daemon import Daemon
from scheduler.runs.windows import MAX_WINDOW
from scheduler.simulator.listening import Listen
from scheduler.simulator.sink import FrameWalker, serve_sink
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow
DEVICES = 40_000
FANS = 2_000
GOALS = 3
RULES = {
    "sale": rule_text(trigger={"event": "com.example.sale"}, delivery={"lane": "bulk"}),
    "goal": rule_text(audience={"topics": ["team"]}, delivery={"lane": "urgent"}),
}
TEMPLATE = """\
aps: {alert: {title: "{{ event.data.title }}", body: "device {{ device.id }}"}}
"""


@dataclass(frozen=True)
class Read:
    """Requests that the server read at once: of goals, and of the sale."""

    at: float
    goals: int
    sale: int


class _Telling(FrameWalker):
    """Tells goals from the sale by their titles, in whatever pieces they come."""

    def __init__(self, clock: ShiftedClock, reads: list[Read]) -> None:
        super().__init__()
        self._clock = clock
        self._reads = reads
        self._tail = b""

    def walk(self, data: bytes) -> bytes:
        joined = self._tail + data
        self._tail = joined[-len("GOAL") + 1 :]
        self._reads.append(Read(self._clock.monotonic(), joined.count(b"GOAL"), joined.count(b"SALE")))
        return super().walk(data)


async def test_an_urgent_event_overtakes_a_bulk_send_at_full_speed(nursery: trio.Nursery, tmp_path: Path) -> None:
    clock, reads = ShiftedClock(), list[Read]()
    walker = partial(_Telling, clock, reads)
    port = await nursery.start(partial(serve_sink, Listen(tmp_path / "ca.pem", port=0), clock=clock, walker=walker))
    write_workspace(tmp_path, RULES, settings=settings_text(port=port, app={"links": 3}), templates={"goal": TEMPLATE})
    world = World(tmp_path, load_workspace(tmp_path), new_store(tmp_path / "clarion.db"), clock)
    every = DEVICES // FANS
    register(
        world.store,
        (
            DeviceChange(app=APP, token=token_of(n), **({"topics": ["team"]} if n % every == 0 else {}))
            for n in range(1, DEVICES + 1)
        ),
    )
    fans = DEVICES // every
    moment = clock.now() - timedelta(seconds=1)
    world.ingest(event("sale", at=moment, type_="com.example.sale", title="SALE"))
    daemon = Daemon(world.store, world.workspace, clock, reload_workspace=lambda: None)
    told: list[tuple[int, float]] = []
    async with trio.open_nursery() as own:
        await own.start(daemon.run)
        await until(lambda: sum(read.sale for read in reads) > 2_000)
        for number in range(GOALS):
            told.append((len(reads), clock.monotonic()))
            await daemon.intake.take([event(f"goal-{number}", at=moment, title="GOAL")])
            await until(lambda wanted=fans * (number + 1): sum(read.goals for read in reads) == wanted, within=20)
            await trio.sleep(0.05)
        assert sum(read.sale for read in reads) < DEVICES, "the sale was still under way"
        await until(lambda: len(world.runs(RunState.FINISHED)) == 1 + GOALS, within=60)
        daemon.stop()
    world.store.close()
    waits, before, between = [], [], []
    for start, at in told:
        urgent = [number for number, read in enumerate(reads[start:], start) if read.goals]
        urgent = urgent[: _places(reads, urgent, fans)]
        waits.append(reads[urgent[0]].at - at)
        before.append(sum(read.sale for read in reads[start : urgent[0]]))
        between.append(sum(read.sale for read in reads[urgent[0] : urgent[-1] + 1]))
    assert min(waits) < 0.5
    assert min(before) <= 1.5 * MAX_WINDOW, "it waits for little more than what is rendered already"
    assert max(before) <= (MAX_OPEN_WINDOWS + 1) * MAX_WINDOW, "what was open, and the window that was being opened"
    assert min(between) <= MAX_WINDOW, "from its first request to its last it has the links nearly to itself"
    nursery.cancel_scope.cancel()


def _places(reads: list[Read], urgent: list[int], fans: int) -> int:
    """How many of these reads hold the first `fans` requests of goals."""
    count = 0
    for place, number in enumerate(urgent, 1):
        count += reads[number].goals
        if count >= fans:
            return place
    raise AssertionError("not all came")
