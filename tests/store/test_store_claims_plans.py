"""Claims are read by person through the primary key, and given back by the device of a run through an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from support.plans import plan_of
from support.worlds import NOW, new_store

from scheduler.store import claims
from scheduler.store.claims import Claim, ClaimKind
from scheduler.store.database import Asked, Store
from scheduler.store.instants import to_ms
from scheduler.store.tables import CLAIMS

PERSONS = [f"user:{number}" for number in range(500)]
BY_PERSON = "SEARCH claims USING PRIMARY KEY (person=? AND kind=?"


@pytest.fixture(scope="module", params=["unknown", "analyzed"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ten runs of everybody, with and without statistics for SQLite's planner."""
    store = new_store(tmp_path_factory.mktemp("plans") / "clarion.db")
    with store.write() as tx:
        for run in range(10):
            for kind, scope in ((ClaimKind.CAP, "day"), (ClaimKind.REENTRY, "goal"), (ClaimKind.LATEST, "")):
                taken = [Claim(person, kind, scope, "", run, n, to_ms(NOW)) for n, person in enumerate(PERSONS)]
                claims.take(tx, taken)
        if request.param == "analyzed":
            tx.execute(text("ANALYZE"))
    yield store
    store.close()


@pytest.mark.parametrize(
    "asked",
    [
        claims.places_statement(PERSONS, ["day", "week"], since=NOW, runs=[1, 2]),
        claims.entries_statement(PERSONS, ["goal", "old-goal"]),
        claims.chosen_statement(PERSONS, [1, 2]),
    ],
    ids=["places", "entries", "chosen"],
)
def test_what_persons_hold_is_found_by_the_primary_key(store: Store, asked: Asked) -> None:
    """With statistics SQLite may leave the scope to a look at the few rows of a person."""
    with store.read() as tx:
        plan = plan_of(tx, asked)
    (step,) = plan
    assert step.startswith(BY_PERSON)


def test_what_a_device_gives_back_is_found_by_its_run(store: Store) -> None:
    with store.read() as tx:
        query = "DELETE FROM claims WHERE run = ? AND device = ? AND kind != 'latest'"
        plan = [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (1, 1))]
    assert plan == ["SEARCH claims USING COVERING INDEX claims_by_device (run=? AND device=?)"]


def test_taking_and_giving_back_may_be_repeated(tmp_path: Any) -> None:
    store = new_store(tmp_path / "clarion.db")
    mine = Claim("user:ann", ClaimKind.CAP, "day", "", 1, 1, 5)
    latest = Claim("user:ann", ClaimKind.LATEST, "", "", 1, 1, 5)
    with store.write() as tx:
        claims.take(tx, [mine, latest])
        claims.take(tx, [mine._replace(at=9)])
        assert [row.at for row in tx.execute(select(CLAIMS).where(CLAIMS.c.kind == "cap"))] == [5]
        tx.exec_driver_sql(
            "INSERT INTO runs (seq, id, rule, version, occasion, occasion_at, app, category, lane, state, due,"
            " created_at, selected, sharded, may_exceed) VALUES (1, x'01', 'r', 'v', 'o', 0, 'a', 'c', 'normal',"
            " 'running', 0, 0, 0, 0, 0)"
        )
        for _ in range(2):
            claims.give_back(tx, [(1, 1), (2, 1)])
            assert [row.kind for row in tx.execute(select(CLAIMS))] == ["latest"]
    store.close()
