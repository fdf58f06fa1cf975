"""Bulk statements: compiled once and run with tuples, which costs a fraction of SQLAlchemy's rows of dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from sqlalchemy import Delete, Insert, Update
from sqlalchemy.dialects.sqlite import dialect

from scheduler.store.database import Transaction


class Prepared:
    """A statement with the names of its parameters in the order in which rows bring them, which is that of the
    statement. Its constants, and parameters that it has twice, are put into each row."""

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

    def run(self, tx: Transaction, rows: Sequence[tuple[object, ...]]) -> None:
        """Run it for each row; for none at all when there are no rows."""
        if not rows:
            return
        if self._arranged is not None:
            rows = [self._arranged(row + self._constants) for row in rows]
        tx.exec_driver_sql(self._sql, list(rows))
