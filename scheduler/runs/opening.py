"""Opening windows: decide a page of devices and commit the intent to send, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from scheduler.domain.runs import Part, Run, RunState, Shard
from scheduler.runs.audience_max import audience_max_note, exceeds_audience_max
from scheduler.runs.canary import Postponed, judge_canary
from scheduler.runs.claiming import contest, take
from scheduler.runs.context import NoAudience, RunContext
from scheduler.runs.exits import CalledOff, called_off
from scheduler.runs.fuse import FuseWatch
from scheduler.runs.parts import next_page
from scheduler.runs.ranges import ranges
from scheduler.runs.windows import Window, decide_window, record_decided
from scheduler.store import audience as audiences
from scheduler.store import in_flight as in_flight_rows
from scheduler.store import run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store import stops as stop_rows
from scheduler.store.audience import Page
from scheduler.store.database import Store, Transaction


@dataclass(slots=True)
class Started:
    """Runs that began: the only windows of small ones, the shards and first windows of large ones."""

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

    A run whose audience fits one window is opened at once, any other is cut into shards, of which the first window is
    opened unless it begins with a canary; one that can mean nobody ends with a note. Pages are read before the write
    transaction begins, so that a long scan keeps no writer waiting.
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
            has_canary = context.campaign.canary is not None and bool(page.recipients)
            shards = _cut(context, highest) if page.end < highest or has_canary else []
            if has_canary:
                started.sharded.append((_begin(tx, context, shards, highest, now), shards))
                continue
            window = _first_window(context, page, shards, exits.get(context.run.seq, {}), now)
            blown = fuse.blown(context, window.selected, past_fuse=context.run.past_fuse)
            if blown is not None:
                started.paused.append((context, blown))
                continue
            if shards:
                window.context = _begin(tx, context, shards, highest, now)
                shard_rows.commit_intent(tx, shards[0], intent=window.end, selected=window.selected)
                started.sharded.append((window.context, shards))
            elif context.limits.one_device:
                window.context = replace(context, run=replace(context.run, last_device=highest))
            started.windows.append(window)
        fuse.record()
        for context, note in started.paused:
            run_rows.set_states(tx, [context.run.seq], RunState.PAUSED, note=note, now=now)
        take(tx, contest(tx, started.windows, now))
        for note, numbers in ended.items():
            allowed = [number for number in numbers if number in pending]
            run_rows.set_states(tx, allowed, RunState.FINISHED, note=note, now=now)
        single = [window for window in started.windows if window.shard is None]
        run_rows.open_single_windows(tx, [(window.context.run.seq, highest, window.selected) for window in single], now)
        record_decided(tx, started.windows, now)
        rest = run_ends.finish(tx, [window.context.run.seq for window in single if not window.recipients], now)
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


def open_window(
    store: Store, context: RunContext, shard: Shard, now: datetime, *, limit: int, in_flight: Collection[int] = ()
) -> Opened:
    """Decide the next page of a shard and commit its intent. The first one of the rest judges the canary.

    `in_flight`: the devices of the run that were given out and have no outcome on disk, for a shard that shares its
    range.
    """
    with store.read() as tx:
        page = next_page(tx, context, shard, limit=limit, in_flight=in_flight)
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
        if shard.shares_its_range and window.recipients:
            in_flight_rows.keep(tx, shard.run, {*in_flight, *(one.id for one in window.recipients)})
        record_decided(tx, [window], now)
    return window


def _pause(tx: Transaction, run: Run, note: str, now: datetime) -> Paused:
    run_rows.set_states(tx, [run.seq], RunState.PAUSED, note=note, now=now)
    return Paused(note)


def _is_stopped(tx: Transaction, run: Run) -> bool:
    return stop_rows.read(tx).hold(run.rule, run.category)


def _cut(context: RunContext, highest: int) -> list[Shard]:
    part = None if context.campaign.canary is None else Part.CANARY
    return [
        Shard(context.run.seq, number, last, cursor=after, intent=after, part=part)
        for number, (after, last) in enumerate(ranges(highest))
    ]


def _first_window(context: RunContext, page: Page, shards: Sequence[Shard], exits: CalledOff, now: datetime) -> Window:
    """The only window of a run without shards; else the first of the first shard."""
    if not shards:
        return decide_window(context, None, page.recipients, end=page.end, now=now, called_off=exits)
    seen = page.up_to(shards[0].last)
    return decide_window(context, shards[0], seen.recipients, end=seen.end, now=now, called_off=exits)


def _begin(tx: Transaction, context: RunContext, shards: Sequence[Shard], highest: int, now: datetime) -> RunContext:
    shard_rows.start_sharded(tx, context.run.seq, shards, last_device=highest, now=now)
    running = replace(context.run, state=RunState.RUNNING, started_at=now, last_device=highest, sharded=True)
    return replace(context, run=running)
