"""Which devices may be on their way in a run whose shards share ranges of device ids.

There the range between cursor and intent does not say who was in the open windows: some of its devices are another
shard's, and one may have moved there since. So the devices themselves are written, with the intent.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from scheduler.store.database import Transaction
from scheduler.store.tables import IN_FLIGHT, RUNS


def keep(tx: Transaction, run: int, devices: Iterable[int]) -> None:
    """These are the devices in the open windows of a run now, and no others."""
    tx.execute(delete(IN_FLIGHT).where(IN_FLIGHT.c.run == run))
    tx.execute(insert(IN_FLIGHT), {"run": run, "devices": array("q", sorted(devices)).tobytes()})


def devices_of(tx: Transaction, run: int) -> list[int]:
    """The devices that were in the open windows of a run when the last of them was opened, in order."""
    packed = tx.execute(select(IN_FLIGHT.c.devices).where(IN_FLIGHT.c.run == run)).scalar_one_or_none()
    return [] if packed is None else array("q", packed).tolist()


def forget_what_is_over(tx: Transaction) -> None:
    """Remove what was written of runs that are over."""
    over = select(RUNS.c.seq).where(RUNS.c.seq == IN_FLIGHT.c.run, RUNS.c.finished_at.is_not(None))
    tx.execute(delete(IN_FLIGHT).where(over.exists()))
