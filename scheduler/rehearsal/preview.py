"""What a rule would do if it ran now: over the real registry, without writing anything.

The audience, the decisions and the payloads come from the same functions that the daemon calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from uuid import UUID

from scheduler.domain.errors import OperatorError
from scheduler.domain.events import Event
from scheduler.domain.ids import run_id
from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import LedgerEntry, Recipient, Run
from scheduler.planning.canaries import canaries
from scheduler.rehearsal.obstacles import NO_OBSTACLES, Obstacles, obstacles
from scheduler.rehearsal.slots import PlaceCount, ShownSlot, next_slots, parts_by_slot
from scheduler.runs.births import prospective_run
from scheduler.runs.claiming import contest
from scheduler.runs.context import NoAudience, RunContext, context_of, occasion_scope, rate_bounds
from scheduler.runs.earlier_sends import Earlier, earlier
from scheduler.runs.exits import called_off
from scheduler.runs.firing import fired_occasion
from scheduler.runs.fuse import FuseStanding, fuse_standing
from scheduler.runs.occasions import Miss, Occasion, occasion_of, occasion_of_slot
from scheduler.runs.preparing import Preparation
from scheduler.runs.verdicts import judge
from scheduler.runs.windows import MAX_WINDOW, Window, decide_window, matching, no_longer_matching
from scheduler.store import audience as audiences
from scheduler.store import events as event_rows
from scheduler.store import runs as run_rows
from scheduler.store.database import Store, Transaction
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.loading import Workspace
from scheduler.workspace.settings import Settings


@dataclass(frozen=True, slots=True)
class Sample:
    """A payload as it would be sent."""

    device: int
    token: str
    user: str | None
    locale: str | None
    variant: str | None
    payload: bytes


@dataclass(slots=True)
class Preview:
    """Counts, reasons and samples. `note` says why nobody would get anything, where that is so.

    selected = would_send + kept_back + held + suppressed + expired; `held_for` counts the held by reason, `held_until`
    by instant. Where anything keeps the whole run back (`obstacles`), nobody would be sent or held: all these are
    `kept_back`. `earlier`, of one device that was asked about: what counts against its person. `variants` shares out
    those that would be sent at once, but for the obstacles, by the variant that they get. Sizes are bytes. `seconds` is
    the shortest time that the rates allow; of a slot at each device's own time, in the fullest of its zones.
    """

    rule: str
    version: str
    occasion: str | None = None
    note: str | None = None
    selected: int = 0
    would_send: int = 0
    kept_back: int = 0
    held: int = 0
    suppressed: int = 0
    expired: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    held_for: Counter[str] = field(default_factory=Counter)
    held_until: Counter[datetime] = field(default_factory=Counter)
    earlier: list[Earlier] = field(default_factory=list)
    variants: Counter[str] = field(default_factory=Counter)
    smallest: int | None = None
    largest: int | None = None
    limit: int = 0
    seconds: float | None = None
    samples: list[Sample] = field(default_factory=list)
    slots: tuple[ShownSlot, ...] = ()
    """The next ones of its schedule."""
    places: dict[datetime, PlaceCount] = field(default_factory=dict)
    """Of a slot at each device's own time, by instant, the selected; in order once all are counted."""
    gone_by: int = 0
    """Devices to which it would have come before now: they are not counted elsewhere."""
    due: datetime | None = None
    """The end of the rule's delay, where that lies ahead: then the counts are those of this instant, as far as it is
    known now who is called off or matches no more."""
    canaries: int | None = None
    """Of those that would be sent or are held, the canaries; None without `delivery.canary`."""
    canaries_held: int = 0
    """Of the canaries, those that are held: nobody waits for their answers."""
    obstacles: Obstacles = NO_OBSTACLES
    fuse: FuseStanding | None = None
    """None where no fuse watches the rule."""


def latest_event(store: Store, campaign: Campaign) -> Event | None:
    """The newest stored event that the rule listens to: what a preview uses if it is not given one."""
    if campaign.event is None:
        return None
    with store.read() as tx:
        return event_rows.latest(tx, campaign.event)


def preview(
    store: Store,
    workspace: Workspace,
    campaign: Campaign,
    event: Event | None,
    now: datetime,
    *,
    key: str | None = None,
    device: int | None = None,
    samples: int = 3,
    as_fired: bool = False,
    on_progress: Callable[[int], None] = lambda looked_at: None,
) -> Preview:
    """Preview a campaign for an event, for its next slot from `now` on, or for a firing (`as_fired`; a rule that is
    manual alone always is). `device` asks about one device only.

    `on_progress` gets the highest device id that was looked at.
    """
    shown = Preview(campaign.name, campaign.version, limit=campaign.push_type.payload_limit)
    namespace = store.namespace()
    shown.slots = next_slots(campaign, now)
    with store.read() as tx:
        if campaign.planned is not None and event is None and not as_fired:
            run = _run_of_slot(campaign, now, namespace, shown)
            now = now if run is None else run.created_at
        else:
            run = _run(tx, workspace.settings, campaign, event, now, namespace, key, shown, as_fired)
        if run is None:
            return shown
        shown.occasion = run.occasion
        had = bool(run_rows.existing(tx, [run_id(namespace, name, run.occasion) for name in campaign.names_had]))
        if had:
            shown.note = (
                "this occasion was had already and would notify nobody again; these are the counts of a new one"
            )
        context = context_of(run, campaign, workspace.settings)
        if isinstance(context, NoAudience):
            shown.note = str(context)
            return shown
        shown.obstacles = obstacles(tx, workspace, context, had=had)
        _walk(tx, workspace, context, now, shown, device=device, samples=samples, on_progress=on_progress)
        if context.fuse is not None and device is None:
            shown.fuse = fuse_standing(tx, context.fuse, campaign.names_had, shown.selected, now)
    rates = [rate for _, rate in rate_bounds(context, workspace.settings.apps[campaign.app])]
    if rates:
        at_once = max((place.devices for place in shown.places.values()), default=shown.would_send)
        shown.seconds = max(max(0, at_once - rate.burst) / rate.per_second for rate in rates)
    if shown.obstacles.words:
        _keep_back(shown)
    return shown


def _keep_back(shown: Preview) -> None:
    """Promise nobody anything."""
    shown.kept_back, shown.would_send, shown.held, shown.seconds = shown.would_send + shown.held, 0, 0, None
    shown.held_for.clear()
    shown.held_until.clear()


def _run_of_slot(campaign: Campaign, now: datetime, namespace: UUID, shown: Preview) -> Run | None:
    """The run of the next slot, as it will be when that comes."""
    if not shown.slots:
        shown.note = "its schedule names no time any more: it would start nothing"
        return None
    slot = shown.slots[0].slot
    match occasion_of_slot(campaign, slot, slot.at):
        case Miss(reason, detail):
            shown.note = f"{reason}: {detail} is missing: it would start nothing"
            return None
        case occasion:
            by_device = campaign.planned is not None and campaign.planned.by_device
            born_at = max(slot.at, now) if by_device else slot.at
            return prospective_run(
                campaign, occasion, None, None, born_at, namespace=namespace, slot=slot, by_device=by_device
            )


def _run(
    tx: Transaction,
    settings: Settings,
    campaign: Campaign,
    event: Event | None,
    now: datetime,
    namespace: UUID,
    key: str | None,
    shown: Preview,
    as_fired: bool,
) -> Run | None:
    if as_fired or campaign.event is None or event is None:
        if not campaign.manual and campaign.planned is not None:
            raise OperatorError(
                f"rule {campaign.name} starts by its schedule, and no event starts it",
                hint="leave --event out; --at T asks about another time",
            )
        if not campaign.manual:
            raise OperatorError(
                f"rule {campaign.name} listens to {campaign.event}, and no such event is stored",
                hint="give one: --event FILE",
            )
        occasion = fired_occasion(campaign, key, event, settings, now)
        return prospective_run(campaign, occasion, event, None, now, namespace=namespace)
    if not campaign.names_type(event.type):
        raise OperatorError(
            f"rule {campaign.name} listens to {campaign.event}, and this event is a {event.type}",
            hint="it would start nothing: give an event of the type that `trigger.event` names",
        )
    before = event_rows.previous(tx, event) if campaign.uses_previous else None
    previous = before[1] if before else None
    match occasion_of(campaign, event, occasion_scope(event, previous, now), now):
        case Occasion() as occasion:
            return prospective_run(campaign, occasion, event, previous, now, namespace=namespace)
        case Miss(reason, detail):
            shown.note = f"{reason}: {detail} is missing: it would start nothing"
        case None if not campaign.is_on(min(event.time, now)):
            shown.note = "it is not the time between `starts` and `ends`: it would start nothing"
        case None:
            shown.note = "'when' is false for this event: it would start nothing"
    return None


def _walk(
    tx: Transaction,
    workspace: Workspace,
    context: RunContext,
    now: datetime,
    shown: Preview,
    *,
    device: int | None,
    samples: int,
    on_progress: Callable[[int], None],
) -> None:
    preparation = Preparation(
        context.campaign,
        context.run.id,
        context.scope,
        bundle_id=workspace.settings.apps[context.campaign.app].bundle_id,
        expiration=context.sending(None).expiration,
    )
    is_delayed = context.is_delayed(now)
    if is_delayed:
        shown.due = now = context.run.due
    canary = context.campaign.canary
    shown.canaries = None if canary is None else 0
    highest = audiences.highest_device(tx)
    context = replace(context, run=replace(context.run, last_device=highest))
    after, last = (0, highest) if device is None else (device - 1, device)
    while after < last:
        page = audiences.page(tx, context.audience, after=after, last=last, limit=MAX_WINDOW)
        for at, recipients in parts_by_slot(context, page.recipients, now):
            if at < now:
                shown.gone_by += len(matching(context, recipients))
            else:
                why = {
                    **called_off(tx, [(context, recipients)], at).get(context.run.seq, {}),
                    **(no_longer_matching(context, recipients) if is_delayed else {}),
                }
                window = decide_window(context, None, recipients, end=page.end, now=at, called_off=why)
                contest(tx, [window], at)
                if device is not None:
                    shown.earlier = [one for recipient in recipients for one in earlier(tx, context, recipient, at)]
                persons = _show(shown, window, preparation, samples, at)
                if canary is not None:
                    drawn = canaries(canary.share, context.run.id, list(map(itemgetter(0), persons)))
                    held = [is_held for is_drawn, (_, is_held) in zip(drawn, persons, strict=True) if is_drawn]
                    shown.canaries = (shown.canaries or 0) + len(held)
                    shown.canaries_held += sum(held)
                if context.run.wall is not None and window.selected:
                    shown.places.setdefault(at, PlaceCount()).add(window, recipients)
        after = page.end
        on_progress(after)
    shown.places = dict(sorted(shown.places.items()))


def _show(
    shown: Preview, window: Window, preparation: Preparation, samples: int, now: datetime
) -> list[tuple[str, bool]]:
    """Count a window; returns the persons that have a payload, each with whether it is held."""
    shown.selected += window.selected
    for entry in window.suppressed:
        _count(shown, entry)
    held = {one.recipient.id: one.until for one in window.deferred}
    by_id = {one.id: one for one in (*window.recipients, *(one.recipient for one in window.deferred))}
    requests, failures = preparation.prepare(list(by_id.values()))
    for number, report in failures:
        verdict = judge(window.context, by_id[number], report, now, 0.0, environment_proved=False)
        assert isinstance(verdict.entry, LedgerEntry)
        _count(shown, verdict.entry)
    for request in requests:
        recipient = by_id[request.device]
        if recipient.id in held:
            shown.held += 1
            shown.held_for[held[recipient.id].reason] += 1
            shown.held_until[held[recipient.id].instant] += 1
        else:
            shown.would_send += 1
            if recipient.variant is not None:
                shown.variants[recipient.variant] += 1
        _measure(shown, len(request.payload))
        if len(shown.samples) < samples:
            shown.samples.append(_sample(recipient, request.payload))
    return [(by_id[request.device].person, request.device in held) for request in requests]


def _count(shown: Preview, entry: LedgerEntry) -> None:
    if entry.outcome == OutcomeKind.EXPIRED:
        shown.expired += 1
    else:
        shown.suppressed += 1
    shown.reasons[entry.reason or entry.outcome] += 1


def _measure(shown: Preview, size: int) -> None:
    shown.smallest = size if shown.smallest is None else min(shown.smallest, size)
    shown.largest = size if shown.largest is None else max(shown.largest, size)


def _sample(recipient: Recipient, payload: bytes) -> Sample:
    user = recipient.user.get("id")
    whose = user if isinstance(user, str) else None
    return Sample(recipient.id, recipient.token, whose, recipient.locale, recipient.variant, payload)
