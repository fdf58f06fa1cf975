"""What a person has had that counts against it now: the runs behind a cap or a re-entry, for who asks why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from scheduler.domain.outcomes import SuppressReason
from scheduler.domain.runs import Recipient
from scheduler.planning.caps import at_least_since, counted_since
from scheduler.runs.claiming import reason_of
from scheduler.runs.context import RunContext
from scheduler.store import claims as claim_rows
from scheduler.store import runs as run_rows
from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that the person had. `limit` is the reason that it counts for, as the ledger says it: `cap marketing-day`,
    `reentry`; `at` is when it was committed, of a re-entry when its occasion was."""

    limit: str
    rule: str
    run: UUID
    at: datetime


def earlier(tx: Transaction, context: RunContext, recipient: Recipient, now: datetime) -> list[Earlier]:
    """What counts now against the person of a device, by limit in the order in which they are asked, then by time."""
    found = _entries(tx, context, recipient) if context.limits.reentry is not None else []
    if context.limits.caps:
        found += _places(tx, context, recipient, from_ms(to_ms(now)))
    runs = run_rows.by_seq(tx, sorted({run for _, run, _ in found} - {context.run.seq}))
    return [Earlier(limit, runs[run].rule, runs[run].id, from_ms(at)) for limit, run, at in found if run in runs]


def _entries(tx: Transaction, context: RunContext, recipient: Recipient) -> list[tuple[str, int, int]]:
    held = claim_rows.entries(tx, [recipient.person], context.campaign.names_had)
    had = {(one.run, one.at) for one in held if one.bucket == context.limits.key}
    return [(SuppressReason.REENTRY, run, at) for run, at in sorted(had, key=lambda one: one[1])]


def _places(tx: Transaction, context: RunContext, recipient: Recipient, now: datetime) -> list[tuple[str, int, int]]:
    zone, caps = recipient.zone or context.campaign.zone, context.limits.caps
    since = min(at_least_since(cap, now) for cap in caps)
    held = list(claim_rows.places(tx, [recipient.person], {cap.name for cap in caps}, since=since, runs=()))
    found: list[tuple[str, int, int]] = []
    for cap in caps:
        first = to_ms(counted_since(cap, zone, now))
        counted = {(one.run, one.at) for one in held if one.scope == cap.name and one.at >= first}
        found += [(reason_of(cap), run, at) for run, at in sorted(counted, key=lambda one: one[1])]
    return found
