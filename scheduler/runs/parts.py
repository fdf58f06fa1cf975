"""The devices that a shard is about, where several shards share a range of ids: the canary first, then the rest.

The canary is drawn by a hash. The rest are those who have no row in the run: so nobody is in both parts or in neither,
also where somebody logged in on a device in between and the hash says something else of it now.
"""

from __future__ import annotations

from scheduler.domain.runs import Part, Recipient, Shard
from scheduler.planning.canaries import canaries
from scheduler.runs.context import RunContext
from scheduler.runs.windows import MAX_WINDOW
from scheduler.store import audience as audiences
from scheduler.store import ledger
from scheduler.store.audience import Page
from scheduler.store.database import Transaction

MAX_LOOKED_AT = 20_000
"""Devices that are read for one window of the canary, which may be one in a thousand of them."""


def next_page(tx: Transaction, context: RunContext, shard: Shard, *, limit: int) -> Page:
    """Up to `limit` of the devices that a shard is about, from its intent on."""
    limit = min(limit, MAX_WINDOW)
    if shard.part != Part.CANARY:
        page = audiences.page(tx, context.audience, after=shard.intent, last=shard.last, limit=limit)
        return Page(of_shard(tx, context, shard, page.recipients), page.end)
    found: list[Recipient] = []
    end, until = shard.intent, shard.intent + MAX_LOOKED_AT
    while end < shard.last and end < until:
        page = audiences.page(tx, context.audience, after=end, last=shard.last, limit=MAX_WINDOW)
        found += of_shard(tx, context, shard, page.recipients)
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].id)
        end = page.end
    return Page(found, end)


def of_shard(tx: Transaction, context: RunContext, shard: Shard, recipients: list[Recipient]) -> list[Recipient]:
    """Of some devices in the range of a shard, those that it is about."""
    match shard.part:
        case None:
            return recipients
        case Part.CANARY:
            canary = context.campaign.canary
            assert canary is not None
            drawn = canaries(canary.share, context.run.id, [recipient.person for recipient in recipients])
            return [recipient for recipient, is_canary in zip(recipients, drawn, strict=True) if is_canary]
        case _:
            known = ledger.with_rows(tx, shard.run, [recipient.id for recipient in recipients])
            return [recipient for recipient in recipients if recipient.id not in known]
