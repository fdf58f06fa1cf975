"""A batch means what its changes mean one after the other, however it is cut."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.store.database import Store, open_store
from scheduler.store.registry import Found, stream_devices
from scheduler.store.registry_changes import DeviceChange, Verdict
from scheduler.store.registry_writing import upsert_devices

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHEMA = Schema(devices=Section({"n": FieldType(ValueType.INTEGER, optional=True)}, open=True))

tokens = st.sampled_from(["aa", "bb", "cc"])
changes = st.builds(
    DeviceChange,
    app=st.sampled_from(["scores", "shop"]),
    token=tokens,
    user=st.sampled_from([UNSET, None, "anna", "ben"]),
    locale=st.sampled_from([UNSET, None, "de"]),
    topics=st.sampled_from([UNSET, None, [], ["x"], ["x", "y"], ["y", "z", "z"]]),
    attributes=st.sampled_from([UNSET, {}, {"a": 1}, {"a": None, "b": "x"}, {"n": "no integer"}, {"n": 5}]),
    user_attributes=st.sampled_from([UNSET, UNSET, {"name": "A"}, {"name": None, "age": 3}]),
    replaces=st.one_of(st.just(UNSET), tokens),
)


@pytest.fixture(scope="module")
def empty() -> Iterator[Path]:
    """A database file without rows: to copy one is cheaper than to migrate one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_store(f"sqlite:///{path}").close()
        yield path


def _apply(store: Store, batches: list[list[DeviceChange]], registering: bool) -> tuple[list[Verdict], list[Found]]:
    verdicts = []
    for batch in batches:
        with store.write() as tx:
            verdicts += upsert_devices(tx, batch, now=NOW, schema=SCHEMA, registering=registering)
    with store.read() as tx:
        return verdicts, list(stream_devices(tx, page=2))


@pytest.mark.slow
@given(batch=st.lists(changes, max_size=12), size=st.integers(1, 5), registering=st.booleans())
def test_a_batch_is_its_changes_one_after_the_other(
    empty: Path, batch: list[DeviceChange], size: int, registering: bool
) -> None:
    cuts = (
        [batch],
        [batch[start : start + size] for start in range(0, len(batch), size)],
        [[change] for change in batch],
    )
    with TemporaryDirectory() as folder:
        results = []
        for number, batches in enumerate(cuts):
            path = shutil.copy(empty, Path(folder) / f"{number}.db")
            store = Store(f"sqlite:///{path}")
            results.append(_apply(store, batches, registering))
            store.close()
    assert results[0] == results[1] == results[2]
