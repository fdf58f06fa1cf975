"""Devices and users: reading them, retiring, deleting and erasing them. Registering is in registry_writing.py.

Erasing a person removes the user and all devices of the user. Rows of the ledger stay: they hold a device number that
belongs to nobody any more and is never given out again, an outcome and a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, func, or_, select, true, union, update
from sqlmodel import col

from scheduler.domain.audience import Device, User
from scheduler.store import claims
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.registry_topics import leave_all_topics, topics_of
from scheduler.store.registry_users import fetch_users, merged_json
from scheduler.store.registry_writing import never_again
from scheduler.store.tables import DEVICES, MEMBERSHIPS, TOPICS, USERS, DeviceRow

_RETIRE = (
    update(DEVICES)
    .where(
        col(DeviceRow.id) == bindparam("number"),
        col(DeviceRow.active).is_(True),
        or_(col(DeviceRow.registered_at).is_(None), col(DeviceRow.registered_at) < bindparam("at")),
    )
    .values(active=False, retired_reason=bindparam("reason"), retired_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Retirement:
    """A device whose token is dead since `at`, by what the provider said of it."""

    device: int
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A device and the user behind it, where one is known."""

    device: Device
    user: User | None


@dataclass(frozen=True, slots=True)
class RegistryCounts:
    """How much there is."""

    devices: int
    active: int
    users: int
    topics: int
    apps: tuple[str, ...]
    """Those that have devices."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How far the erasure of a user came: call again until it is finished."""

    devices: int
    found: bool
    finished: bool


def find_device(tx: Transaction, app: str, token: str) -> Found | None:
    """The device with this token, retired ones too."""
    found = _found(tx, select(DEVICES).where(DEVICES.c.app == app, DEVICES.c.token == token))
    return found[0] if found else None


def fetch_devices(tx: Transaction, numbers: Collection[int]) -> list[Found]:
    """The devices with these numbers, retired ones too, in the order of their numbers."""
    if not numbers:
        return []
    return _found(tx, select(DEVICES).where(DEVICES.c.id.in_(sorted(numbers))).order_by(DEVICES.c.id))


def devices_of_user(tx: Transaction, user: str) -> list[Found]:
    """All devices of a user, in the order of their numbers."""
    return _found(tx, select(DEVICES).where(DEVICES.c.user == user).order_by(DEVICES.c.id))


def list_devices(
    tx: Transaction,
    *,
    after: int = 0,
    limit: int = 1000,
    app: str | None = None,
    topic: str | None = None,
    active_only: bool = False,
) -> list[Found]:
    """The next devices behind a number: one page, in the order of their numbers."""
    query = select(DEVICES).where(DEVICES.c.id > after).order_by(DEVICES.c.id).limit(limit)
    if app is not None:
        query = query.where(DEVICES.c.app == app)
    if active_only:
        query = query.where(DEVICES.c.active)
    if topic is not None:
        query = query.where(
            select(MEMBERSHIPS.c.device)
            .join_from(MEMBERSHIPS, TOPICS, TOPICS.c.id == MEMBERSHIPS.c.topic)
            .where(MEMBERSHIPS.c.device == DEVICES.c.id, TOPICS.c.name == topic, TOPICS.c.app == DEVICES.c.app)
            .exists()
        )
    return _found(tx, query)


def stream_devices(tx: Transaction, *, active_only: bool = False, page: int = 1000) -> Iterator[Found]:
    """All devices in the order of their numbers, one page in memory at a time."""
    after = 0
    while found := list_devices(tx, after=after, limit=page, active_only=active_only):
        yield from found
        after = found[-1].device.id


def attribute_names(tx: Transaction) -> tuple[list[str], list[str]]:
    """The attributes that any device has, and those that any user has. Reads everything."""
    keys = func.json_each(DEVICES.c.attributes).table_valued("key")
    of_devices = tx.execute(select(keys.c.key).select_from(DEVICES.join(keys, true())).distinct()).scalars()
    user_keys = func.json_each(USERS.c.attributes).table_valued("key")
    of_users = tx.execute(select(user_keys.c.key).select_from(USERS.join(user_keys, true())).distinct()).scalars()
    return sorted(of_devices), sorted(of_users)


def count_registry(tx: Transaction) -> RegistryCounts:
    """How many devices, active devices, users (named by a device or by a row of their own) and topics there are, and of
    which apps."""
    devices, active = tx.execute(select(func.count(), func.count().filter(DEVICES.c.active)).select_from(DEVICES)).one()
    users = union(select(DEVICES.c.user).where(DEVICES.c.user.is_not(None)), select(USERS.c.id)).subquery()
    return RegistryCounts(
        devices=devices,
        active=active,
        users=tx.execute(select(func.count()).select_from(users)).scalar_one(),
        topics=tx.execute(select(func.count()).select_from(TOPICS)).scalar_one(),
        apps=tuple(tx.execute(select(DEVICES.c.app).distinct().order_by(DEVICES.c.app)).scalars()),
    )


def retire(tx: Transaction, retirements: Sequence[Retirement]) -> int:
    """Take dead tokens out of service; returns how many were.

    A device that registered at or after the instant `at` stays active: the app is there again, and what the provider
    said is about the time before (Apple: Handling notification responses from APNs, `timestamp`).
    """
    if not retirements:
        return 0
    rows = [{"number": dead.device, "reason": dead.reason, "at": to_ms(dead.at)} for dead in retirements]
    return tx.execute(_RETIRE, rows).rowcount


def delete_device(tx: Transaction, app: str, token: str) -> bool:
    """Remove a device and its memberships. False if there is none."""
    query = select(DEVICES.c.id).where(DEVICES.c.app == app, DEVICES.c.token == token)
    numbers = list(tx.execute(query).scalars())
    _delete(tx, numbers)
    return bool(numbers)


def erase_user(tx: Transaction, user: str, *, limit: int = 100) -> Erasure:
    """Remove a user's devices with their memberships, at most `limit` of them, and with the last one the user."""
    query = select(DEVICES.c.id).where(DEVICES.c.user == user).order_by(DEVICES.c.id).limit(limit)
    numbers = list(tx.execute(query).scalars())
    _delete(tx, numbers)
    if len(numbers) == limit:
        return Erasure(devices=limit, found=True, finished=False)
    claims.forget(tx, [f"user:{user}"])
    had_row = tx.execute(delete(USERS).where(USERS.c.id == user)).rowcount > 0
    return Erasure(devices=len(numbers), found=had_row or bool(numbers), finished=True)


def _delete(tx: Transaction, numbers: Sequence[int]) -> None:
    if numbers:
        never_again(tx, max(numbers))
        leave_all_topics(tx, numbers)
        tx.execute(delete(DEVICES).where(DEVICES.c.id.in_(numbers)))
        claims.forget(tx, [f"device:{number}" for number in numbers])


def _found(tx: Transaction, query: Select[Any]) -> list[Found]:
    rows = tx.execute(query).all()
    users = fetch_users(tx, {row.user for row in rows if row.user is not None})
    topics = topics_of(tx, [row.id for row in rows])
    return [Found(_device_of(row, topics.get(row.id, ())), users.get(row.user)) for row in rows]


def _device_of(row: Row[Any], topics: Sequence[str]) -> Device:
    return Device(
        id=row.id,
        app=row.app,
        token=row.token,
        user=row.user,
        locale=row.locale,
        time_zone=row.time_zone,
        topics=tuple(topics),
        attributes=merged_json(row.attributes),
        active=row.active,
        retired_reason=row.retired_reason,
        registered_at=None if row.registered_at is None else from_ms(row.registered_at),
        last_seen_at=from_ms(row.last_seen_at),
    )
