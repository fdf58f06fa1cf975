"""How a run comes into being: from a campaign and an occasion, as a value; writing it is somebody else's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from scheduler.domain.events import Event
from scheduler.domain.ids import run_id
from scheduler.domain.runs import Run, RunState
from scheduler.runs.occasions import Occasion
from scheduler.store.instants import from_ms, to_ms
from scheduler.workspace.campaign import Campaign


def prospective_run(
    campaign: Campaign,
    occasion: Occasion,
    event: Event | None,
    previous: Event | None,
    now: datetime,
    *,
    namespace: UUID,
    slot: datetime | None = None,
) -> Run:
    """The pending run of an occasion; its number is given when it is written. Due is the slot, or the event's time,
    never later than its arrival, and the rule's delay after it. Instants are as the store keeps them: what is rendered
    now and after a restart is the same."""
    born_at = from_ms(to_ms(now))
    occasion_at = slot or (born_at if event is None else min(event.time, born_at))
    return Run(
        seq=0,
        id=run_id(namespace, campaign.name, occasion.key),
        rule=campaign.name,
        version=campaign.version,
        occasion=occasion.key,
        occasion_at=occasion_at,
        state=RunState.PENDING,
        app=campaign.app,
        category=campaign.category,
        lane=campaign.lane,
        due=occasion_at + campaign.delay,
        event=event,
        previous=previous,
        supersede=occasion.supersede,
        created_at=born_at,
    )
