"""Audiences of more topics than one compound SELECT of SQLite may have terms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.worlds import APP, ids, new_store, register, token_of

from scheduler.store.audience import Audience, page
from scheduler.store.database import Store
from scheduler.store.registry_changes import DeviceChange

TOPICS = 1200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Device n is in topic n and in the one 500 after it, round again at the end; every 60th is in none."""
    store = new_store(tmp_path / "clarion.db")
    register(
        store,
        (
            DeviceChange(
                app=APP, token=token_of(n), topics=[f"t{n}", f"t{(n + 500) % TOPICS}"] if n % 60 else [], attributes={}
            )
            for n in range(TOPICS)
        ),
    )
    yield store
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("count", [401, TOPICS])
def test_pages_of_many_topics_are_the_audience_once_and_in_order(store: Store, count: int) -> None:
    names = frozenset({"device.topics"})
    topics = {f"t{n}" for n in range(count)}
    with store.read() as tx:
        everyone = page(
            tx, Audience(app=APP, environment="sandbox", names=names), after=0, last=TOPICS, limit=TOPICS
        ).recipients
        wanted = [one.id for one in everyone if topics & set(one.device["topics"])]
        audience = Audience(app=APP, environment="sandbox", topics=tuple(sorted(topics)))
        found: list[int] = []
        ends = [0]
        while ends[-1] < TOPICS - 100:
            read = page(tx, audience, after=ends[-1], last=TOPICS - 100, limit=500)
            assert all(ends[-1] < number <= read.end for number in ids(read.recipients))
            found += ids(read.recipients)
            ends.append(read.end)
    assert found == [number for number in wanted if number <= TOPICS - 100]
    assert len(ends) > 2
    assert ends[-1] == TOPICS - 100
