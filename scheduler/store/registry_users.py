"""Users: merging changes into them, reading them, erasing them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import bindparam, select, update
from sqlmodel import col

from scheduler.domain.audience import User
from scheduler.store.database import Transaction
from scheduler.store.prepared import Prepared
from scheduler.store.registry_changes import Applied, Refused, UserChange, Verdict
from scheduler.store.tables import USERS, UserRow

if TYPE_CHECKING:
    from scheduler.conditions.types import Schema

_MUTABLE = ("attributes", "opt_outs", "locale", "time_zone")
_INSERT = Prepared(USERS.insert(), "id", *_MUTABLE)
_UPDATE = Prepared(
    update(USERS).where(col(UserRow.id) == bindparam("key")).values({name: bindparam(name) for name in _MUTABLE}),
    *_MUTABLE,
    "key",
)
_SELECT = select(USERS.c.id, USERS.c.attributes, USERS.c.opt_outs, USERS.c.locale, USERS.c.time_zone)


def upsert_users(tx: Transaction, changes: Sequence[UserChange], *, schema: Schema) -> list[Verdict]:
    """Merge changes into users in their order; an unknown user is made. One verdict for each change."""
    batch = UserBatch(tx, {change.id for change in changes}, schema)
    verdicts = [batch.apply(change) for change in changes]
    batch.write()
    return verdicts


def fetch_users(tx: Transaction, ids: Collection[str]) -> dict[str, User]:
    """The users with these ids; an id without a row is left out. At most some thousand ids at a time."""
    if not ids:
        return {}
    return {row.id: user_of(row) for row in tx.execute(_SELECT.where(USERS.c.id.in_(sorted(ids))))}


def user_of(row: Any) -> User:
    """The value of a row with the columns of a user."""
    return User(
        id=row.id,
        attributes=merged_json(row.attributes),
        opt_outs=frozenset(msgspec.json.decode(row.opt_outs)),
        locale=row.locale,
        time_zone=row.time_zone,
    )


def merged_json(text: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object with changes merged in key by key; a null removes its key.

    >>> merged_json('{"a": 1, "b": 2}', {"a": None, "c": 3})
    {'b': 2, 'c': 3}
    """
    merged: dict[str, Any] = msgspec.json.decode(text) if text != "{}" else {}
    for key, value in (changes or {}).items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


class _Draft:
    """A user as it will be written."""

    __slots__ = ("attributes", "changed", "id", "locale", "new", "opt_outs", "time_zone")

    def __init__(self, id: str) -> None:
        self.id = id
        self.attributes = "{}"
        self.opt_outs = "[]"
        self.locale: str | None = None
        self.time_zone: str | None = None
        self.new = True
        self.changed = False

    def mutable(self) -> tuple[str, str, str | None, str | None]:
        """The columns `_MUTABLE`, to be written."""
        return (self.attributes, self.opt_outs, self.locale, self.time_zone)


class UserBatch:
    """Users that one transaction changes: loaded at once, merged in memory, written at once."""

    def __init__(self, tx: Transaction, ids: Collection[str], schema: Schema) -> None:
        self._tx = tx
        self._schema = schema
        self._drafts: dict[str, _Draft] = {}
        if ids:
            for id, *mutable in tx.execute(_SELECT.where(USERS.c.id.in_(sorted(ids)))):
                draft = self._drafts[id] = _Draft(id)
                draft.attributes, draft.opt_outs, draft.locale, draft.time_zone = mutable
                draft.new = False

    def apply(self, change: UserChange, *, within: str = "") -> Verdict:
        """Merge one change, or refuse all of it. `within` goes before the name of a refused field.

        A user must have the attributes that the schema demands from the first change that brings attributes: an
        opt-out, or a device that names its user, is never refused because a profile is not complete yet.
        """
        draft = self._drafts.get(change.id)
        if change.attributes is not UNSET:
            unprofiled = draft is None or draft.attributes == "{}"
            problems = self._schema.check_user_attributes(change.attributes, new=unprofiled)
            if problems:
                return Refused.because(problems, within=within)
        if draft is not None:
            return _merge(draft, change)
        draft = self._drafts[change.id] = _Draft(change.id)
        _merge(draft, change)
        return Applied.CREATED

    def write(self) -> None:
        """Write what `apply` merged. Once, at the end."""
        drafts = self._drafts.values()
        _INSERT.run(self._tx, [(draft.id, *draft.mutable()) for draft in drafts if draft.new])
        _UPDATE.run(self._tx, [(*draft.mutable(), draft.id) for draft in drafts if draft.changed and not draft.new])


def _merge(draft: _Draft, change: UserChange) -> Applied:
    before = draft.mutable()
    if change.attributes is not UNSET:
        draft.attributes = json_text(merged_json(draft.attributes, change.attributes))
    if change.opt_outs is not UNSET:
        draft.opt_outs = json_text(sorted(set(change.opt_outs or ())))
    if change.locale is not UNSET:
        draft.locale = change.locale
    if change.time_zone is not UNSET:
        draft.time_zone = change.time_zone
    if before == draft.mutable():
        return Applied.UNCHANGED
    draft.changed = True
    return Applied.UPDATED
