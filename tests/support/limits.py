"""Rules and settings with limits, and what persons hold, for tests of caps, re-entry and one device a user."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from scheduler.store.tables import CLAIMS, LEDGER, WORK
from support.worlds import World, rule_text, settings_text


def limited(limits: Any = None, **rule: Any) -> str:
    """A rule with limits; of the user that its event names, unless it says another audience."""
    rule.setdefault("audience", {"users": ["{{ event.data.user }}"]})
    return json.dumps({**json.loads(rule_text(**rule)), **({"limits": limits} if limits else {})})


def capped(*caps: dict[str, Any], **settings: Any) -> str:
    """Settings with caps; what an entry leaves out is `{name: day, max: 1, per: 1 day}`."""
    entries = [{"name": "day", "max": 1, "per": "1 day", **cap} for cap in caps]
    return settings_text(limits={"caps": entries}, **settings)


def ledger(world: World) -> dict[tuple[str, int], str]:
    """By rule and occasion's number (in the order of birth) and device: the outcome, or the reason of what was not
    sent."""
    with world.store.read() as tx:
        rows = tx.execute(select(LEDGER)).all()
    names = {run.seq: run.rule for run in world.runs()}
    return {(f"{names[row.run]} {row.run}", row.device): row.reason or row.outcome for row in rows}


def claims(world: World) -> set[tuple[str, str, str, int, int]]:
    """(person, kind, scope, run, device) of all that is held."""
    with world.store.read() as tx:
        return {(row.person, row.kind, row.scope, row.run, row.device) for row in tx.execute(select(CLAIMS))}


def waiting(world: World) -> dict[int, tuple[str | None, datetime]]:
    """By device, the reason and the time of what waits."""
    with world.store.read() as tx:
        return {
            row.device: (row.reason, datetime.fromtimestamp(row.not_before / 1000, UTC))
            for row in tx.execute(select(WORK))
        }
