"""How many devices rules selected, minute by minute, for those that a fuse watches.

A row says of a minute how many devices a rule selected in it, and the total of the `span` minutes that end with it. Of
minutes that lie further back than `span` only those are kept that may still be the peak: their totals fall from the
oldest to the newest (the monotonic queue of a sliding maximum), so they are few however busy the rule is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from scheduler.store.database import Transaction
from scheduler.store.prepared import Prepared
from scheduler.store.tables import SELECTIONS

_IS_MINUTE = and_(
    SELECTIONS.c.rule == bindparam("of_rule"),
    SELECTIONS.c.span == bindparam("of_span"),
    SELECTIONS.c.minute == bindparam("of_minute"),
)
_BEGIN = Prepared(insert(SELECTIONS), "rule", "span", "minute", "devices", "total", "since")
_ADD = Prepared(
    update(SELECTIONS)
    .where(_IS_MINUTE)
    .values(devices=SELECTIONS.c.devices + bindparam("added"), total=bindparam("now_total")),
    "added",
    "now_total",
    "of_rule",
    "of_span",
    "of_minute",
)
_FORGET = Prepared(delete(SELECTIONS).where(_IS_MINUTE), "of_rule", "of_span", "of_minute")
_OF_RULES = and_(SELECTIONS.c.rule.in_(bindparam("rules", expanding=True)), SELECTIONS.c.span == bindparam("span"))
_RECENT = (
    select(
        SELECTIONS.c.rule,
        func.sum(SELECTIONS.c.devices),
        func.max(SELECTIONS.c.minute),
        func.min(SELECTIONS.c.since),
    )
    .where(_OF_RULES, SELECTIONS.c.minute > bindparam("before"))
    .group_by(SELECTIONS.c.rule)
)
_PAST = (
    select(
        SELECTIONS.c.rule,
        SELECTIONS.c.minute,
        SELECTIONS.c.devices,
        SELECTIONS.c.total,
        SELECTIONS.c.since,
    )
    .where(_OF_RULES, SELECTIONS.c.minute <= bindparam("before"))
    .order_by(SELECTIONS.c.rule, SELECTIONS.c.minute)
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
        asked = {"rules": rules[start : start + 500], "span": span, "before": minute - span}
        found.update((rule, Recent(*row)) for rule, *row in tx.execute(_RECENT, asked).all())
    return found


def past(tx: Transaction, rules: Sequence[str], *, span: int, minute: int) -> list[Minute]:
    """The minutes that are kept of these rules from before the last `span` minutes, in order."""
    found: list[Minute] = []
    for start in range(0, len(rules), 500):
        asked = {"rules": rules[start : start + 500], "span": span, "before": minute - span}
        found.extend(Minute(*row) for row in tx.execute(_PAST, asked).all())
    return found


def begin(tx: Transaction, minutes: Sequence[Minute], *, span: int) -> None:
    """Write minutes that have no row yet."""
    _BEGIN.run(tx, [(one.rule, span, one.minute, one.devices, one.total, one.since) for one in minutes])


def add(tx: Transaction, added: Sequence[tuple[str, int, int, int]], *, span: int) -> None:
    """Add to rows that are there: (rule, minute, devices more, total now) each."""
    _ADD.run(tx, [(devices, total, rule, span, minute) for rule, minute, devices, total in added])


def forget(tx: Transaction, minutes: Collection[tuple[str, int]], *, span: int) -> None:
    """Remove the rows of (rule, minute)."""
    _FORGET.run(tx, [(rule, span, minute) for rule, minute in minutes])


def forget_before(tx: Transaction, minute: int) -> None:
    """Remove all rows of earlier minutes, also of rules that are gone and of other spans."""
    tx.execute(delete(SELECTIONS).where(SELECTIONS.c.minute < minute))
