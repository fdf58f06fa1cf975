"""The devices that a shard is about, where several shards share a range of ids: zones, or the canary and then the rest.

Who has a row in the run or is on its way was in another part already: nobody is selected twice who has moved to
another zone or on whose device somebody has logged in since. So the rest need not ask who is a canary.
"""

from __future__ import annotations

from collections.abc import Collection

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


def next_page(
    tx: Transaction, context: RunContext, shard: Shard, *, limit: int, in_flight: Collection[int] = ()
) -> Page:
    """Up to `limit` of the devices that a shard is about, from its intent on. `in_flight` are those of the run that
    were given out and have no row yet."""
    limit = min(limit, MAX_WINDOW)
    if shard.part == Part.CANARY:
        page = _page_of_canaries(tx, context, shard, limit)
    else:
        page = audiences.page(tx, context.audience, after=shard.intent, last=shard.last, limit=limit, zones=shard.zones)
    if not shard.shares_its_range:
        return page
    had = ledger.with_rows(tx, shard.run, [one.id for one in page.recipients]).union(in_flight)
    return Page([one for one in page.recipients if one.id not in had], page.end)


def _page_of_canaries(tx: Transaction, context: RunContext, shard: Shard, limit: int) -> Page:
    canary = context.campaign.canary
    assert canary is not None
    found: list[Recipient] = []
    end, until = shard.intent, shard.intent + MAX_LOOKED_AT
    while end < shard.last and end < until:
        page = audiences.page(tx, context.audience, after=end, last=shard.last, limit=MAX_WINDOW)
        drawn = canaries(canary.share, context.run.id, [recipient.person for recipient in page.recipients])
        found += [recipient for recipient, is_canary in zip(page.recipients, drawn, strict=True) if is_canary]
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].id)
        end = page.end
    return Page(found, end)
