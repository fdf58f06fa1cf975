from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import bindparam, select, update

from scheduler.store.database import open_store
from scheduler.store.prepared import Prepared
from scheduler.store.tables import META


def test_a_prepared_statement_runs_for_each_row_and_for_no_row_not_at_all(tmp_path: Path) -> None:
    insert = Prepared(META.insert(), "key", "value")
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    with store.write() as tx:
        insert.run(tx, [])
        insert.run(tx, [("a", "1"), ("b", "2")])
        rows = tx.execute(select(META.c.key, META.c.value).where(META.c.key.in_(["a", "b"]))).all()
    store.close()
    assert [tuple(row) for row in rows] == [("a", "1"), ("b", "2")]


def test_names_in_another_order_than_the_statements_are_refused_at_once() -> None:
    change = update(META).where(META.c.key == bindparam("which")).values(value=bindparam("to"))
    with pytest.raises(ValueError, match=r"the parameters come in the order \('to', 'which'\)"):
        Prepared(change, "which", "to")


def test_constants_and_parameters_that_come_twice_are_put_into_each_row(tmp_path: Path) -> None:
    name = bindparam("name")
    change = update(META).where(META.c.key == name, META.c.value == "old").values(value=name + "-" + bindparam("to"))
    insert, prepared = Prepared(META.insert(), "key", "value"), Prepared(change, "name", "to")
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    with store.write() as tx:
        insert.run(tx, [("a", "old"), ("b", "old"), ("c", "other")])
        prepared.run(tx, [("a", "1"), ("b", "2"), ("c", "3")])
        rows = tx.execute(select(META.c.key, META.c.value).where(META.c.key.in_(["a", "b", "c"]))).all()
    store.close()
    assert [tuple(row) for row in rows] == [("a", "a-1"), ("b", "b-2"), ("c", "other")]


def test_a_parameter_that_rows_do_not_bring_is_refused_at_once() -> None:
    change = update(META).where(META.c.key == bindparam("which")).values(value=bindparam("to"))
    with pytest.raises(ValueError, match=r"the parameters come in the order \('to', 'which'\)"):
        Prepared(change, "to")
