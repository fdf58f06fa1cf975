"""Whatever happens to a run on its way round the world, in any order: its sums hold, no device is given out in two
zones, and after any crash every device ends once, and who may have been sent twice is marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.walking import Walk
from support.worlds import APP, NOW, World, register, rule_text, token_of

from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import CALLED_OFF, RunState
from scheduler.runs import ranges
from scheduler.runs.schedules import open_due, watch
from scheduler.runs.zone_shards import skip_missed_zones
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import IN_FLIGHT, LEDGER, RUNS, SCHEDULES, SHARDS, STOPS, USERS, WORK

DEVICES = 14
EXAMPLES = max(10, settings().max_examples // 5)
"""A walk round the world opens some forty shards and more."""
ZONES = ("Pacific/Kiritimati", "Asia/Kathmandu", "Europe/Berlin", None, "America/New_York", "Pacific/Pago_Pago")


class RoundTheWorld(Walk):
    """A walk in which devices move, and hours pass."""

    def __init__(self, world: World, chance: Random, *, moves: bool) -> None:
        self._moves = moves
        super().__init__(world, chance)
        self._missed()

    def event(self) -> None:
        """The ticker looks, and perhaps a device moves."""
        store = self.world.store
        open_due(store, self.world.workspace, store.namespace(), self.world.now, awake_since=self.world.now)
        self.driver.wake()
        if self._moves:
            number, zone = self.chance.randint(1, DEVICES), self.chance.choice(ZONES)
            register(store, [DeviceChange(app=APP, token=token_of(number), time_zone=zone)])

    def pass_time(self) -> None:
        self.world.advance(self.chance.choice([1, 1000, 4 * 3600, 9 * 3600]))

    def crash(self) -> None:
        super().crash()
        self._missed()

    def _missed(self) -> None:
        watch(self.world.store, self.world.workspace, self.world.now)
        skip_missed_zones(self.world.store, self.driver.versions, self.world.now, awake_since=self.world.now)
        self.driver.load()


@pytest.fixture(scope="module", params=["resend", "drop"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, bool]]:
    """A world with devices, and whether its rule drops what is unknown."""
    trigger = {"at": "2026-11-21 09:00", "time_zone": "device", "grace": "20 days"}
    delivery = {"on_unknown": request.param, "max_age": "20 days", "expires_after": "20 days", "collapse": "{{ slot }}"}
    rule = rule_text(trigger=trigger, delivery=delivery, template="digest")
    world = World.make(tmp_path_factory.mktemp("walk"), {"digest": rule}, templates={"digest": "aps: {alert: now}"})
    yield world, request.param == "drop"
    world.store.close()


def _forget(world: World) -> None:
    with world.store.write() as tx:
        for table in (RUNS, SHARDS, LEDGER, WORK, USERS, STOPS, SCHEDULES, IN_FLIGHT):
            tx.execute(delete(table))
    world.clock = VirtualClock(NOW)
    places = [ZONES[number % len(ZONES)] for number in range(1, DEVICES + 1)]
    register(world.store, [DeviceChange(app=APP, token=token_of(n), time_zone=z) for n, z in enumerate(places, 1)])


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), length=st.integers(5, 45), moves=st.booleans())
def test_every_device_of_every_zone_ends_once(filled: tuple[World, bool], seed: int, length: int, moves: bool) -> None:
    world, drops_unknown = filled
    chance = Random(seed)
    _forget(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "SHARD_DEVICES", chance.choice([3, 5, 100]))
        walk = RoundTheWorld(world, chance, moves=moves)
        world.advance(timedelta(hours=chance.choice([7, 8, 12])).total_seconds())
        walk.event()
        for _ in range(length):
            walk.step()
        walk.end()
    (run,) = world.runs()
    assert run.state in (RunState.FINISHED, *CALLED_OFF)
    with world.store.read() as tx:
        assert tx.execute(select(WORK)).all() == []
        rows = tx.execute(select(LEDGER)).all()
    counts = world.report(run).counts
    assert (counts.pending, counts.selected) == (0, len(rows))
    assert max(Counter(row.device for row in rows).values(), default=1) == 1
    if run.state is RunState.FINISHED:
        assert len(rows) <= DEVICES if moves else len(rows) == DEVICES
    repeated = {(row.run, row.device) for row in rows if row.maybe_repeated}
    unknown = {(row.run, row.device) for row in rows if row.outcome == "unknown"}
    if drops_unknown:
        assert repeated == set()
        assert walk.doubted <= unknown
    else:
        assert repeated == walk.doubted
