"""The windows of a run are its audience: everybody once, in order, whatever the sizes of pages and shards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete
from support.driving import Driver
from support.worlds import APP, World, event, ids, register, rule_text, token_of

from scheduler.runs import ranges
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import DEVICES, EVENTS, LEDGER, MEMBERSHIPS, RUNS, SHARDS, TOPICS, WORK

AUDIENCES = {
    "everyone": {"everyone": True},
    "where": {"where": "device.attributes.n >= 2"},
    "topics": {"topics": ["a", "b"]},
    "topics-where": {"topics": ["b", "c", "nobody's"], "where": "device.attributes.n >= 2"},
    "users": {"users": ["u0", "u1"]},
    "both": {"users": ["u0", "u1"], "topics": ["a", "c"]},
}
devices = st.tuples(
    st.sets(st.sampled_from("abc")), st.sampled_from(["u0", "u1", "u2", None]), st.integers(0, 3), st.booleans()
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rules = {name: rule_text(audience=audience) for name, audience in AUDIENCES.items()}
    world = World.make(tmp_path_factory.mktemp("windows"), rules)
    yield world
    world.store.close()


def _forget(world: World) -> None:
    with world.store.write() as tx:
        for table in (DEVICES, MEMBERSHIPS, TOPICS, EVENTS, RUNS, SHARDS, LEDGER, WORK):
            tx.execute(delete(table))


def _is_meant(rule: str, topics: set[str], user: str | None, n: int, active: bool) -> bool:
    by_rule = {
        "everyone": True,
        "where": n >= 2,
        "topics": bool(topics & {"a", "b"}),
        "topics-where": bool(topics & {"b", "c"}) and n >= 2,
        "users": user in ("u0", "u1"),
        "both": user in ("u0", "u1") and bool(topics & {"a", "c"}),
    }
    return active and by_rule[rule]


@pytest.mark.slow
@given(registry=st.lists(devices, max_size=25), limit=st.integers(1, 8), shard=st.integers(1, 30))
def test_the_windows_of_a_run_are_its_audience_once_and_in_order(
    world: World, registry: list[tuple[set[str], str | None, int, bool]], limit: int, shard: int
) -> None:
    _forget(world)
    changes = [
        DeviceChange(app=APP, token=token_of(number), user=user, topics=sorted(topics), attributes={"n": n})
        for number, (topics, user, n, _) in enumerate(registry)
    ]
    register(world.store, changes)
    with world.store.write() as tx:
        for number, (*_, active) in enumerate(registry):
            if not active:
                tx.execute(DEVICES.update().where(DEVICES.c.token == token_of(number)).values(active=False))
    world.ingest(event("a"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "SHARD_DEVICES", shard)
        driver = Driver(world)
        opened = [(w.context.run.rule, 0, w) for w in driver.start(limit=limit).windows]
    for run in list(driver.work.runs.values()):
        for part in list(run.shards):
            while not part.is_read:
                window = driver.open(run, limit=limit)
                assert window is not None
                assert window.end <= part.last
                opened.append((run.context.run.rule, part.number, window))
    for rule in AUDIENCES:
        windows = [window for of, _, window in opened if of == rule]
        tokens = [recipient.token for window in windows for recipient in window.recipients]
        assert tokens == [token_of(n) for n, device in enumerate(registry) if _is_meant(rule, *device)]
        assert all(window.selected <= limit for window in windows)
        assert [d for window in windows for d in ids(window.recipients)] == sorted(
            d for window in windows for d in ids(window.recipients)
        )
    driver.finish_everything(limit=limit)
    for run_row in world.runs():
        counts = world.report(run_row).counts
        meant = sum(_is_meant(run_row.rule, *device) for device in registry)
        assert (counts.selected, counts.accepted, counts.pending) == (meant, meant, 0)
