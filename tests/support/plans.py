"""What SQLite does for a query: EXPLAIN QUERY PLAN."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row
from sqlalchemy.sql.compiler import SQLCompiler

from scheduler.store.database import Asked, Transaction


def plan_rows(tx: Transaction, asked: Asked) -> list[Row[Any]]:
    """The steps of the plan of a query that runs with these values; lists have the lengths that they have here."""
    statement, values = asked
    compiled = statement.compile(tx.engine)
    assert isinstance(compiled, SQLCompiler)
    expanded = compiled.construct_expanded_state(values)
    return list(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {expanded.statement}", expanded.positional_parameters))


def plan_of(tx: Transaction, asked: Asked) -> list[str]:
    """The steps, as SQLite says them."""
    return [row.detail for row in plan_rows(tx, asked)]
