"""Opening the database, and its two kinds of transaction.

SQLite in WAL mode with synchronous=FULL: what is committed survives a power loss. There is one connection that
writes, every transaction on it begins IMMEDIATE; readers see a snapshot and never wait for the writer
(sqlite.org: Write-Ahead Logging; Isolation).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Engine, Select, create_engine, event, select, text
from sqlalchemy.engine import make_url

from scheduler.domain.errors import OperatorError
from scheduler.store.failures import failures_told
from scheduler.store.tables import META

Transaction: TypeAlias = Connection
"""What the functions of the store take first: an open transaction, of a reader or of the writer."""

Asked: TypeAlias = tuple[Select[*tuple[Any, ...]], dict[str, object]]
"""A query that was made once, and its values this time."""

SCHEMA_REVISION = "0004"
"""The newest migration; a test holds it against the migrations folder."""

BUSY_MS = 30_000
"""How long a transaction waits for another process that has the write lock."""

_CACHED_STATEMENTS = 512
"""Of a connection, those that SQLite has compiled: bulk statements are there in several sizes."""


class Store:
    """An open database. Threads may share it; the engine keeps one writer at a time by its own limiter.

    Whatever it does, a failure of the file, its disk, or another process that uses it is an OperatorError.
    `is_scratch`: of a rehearsal, whose file nobody needs after a power loss. It never waits for the disk.
    """

    def __init__(self, url: str, *, busy_ms: int = BUSY_MS, is_scratch: bool = False) -> None:
        self.url = url
        self.path = sqlite_path(url)
        self._busy_ms = busy_ms
        synchronous = "OFF" if is_scratch else "FULL"
        self._writer = _engine(url, begin="BEGIN IMMEDIATE", pool_size=1, busy_ms=busy_ms, synchronous=synchronous)
        self._reader = _engine(url, begin="BEGIN", pool_size=4, busy_ms=busy_ms)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write; commits when the block ends without an exception."""
        with self._failures_told(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent snapshot."""
        with self._failures_told(), self._reader.begin() as connection:
            yield connection

    def data_version(self) -> int:
        """Changes when another process committed (sqlite.org: PRAGMA data_version). Ask from one thread at a time.

        It is asked on the writing connection, as a connection does not count its own commits, and on the driver's
        cursor, as SQLAlchemy would begin a transaction, which is IMMEDIATE here. It takes no lock and waits for no
        other process; a transaction of this process that is under way is waited for: others cannot commit in it.
        """
        with self._failures_told(), closing(self._writer.raw_connection()) as connection:
            cursor: Any = connection.cursor()
            return int(cursor.execute("PRAGMA data_version").fetchone()[0])

    def rows_written(self) -> int:
        """Rows that this process inserted, updated or deleted since it opened the database."""
        with self._writer.connect() as connection:
            return int(_driver(connection).total_changes)

    def namespace(self) -> UUID:
        """The random namespace of this database's run ids."""
        with self.read() as tx:
            return UUID(tx.execute(select(META.c.value).where(META.c.key == "namespace")).scalar_one())

    def close(self) -> None:
        self._reader.dispose()
        self._writer.dispose()

    def _failures_told(self) -> AbstractContextManager[None]:
        return failures_told(self.path, busy_ms=self._busy_ms)


def sqlite_path(url: str) -> Path:
    """The file of an SQLite URL. OperatorError for any other database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise OperatorError(
            f"store.url {parsed.render_as_string()!r} is not built yet",
            where="clarion.yaml",
            hint="write sqlite:///clarion.db; PostgreSQL is to come",
        )
    return Path(parsed.database)


def open_store(url: str, *, busy_ms: int = BUSY_MS, is_scratch: bool = False) -> Store:
    """Open the store at the current schema; a missing database is made. An older or newer one is refused."""
    path = sqlite_path(url)
    if not path.exists():
        from scheduler.store.migrating import upgrade  # Alembic takes 0.2 s to import, and is needed once

        upgrade(url)
    revision = schema_revision(url)
    if revision != SCHEMA_REVISION:
        older = revision is None or revision < SCHEMA_REVISION
        raise OperatorError(
            f"the database is at schema {revision or 'none'}, this Clarion needs {SCHEMA_REVISION}",
            where=str(path),
            hint="run 'clarion db upgrade'" if older else "it was used by a newer Clarion: upgrade this one",
        )
    return Store(url, busy_ms=busy_ms, is_scratch=is_scratch)


def schema_revision(url: str) -> str | None:
    """The migration that the database is at, or None for a file that is not ours yet."""
    engine = _engine(url, begin="BEGIN", pool_size=1, busy_ms=BUSY_MS)
    try:
        with failures_told(sqlite_path(url), busy_ms=BUSY_MS), engine.connect() as connection:
            if not _has_table(connection, "alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    finally:
        engine.dispose()


def _has_table(connection: Connection, name: str) -> bool:
    query = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name")
    return connection.execute(query, {"name": name}).first() is not None


def _engine(url: str, *, begin: str, pool_size: int, busy_ms: int, synchronous: str = "FULL") -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2 * busy_ms / 1000 + 30,  # who asks for the writer's connection may find it waiting for the lock
        connect_args={"timeout": busy_ms / 1000, "cached_statements": _CACHED_STATEMENTS},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own is never IMMEDIATE
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            f"busy_timeout={busy_ms}",
            "cache_size=-8192",
            "temp_store=MEMORY",
            "wal_autocheckpoint=4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
