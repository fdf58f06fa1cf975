"""Reading an audience page by page, in order of device ids, through an index wherever there is one.

Each page is a keyset scan: `id > after`, never OFFSET. A topic's devices come from its own range of the membership
key; several topics are merged from one bounded range each, so that a page costs the same at the end of a run as at
its beginning (sqlite.org: The SQLite Query Optimizer Overview, on compound selects and ORDER BY).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
    union,
)

from scheduler.conditions.condition import Condition
from scheduler.domain.runs import Recipient
from scheduler.planning.device_slots import ALL_BUT
from scheduler.store.criteria import lower
from scheduler.store.database import Asked, Transaction
from scheduler.store.instants import from_ms
from scheduler.store.person_zones import person_zones
from scheduler.store.recipient_rows import COLUMNS, RecipientRow, decoded, read_rows, together
from scheduler.store.registry_topics import topics_of
from scheduler.store.tables import DEVICES, MEMBERSHIPS, TOPICS, USERS

_MAX_TERMS = 400  # SQLite takes at most 500 in a compound SELECT (sqlite.org: Implementation Limits For SQLite)
_NO_OPT_OUTS: frozenset[str] = frozenset()
_WITH_USERS = DEVICES.outerjoin(USERS, USERS.c.id == DEVICES.c.user)
# Statements are made once, of each shape, and run with their values: to make one costs more than to run it.
_AFTER: BindParameter[Any] = bindparam("after")
_LAST: BindParameter[Any] = bindparam("last")
_LIMIT: BindParameter[Any] = bindparam("limit")
_WANTED = and_(DEVICES.c.app == bindparam("app"), DEVICES.c.active)
_IN_RANGE = and_(DEVICES.c.id > _AFTER, DEVICES.c.id <= _LAST)
_OF_USERS = DEVICES.c.user.in_(bindparam("users", expanding=True))
_DEVICES: Select[Any] = select(*COLUMNS).select_from(_WITH_USERS).where(_WANTED).order_by(DEVICES.c.id)
_DEVICES_OF_USERS: Select[Any] = _DEVICES.where(_OF_USERS)
_DEVICES_BY_ID: Select[Any] = _DEVICES.where(DEVICES.c.id.in_(bindparam("devices", expanding=True)))
_HIGHEST = select(func.coalesce(func.max(DEVICES.c.id), 0))
_TOPIC_IDS = (
    select(TOPICS.c.id)
    .where(TOPICS.c.app == bindparam("app"), TOPICS.c.name.in_(bindparam("names", expanding=True)))
    .order_by(TOPICS.c.id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom a run is about. `users` and `topics` are None when the rule does not name any (both: and).

    `where` is what is left of the condition once the event is known; `names` are the dotted paths that conditions and
    templates of the rule use: what nobody reads is not loaded.
    """

    app: str
    environment: str
    users: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    where: Condition | None = None
    names: frozenset[str] = field(default_factory=frozenset)
    zones: bool = False
    """Whether each person's zone is asked for: to look it up costs a page a query more."""

    @property
    def is_named(self) -> bool:
        """Whether it is given by its users alone: mostly few devices, found without a scan."""
        return self.users is not None and self.topics is None


@dataclass(frozen=True, slots=True)
class Page:
    """Devices that the SQL let through, and the device id up to which everything was looked at."""

    recipients: list[Recipient]
    end: int

    def up_to(self, last: int) -> Page:
        """What of it is not beyond a device id."""
        return self if self.end <= last else Page([one for one in self.recipients if one.id <= last], last)


def highest_device(tx: Transaction) -> int:
    """The highest device id there is: a run's audience is fixed at its start by it."""
    return int(tx.execute(_HIGHEST).scalar_one())


def page(
    tx: Transaction,
    audience: Audience,
    *,
    after: int,
    last: int,
    limit: int,
    zones: tuple[str, ...] | None = None,
) -> Page:
    """Up to `limit` active devices with after < id ≤ last; given zones, only those that are there. The residual
    condition is the caller's to evaluate."""
    asked = page_statement(tx, audience, after=after, last=last, limit=limit, zones=zones)
    if asked is None:
        return Page([], last)
    rows, looked_at, end = tx.execute(*asked).one()
    return Page(_recipients(tx, audience, decoded(rows)), end if looked_at == limit else last)


def count_up_to(tx: Transaction, audience: Audience, *, last: int, limit: int) -> int:
    """How many devices up to `last` the SQL lets through, counted no further than `limit`. No fewer than match."""
    wanted = select(DEVICES.c.id).select_from(_WITH_USERS).where(_WANTED, DEVICES.c.id <= last)
    if audience.where is not None:
        wanted = wanted.where(_prefilter(tx, audience))
    if audience.users is not None:
        wanted = wanted.where(DEVICES.c.user.in_(audience.users))
    if audience.topics is not None:
        topics = _topic_ids(tx, audience.app, audience.topics)
        if not topics:
            return 0
        of_topics = select(MEMBERSHIPS.c.device).where(MEMBERSHIPS.c.topic.in_(topics)).distinct().subquery("members")
        wanted = wanted.where(DEVICES.c.id.in_(select(of_topics.c.device)))
    counted = select(func.count()).select_from(wanted.limit(limit).subquery("counted"))
    return int(tx.execute(counted, {"app": audience.app}).scalar_one())


def counts_exactly(tx: Transaction, audience: Audience) -> bool:
    """Whether the SQL lets through just those that match."""
    return audience.where is None or lower(audience.where, DEVICES, USERS, tx.dialect.name).exact


def page_statement(
    tx: Transaction,
    audience: Audience,
    *,
    after: int,
    last: int,
    limit: int,
    zones: tuple[str, ...] | None = None,
) -> Asked | None:
    """The query of a page and its values, or None where no such topic exists: the rows together, how many devices were
    looked at, and the last of them. Public for EXPLAIN QUERY PLAN."""
    values: dict[str, object] = {"app": audience.app, "after": after, "last": last, "limit": limit}
    topics: list[int] | None = None
    if audience.topics is not None:
        topics = _topic_ids(tx, audience.app, audience.topics)
        if not topics:
            return None
    number = None
    if audience.users is not None:
        values["users"] = audience.users
        if topics is not None:
            values["topics"] = topics
    elif topics is not None:
        number = len(topics)
        values.update((f"topic_{place}", topic) for place, topic in enumerate(topics))
    by = _By(users=audience.users is not None, topics=topics is not None, merged=number)
    return _page_query(by, audience.where, zones, tx.dialect.name), values


class _By(NamedTuple):
    """How an audience is given: by users, by topics, and of how many topics the ranges are merged."""

    users: bool
    topics: bool
    merged: int | None


@lru_cache(maxsize=256)  # the pages of a run ask the same again, and mostly the runs of a rule
def _page_query(
    by: _By, where: Condition | None, zones: tuple[str, ...] | None, database: str
) -> Select[str, int, Any]:
    wanted = true() if where is None else _lowered(where, database)
    if zones is not None:
        wanted = and_(_in_zones(zones), wanted)
    if by.merged is None:
        query = _DEVICES.where(_IN_RANGE, wanted).limit(_LIMIT)
        if by.users:
            query = query.where(_OF_USERS)
        found = (query.where(_is_member()) if by.topics else query).subquery("rows")
        return select(together(found, database), func.count(), func.max(found.c.id))
    bounded = _merged(
        [
            select(MEMBERSHIPS.c.device)
            .where(
                MEMBERSHIPS.c.topic == bindparam(f"topic_{place}"),
                MEMBERSHIPS.c.device > _AFTER,
                MEMBERSHIPS.c.device <= _LAST,
            )
            .order_by(MEMBERSHIPS.c.device)
            .limit(_LIMIT)
            .subquery(f"topic_{place}")
            for place in range(by.merged)
        ],
        name="members",
    )
    # The outer join keeps every member, so that the page knows how far it has looked.
    joined = bounded.outerjoin(DEVICES, and_(DEVICES.c.id == bounded.c.device, _WANTED)).outerjoin(
        USERS, USERS.c.id == DEVICES.c.user
    )
    found = (
        select(*COLUMNS, bounded.c.device.label("member"), wanted.label("passes"))
        .select_from(joined)
        .order_by(bounded.c.device)
        .subquery("rows")
    )
    passing = together(found, database, where=and_(found.c.id.is_not(None), found.c.passes))
    return select(passing, func.count(), func.max(found.c.member))


def recipients_named(tx: Transaction, audiences: Sequence[Audience]) -> list[list[Recipient]]:
    """For each of these audiences, which name users and no topics: its active devices in order, before `where`. Many
    small audiences share one query, but no recipient: each run decides about its own."""
    by_user: dict[tuple[str, str], list[Recipient]] = {}
    for app in {audience.app for audience in audiences}:
        of_app = [audience for audience in audiences if audience.app == app]
        shared = replace(
            of_app[0],
            names=frozenset[str]().union(*(audience.names for audience in of_app)),
            zones=any(audience.zones for audience in of_app),
        )
        users = list(dict.fromkeys(user for audience in of_app for user in audience.users or ()))
        for start in range(0, len(users), 500):
            rows = read_rows(tx, _DEVICES_OF_USERS, {"app": app, "users": users[start : start + 500]})
            for row, recipient in zip(rows, _recipients(tx, shared, rows), strict=True):
                by_user.setdefault((app, row.user or ""), []).append(recipient)
    given: set[tuple[str, str]] = set()
    found: list[list[Recipient]] = []
    for audience in audiences:
        named: list[Recipient] = []
        for user in audience.users or ():
            devices = by_user.get((audience.app, user), ())
            named.extend(map(replace, devices) if (audience.app, user) in given else devices)
            given.add((audience.app, user))
        found.append(sorted(named, key=lambda recipient: recipient.id))
    return found


def recipients_by_id(tx: Transaction, audience: Audience, devices: Sequence[int]) -> dict[int, Recipient]:
    """These devices, as far as they are still active: for work rows that are taken up."""
    found: dict[int, Recipient] = {}
    for start in range(0, len(devices), 500):
        asked = {"app": audience.app, "devices": devices[start : start + 500]}
        for recipient in _recipients(tx, audience, read_rows(tx, _DEVICES_BY_ID, asked)):
            found[recipient.id] = recipient
    return found


def recipients_of(tx: Transaction, audience: Audience, users: Sequence[str], *, last: int | None) -> list[Recipient]:
    """The active devices of these users that the SQL of an audience lets through, with device ids up to `last`.
    Found by user; the residual condition is the caller's to evaluate."""
    query = _DEVICES_OF_USERS.where(_prefilter(tx, audience))
    asked: dict[str, object] = {"app": audience.app}
    if audience.topics is not None:
        query = query.where(_is_member())
        asked["topics"] = _topic_ids(tx, audience.app, audience.topics)
    found: list[Recipient] = []
    for start in range(0, len(users), 500):
        rows = read_rows(tx, query, {**asked, "users": users[start : start + 500]})
        found += _recipients(tx, audience, [row for row in rows if last is None or row.id <= last])
    return found


def _is_member() -> ColumnElement[bool]:
    return (
        select(MEMBERSHIPS.c.device)
        .where(
            MEMBERSHIPS.c.topic.in_(bindparam("topics", expanding=True)),
            MEMBERSHIPS.c.device == DEVICES.c.id,
        )
        .exists()
    )


def _merged(ranges: Sequence[Subquery], *, name: str) -> Subquery:
    """The first devices of these ranges together, each once and in order. Too many are merged in groups."""
    if len(ranges) > _MAX_TERMS:
        ranges = [
            _merged(ranges[start : start + _MAX_TERMS], name=f"{name}_{start}")
            for start in range(0, len(ranges), _MAX_TERMS)
        ]
    return union(*(select(one.c.device) for one in ranges)).order_by("device").limit(_LIMIT).subquery(name)


@lru_cache(maxsize=128)
def _in_zones(zones: tuple[str, ...]) -> ColumnElement[bool]:
    """Devices whose zone (their own, else their user's) is one of these, or is any other or none: see ZoneGroup."""
    own, of_user = func.nullif(DEVICES.c.time_zone, ""), func.nullif(USERS.c.time_zone, "")
    name = func.coalesce(own, of_user)
    # The first clause says no more than the second, and lets SQLite leave out the look at the user.
    if zones[0] != ALL_BUT:
        return and_(or_(own.is_(None), own.in_(zones)), name.in_(zones))
    return and_(or_(own.is_(None), own.not_in(zones[1:])), or_(name.is_(None), name.not_in(zones[1:])))


def _prefilter(tx: Transaction, audience: Audience) -> ColumnElement[bool]:
    return true() if audience.where is None else _lowered(audience.where, tx.dialect.name)


@lru_cache(maxsize=64)  # the pages of a run ask the same again
def _lowered(where: Condition, database: str) -> ColumnElement[bool]:
    return lower(where, DEVICES, USERS, database).clause


def _topic_ids(tx: Transaction, app: str, names: Sequence[str]) -> list[int]:
    return list(tx.execute(_TOPIC_IDS, {"app": app, "names": names}).scalars())


def _recipients(tx: Transaction, audience: Audience, rows: Sequence[RecipientRow]) -> list[Recipient]:
    topics = topics_of(tx, [row.id for row in rows]) if _uses(audience, "device.topics") else {}
    instants = _uses(audience, "device.registered_at") or _uses(audience, "device.last_seen_at")
    recipients = []
    for row in rows:
        locale = row.locale or row.user_locale
        device: dict[str, Any] = {
            "id": row.id,
            "app": audience.app,
            "environment": audience.environment,
            "locale": locale,
            "language": _language(locale) if locale else None,
            "time_zone": row.time_zone or row.user_time_zone,
            "attributes": row.attributes,
        }
        if topics is not None:
            device["topics"] = topics.get(row.id, [])
        if instants:
            device["registered_at"] = None if row.registered_at is None else from_ms(row.registered_at)
            device["last_seen_at"] = from_ms(row.last_seen_at)
        user: dict[str, Any] = {}
        if row.user is not None:
            user = {
                "id": row.user,
                "locale": row.user_locale,
                "time_zone": row.user_time_zone,
                "attributes": row.user_attributes or {},
            }
        recipients.append(Recipient(row.id, row.token, locale, user, device, row.opt_outs or _NO_OPT_OUTS))
    if audience.zones:
        for recipient, zone in zip(recipients, person_zones(tx, rows), strict=True):
            recipient.zone = zone
    return recipients


@lru_cache(maxsize=1024)
def _language(locale: str) -> str:
    return locale.replace("_", "-").split("-")[0]


def _uses(audience: Audience, name: str) -> bool:
    return any(used == name or used == "device" for used in audience.names)
