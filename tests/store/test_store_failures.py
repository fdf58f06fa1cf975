"""What goes wrong with the file is told with the way out; and what others commit is noticed without a lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from support.worlds import empty_database, new_store

from scheduler.domain.errors import OperatorError
from scheduler.store.database import Store, open_store, schema_revision
from scheduler.store.failures import failures_told
from scheduler.store.migrating import upgrade

INSERT = text("INSERT INTO meta (key, value) VALUES (:key, :value)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    new_store(tmp_path / "clarion.db").close()
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}", busy_ms=50)
    yield store
    store.close()


@pytest.fixture
def other(store: Store) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        yield connection


def _write(store: Store, key: str, size: int = 1) -> None:
    with store.write() as tx:
        tx.execute(INSERT, {"key": key, "value": "x" * size})


def test_a_commit_of_somebody_else_is_noticed_and_our_own_is_not(store: Store, other: sqlite3.Connection) -> None:
    seen = store.data_version()
    _write(store, "ours")
    assert store.data_version() == seen
    other.execute("INSERT INTO meta VALUES ('theirs', '')")
    assert store.data_version() != seen
    seen = store.data_version()
    other.execute("INSERT INTO meta VALUES ('theirs again', '')")
    _write(store, "ours again")  # our own transaction sees theirs first
    assert store.data_version() != seen


def test_asking_for_others_commits_neither_takes_the_lock_nor_waits_for_it(
    store: Store, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    seen = store.data_version()
    other.execute("INSERT INTO meta VALUES ('theirs', '')")
    assert store.data_version() == seen
    other.execute("COMMIT")
    assert store.data_version() != seen


def test_asking_leaves_the_writer_its_own_kind_of_transaction(store: Store, other: sqlite3.Connection) -> None:
    store.data_version()
    with store.write():
        other.execute("PRAGMA busy_timeout=0")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")


def test_a_locked_database_is_told_and_works_again_after(store: Store, other: sqlite3.Connection) -> None:
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperatorError) as refused:
        _write(store, "a")
    assert str(refused.value) == (
        f"{store.path}: another process has had the database locked for 0.05 s\n"
        "  hint: end it, or wait for it, then start again: a shell in a transaction, a copy, an import?"
    )
    with store.read() as tx:
        assert tx.execute(text("SELECT 1")).scalar_one() == 1  # readers need no lock
    other.execute("COMMIT")
    _write(store, "a")


def test_a_full_disk_is_told_and_nothing_of_the_transaction_stays(store: Store) -> None:
    with store.write() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(OperatorError) as refused, store.write() as tx:
        tx.execute(INSERT, [{"key": f"key {number}", "value": "x" * 3000} for number in range(20)])
    assert str(refused.value) == (
        f"{store.path}: there is no room for the database to grow\n"
        "  hint: make room on its disk, then start again: what was committed is safe"
    )
    with store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM meta WHERE key LIKE 'key %'")).scalar_one() == 0
    _write(store, "small")


def test_a_database_that_may_only_be_read_is_told(store: Store) -> None:
    with store.write() as tx:
        tx.exec_driver_sql("PRAGMA query_only=1")  # as a file without the right to write: also true for root
    with pytest.raises(OperatorError) as refused:
        _write(store, "a")
    assert str(refused.value) == (
        f"{store.path}: cannot open or write the database: attempt to write a readonly database\n"
        "  hint: this user must be able to write the file and its folder: SQLite keeps -wal and -shm files beside it"
    )


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as refused:
        open_store(f"sqlite:///{tmp_path}")
    assert str(refused.value) == (
        f"{tmp_path}: cannot open or write the database: unable to open database file\n"
        "  hint: this user must be able to write the file and its folder: SQLite keeps -wal and -shm files beside it"
    )


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError) as refused:
        open_store(f"sqlite:///{tmp_path / 'file' / 'sub' / 'clarion.db'}")
    assert str(refused.value) == (
        f"{tmp_path / 'file' / 'sub' / 'clarion.db'}: cannot make the folder of the database: Not a directory\n"
        "  hint: put store.url right, or make the folder yourself"
    )


@pytest.mark.parametrize("use", [open_store, schema_revision, upgrade])
def test_what_is_no_database_is_told(tmp_path: Path, use: Callable[[str], object]) -> None:
    path = tmp_path / "clarion.db"
    path.write_text("a letter to my aunt, and not a database at all\n" * 100)
    with pytest.raises(OperatorError) as refused:
        use(f"sqlite:///{path}")
    assert str(refused.value) == (
        f"{path}: cannot read the database: file is not a database\n"
        "  hint: is store.url the right file? A damaged one must be restored from a backup"
    )


def test_a_damaged_database_is_told_by_readers_too(tmp_path: Path) -> None:
    path = tmp_path / "clarion.db"
    whole = empty_database().read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))  # the schema is there, what it names is not
    with closing(Store(f"sqlite:///{path}")) as store, pytest.raises(OperatorError) as refused:
        store.namespace()
    assert str(refused.value) == (
        f"{path}: cannot read the database: database disk image is malformed\n"
        "  hint: is store.url the right file? A damaged one must be restored from a backup"
    )


def test_a_failing_disk_is_told(tmp_path: Path) -> None:
    problem = sqlite3.OperationalError("disk I/O error")
    problem.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE  # extended codes have the kind in their low byte
    with pytest.raises(OperatorError) as refused, failures_told(tmp_path / "clarion.db", busy_ms=50):
        raise problem
    assert str(refused.value) == (
        f"{tmp_path / 'clarion.db'}: cannot read or write the database: disk I/O error\n"
        "  hint: look at the disk and the system's log, then start again: what was committed is safe"
    )


def test_a_mistake_in_a_query_stays_a_mistake(store: Store) -> None:
    with pytest.raises(OperationalError, match="no such table: nowhere"), store.read() as tx:
        tx.execute(text("SELECT * FROM nowhere"))
