"""The zone of each person: the user's own, else that of the user's device that was seen last, else none.

All active devices of a user count, in whatever app; of those only the ones that say a zone. A person without a user is
the device. A name that is no zone (any more) counts as none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from sqlalchemy import bindparam, func, select

from scheduler.domain.wall_times import zone_called
from scheduler.store.database import Asked, Transaction
from scheduler.store.recipient_rows import RecipientRow
from scheduler.store.tables import DEVICES


def person_zones(tx: Transaction, rows: Sequence[RecipientRow]) -> list[tzinfo | None]:
    """The zone of the person behind each row."""
    users = {row.user for row in rows if row.user is not None and zone_called(row.user_time_zone) is None}
    latest: dict[str, tzinfo] = {}
    if users:
        for row in tx.execute(*zones_statement(sorted(users))).all():
            zone = zone_called(row.time_zone)
            if zone is not None:
                latest[row.user] = zone
    return [
        zone_called(row.time_zone) if row.user is None else zone_called(row.user_time_zone) or latest.get(row.user)
        for row in rows
    ]


_ZONES = (
    select(DEVICES.c.user, DEVICES.c.time_zone)
    .where(
        DEVICES.c.user.in_(bindparam("users", expanding=True)),
        DEVICES.c.active,
        func.coalesce(DEVICES.c.time_zone, "") != "",
    )
    .order_by(DEVICES.c.last_seen_at, DEVICES.c.id)
)


def zones_statement(users: Sequence[str]) -> Asked:
    """(user, zone) of the devices of some users, the one that was seen last at the end. For EXPLAIN QUERY PLAN too."""
    return _ZONES, {"users": users}
