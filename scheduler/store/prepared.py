"""Bulk statements: compiled once and run with tuples, many rows in a step where that can be (docs/adr/0026)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Final

from sqlalchemy import Delete, Insert, Update
from sqlalchemy.dialects.sqlite import dialect

from scheduler.store.database import Transaction

_TOGETHER: Final = (500, 100, 20, 5)
"""Rows that are inserted in one step, the most that are there. Few sizes, as each is a statement to be kept."""


class Prepared:
    """A statement with the names of its parameters in the order in which rows bring them, which is that of the
    statement. Its constants, and parameters that it has twice, are put into each row.

    Rows are inserted many in a step: the driver lets go of the interpreter at every step, and while the event loop is
    busy waits up to five milliseconds to have it again.
    """

    def __init__(self, statement: Insert | Update | Delete, *names: str) -> None:
        compiled = statement.compile(dialect=dialect(), column_keys=names if isinstance(statement, Insert) else None)
        self._sql = str(compiled)
        order = tuple(compiled.positiontup or ())
        asked = tuple(dict.fromkeys(name for name in order if name in names or compiled.binds[name].required))
        if asked != names:
            raise ValueError(f"the parameters come in the order {asked}")
        constants = tuple(name for name in order if name not in names)
        self._constants = tuple(compiled.params[name] for name in constants)
        places = {name: place for place, name in enumerate(names + constants)}
        self._arranged = None if order == names else itemgetter(*(places[name] for name in order))
        self._together = _together(self._sql, len(order)) if isinstance(statement, Insert) else {}

    def run(self, tx: Transaction, rows: Sequence[tuple[object, ...]]) -> None:
        """Run it for each row; for none at all when there are no rows."""
        if self._arranged is not None:
            rows = [self._arranged(row + self._constants) for row in rows]
        done = 0
        for count, sql in self._together.items():
            while len(rows) - done >= count:
                tx.exec_driver_sql(sql, tuple(chain.from_iterable(rows[done : done + count])))
                done += count
        if done < len(rows):
            tx.exec_driver_sql(self._sql, list(rows[done:]))


def _together(sql: str, width: int) -> dict[int, str]:
    """An INSERT of one row as one of many, by how many they are, the most first."""
    row = f"({', '.join('?' * width)})"
    head, _, tail = sql.partition(row)
    if not head.endswith(" VALUES ") or "?" in head + tail:
        raise ValueError(f"its rows cannot be inserted together: {sql}")
    return {count: head + ", ".join([row] * count) + tail for count in _TOGETHER}
