"""However many devices of a run are deferred, what is due and when the next is due is found by an index, in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from support.plans import plan_of
from support.worlds import NOW, new_store

from scheduler.domain.runs import WorkEntry, WorkState
from scheduler.store import ledger
from scheduler.store.database import Asked, Store

COUNT = 5_000


@pytest.fixture(scope="module", params=["unknown", "analyzed"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One run that holds many, with and without statistics for SQLite's planner."""
    store = new_store(tmp_path_factory.mktemp("plans") / "clarion.db")
    with store.write() as tx:
        for hour in range(5):
            entries = [
                WorkEntry(1, device, WorkState.DEFERRED, "quiet_hours", NOW + hour * timedelta(hours=1), 0)
                for device in range(hour, COUNT, 5)
            ]
            ledger.put_work(tx, entries, None)
        if request.param == "analyzed":
            tx.execute(text("ANALYZE"))
    yield store
    store.close()


@pytest.mark.parametrize(
    ("asked", "step"),
    [
        (
            ledger.due_work_statement([1], NOW, limit=1_000),
            "SEARCH work USING INDEX work_by_time (run=? AND not_before<?)",
        ),
        (
            ledger.due_work_statement([1, 2, 3], NOW, limit=1_000),
            "SEARCH work USING INDEX work_by_time (run=? AND not_before<?)",
        ),
        ((ledger.next_work_statement(1), {}), "SEARCH work USING INDEX work_by_time (run=?)"),
    ],
    ids=["due", "due of several", "next"],
)
def test_work_that_is_due_is_found_in_order_by_its_index(store: Store, asked: Asked, step: str) -> None:
    with store.read() as tx:
        plan = plan_of(tx, asked)
    assert plan == [step]


def test_the_first_due_come_first(store: Store) -> None:
    with store.read() as tx:
        assert ledger.due_work(tx, [1], NOW - timedelta(seconds=1), limit=10) == {}
        found = ledger.due_work(tx, [1, 2], NOW + timedelta(hours=9), limit=1_001)[1]
        assert [entry.device for entry in found] == [*range(0, COUNT, 5), 1]
        assert (ledger.next_work(tx, 1), ledger.deferred_tallies(tx, 1)) == (NOW, {"quiet_hours": COUNT})
