"""In which zones anybody is: one look at all devices of an app, for what is asked after a downtime alone."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from scheduler.store.database import Transaction
from scheduler.store.tables import DEVICES, USERS

_NAMES = (
    select(func.coalesce(func.nullif(DEVICES.c.time_zone, ""), func.nullif(USERS.c.time_zone, "")))
    .select_from(DEVICES.outerjoin(USERS, USERS.c.id == DEVICES.c.user))
    .where(DEVICES.c.active, DEVICES.c.app == bindparam("app"))
    .distinct()
)


def zones_in_use(tx: Transaction, app: str) -> frozenset[str | None]:
    """The names of zones that the active devices of an app have, or else their users; None if one has no zone."""
    return frozenset(tx.execute(_NAMES, {"app": app}).scalars())
