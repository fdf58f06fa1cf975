"""From an event, or a slot, and a rule to an occasion: one reason to run the rule, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.domain.events import Event
from scheduler.planning.slots import Slot
from scheduler.rendering.results import Missing, RenderFailure
from scheduler.rendering.texts import TextTemplate
from scheduler.runs.context import occasion_scope
from scheduler.workspace.campaign import Campaign


class MissReason(StrEnum):
    """Why an event that a rule listens to could not be judged, or a slot was skipped. Counted, with the missing
    name."""

    WHEN_UNKNOWN = "when_unknown"
    KEY_MISSING = "key_missing"
    RENDER_ERROR = "render_error"
    SLOT_MISSED = "slot_missed"
    ZONES_MISSED = "zones_missed"
    """The slot has its run, and some zones are not in it."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One reason to run a rule. `(rule, key)` runs once, ever. `supersede` is stored with the run."""

    key: str
    supersede: str | None


@dataclass(frozen=True, slots=True)
class Miss:
    """The rule could not be judged for this event: a name was missing, or a template failed."""

    reason: MissReason
    detail: str


def occasion_of(campaign: Campaign, event: Event, scope: Mapping[str, object], now: datetime) -> Occasion | Miss | None:
    """What this event means to this campaign: an occasion, a miss, or nothing (`when` is false, or it is not the time
    between `starts` and `ends`). `scope` is the event's `occasion_scope`, made once for all that listen."""
    if not campaign.is_on(min(event.time, now)):
        return None
    if campaign.when is not None:
        truth = campaign.when.evaluate(scope)
        if truth is None:
            return Miss(MissReason.WHEN_UNKNOWN, _first_missing(campaign.when.names, scope))
        if not truth:
            return None
    key = _key(campaign.once_per, scope) if campaign.once_per is not None else f"{event.source}\n{event.id}"
    if isinstance(key, Miss):
        return key
    supersede = _key(campaign.supersede, scope) if campaign.supersede is not None else None
    if isinstance(supersede, Miss):
        return supersede
    if isinstance(reentry := _reentry_key(campaign, scope), Miss):
        return reentry
    return Occasion(key, supersede)


def occasion_of_slot(campaign: Campaign, slot: Slot, now: datetime) -> Occasion | Miss:
    """The occasion of a slot."""
    if campaign.supersede is None and campaign.reentry_key is None:
        return Occasion(slot.key, None)
    scope = occasion_scope(None, None, now, slot.at)
    supersede = _key(campaign.supersede, scope) if campaign.supersede is not None else None
    if isinstance(supersede, Miss):
        return supersede
    reentry = _reentry_key(campaign, scope)
    return reentry if isinstance(reentry, Miss) else Occasion(slot.key, supersede)


def _key(template: TextTemplate, scope: Mapping[str, object]) -> str | Miss:
    match template.render(scope):
        case str(text):
            return text
        case Missing(variable):
            return Miss(MissReason.KEY_MISSING, variable)
        case RenderFailure() as failure:
            return Miss(MissReason.RENDER_ERROR, str(failure))


def _reentry_key(campaign: Campaign, scope: Mapping[str, object]) -> str | Miss:
    """Worked out again when the run is taken in hand; here to see that nothing of it is missing."""
    return "" if campaign.reentry_key is None else _key(campaign.reentry_key, scope)


def _first_missing(names: frozenset[str], scope: Mapping[str, object]) -> str:
    for name in sorted(names):
        value: object = scope
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return name
    return ", ".join(sorted(names))
