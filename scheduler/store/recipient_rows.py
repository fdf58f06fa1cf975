"""Devices with their users, as windows read them: in one step (docs/adr/0026).

The driver lets go of the interpreter at every step, that is at every row, and while the event loop is busy it waits up
to five milliseconds to have it again. So SQLite makes one JSON text of all rows, in a step for which nobody waits
(sqlite.org: JSON Functions And Operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import JSON, ColumnElement, Select, Subquery, Text, cast, func, select

from scheduler.store.database import Transaction
from scheduler.store.tables import DEVICES, USERS

COLUMNS: Final = (
    DEVICES.c.id,
    DEVICES.c.token,
    DEVICES.c.user,
    DEVICES.c.locale,
    DEVICES.c.time_zone,
    DEVICES.c.attributes,
    DEVICES.c.registered_at,
    DEVICES.c.last_seen_at,
    USERS.c.attributes.label("user_attributes"),
    USERS.c.locale.label("user_locale"),
    USERS.c.time_zone.label("user_time_zone"),
    USERS.c.opt_outs,
)
_HOLD_JSON: Final = ("attributes", "user_attributes", "opt_outs")


class RecipientRow(msgspec.Struct, array_like=True):
    """A row of COLUMNS. Instants in milliseconds; what is the user's is None for devices without one."""

    id: int
    token: str
    user: str | None
    locale: str | None
    time_zone: str | None
    attributes: dict[str, Any]
    registered_at: int | None
    last_seen_at: int
    user_attributes: dict[str, Any] | None
    user_locale: str | None
    user_time_zone: str | None
    opt_outs: frozenset[str] | None


_decode = msgspec.json.Decoder(list[RecipientRow]).decode
_by_id = attrgetter("id")


class _Functions(NamedTuple):
    """What a database calls them."""

    of_rows: Callable[..., Any]
    """The list of a value of all rows; nothing at all where there are none, or an empty list."""
    of_columns: Callable[..., Any]
    """The list of the values of one row."""
    inside: Callable[..., Any]
    """A text of JSON inside of other JSON."""


_FUNCTIONS: Final = {
    "sqlite": _Functions(func.json_group_array, func.json_array, func.json),
    "postgresql": _Functions(func.json_agg, func.json_build_array, lambda text: cast(text, JSON)),
}


def together(rows: Subquery, database: str, *, where: ColumnElement[bool] | None = None) -> ColumnElement[str]:
    """All rows of a subquery of COLUMNS as one value, those `where` it says; for `decoded`."""
    functions = _FUNCTIONS[database]
    columns = [rows.c[column.name] for column in COLUMNS]
    row = functions.of_columns(*(functions.inside(one) if one.name in _HOLD_JSON else one for one in columns))
    every = functions.of_rows(row)
    return func.coalesce(cast(every if where is None else every.filter(where), Text), "[]")


def decoded(rows: str) -> list[RecipientRow]:
    """The rows in order of device ids: an aggregate keeps the order of its input, but nothing promises it."""
    return sorted(_decode(rows), key=_by_id)


def read_rows(tx: Transaction, query: Select[Any], values: Mapping[str, object]) -> list[RecipientRow]:
    """The rows of a query of COLUMNS."""
    return decoded(tx.execute(_all_together(query, tx.dialect.name), values).scalar_one())


@lru_cache(maxsize=64)
def _all_together(query: Select[Any], database: str) -> Select[Any]:
    return select(together(query.subquery("rows"), database))
