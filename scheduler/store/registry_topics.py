"""Topics, and which devices are in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TypeAlias

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlmodel import col

from scheduler.store.database import Transaction
from scheduler.store.prepared import Prepared
from scheduler.store.tables import MEMBERSHIPS, TOPICS, MembershipRow

TopicName: TypeAlias = tuple[str, str]
"""An app and the name of one of its topics."""

_INSERT_TOPIC = insert(TOPICS).on_conflict_do_nothing()
_JOIN = Prepared(MEMBERSHIPS.insert(), "topic", "device")
_LEAVE = Prepared(
    delete(MEMBERSHIPS).where(
        col(MembershipRow.topic) == bindparam("of"), col(MembershipRow.device) == bindparam("who")
    ),
    "of",
    "who",
)
_TOPICS_OF = (
    select(MEMBERSHIPS.c.device, TOPICS.c.name)
    .join_from(MEMBERSHIPS, TOPICS, TOPICS.c.id == MEMBERSHIPS.c.topic)
    .where(MEMBERSHIPS.c.device.in_(bindparam("devices", expanding=True)))
    .order_by(MEMBERSHIPS.c.device, TOPICS.c.name)
)
_REMEMBERED = 100_000


class TopicNumbers:
    """The numbers of topics that were already looked up. A topic is never deleted, so a number stays right.

    Keep one for a long import; drop it when a transaction that used it was rolled back.
    """

    def __init__(self) -> None:
        self._known: dict[TopicName, int] = {}

    def find(self, tx: Transaction, names: Collection[TopicName]) -> dict[TopicName, int]:
        """The number of each topic; a topic that is not there yet is made."""
        known = self._known
        if len(known) > _REMEMBERED:
            known.clear()
        missing = {name for name in names if name not in known}
        if missing:
            tx.execute(_INSERT_TOPIC, [{"app": app, "name": name} for app, name in sorted(missing)])
            known.update(_look_up(tx, missing))
        return known


def topics_of(tx: Transaction, devices: Collection[int]) -> dict[int, list[str]]:
    """The names of the topics of these devices, sorted. A device without topics is left out."""
    if not devices:
        return {}
    names: defaultdict[int, list[str]] = defaultdict(list)
    for device, name in tx.execute(_TOPICS_OF, {"devices": sorted(devices)}).all():
        names[device].append(name)
    return names


def join_topics(tx: Transaction, joined: Collection[tuple[int, int]]) -> None:
    """Add (topic, device) pairs that are not there yet."""
    _JOIN.run(tx, sorted(joined))


def leave_topics(tx: Transaction, left: Collection[tuple[int, int]]) -> None:
    """Remove (topic, device) pairs."""
    _LEAVE.run(tx, sorted(left))


def leave_all_topics(tx: Transaction, devices: Collection[int]) -> None:
    """Remove devices from all their topics."""
    tx.execute(delete(MEMBERSHIPS).where(MEMBERSHIPS.c.device.in_(sorted(devices))))


def _look_up(tx: Transaction, names: Collection[TopicName]) -> dict[TopicName, int]:
    by_app: defaultdict[str, list[str]] = defaultdict(list)
    for app, name in names:
        by_app[app].append(name)
    return {
        (app, row.name): row.id
        for app, wanted in by_app.items()
        for row in tx.execute(select(TOPICS.c.id, TOPICS.c.name).where(TOPICS.c.app == app, TOPICS.c.name.in_(wanted)))
    }
