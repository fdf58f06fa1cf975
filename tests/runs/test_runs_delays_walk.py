"""Random lives of runs that wait, with orders that call them off, pauses, stops, cancels and crashes at any point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.walking import OVER, Walk
from support.worlds import APP, World, event, register, rule_text, token_of

from scheduler.runs import opening
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import EVENTS, LEDGER, RUNS, SHARDS, USERS, WORK

pytestmark = pytest.mark.slow
ORDER = "com.example.order"
DELAY = timedelta(minutes=20)
OWNERS = ["ann", "ben", None]


def rule(**fields: Any) -> str:
    timing = {"delay": "20 minutes", "unless": {"event": ORDER, "since": "5 s before"}}
    return json.dumps(json.loads(rule_text(delivery={"expires_after": "90 days"}, **fields)) | {"timing": timing})


class DelayWalk(Walk):
    """Whoever is given to the provider has waited to the end, and nobody who ordered by then is."""

    def __init__(self, world: World, chance: Random) -> None:
        self.orders: list[tuple[str, datetime]] = []
        super().__init__(world, chance)

    def event(self) -> None:
        self._events += 1
        chance, now = self.chance, self.world.now
        ago = timedelta(seconds=chance.choice([0, 1, 7, 1300]))
        user, name = chance.choice(["ann", "ben"]), f"e{self._events}"
        if chance.random() < 0.4:
            self.world.ingest(event(name, type_=ORDER, at=now - ago, user_id=user))
            self.orders.append((user, now - ago))
            return
        happened = event(name, subject=chance.choice("gh"), at=now - ago, user=user)
        self.driver.adopt(self.world.ingest(happened, room={APP: chance.choice([0, 3, 100])}).windows)
        self._given_out()

    def _given_out(self) -> None:
        for number, window in self.driver.work.windows.items():
            if number in self._in_doubt or not window.waiting:
                continue
            run, now = window.run.context.run, self.world.now
            assert run.event is not None
            assert run.event.time + DELAY <= now
            counts_from = run.event.time - timedelta(seconds=5)
            gone = {user for user, at in self.orders if counts_from <= at <= now}
            for device in window.waiting:
                assert OWNERS[device % 3] not in gone
        super()._given_out()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rules = {
        "everyone": rule(),
        "user": rule(audience={"users": ["{{ event.data.user }}"]}),
    }
    world = World.make(tmp_path_factory.mktemp("shop"), rules)
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user=OWNERS[n % 3]) for n in range(1, 12)])
    yield world
    world.store.close()


@settings(max_examples=settings.default.max_examples // 6)
@given(seed=st.integers(0, 2**32), length=st.integers(5, 45))
def test_whatever_happens_nobody_is_early_or_sent_to_after_ordering_and_everybody_ends_once(
    shop: World, seed: int, length: int
) -> None:
    chance = Random(seed)
    with shop.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK, USERS):
            tx.execute(delete(table))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "SHARD_DEVICES", chance.choice([3, 5, 100]))
        walk = DelayWalk(shop, chance)
        walk.event()
        for _ in range(length):
            walk.step()
        walk.end()
    with shop.store.read() as tx:
        assert tx.execute(select(WORK)).all() == []
        repeated = {(row.run, row.device) for row in tx.execute(select(LEDGER)) if row.maybe_repeated}
    assert repeated <= walk.doubted
    for run in shop.runs():
        assert run.state in OVER
        assert shop.report(run).counts.pending == 0
