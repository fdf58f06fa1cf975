"""Opening windows: decide a page of devices and commit the intent to send, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Recipient, Run, RunState, Shard
from scheduler.runs.audience_max import audience_max_note, exceeds_audience_max
from scheduler.runs.claiming import contest, give_back_of_work, take
from scheduler.runs.context import NoAudience, RunContext
from scheduler.runs.windows import MAX_WINDOW, Window, decide_window, record_decided
from scheduler.store import audience as audiences
from scheduler.store import ledger, run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store import stops as stop_rows
from scheduler.store.audience import Page
from scheduler.store.database import Store, Transaction

SHARD_DEVICES = 250_000
"""Device ids in a shard."""


@dataclass(slots=True)
class Started:
    """Runs that began: the open windows of small ones, the shards of large ones."""

    windows: list[Window] = field(default_factory=list)
    sharded: list[tuple[RunContext, list[Shard]]] = field(default_factory=list)
    considered: int = 0
    """So many of the given runs were looked at; there was no room for the others."""
    too_large: list[tuple[RunContext, str]] = field(default_factory=list)
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
        too_large = {context.run.seq for context, _ in pages if exceeds_audience_max(tx, context, last=highest)}
    started.considered = len(pages) + sum(len(numbers) for numbers in ended.values())
    with store.write() as tx:
        pending = run_rows.in_state(tx, [context.run.seq for context, _ in contexts], RunState.PENDING)
        stops = stop_rows.read(tx)
        for context, page in pages:
            if context.run.seq not in pending or stops.hold(context.run.rule, context.run.category):
                continue
            if context.run.seq in too_large:
                started.too_large.append((context, _pause_too_large(tx, context, now)))
                continue
            if page.end < highest:
                started.sharded.append(_cut(tx, context, highest, now))
            else:
                window = decide_window(context, None, page.recipients, end=highest, now=now)
                if context.limits.one_device:
                    window.context = replace(context, run=replace(context.run, last_device=highest))
                started.windows.append(window)
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


def open_window(store: Store, context: RunContext, shard: Shard, now: datetime, *, limit: int) -> Window | None:
    """Decide the next page of a shard and commit its intent; None if the run is not running any more, or
    stopped."""
    with store.read() as tx:
        page = audiences.page(tx, context.audience, after=shard.intent, last=shard.last, limit=min(limit, MAX_WINDOW))
    window = decide_window(context, shard, page.recipients, end=page.end, now=now)
    with store.write() as tx:
        if not _may_go_on(tx, context.run):
            return None
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
) -> list[TakenUp]:
    """Decide the due work rows of runs again and commit that they may be sent, given each with its window limit
    (devices), until `room` devices are taken up; what was taken up of each of the first of them. Who is no longer to be
    sent to becomes final. Whether a run is over then is the settler's to say: its first window may still be open."""
    taken: list[TakenUp] = []
    with store.write() as tx:
        stops = stop_rows.read(tx)
        running = run_rows.in_state(tx, [context.run.seq for context, _ in contexts], RunState.RUNNING)
        for context, limit in contexts:
            if room <= 0:
                break
            run = context.run
            if run.seq not in running or stops.hold(run.rule, run.category):
                taken.append(TakenUp(None, None))
                continue
            window = _take_up(tx, context, now, process, min(limit, room, MAX_WINDOW))
            room -= len(window.recipients)
            taken.append(TakenUp(window, ledger.next_work(tx, run.seq)))
    return taken


def _take_up(tx: Transaction, context: RunContext, now: datetime, process: str, limit: int) -> Window:
    run = context.run.seq
    entries = ledger.due_work(tx, run, now, limit=limit)
    by_device = {entry.device: entry for entry in entries}
    active = audiences.recipients_by_id(tx, context.audience, list(by_device))
    gone = [
        LedgerEntry(
            entry.run,
            entry.device,
            OutcomeKind.SUPPRESSED,
            SuppressReason.TOKEN_RETIRED,
            entry.attempts,
            entry.maybe_repeated,
        )
        for entry in entries
        if entry.device not in active
    ]
    recipients: list[Recipient] = []
    for device in sorted(active):
        recipient = active[device]
        recipient.attempts = by_device[device].attempts
        recipient.maybe_repeated = by_device[device].maybe_repeated
        recipients.append(recipient)
    window = decide_window(_without_where(context), None, recipients, end=0, now=now)
    window.context = context
    window.from_work = True
    taken = contest(tx, [window], now)
    window.suppressed.extend(gone)
    give_back_of_work(tx, window)
    take(tx, taken)
    ledger.drop_work(tx, [(entry.run, entry.device) for entry in window.suppressed])
    record_decided(tx, [window], now)
    ledger.intend_work(tx, [(run, recipient.id) for recipient in window.recipients], process)
    return window


def _may_go_on(tx: Transaction, run: Run) -> bool:
    """Pause, supersede and the kill switch, read in the transaction that commits the intent."""
    stopped = stop_rows.read(tx).hold(run.rule, run.category)
    return not stopped and bool(run_rows.in_state(tx, [run.seq], RunState.RUNNING))


def _pause_too_large(tx: Transaction, context: RunContext, now: datetime) -> str:
    note = audience_max_note(context)
    run_rows.set_states(tx, [context.run.seq], RunState.PAUSED, note=note, now=now)
    return note


def _cut(tx: Transaction, context: RunContext, highest: int, now: datetime) -> tuple[RunContext, list[Shard]]:
    edges = [*range(0, highest, SHARD_DEVICES), highest]
    shards = [
        Shard(context.run.seq, number, last, cursor=after, intent=after)
        for number, (after, last) in enumerate(pairwise(edges))
    ]
    shard_rows.start_sharded(tx, context.run.seq, shards, last_device=highest, now=now)
    running = replace(context.run, state=RunState.RUNNING, started_at=now, last_device=highest, sharded=True)
    return replace(context, run=running), shards


def _without_where(context: RunContext) -> RunContext:
    """`where` was decided when the window opened; only a delay (`recheck`) asks it again."""
    return replace(context, audience=replace(context.audience, where=None))
