"""The schema: made by migrations, the same as the tables say, and refused when it is not this one's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from support.worlds import empty_database, new_store

from scheduler.domain.errors import OperatorError
from scheduler.store.database import SCHEMA_REVISION, open_store, schema_revision, sqlite_path
from scheduler.store.migrating import alembic_config, upgrade


def test_the_newest_migration_is_the_schema_that_is_asked_for() -> None:
    script = ScriptDirectory.from_config(alembic_config("sqlite://"))
    assert script.get_heads() == [SCHEMA_REVISION]


def test_migrations_make_what_the_tables_say() -> None:
    command.check(alembic_config(f"sqlite:///{empty_database()}"))  # raises when there is a difference


def test_a_database_is_made_once_and_has_a_namespace_of_its_own(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("folder/a.db", "folder/b.db", "folder/a.db")]
    namespaces = []
    for url in urls:
        store = open_store(url)
        namespaces.append(store.namespace())
        store.close()
        assert schema_revision(url) == SCHEMA_REVISION
    assert namespaces[0] == namespaces[2] != namespaces[1]


def test_upgrading_what_is_current_changes_nothing(tmp_path: Path) -> None:
    store = new_store(tmp_path / "clarion.db")
    before = store.namespace()
    upgrade(store.url)
    assert store.namespace() == before
    store.close()


@pytest.mark.parametrize(
    ("revision", "hint"),
    [("0000", "run 'clarion db upgrade'"), ("9999", "it was used by a newer Clarion: upgrade this one")],
)
def test_another_schema_is_refused(tmp_path: Path, revision: str, hint: str) -> None:
    path = tmp_path / "clarion.db"
    new_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    with pytest.raises(OperatorError) as refused:
        open_store(f"sqlite:///{path}")
    assert str(refused.value) == (
        f"{path}: the database is at schema {revision}, this Clarion needs {SCHEMA_REVISION}\n  hint: {hint}"
    )


def test_an_empty_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "clarion.db"
    path.touch()
    with pytest.raises(OperatorError) as refused:
        open_store(f"sqlite:///{path}")
    assert str(refused.value) == (
        f"{path}: the database is at schema none, this Clarion needs {SCHEMA_REVISION}\n"
        "  hint: run 'clarion db upgrade'"
    )


@pytest.mark.parametrize("url", ["postgresql+psycopg://localhost/clarion", "sqlite://"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(OperatorError) as refused:
        sqlite_path(url)
    assert str(refused.value) == (
        f"clarion.yaml: store.url {url!r} is not built yet\n  hint: write sqlite:///clarion.db; PostgreSQL is to come"
    )


def test_runs_of_an_older_schema_keep_their_time_when_it_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "clarion.db"
    command.upgrade(alembic_config(f"sqlite:///{path}"), "0001")
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        columns = connection.execute("PRAGMA table_info(runs)").fetchall()
        given = {column["name"]: 7 if column["type"] == "INTEGER" else "x" for column in columns if column["notnull"]}
        names, marks = ", ".join(given), ", ".join("?" * len(given))
        connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", list(given.values()))
        connection.execute("UPDATE runs SET due = 1234")
    connection.close()
    upgrade(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT occasion_at, may_exceed, rate FROM runs").fetchall()
    connection.close()
    assert kept == [(1234, 0, None)]
    open_store(f"sqlite:///{path}").close()
