"""A run with everything that its windows need and that does not change between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.domain.events import Event
from scheduler.domain.outcomes import RunEnd
from scheduler.domain.quantities import Rate
from scheduler.domain.quiet_hours import QuietAction
from scheduler.domain.runs import Run
from scheduler.planning.caps import Cap
from scheduler.planning.decisions import SendTerms, expiration_of, expires_at
from scheduler.planning.device_slots import due_in, zone_of
from scheduler.planning.fuse import Fuse
from scheduler.planning.limits import NO_LIMITS, Limits
from scheduler.planning.quiet_hours import quiet_terms
from scheduler.planning.slots import end_instant
from scheduler.rendering.results import Missing, RenderFailure
from scheduler.rendering.texts import TextTemplate
from scheduler.store.audience import Audience
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.settings import App, Settings

DEFAULT_MAX_AGE = timedelta(days=1)
"""Of a rule that says none and holds nothing."""


@dataclass(frozen=True, slots=True)
class Sending:
    """When a run is due for a device, and the terms of the send to it."""

    due: datetime
    terms: SendTerms

    @property
    def expires_at(self) -> datetime | None:
        """The instant from which Apple need not keep it; None for never_store."""
        return expires_at(self.terms, self.due)

    @property
    def expiration(self) -> int:
        """That as `apns-expiration`."""
        return expiration_of(self.expires_at)


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run, the campaign it is pinned to, whom it is about, and the terms of its sends.

    `scope` holds what conditions and templates know before any device: event, previous, now, and slot, unless each
    device has its own. `now` is the run's birth, for a rule with a delay the end of that; its `where` is asked at both.
    """

    run: Run
    campaign: Campaign
    audience: Audience
    terms: SendTerms
    scope: Mapping[str, object]
    audience_max: int | None = None
    """With more devices it does not start; None: however many."""
    fuse: Fuse | None = None
    """What watches how much the rule selects; None: nothing does."""
    limits: Limits = NO_LIMITS
    """Of what each person gets."""

    def sending(self, zone: str | None) -> Sending:
        """When the run is due for a device whose zone has this name, and on which terms: of a slot at each device's
        own wall time by its own clock, else the same for all."""
        run, planned = self.run, self.campaign.planned
        if run.wall is None or planned is None:
            return Sending(run.due, self.terms)
        default = self.campaign.zone.key
        ends = end_instant(planned.timetable.ends, zone_of(zone, default))
        return Sending(due_in(run.wall, zone, default), replace(self.terms, ends=ends))

    def is_delayed(self, now: datetime) -> bool:
        """Whether it waits for the end of its rule's delay."""
        return bool(self.campaign.delay) and now < self.run.due


@dataclass(frozen=True, slots=True)
class NoAudience:
    """Nobody can be meant by this run: why, for its note."""

    run: Run
    end: RunEnd
    detail: str

    def __str__(self) -> str:
        return f"{self.end}: {self.detail}"


def event_scope(event: Event | None) -> dict[str, object] | None:
    """An event as conditions and templates read it."""
    if event is None:
        return None
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "data": event.data,
    }


def occasion_scope(
    event: Event | None, previous: Event | None, now: datetime, slot: datetime | None = None
) -> dict[str, object]:
    """The names that are known before any device. A missing event is an empty one: its fields are missing. There is a
    slot in a rule that has a schedule."""
    scope: dict[str, object] = {"event": event_scope(event) or {}, "previous": event_scope(previous) or {}, "now": now}
    return scope if slot is None else {**scope, "slot": slot}


def context_of(run: Run, campaign: Campaign, settings: Settings) -> RunContext | NoAudience:
    """The context of a run. `users` and `topics` that render to missing are left out; it never widens."""
    first = occasion_scope(run.event, run.previous, run.created_at, None if campaign.planned is None else run.due)
    chosen: dict[str, tuple[str, ...] | None] = {}
    for name, templates in (("users", campaign.users), ("topics", campaign.topics)):
        if not templates:
            chosen[name] = None
            continue
        rendered = _render_all(templates, first)
        match rendered:
            case RenderFailure():
                return NoAudience(run, RunEnd.RENDER_ERROR, f"audience.{name}: {rendered.message}")
            case ():
                return NoAudience(run, RunEnd.AUDIENCE_MISSING, f"every value of audience.{name} is missing")
            case _:
                chosen[name] = rendered
    key = reentry_key_of(campaign, first)
    if not isinstance(key, str):
        return NoAudience(run, RunEnd.RENDER_ERROR, f"limits.reentry.key: {key}")
    app = settings.apps[campaign.app]
    scope = first if run.wall is None else {name: value for name, value in first.items() if name != "slot"}
    where = campaign.where.bind(scope) if campaign.where is not None else None
    # What the birth has settled about a person's date is open again when the delay is over.
    asked = campaign.where if campaign.delay else where
    limits = Limits(caps_of(campaign, settings), campaign.reentry, key, campaign.one_device)
    audience = Audience(
        app=campaign.app,
        environment=app.environment,
        users=chosen["users"],
        topics=chosen["topics"],
        where=where,
        names=campaign.names | {"device.last_seen_at"} if campaign.one_device else campaign.names,
        zones="today" in campaign.names or (asked is not None and asked.reads_zone) or limits.asks_zones,
    )
    if campaign.delay:
        scope = {**scope, "now": run.due}
    terms = terms_of(campaign, settings)
    most = None if run.may_exceed else audience_max(campaign, settings)
    return RunContext(run, campaign, audience, terms, scope, most, fuse_of(campaign, settings), limits)


def reentry_key_of(campaign: Campaign, scope: Mapping[str, object]) -> str | Missing | RenderFailure:
    """By what the re-entry of a person into an occasion goes: "" for all of the rule."""
    return "" if campaign.reentry_key is None else campaign.reentry_key.render(scope)


def caps_of(campaign: Campaign, settings: Settings) -> tuple[Cap, ...]:
    """The caps that limit the runs of a campaign and count them."""
    return settings.caps_of(campaign.category) if campaign.heeds_caps else ()


def audience_max(campaign: Campaign, settings: Settings) -> int | None:
    """The largest audience with which runs of a campaign start by themselves: the rule's own, else the settings'."""
    return settings.audience_max if campaign.audience_max is None else campaign.audience_max


def fuse_of(campaign: Campaign, settings: Settings) -> Fuse | None:
    """The fuse that watches a campaign, if one does."""
    return None if campaign.ignores_fuse else settings.fuse


def terms_of(campaign: Campaign, settings: Settings) -> SendTerms:
    """What a campaign says about the time and the consent of its sends, with its category's settings."""
    quiet = quiet_terms(
        campaign.quiet, category=settings.quiet_action(campaign.category), workspace=settings.quiet_hours
    )
    holds = quiet is not None and quiet.action is QuietAction.HOLD
    return SendTerms(
        category=campaign.category,
        honours_opt_out=settings.honours_opt_outs(campaign.category),
        max_age=campaign.max_age or (None if holds else DEFAULT_MAX_AGE),
        lifetime=campaign.expires_after,
        quiet=quiet,
        ends=campaign.ends_at,
    )


def under(settings: Settings, context: RunContext) -> RunContext:
    """The same run under settings that were read again: opt-outs, quiet hours, caps and the fuse are those in force."""
    campaign = context.campaign
    limits = replace(context.limits, caps=caps_of(campaign, settings))
    audience = replace(context.audience, zones=context.audience.zones or limits.asks_zones)
    fuse = fuse_of(campaign, settings)
    return replace(context, terms=terms_of(campaign, settings), limits=limits, audience=audience, fuse=fuse)


def rate_bounds(context: RunContext, app: App) -> list[tuple[str, Rate]]:
    """The rates that bound a run, each with the name of what it bounds: its app, its lane there, and its rule; or, in
    place of the rule's, the one that a hand gave to the run. A rule goes by its first name: its runs of before a rename
    and those of after it are bounded together."""
    run, lane = context.run, context.run.lane
    campaign = context.campaign
    own = (f"rule:{campaign.first_name}", campaign.rate) if run.rate is None else (f"run:{run.id}", run.rate)
    bounds = [
        (f"app:{app.name}", app.rate),
        (f"lane:{app.name}:{lane}", app.lane_rates.get(lane)),
        own,
    ]
    return [(scope, rate) for scope, rate in bounds if rate is not None]


def _render_all(templates: tuple[TextTemplate, ...], scope: Mapping[str, object]) -> tuple[str, ...] | RenderFailure:
    values: list[str] = []
    for template in templates:
        match template.render(scope):
            case str(text):
                values.append(text)
            case Missing():
                pass
            case failure:
                return failure
    return tuple(dict.fromkeys(values))
