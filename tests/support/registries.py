"""A registry on SQLite, or on PostgreSQL with the same tables: for conditions that are asked of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from random_conditions import ZONES
from sqlalchemy import BigInteger, Engine, Integer, MetaData, Table

from scheduler.conditions.condition import Condition
from scheduler.domain.runs import Recipient
from scheduler.store.audience import Audience, page
from scheduler.store.database import Store, Transaction, open_store
from scheduler.store.tables import DEVICES, MEMBERSHIPS, TOPICS, USERS
from support.postgres import running_postgres

_TABLES = MetaData()


def _as_on_sqlite(table: Table) -> Table:
    """A table whose integers have 64 bits: on PostgreSQL they must be asked for."""
    copy = table.to_metadata(_TABLES)
    for column in copy.columns:
        if isinstance(column.type, Integer):
            column.type = BigInteger()
    return copy


_USERS, _DEVICES, _TOPICS, _MEMBERSHIPS = map(_as_on_sqlite, (USERS, DEVICES, TOPICS, MEMBERSHIPS))


@dataclass(frozen=True, slots=True)
class Registry:
    """An open registry. `database` is SQLAlchemy's name of it; what is written in `trial` is undone at its end."""

    database: str
    write: Callable[[], AbstractContextManager[Transaction]]
    trial: Callable[[], AbstractContextManager[Transaction]]


@contextmanager
def sqlite_registry(folder: Path) -> Iterator[Registry]:
    store = open_store(f"sqlite:///{folder / 'clarion.db'}")
    yield Registry("sqlite", store.write, lambda: _trial_on_sqlite(store))
    store.close()


@contextmanager
def postgres_registry(programs: Path) -> Iterator[Registry]:
    """`programs` is the folder of PostgreSQL's programs."""
    with running_postgres(programs) as engine:
        _TABLES.create_all(engine)
        yield Registry("postgresql", engine.begin, lambda: _trial_on_postgres(engine))


@contextmanager
def _trial_on_sqlite(store: Store) -> Iterator[Transaction]:
    with store.write() as tx, tx.begin_nested() as savepoint:
        yield tx
        savepoint.rollback()


@contextmanager
def _trial_on_postgres(engine: Engine) -> Iterator[Transaction]:
    with engine.connect() as tx:
        yield tx
        tx.rollback()


def add_devices(tx: Transaction, devices: Sequence[dict[str, Any]], *, app: str) -> None:
    """Devices by their columns, with `id`. `attributes` are a dictionary, `topics` are numbers; all may be left out."""
    missing = {"user": None, "locale": None, "time_zone": None, "registered_at": None, "last_seen_at": 0}
    rows = [{**missing, "active": True, "app": app, "token": f"{app} {one['id']}", **_as_json(one)} for one in devices]
    memberships = [{"topic": topic, "device": row["id"]} for row in rows for topic in row.pop("topics", ())]
    tx.execute(_DEVICES.insert(), rows)
    if memberships:
        tx.execute(_MEMBERSHIPS.insert(), memberships)


def add_users(tx: Transaction, users: Sequence[dict[str, Any]]) -> None:
    """Users by their columns, with `id`. `attributes` are a dictionary, and may be left out."""
    if users:
        missing = {"locale": None, "time_zone": None, "opt_outs": "[]"}
        tx.execute(_USERS.insert(), [{**missing, **_as_json(user)} for user in users])


def add_topics(tx: Transaction, names: Sequence[str], *, app: str, first: int = 1) -> None:
    """Topics of these names, numbered from `first`."""
    tx.execute(_TOPICS.insert(), [{"id": n, "app": app, "name": name} for n, name in enumerate(names, first)])


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "attributes": msgspec.json.encode(row.get("attributes", {})).decode()}


def recipients(tx: Transaction, app: str, where: Condition | None = None) -> list[Recipient]:
    """Everybody of an app whom SQL lets through; without a condition, with all that one may read."""
    names = frozenset({"device", "user"}) if where is None else frozenset[str]()
    audience = Audience(app=app, environment="sandbox", where=where, names=names)
    return page(tx, audience, after=-1, last=10_000, limit=10_000).recipients


def selected(tx: Transaction, app: str, where: Condition) -> set[int]:
    """The devices of an app that SQL lets through."""
    return {one.id for one in recipients(tx, app, where)}


def matching(people: Sequence[Recipient], where: Condition) -> set[int]:
    """The devices of these people that Python matches, in one zone or another."""
    evaluate, zones = where.evaluate, ZONES if where.reads_zone else ZONES[:1]
    scopes = [{"device": one.device, "user": one.user, "zone": zone} for zone in zones for one in people]
    return {scope["device"]["id"] for scope in scopes if evaluate(scope) is True}
