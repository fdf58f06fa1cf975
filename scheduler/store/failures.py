"""What SQLite's failures mean to whoever runs Clarion.

Told apart by SQLite's result codes (sqlite.org: Result and Error Codes). What only a mistake in Clarion can cause, a
missing table or a broken constraint, is left as it is: a traceback.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from scheduler.domain.errors import OperatorError

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NOT_ALLOWED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def failures_told(path: Path, *, busy_ms: int) -> Iterator[None]:
    """Raises OperatorError in place of a failure of the file, its disk, or another process that uses it."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as problem:
        cause = problem.orig if isinstance(problem, DatabaseError) else problem
        told = _tell(cause, path, busy_ms) if isinstance(cause, sqlite3.Error) else None
        if told is None:
            raise
        raise told from problem


def _tell(cause: sqlite3.Error, path: Path, busy_ms: int) -> OperatorError | None:
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the driver's own errors have none
    where = str(path)
    if code in _LOCKED:
        return OperatorError(
            f"another process has had the database locked for {busy_ms / 1000:g} s",
            where=where,
            hint="end it, or wait for it, then start again: a shell in a transaction, a copy, an import?",
        )
    if code == sqlite3.SQLITE_FULL:
        return OperatorError(
            "there is no room for the database to grow",
            where=where,
            hint="make room on its disk, then start again: what was committed is safe",
        )
    if code in _NOT_ALLOWED:
        return OperatorError(
            f"cannot open or write the database: {cause}",
            where=where,
            hint="this user must be able to write the file and its folder: SQLite keeps -wal and -shm files beside it",
        )
    if code == sqlite3.SQLITE_IOERR:
        return OperatorError(
            f"cannot read or write the database: {cause}",
            where=where,
            hint="look at the disk and the system's log, then start again: what was committed is safe",
        )
    if code in _DAMAGED:
        return OperatorError(
            f"cannot read the database: {cause}",
            where=where,
            hint="is store.url the right file? A damaged one must be restored from a backup",
        )
    return None
