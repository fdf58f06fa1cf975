"""Opening windows: decide a page of devices and commit the intent to send, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import TypeAlias

from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Part, Recipient, Run, RunState, Shard, WorkEntry
from scheduler.runs.audience_max import audience_max_note, exceeds_audience_max
from scheduler.runs.canary import Postponed, judge_canary
from scheduler.runs.claiming import contest, give_back_of_work, take
from scheduler.runs.context import NoAudience, RunContext
from scheduler.runs.exits import CalledOff, called_off
from scheduler.runs.fuse import FuseWatch
from scheduler.runs.parts import next_page
from scheduler.runs.windows import MAX_WINDOW, Window, decide_window, no_longer_matching, record_decided
from scheduler.store import audience as audiences
from scheduler.store import ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store import stops as stop_rows
from scheduler.store.audience import Page
from scheduler.store.database import Store, Transaction
from scheduler.workspace.campaign import Campaign

SHARD_DEVICES = 250_000
"""Device ids in a shard."""


@dataclass(slots=True)
class Started:
    """Runs that began: the open windows of small ones, the shards of large ones."""

    windows: list[Window] = field(default_factory=list)
    sharded: list[tuple[RunContext, list[Shard]]] = field(default_factory=list)
    considered: int = 0
    """So many of the given runs were looked at; there was no room for the others."""
    paused: list[tuple[RunContext, str]] = field(default_factory=list)
    """Runs that did not start and were paused, and why."""
    waits_until: datetime | None = None
    """When the first of them is due of those that wait."""


def start_runs(
    store: Store,
    contexts: Sequence[tuple[RunContext | NoAudience, int]],
    now: datetime,
    *,
    room: int,
) -> Started:
    """Begin pending runs, given each with its window limit (devices), until about `room` devices are open.

    A run whose audience fits one window is opened at once, any other is cut into shards, and one that can mean nobody
    ends with a note. Pages are read before the write transaction begins, so that a long scan keeps no writer waiting.
    """
    started = Started()
    with store.read() as tx:
        highest = audiences.highest_device(tx)
        pages, ended = _first_pages(tx, contexts, highest, room)
        exits = called_off(tx, [(context, page.recipients) for context, page in pages], now)
        too_large = {context.run.seq for context, _ in pages if exceeds_audience_max(tx, context, last=highest)}
    started.considered = len(pages) + sum(len(numbers) for numbers in ended.values())
    with store.write() as tx:
        pending = run_rows.in_state(tx, [context.run.seq for context, _ in contexts], RunState.PENDING)
        stops = stop_rows.read(tx)
        fuse = FuseWatch(tx, [context for context, _ in pages], now)
        for context, page in pages:
            if context.run.seq not in pending or stops.hold(context.run.rule, context.run.category):
                continue
            if context.run.seq in too_large:
                started.paused.append((context, audience_max_note(context)))
                continue
            if page.end < highest or (context.campaign.canary is not None and page.recipients):
                started.sharded.append(_cut(tx, context, highest, now))
                continue
            why = exits.get(context.run.seq, {})
            window = decide_window(context, None, page.recipients, end=highest, now=now, called_off=why)
            blown = fuse.blown(context, window.selected, past_fuse=context.run.past_fuse)
            if blown is not None:
                started.paused.append((context, blown))
                continue
            if context.limits.one_device:
                window.context = replace(context, run=replace(context.run, last_device=highest))
            started.windows.append(window)
        fuse.record()
        for context, note in started.paused:
            run_rows.set_states(tx, [context.run.seq], RunState.PAUSED, note=note, now=now)
        take(tx, contest(tx, started.windows, now))
        for note, numbers in ended.items():
            allowed = [number for number in numbers if number in pending]
            run_rows.set_states(tx, allowed, RunState.FINISHED, note=note, now=now)
        single = [(window.context.run.seq, highest, window.selected) for window in started.windows]
        run_rows.open_single_windows(tx, single, now)
        record_decided(tx, started.windows, now)
        rest = run_ends.finish(tx, [window.context.run.seq for window in started.windows if not window.recipients], now)
        waiting = rest.waiting | run_ends.put_to_wait(tx, [context.run.seq for context, _ in started.sharded], now)
    started.windows = [window for window in started.windows if window.context.run.seq not in waiting]
    started.sharded = [(context, shards) for context, shards in started.sharded if context.run.seq not in waiting]
    started.waits_until = min(waiting.values(), default=None)
    return started


def _first_pages(
    tx: Transaction, contexts: Sequence[tuple[RunContext | NoAudience, int]], highest: int, room: int
) -> tuple[list[tuple[RunContext, Page]], dict[str, list[int]]]:
    """The first page of each run in order until there is no more room, and by note the runs that can mean nobody."""
    named = [context for context, _ in contexts if isinstance(context, RunContext) and context.audience.is_named]
    devices = audiences.recipients_named(tx, [context.audience for context in named])
    by_run = {context.run.seq: found for context, found in zip(named, devices, strict=True)}
    pages: list[tuple[RunContext, Page]] = []
    ended: dict[str, list[int]] = {}
    for context, limit in contexts:
        if room <= 0:
            break
        if isinstance(context, NoAudience):
            ended.setdefault(str(context), []).append(context.run.seq)
            continue
        found = by_run.get(context.run.seq)
        if found is not None and len(found) <= limit:
            page = Page(found, highest)
        else:
            page = audiences.page(tx, context.audience, after=0, last=highest, limit=limit)
        room -= len(page.recipients)
        pages.append((context, page))
    return pages, ended


@dataclass(frozen=True, slots=True)
class Paused:
    """The run was paused in place of opening a window: why."""

    note: str


Opened: TypeAlias = Window | Paused | Postponed | None
"""What came of opening a window; None if the run is not running any more, or stopped."""


def open_window(store: Store, context: RunContext, shard: Shard, now: datetime, *, limit: int) -> Opened:
    """Decide the next page of a shard and commit its intent. The first one of the rest judges the canary."""
    with store.read() as tx:
        page = next_page(tx, context, shard, limit=limit)
        exits = called_off(tx, [(context, page.recipients)], now).get(context.run.seq, {})
    window = decide_window(context, shard, page.recipients, end=page.end, now=now, called_off=exits)
    with store.write() as tx:
        run = run_rows.standing(tx, context.run.seq)
        if not run.is_running or _is_stopped(tx, context.run):
            return None
        if shard.part == Part.REST and not run.past_canary:
            match judge_canary(tx, context, now):
                case Postponed() as postponed:
                    return postponed
                case str(note):
                    return _pause(tx, context.run, note, now)
                case None:
                    pass
        fuse = FuseWatch(tx, [context], now)
        blown = fuse.blown(context, window.selected, past_fuse=run.past_fuse)
        if blown is not None:
            return _pause(tx, context.run, blown, now)
        fuse.record()
        take(tx, contest(tx, [window], now))
        shard_rows.commit_intent(tx, shard, intent=page.end, selected=window.selected)
        record_decided(tx, [window], now)
    return window


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Work rows of a run that were taken up as a window, and when the next one is due. No window: the run is not
    running any more, or stopped."""

    window: Window | None
    next_due: datetime | None


def take_up_work(
    store: Store, contexts: Sequence[tuple[RunContext, int]], now: datetime, *, process: str, room: int
) -> dict[int, TakenUp]:
    """Decide the due work rows of runs again and commit that they may be sent, given each with its window limit
    (devices), as far as `room` devices go; by run, what was taken up of those that were looked at. Who is no longer to
    be sent to becomes final. Whether a run is over then is the settler's to say: its first window may still be open.

    Many small runs cost a few statements together.
    """
    with store.write() as tx:
        going_on = _going_on(tx, [context for context, _ in contexts])
        taken = {context.run.seq: TakenUp(None, None) for context, _ in contexts if context.run.seq not in going_on}
        due = _due_work(tx, [one for one in contexts if one[0].run.seq in going_on], now, room)
        exits = called_off(tx, [(one.context, one.recipients) for one in due], now)
        windows = [_decide_again(one, now, exits.get(one.context.run.seq, {})) for one in due]
        claims = contest(tx, windows, now)
        for one, window in zip(due, windows, strict=True):
            window.suppressed.extend(_gone(one))
            give_back_of_work(tx, window)
        take(tx, claims)
        ledger.drop_work(tx, [(entry.run, entry.device) for window in windows for entry in window.suppressed])
        record_decided(tx, windows, now)
        sent_to = [(window.context.run.seq, recipient.id) for window in windows for recipient in window.recipients]
        ledger.intend_work(tx, sent_to, process)
        nexts = ledger.next_work_of(tx, [window.context.run.seq for window in windows])
    taken.update((one.context.run.seq, TakenUp(one, nexts.get(one.context.run.seq))) for one in windows)
    return taken


@dataclass(slots=True)
class _DueWork:
    """Due work rows of a run by device, and those of their devices that are still there."""

    context: RunContext
    entries: dict[int, WorkEntry]
    recipients: list[Recipient] = field(default_factory=list)


def _due_work(tx: Transaction, contexts: Sequence[tuple[RunContext, int]], now: datetime, room: int) -> list[_DueWork]:
    found = ledger.due_work(tx, [context.run.seq for context, _ in contexts], now, limit=min(room, MAX_WINDOW))
    all_seen = sum(map(len, found.values())) < min(room, MAX_WINDOW)
    due: list[_DueWork] = []
    by_campaign: dict[Campaign, list[_DueWork]] = {}
    for context, limit in contexts:
        entries = found.get(context.run.seq, [])[:limit]
        if entries or all_seen:
            one = _DueWork(context, {entry.device: entry for entry in entries})
            due.append(one)
            by_campaign.setdefault(context.campaign, []).append(one)
    for alike in by_campaign.values():
        audience = replace(alike[0].context.audience, zones=any(one.context.audience.zones for one in alike))
        active = audiences.recipients_by_id(tx, audience, sorted({device for one in alike for device in one.entries}))
        for one in alike:
            for device in sorted(one.entries.keys() & active.keys()):
                recipient = copy(active[device])  # a device may be in several runs
                recipient.attempts = one.entries[device].attempts
                recipient.maybe_repeated = one.entries[device].maybe_repeated
                one.recipients.append(recipient)
    return due


def _decide_again(due: _DueWork, now: datetime, exits: CalledOff) -> Window:
    context = due.context
    delayed = [one for one in due.recipients if due.entries[one.id].was_delayed]
    why = {**exits, **no_longer_matching(context, delayed)} if delayed else exits
    window = decide_window(_without_where(context), None, due.recipients, end=0, now=now, called_off=why)
    window.context = context
    window.from_work = True
    return window


def _gone(due: _DueWork) -> list[LedgerEntry]:
    """What becomes of the devices that are not there any more."""
    active = {recipient.id for recipient in due.recipients}
    return [
        LedgerEntry(
            entry.run,
            entry.device,
            OutcomeKind.SUPPRESSED,
            SuppressReason.TOKEN_RETIRED,
            entry.attempts,
            entry.maybe_repeated,
        )
        for entry in due.entries.values()
        if entry.device not in active
    ]


def _going_on(tx: Transaction, contexts: Sequence[RunContext]) -> set[int]:
    """The numbers of those that may send: pause, supersede and the kill switch are read in the transaction that commits
    the intent."""
    stops = stop_rows.read(tx)
    running = run_rows.in_state(tx, [context.run.seq for context in contexts], RunState.RUNNING)
    return {
        context.run.seq
        for context in contexts
        if context.run.seq in running and not stops.hold(context.run.rule, context.run.category)
    }


def _pause(tx: Transaction, run: Run, note: str, now: datetime) -> Paused:
    run_rows.set_states(tx, [run.seq], RunState.PAUSED, note=note, now=now)
    return Paused(note)


def _is_stopped(tx: Transaction, run: Run) -> bool:
    return stop_rows.read(tx).hold(run.rule, run.category)


def _cut(tx: Transaction, context: RunContext, highest: int, now: datetime) -> tuple[RunContext, list[Shard]]:
    edges = [*range(0, highest, SHARD_DEVICES), highest]
    part = None if context.campaign.canary is None else Part.CANARY
    shards = [
        Shard(context.run.seq, number, last, cursor=after, intent=after, part=part)
        for number, (after, last) in enumerate(pairwise(edges))
    ]
    shard_rows.start_sharded(tx, context.run.seq, shards, last_device=highest, now=now)
    running = replace(context.run, state=RunState.RUNNING, started_at=now, last_device=highest, sharded=True)
    return replace(context, run=running), shards


def _without_where(context: RunContext) -> RunContext:
    """`where` was decided when the window opened; what asks it again after a delay says so itself."""
    return replace(context, audience=replace(context.audience, where=None))
