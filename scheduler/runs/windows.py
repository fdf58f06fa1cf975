"""A window: up to 1,000 consecutive devices of a shard that are decided, committed and sent together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from types import MappingProxyType

from scheduler.domain.outcomes import Outcome, OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Recipient, Shard, WorkEntry, WorkState
from scheduler.domain.wall_times import zone_called
from scheduler.planning.decisions import DeferUntil, decide_delay, decide_person, decide_quiet, decide_run
from scheduler.planning.experiments import Experiment, drawn_variants, held_out
from scheduler.runs.context import RunContext
from scheduler.runs.exits import CalledOff
from scheduler.store import ledger
from scheduler.store.database import Transaction

MAX_WINDOW = 1_000


@dataclass(frozen=True, slots=True)
class Deferred:
    """A device that is decided again later."""

    recipient: Recipient
    until: DeferUntil


@dataclass(slots=True)
class Window:
    """What was decided for a page of devices: whom to send to, who waits for later, and who is final already.

    `shard` is None for the only window of a run and for work rows that were taken up (`from_work`).
    `end`: every device up to it was decided.
    """

    context: RunContext
    shard: Shard | None
    end: int
    recipients: list[Recipient]
    suppressed: list[LedgerEntry] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)
    from_work: bool = False

    @property
    def selected(self) -> int:
        """Devices that match the audience: sent to, deferred or suppressed."""
        return len(self.recipients) + len(self.deferred) + len(self.suppressed)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: nobody to send to, nobody who waits, and no shard to advance."""
        return self.shard is None and not self.recipients and not self.deferred

    @property
    def next_due(self) -> datetime | None:
        """When the first of the deferred is decided again."""
        return min((one.until.instant for one in self.deferred), default=None)


def matching(context: RunContext, page: Sequence[Recipient]) -> list[Recipient]:
    """Those of a page for whom the rule's `where` is true. SQL never drops a match, but may let others through."""
    where = context.audience.where
    if where is None:
        return list(page)
    evaluate = where.evaluate
    scope = dict(context.scope)
    zones, default = where.reads_zone, context.campaign.zone
    due = None if context.run.wall is None else _dues(context)
    kept = []
    for recipient in page:
        scope["device"] = recipient.device
        scope["user"] = recipient.user
        if due is not None:
            scope["slot"] = due(recipient.time_zone)
        if zones:
            scope["zone"] = recipient.zone or default
        if evaluate(scope) is True:
            kept.append(recipient)
    return kept


def decide_window(
    context: RunContext,
    shard: Shard | None,
    page: Sequence[Recipient],
    *,
    end: int,
    now: datetime,
    called_off: CalledOff = MappingProxyType({}),
) -> Window:
    """Decide every device of a page that matches: pure, nothing is written. `called_off` are those for whom something
    happened, while they waited or before, that makes the message pointless."""
    selected = matching(context, page)
    window = Window(context, shard, end, [])
    due = context.run.due
    same_for_all = decide_delay(context.terms, due=due) if context.is_delayed(now) else None
    if context.run.wall is not None:
        selected = _in_time(window, selected, now)
    else:
        same_for_all = same_for_all or decide_run(context.terms, due=due, now=now)
    if isinstance(same_for_all, Outcome):
        window.suppressed = [entry_of(context, recipient, same_for_all) for recipient in selected]
        return window
    for recipient in selected:
        outcome = decide_person(context.terms, recipient.opt_outs) if recipient.opt_outs else None
        if outcome is None and recipient.id in called_off:
            outcome = Outcome(OutcomeKind.SUPPRESSED, called_off[recipient.id])
        if outcome is None:
            window.recipients.append(recipient)
        else:
            window.suppressed.append(entry_of(context, recipient, outcome))
    if same_for_all is not None:
        window.deferred = [Deferred(recipient, same_for_all) for recipient in window.recipients]
        window.recipients = []
        return window
    if context.campaign.experiment is not None:
        _draw(context.campaign.experiment, window.recipients)
    if context.terms.quiet is not None:
        _heed_quiet_hours(window, now)
    return window


def no_longer_matching(context: RunContext, page: Sequence[Recipient]) -> CalledOff:
    """Those of a page whose delay is over for whom the rule's `where` is not true any more, if it asks that again."""
    where = context.campaign.where
    if where is None or not context.campaign.recheck:
        return {}
    again = replace(context, audience=replace(context.audience, where=where.bind(context.scope)))
    kept = {recipient.id for recipient in matching(again, page)}
    return {one.id: SuppressReason.NO_LONGER_MATCHES for one in page if one.id not in kept}


def _draw(experiment: Experiment, recipients: Sequence[Recipient]) -> None:
    """Say of each recipient whether it is held out, and which variant it gets.

    Who is held out stays a recipient: whether it would have been sent is known when its payload is rendered.
    """
    persons = [recipient.person for recipient in recipients]
    for holdout in experiment.holdouts:
        for recipient, held in zip(recipients, held_out(holdout, persons), strict=True):
            recipient.held_out = recipient.held_out or held
    if experiment.weights:
        drawn = drawn_variants(experiment.salt, experiment.weights, persons)
        for recipient, variant in zip(recipients, drawn, strict=True):
            recipient.variant = variant


def record_decided(tx: Transaction, windows: Sequence[Window], now: datetime) -> None:
    """Put on the ledger who is final without being sent, and make work rows of who is deferred; in the transaction
    that commits the windows' intents."""
    ledger.record(tx, [entry for window in windows for entry in window.suppressed], now)
    deferred = [(window, _work_entry(window.context, one)) for window in windows for one in window.deferred]
    ledger.add_work(tx, [entry for window, entry in deferred if not window.from_work], None)
    ledger.put_work(tx, [entry for window, entry in deferred if window.from_work], None)


def _dues(context: RunContext) -> Callable[[str | None], datetime]:
    """When the slot comes to a device of a zone, by the zone's name."""
    return cache(lambda zone: context.sending(zone).due)


def _in_time(window: Window, selected: Sequence[Recipient], now: datetime) -> list[Recipient]:
    """Of a slot that comes to each device at its own time: give each its time, and take out for whom it is over.
    Decided once for each zone."""
    context = window.context

    @cache
    def decide(zone: str | None) -> tuple[datetime, int, Outcome | None]:
        own = context.sending(zone)
        return own.due, own.expiration, decide_run(own.terms, due=own.due, now=now)

    left: list[Recipient] = []
    for recipient in selected:
        recipient.due, recipient.expiration, outcome = decide(recipient.time_zone)
        if outcome is None:
            left.append(recipient)
        else:
            window.suppressed.append(entry_of(context, recipient, outcome))
    return left


def _heed_quiet_hours(window: Window, now: datetime) -> None:
    """Take out of a window whose quiet hours it is. Decided once for each zone."""
    context = window.context

    @cache
    def decide(zone: str | None) -> Outcome | DeferUntil | None:
        own = context.sending(zone)
        return decide_quiet(own.terms, zone_called(zone) or context.campaign.zone, due=own.due, now=now)

    awake: list[Recipient] = []
    for recipient in window.recipients:
        match decide(recipient.time_zone):
            case None:
                awake.append(recipient)
            case DeferUntil() as until:
                window.deferred.append(Deferred(recipient, until))
            case outcome:
                window.suppressed.append(entry_of(context, recipient, outcome))
    window.recipients = awake


def _work_entry(context: RunContext, deferred: Deferred) -> WorkEntry:
    recipient, until = deferred.recipient, deferred.until
    return WorkEntry(
        context.run.seq,
        recipient.id,
        WorkState.DEFERRED,
        until.reason,
        until.instant,
        recipient.attempts,
        recipient.maybe_repeated,
    )


def entry_of(context: RunContext, recipient: Recipient, outcome: Outcome) -> LedgerEntry:
    """The ledger row of a device that is final without being sent."""
    return LedgerEntry(
        context.run.seq, recipient.id, outcome.kind, outcome.reason, recipient.attempts, recipient.maybe_repeated
    )
