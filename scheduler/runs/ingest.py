"""Taking events in: stored, deduplicated and matched against the rules, in one transaction.

An event that is on disk was matched; an occasion that was had is not had again. A small run whose window has room
is born with its intent, so that an event that reaches one device costs four row writes: event, run, ledger row, and
the run's end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from scheduler.domain.events import Event
from scheduler.domain.ids import run_id
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import Run, RunState
from scheduler.runs.births import prospective_run
from scheduler.runs.claiming import contest, take
from scheduler.runs.context import NoAudience, RunContext, audience_max, context_of, occasion_scope
from scheduler.runs.exits import called_off
from scheduler.runs.fuse import FuseWatch
from scheduler.runs.occasions import Miss, Occasion, occasion_of
from scheduler.runs.superseding import supersede
from scheduler.runs.windows import MAX_WINDOW, Window, decide_window, record_decided
from scheduler.store import audience as audiences
from scheduler.store import events as event_rows
from scheduler.store import misses as miss_rows
from scheduler.store import rule_versions
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.exit_types import exit_types, users_of
from scheduler.store.run_ends import AT_ONCE
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.loading import Workspace

MAX_EVENTS = 500
"""Events in one transaction: about 50 ms of the writer's time."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch: which of its events were new (in their order), the runs born, their open windows."""

    fresh: list[bool] = field(default_factory=list)
    runs: int = 0
    pending: int = 0
    """Of the runs, those that wait to begin."""
    windows: list[Window] = field(default_factory=list)
    superseded: frozenset[int] = frozenset()
    """Runs of before that were superseded."""
    waits_until: dict[Lane, datetime] = field(default_factory=dict)
    """By lane, when the first of the runs is due of those that wait."""
    stopped: list[Run] = field(default_factory=list)
    """Runs that were born paused: `limits.fuse`."""

    @property
    def accepted(self) -> int:
        """Events that were new."""
        return sum(self.fresh)

    @property
    def duplicates(self) -> int:
        """Events that were known already, or twice in the batch."""
        return len(self.fresh) - self.accepted


def ingest(
    store: Store,
    workspace: Workspace,
    namespace: UUID,
    events: Sequence[Event],
    now: datetime,
    *,
    room: Mapping[str, int] | None = None,
) -> Ingested:
    """Store and match up to MAX_EVENTS events. `room`: how many devices of each app may be opened at once; a caller
    that does not send leaves it out."""
    with store.write() as tx:
        fresh = _fresh(tx, events)
        new = [event for event, is_fresh in zip(events, fresh, strict=True) if is_fresh]
        first_seq = event_rows.next_seq(tx)
        types = exit_types(tx) | workspace.exit_types
        users = users_of(new, types, first_seq=first_seq)
        event_rows.add(tx, new, first_seq=first_seq, arrived_at=now, users=users)
        births = _births(tx, workspace, namespace, new, first_seq, now)
        superseded = supersede(tx, [birth.new.run for birth in births], workspace.campaigns, now)
        for birth in births:
            birth.new = replace(birth.new, run=superseded.late.get(birth.new.run.seq, birth.new.run))
        windows = _open_at_once(tx, workspace, births, now, dict(room or {}))
        run_rows.add(tx, [birth.new for birth in births])
        record_decided(tx, windows, now)
    pending = sum(birth.new.run.state is RunState.PENDING for birth in births)
    opened = [window for window in windows if window.context.run.state is RunState.RUNNING]
    waits_until: dict[Lane, datetime] = {}
    for run in (birth.new.run for birth in births):
        if run.waits_until is not None:
            waits_until[run.lane] = min(run.waits_until, waits_until.get(run.lane, run.waits_until))
    stopped = [birth.new.run for birth in births if birth.new.run.state is RunState.PAUSED]
    return Ingested(fresh, len(births), pending, opened, superseded.older, waits_until, stopped)


@dataclass(slots=True)
class _Birth:
    campaign: Campaign
    new: run_rows.NewRun


def _fresh(tx: Transaction, events: Sequence[Event]) -> list[bool]:
    seen = event_rows.known(tx, events)
    fresh = []
    for event in events:
        identity = (event.source, event.id)
        fresh.append(identity not in seen)
        seen.add(identity)
    return fresh


def _births(
    tx: Transaction, workspace: Workspace, namespace: UUID, events: Sequence[Event], first_seq: int, now: datetime
) -> list[_Birth]:
    found: dict[UUID, tuple[Campaign, Occasion, int, Event, tuple[int, Event] | None]] = {}
    misses: Counter[tuple[str, str, str]] = Counter()
    for number, event in enumerate(events, first_seq):
        listening = workspace.campaigns_for(event.type)
        before = event_rows.previous(tx, event) if any(one.uses_previous for one in listening) else None
        plain = occasion_scope(event, None, now)
        whole = plain if before is None else occasion_scope(event, before[1], now)
        for campaign in listening:
            previous, scope = (before, whole) if campaign.uses_previous else (None, plain)
            match occasion_of(campaign, event, scope, now):
                case Occasion() as occasion:
                    found.setdefault(
                        run_id(namespace, campaign.name, occasion.key), (campaign, occasion, number, event, previous)
                    )
                case Miss(reason, detail):
                    misses[campaign.name, reason, detail] += 1
    miss_rows.count(tx, misses, now)
    renamed = [
        run_id(namespace, name, occasion.key)
        for campaign, occasion, *_ in found.values()
        for name in campaign.renamed_from
    ]
    had = run_rows.existing(tx, [*found, *renamed])
    seq = run_rows.next_seq(tx)
    births: list[_Birth] = []
    kept: set[str] = set()
    for campaign, occasion, number, event, previous in found.values():
        if any(run_id(namespace, name, occasion.key) in had for name in campaign.names_had):
            continue
        if campaign.version not in kept:
            rule_versions.keep(tx, campaign.version, campaign.name, campaign.sources, now)
            kept.add(campaign.version)
        run = prospective_run(campaign, occasion, event, previous[1] if previous else None, now, namespace=namespace)
        run = replace(run, seq=seq + len(births))
        births.append(_Birth(campaign, run_rows.NewRun(run, number, previous[0] if previous else None)))
    return births


def _open_at_once(
    tx: Transaction, workspace: Workspace, births: Sequence[_Birth], now: datetime, room: dict[str, int]
) -> list[Window]:
    """Open the windows of runs that name their users, as far as there is room; many runs share one query."""
    contexts: list[tuple[_Birth, RunContext]] = []
    stops = stop_rows.read(tx)
    for birth in births:
        campaign, run = birth.campaign, birth.new.run
        if not campaign.users or campaign.topics:
            continue
        if campaign.canary is not None:
            continue  # it begins with its canary, however small it is
        if run.state is not RunState.PENDING or stops.hold(run.rule, run.category):
            continue
        if not (campaign.delay and now < run.due) and not _may_send_at_once(workspace, campaign, room):
            continue  # the dispatcher opens it when there is room, and tokens
        most = audience_max(campaign, workspace.settings)
        if most is not None and most < MAX_WINDOW:
            continue  # the dispatcher counts it first
        context = context_of(run, campaign, workspace.settings)
        if isinstance(context, NoAudience):
            ended = replace(run, state=RunState.FINISHED, note=str(context), started_at=now, finished_at=now)
            birth.new = replace(birth.new, run=ended)
        else:
            contexts.append((birth, context))
    opened: list[tuple[_Birth, Window]] = []
    fuse = FuseWatch(tx, [context for _, context in contexts], now)
    named = audiences.recipients_named(tx, [context.audience for _, context in contexts])
    parts = [(context, devices) for (_, context), devices in zip(contexts, named, strict=True)]
    exits = called_off(tx, parts, now)
    for (birth, context), devices in zip(contexts, named, strict=True):
        app = context.audience.app
        if len(devices) <= (MAX_WINDOW if context.is_delayed(now) else min(room[app], MAX_WINDOW)):
            end, why = devices[-1].id if devices else 0, exits.get(context.run.seq, {})
            window = decide_window(context, None, devices, end=end, now=now, called_off=why)
            blown = fuse.blown(context, window.selected, past_fuse=False)
            if blown is not None:
                birth.new = replace(birth.new, run=replace(birth.new.run, state=RunState.PAUSED, note=blown))
                continue
            room[app] = room.get(app, 0) - len(window.recipients)
            opened.append((birth, window))
    fuse.record()
    windows = [window for _, window in opened]
    take(tx, contest(tx, windows, now))
    for birth, window in opened:
        _bear_with_intent(birth, window, now)
    return windows


def _may_send_at_once(workspace: Workspace, campaign: Campaign, room: Mapping[str, int]) -> bool:
    lane_rates = workspace.settings.apps[campaign.app].lane_rates
    return room.get(campaign.app, 0) > 0 and campaign.rate is None and campaign.lane not in lane_rates


def _bear_with_intent(birth: _Birth, window: Window, now: datetime) -> None:
    born = replace(birth.new.run, started_at=now, last_device=window.end, selected=window.selected)
    due = window.next_due
    if window.is_over:
        born = replace(born, state=RunState.FINISHED, finished_at=now, intent=window.end)
    elif not window.recipients and due is not None and due > now + AT_ONCE:
        born = replace(born, state=RunState.WAITING, waits_until=due)
    else:
        born = replace(born, state=RunState.RUNNING, intent=window.end)
    birth.new = replace(birth.new, run=born)
    window.context = replace(window.context, run=born)
