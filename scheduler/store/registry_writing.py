"""Registering devices in batches: each is looked up, merged in memory and written by prepared bulk statements.

Laws:
- A batch means what its changes mean one after the other.
- A change is made whole or refused whole.
- A device keeps its number for life, and a number is never given out twice: the ledger knows devices by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import col

from scheduler.store.database import Transaction
from scheduler.store.instants import to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.registry_changes import Applied, DeviceChange, Refused, UserChange, Verdict
from scheduler.store.registry_topics import TopicNumbers, join_topics, leave_topics, topics_of
from scheduler.store.registry_users import UserBatch, json_text, merged_json
from scheduler.store.tables import DEVICES, META, DeviceRow

if TYPE_CHECKING:
    from scheduler.conditions.types import Schema

REPLACED = "replaced"
"""Why a device is retired whose installation registered another token, when that token has a device already."""

_MUTABLE = (
    "user", "locale", "time_zone", "attributes", "active", "retired_reason", "retired_at", "registered_at",
    "last_seen_at",
)  # fmt: skip
_INSERT = Prepared(DEVICES.insert(), "id", "app", "token", *_MUTABLE)
_UPDATE = Prepared(
    update(DEVICES).where(col(DeviceRow.id) == bindparam("number")).values({n: bindparam(n) for n in _MUTABLE}),
    *_MUTABLE,
    "number",
)
_MOVE = Prepared(
    update(DEVICES).where(col(DeviceRow.id) == bindparam("number")).values(token=bindparam("to")), "to", "number"
)
_HIGHEST = "highest_device"


def upsert_devices(
    tx: Transaction,
    changes: Sequence[DeviceChange],
    *,
    now: datetime,
    schema: Schema,
    registering: bool,
    topics: TopicNumbers | None = None,
) -> list[Verdict]:
    """Merge changes into devices by (app, token); an unknown token gets a new device. One verdict for each change.

    `registering`: the app itself has just registered, so `registered_at` and `last_seen_at` become `now` and a
    retired device is active again. Without it (an import, a copy from elsewhere) an existing device keeps both, and
    stays retired, and when a new token registered is not known: a copy is no evidence that the app is still there.
    """
    batch = _Batch(tx, changes, now=to_ms(now), schema=schema, registering=registering)
    verdicts = [batch.apply(change) for change in changes]
    batch.write(topics or TopicNumbers())
    return verdicts


def never_again(tx: Transaction, number: int) -> None:
    """Note that a device number up to this one was given out, before its row is deleted."""
    if number > _highest_noted(tx):
        statement = insert(META).values(key=_HIGHEST, value=str(number))
        tx.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": str(number)}))


class _Draft:
    """A device as it will be written. `topics` is None until somebody asks for other topics."""

    __slots__ = (
        "active", "app", "attributes", "changed", "last_seen_at", "locale", "new", "number", "registered_at",
        "retired_at", "retired_reason", "time_zone", "token", "topics", "user",
    )  # fmt: skip

    def __init__(self, number: int, app: str, token: str, now: int) -> None:
        self.number = number
        self.app = app
        self.token = token
        self.user: str | None = None
        self.locale: str | None = None
        self.time_zone: str | None = None
        self.attributes = "{}"
        self.active = True
        self.retired_reason: str | None = None
        self.retired_at: int | None = None
        self.registered_at: int | None = None
        self.last_seen_at = now
        self.topics: frozenset[str] | None = None
        self.new = True
        self.changed = False

    def restore(self, mutable: Sequence[Any]) -> None:
        """Take the columns `_MUTABLE` from the row that is there already."""
        (
            self.user, self.locale, self.time_zone, self.attributes, self.active, self.retired_reason,
            self.retired_at, self.registered_at, self.last_seen_at,
        ) = mutable  # fmt: skip
        self.new = False

    def mutable(self) -> tuple[object, ...]:
        """The columns `_MUTABLE`, to be written."""
        return (
            self.user, self.locale, self.time_zone, self.attributes, self.active, self.retired_reason,
            self.retired_at, self.registered_at, self.last_seen_at,
        )  # fmt: skip


class _Batch:
    """The devices that one transaction changes."""

    def __init__(
        self, tx: Transaction, changes: Sequence[DeviceChange], *, now: int, schema: Schema, registering: bool
    ) -> None:
        self._tx = tx
        self._now = now
        self._schema = schema
        self._registering = registering
        self._drafts: dict[tuple[str, str], _Draft] = {}
        self._moves: list[tuple[object, ...]] = []
        self._load(changes)
        self._old_topics = self._load_topics(changes)
        self._users = UserBatch(tx, self._users_of(changes), schema)
        self._next_number = 1 + max(_highest_noted(tx), tx.execute(select(func.max(DEVICES.c.id))).scalar() or 0)

    def _load(self, changes: Sequence[DeviceChange]) -> None:
        by_app: dict[str, set[str]] = {}
        for change in changes:
            tokens = by_app.setdefault(change.app, set())
            tokens.add(change.token)
            if change.replaces is not UNSET:
                tokens.add(change.replaces)
        columns = [DEVICES.c.id, DEVICES.c.token, *(DEVICES.c[name] for name in _MUTABLE)]
        for app, tokens in by_app.items():
            query = select(*columns).where(DEVICES.c.app == app, DEVICES.c.token.in_(sorted(tokens)))
            for row in self._tx.execute(query):
                number, token, *mutable = row
                draft = self._drafts[app, token] = _Draft(number, app, token, self._now)
                draft.restore(mutable)

    def _load_topics(self, changes: Sequence[DeviceChange]) -> dict[int, list[str]]:
        if all(change.topics is UNSET for change in changes):
            return {}
        return topics_of(self._tx, [draft.number for draft in self._drafts.values()])

    def _users_of(self, changes: Sequence[DeviceChange]) -> set[str]:
        """The users whose attributes may change: named by a change, or by a device as it is."""
        if all(change.user_attributes is UNSET for change in changes):
            return set()
        named = {change.user for change in changes if change.user is not UNSET}
        return {user for user in named | {draft.user for draft in self._drafts.values()} if user is not None}

    def apply(self, change: DeviceChange) -> Verdict:
        key = (change.app, change.token)
        draft = self._drafts.get(key)
        replaced = self._replaced(change)
        standing = draft or replaced
        attributes = {} if change.attributes is UNSET else change.attributes
        if attributes or standing is None:
            problems = self._schema.check_device_attributes(attributes, new=standing is None)
            if problems:
                return Refused.because(problems)
        user = change.user if change.user is not UNSET else standing.user if standing else None
        changed = self._registering
        if change.user_attributes is not UNSET:
            if user is None:
                return Refused("user_attributes", "user_attributes need a user, and the device has none: give 'user'")
            verdict = self._users.apply(UserChange(id=user, attributes=change.user_attributes), within="user_")
            if isinstance(verdict, Refused):
                return verdict
            changed |= verdict is not Applied.UNCHANGED
        if standing is None:
            draft = self._drafts[key] = _Draft(self._next_number, change.app, change.token, self._now)
            self._next_number += 1
        elif draft is None:
            draft = standing
            self._move(draft, change.token)
            changed = True
        elif replaced is not None and replaced.active:
            replaced.active, replaced.retired_reason, replaced.retired_at = False, REPLACED, self._now
            replaced.changed = changed = True
        changed |= self._merge(draft, change, user, attributes)
        if standing is None:
            return Applied.CREATED
        return Applied.UPDATED if changed else Applied.UNCHANGED

    def _replaced(self, change: DeviceChange) -> _Draft | None:
        if change.replaces is UNSET or change.replaces == change.token:
            return None
        return self._drafts.get((change.app, change.replaces))

    def _move(self, draft: _Draft, token: str) -> None:
        del self._drafts[draft.app, draft.token]
        draft.token = token
        self._drafts[draft.app, token] = draft
        if not draft.new:
            self._moves.append((token, draft.number))
        self._register(draft)

    def _register(self, draft: _Draft) -> None:
        draft.active, draft.retired_reason, draft.retired_at = True, None, None
        draft.registered_at = draft.last_seen_at = self._now
        draft.changed = True

    def _merge(self, draft: _Draft, change: DeviceChange, user: str | None, attributes: dict[str, object]) -> bool:
        """True if this made a difference."""
        if self._registering:
            self._register(draft)
        changed = False
        if user != draft.user:
            draft.user, changed = user, True
        if change.locale is not UNSET and change.locale != draft.locale:
            draft.locale, changed = change.locale, True
        if change.time_zone is not UNSET and change.time_zone != draft.time_zone:
            draft.time_zone, changed = change.time_zone, True
        if attributes:
            text = json_text(merged_json(draft.attributes, attributes))
            if text != draft.attributes:
                draft.attributes, changed = text, True
        draft.changed |= changed
        if change.topics is not UNSET:
            wanted = frozenset(change.topics or ())
            before = self._old_topics.get(draft.number, ()) if draft.topics is None else draft.topics
            changed |= wanted != frozenset(before)
            draft.topics = wanted
        return changed

    def write(self, topics: TopicNumbers) -> None:
        """Write what `apply` merged. Once, at the end.

        Moves come first and in their order, so that no two devices hold one token in between.
        """
        _MOVE.run(self._tx, self._moves)
        drafts = self._drafts.values()
        _UPDATE.run(self._tx, [(*draft.mutable(), draft.number) for draft in drafts if draft.changed and not draft.new])
        _INSERT.run(
            self._tx, [(draft.number, draft.app, draft.token, *draft.mutable()) for draft in drafts if draft.new]
        )
        self._write_topics(topics)
        self._users.write()

    def _write_topics(self, topics: TopicNumbers) -> None:
        asked = [draft for draft in self._drafts.values() if draft.topics is not None]
        joined = []
        left = []
        for draft in asked:
            before = set(self._old_topics.get(draft.number, ()))
            wanted = draft.topics or frozenset()
            joined += [(draft.app, name, draft.number) for name in wanted if name not in before]
            left += [(draft.app, name, draft.number) for name in before - wanted]
        if joined or left:
            numbers = topics.find(self._tx, {(app, name) for app, name, _ in joined + left})
            join_topics(self._tx, [(numbers[app, name], device) for app, name, device in joined])
            leave_topics(self._tx, [(numbers[app, name], device) for app, name, device in left])


def _highest_noted(tx: Transaction) -> int:
    return int(tx.execute(select(META.c.value).where(META.c.key == _HIGHEST)).scalar() or 0)
