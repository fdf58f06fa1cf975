"""How many devices rules selected, minute by minute, for those that a fuse watches.

A row says of a minute how many devices a rule selected in it, and the total of the `span` minutes that end with it. Of
minutes that lie further back than `span` only those are kept that may still be the peak: their totals fall from the
oldest to the newest (the monotonic queue of a sliding maximum), so they are few however busy the rule is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select, update

from scheduler.store.database import Transaction
from scheduler.store.tables import SELECTIONS

_ADD = (
    update(SELECTIONS)
    .where(
        SELECTIONS.c.rule == bindparam("of_rule"),
        SELECTIONS.c.span == bindparam("of_span"),
        SELECTIONS.c.minute == bindparam("of_minute"),
    )
    .values(devices=SELECTIONS.c.devices + bindparam("added"), total=bindparam("now_total"))
)
_FORGET = delete(SELECTIONS).where(
    SELECTIONS.c.rule == bindparam("of_rule"),
    SELECTIONS.c.span == bindparam("of_span"),
    SELECTIONS.c.minute == bindparam("of_minute"),
)


@dataclass(frozen=True, slots=True)
class Minute:
    """What a rule selected in a minute (since 1970), the total up to it, and its first minute of all."""

    rule: str
    minute: int
    devices: int
    total: int
    since: int


@dataclass(frozen=True, slots=True)
class Recent:
    """What a rule selected in the last `span` minutes: how many devices, last when, and its first minute of all."""

    devices: int
    last: int
    since: int


def recent(tx: Transaction, rules: Sequence[str], *, span: int, minute: int) -> dict[str, Recent]:
    """By rule, what those of them selected that selected anything in the `span` minutes that end with `minute`."""
    found: dict[str, Recent] = {}
    for start in range(0, len(rules), 500):
        query = (
            select(
                SELECTIONS.c.rule,
                func.sum(SELECTIONS.c.devices),
                func.max(SELECTIONS.c.minute),
                func.min(SELECTIONS.c.since),
            )
            .where(
                SELECTIONS.c.rule.in_(rules[start : start + 500]),
                SELECTIONS.c.span == span,
                SELECTIONS.c.minute > minute - span,
            )
            .group_by(SELECTIONS.c.rule)
        )
        found.update((rule, Recent(*row)) for rule, *row in tx.execute(query))
    return found


def past(tx: Transaction, rules: Sequence[str], *, span: int, minute: int) -> list[Minute]:
    """The minutes that are kept of these rules from before the last `span` minutes, in order."""
    found: list[Minute] = []
    columns = (
        SELECTIONS.c.rule,
        SELECTIONS.c.minute,
        SELECTIONS.c.devices,
        SELECTIONS.c.total,
        SELECTIONS.c.since,
    )
    for start in range(0, len(rules), 500):
        query = select(*columns).where(
            SELECTIONS.c.rule.in_(rules[start : start + 500]),
            SELECTIONS.c.span == span,
            SELECTIONS.c.minute <= minute - span,
        )
        found.extend(Minute(*row) for row in tx.execute(query.order_by(SELECTIONS.c.rule, SELECTIONS.c.minute)))
    return found


def begin(tx: Transaction, minutes: Sequence[Minute], *, span: int) -> None:
    """Write minutes that have no row yet."""
    if minutes:
        tx.execute(
            insert(SELECTIONS),
            [
                {
                    "rule": one.rule,
                    "span": span,
                    "minute": one.minute,
                    "devices": one.devices,
                    "total": one.total,
                    "since": one.since,
                }
                for one in minutes
            ],
        )


def add(tx: Transaction, added: Sequence[tuple[str, int, int, int]], *, span: int) -> None:
    """Add to rows that are there: (rule, minute, devices more, total now) each."""
    if added:
        tx.execute(
            _ADD,
            [
                {"of_rule": rule, "of_span": span, "of_minute": minute, "added": devices, "now_total": total}
                for rule, minute, devices, total in added
            ],
        )


def forget(tx: Transaction, minutes: Collection[tuple[str, int]], *, span: int) -> None:
    """Remove the rows of (rule, minute)."""
    if minutes:
        tx.execute(_FORGET, [{"of_rule": rule, "of_span": span, "of_minute": minute} for rule, minute in minutes])


def forget_before(tx: Transaction, minute: int) -> None:
    """Remove all rows of earlier minutes, also of rules that are gone and of other spans."""
    tx.execute(delete(SELECTIONS).where(SELECTIONS.c.minute < minute))
