"""A slot at each device's own wall time as one run: its shards are groups of zones, each with its own time.

The run is cut when it is born, so that whatever happens to the daemon later, each zone's time is decided once: it comes
while the daemon runs (the shard is released), or while it is down, and then grace and `catch_up` say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.errors import OperatorError
from scheduler.domain.runs import Run, RunState, Shard
from scheduler.planning.device_slots import ALL_BUT, Fate, ZoneGroup, fate_of, times_in
from scheduler.runs.audience_max import audience_max_note, exceeds_audience_max
from scheduler.runs.context import NoAudience, RunContext, context_of
from scheduler.runs.occasions import MissReason
from scheduler.runs.ranges import ranges
from scheduler.runs.versions import Versions
from scheduler.store import audience as audiences
from scheduler.store import misses as miss_rows
from scheduler.store import run_ends
from scheduler.store import runs as run_rows
from scheduler.store import zone_shards as zone_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.zones_in_use import zones_in_use
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.settings import Settings

TOO_LATE = "later than the grace"
WHILE_DOWN = "came while the daemon was down"
_MANY = 3
"""Zones are named singly below that."""
WHY = {Fate.TOO_LATE: TOO_LATE, Fate.WHILE_DOWN: WHILE_DOWN}


@dataclass(frozen=True, slots=True)
class Lost:
    """A group of zones that a slot misses, with its instant there, and why."""

    why: str
    at: datetime
    zones: tuple[str, ...]

    def is_of_any(self, names: Collection[str | None]) -> bool:
        """Whether a device whose zone has one of these names is in the group."""
        if self.zones[0] != ALL_BUT:
            return not set(self.zones).isdisjoint(names)
        return not set(names) <= set(self.zones[1:])


def missed_zones(wall: datetime, lost: Iterable[Lost], in_use: Collection[str | None]) -> list[str]:
    """What a slot misses of the zones in which anybody is, as a line for each reason: with the distances from UTC."""
    by_reason: dict[str, list[datetime]] = {}
    for one in lost:
        if one.is_of_any(in_use):
            by_reason.setdefault(one.why, []).append(one.at)
    return [f"{why}, {_where(wall, instants)}" for why, instants in by_reason.items()]


def _where(wall: datetime, instants: Collection[datetime]) -> str:
    distances = [_distance(wall, at) for at in sorted(set(instants))]
    if len(distances) < _MANY:
        return f"at {' and '.join(distances)}"
    return f"in {len(distances)} zones from {distances[0]} to {distances[-1]}"


def _distance(wall: datetime, at: datetime) -> str:
    minutes = round((wall - at.replace(tzinfo=None)) / timedelta(minutes=1))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}:{rest:02}"


@dataclass(frozen=True, slots=True)
class Cut:
    """A run as it is born, and its shards, where it is cut by zones and somebody can be meant."""

    run: Run
    shards: tuple[Shard, ...] = ()


def is_too_large(tx: Transaction, run: Run, campaign: Campaign, settings: Settings) -> bool:
    """Whether a run by zones has a larger audience than it may start with."""
    context = context_of(run, campaign, settings)
    highest = audiences.highest_device(tx)
    return isinstance(context, RunContext) and exceeds_audience_max(tx, context, last=highest)


def cut_by_zone(
    tx: Transaction,
    run: Run,
    campaign: Campaign,
    settings: Settings,
    groups: Sequence[ZoneGroup],
    now: datetime,
    *,
    too_large: bool,
) -> Cut:
    """Fix whom a run of a slot is about, and cut it by zones and ranges of device ids. Reads, and writes nothing.

    It waits until its first zone is due. One that is `too_large` begins paused.
    """
    context = context_of(run, campaign, settings)
    if isinstance(context, NoAudience):
        return Cut(replace(run, state=RunState.FINISHED, note=str(context), finished_at=now))
    highest = audiences.highest_device(tx)
    parts = [(group, after, last) for group in groups for after, last in ranges(highest)]
    shards = tuple(
        Shard(run.seq, number, last, cursor=after, intent=after, not_before=group.at, zones=group.zones)
        for number, (group, after, last) in enumerate(parts)
    )
    born = replace(run, started_at=now, last_device=highest, sharded=True)
    if not shards:
        return Cut(replace(born, state=RunState.FINISHED, finished_at=now))
    if too_large:
        return Cut(replace(born, state=RunState.PAUSED, note=audience_max_note(context)), shards)
    return Cut(replace(born, state=RunState.WAITING, waits_until=groups[0].at), shards)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Shards that were closed, as (run, number), and those of their runs that are over or wait now."""

    shards: frozenset[tuple[int, int]]
    at_rest: frozenset[int]


def skip_missed_zones(store: Store, versions: Versions, now: datetime, *, awake_since: datetime) -> Skipped:
    """Decide the zones whose time came while the daemon was down: those that start are left as they are, the others
    are closed, and counted if anybody is there: each slot once."""
    closed: set[tuple[int, int]] = set()
    lost: dict[int, list[Lost]] = {}
    with store.read() as tx:  # a long look, and nobody waits for it
        waiting, runs = _waiting(tx, awake_since)
        apps = {runs[one.run].app for one in waiting if _why_missed(runs[one.run], one, versions, now, awake_since)}
        in_use = {app: zones_in_use(tx, app) for app in apps}
    with store.write() as tx:
        waiting, runs = _waiting(tx, awake_since)
        misses: Counter[tuple[str, str, str]] = Counter()
        for one in waiting:
            run = runs[one.run]
            why = _why_missed(run, one, versions, now, awake_since)
            if why is not None and run.wall is not None:
                zone_rows.close(tx, run.seq, one.numbers)
                closed.update((run.seq, number) for number in one.numbers)
                lost.setdefault(run.seq, []).append(Lost(why, one.at, one.zones))
        for run in (runs[number] for number in lost):
            assert run.wall is not None
            for line in missed_zones(run.wall, lost[run.seq], in_use.get(run.app, ())):
                misses[run.rule, MissReason.ZONES_MISSED, line] += 1
        miss_rows.count(tx, misses, now)
        touched = sorted({run for run, _ in closed})
        zone_rows.wake(tx, touched)
        rest = run_ends.finish(tx, touched, now)
    return Skipped(frozenset(closed), frozenset(rest.over | rest.waiting.keys()))


def _waiting(tx: Transaction, awake_since: datetime) -> tuple[list[zone_rows.ZoneShards], dict[int, Run]]:
    """The zones whose time came while the daemon was down, and their runs by number."""
    found = zone_rows.due_by(tx, awake_since)
    return found, run_rows.by_seq(tx, sorted({one.run for one in found}))


def _why_missed(
    run: Run, waiting: zone_rows.ZoneShards, versions: Versions, now: datetime, awake_since: datetime
) -> str | None:
    try:
        campaign = versions.campaign(run.rule, run.version)
    except OperatorError:  # this Clarion takes its version no longer: the run is paused
        return None
    planned = campaign.planned
    if planned is None or run.wall is None:
        return None
    zone = campaign.zone if waiting.zones[0] == ALL_BUT else ZoneInfo(waiting.zones[0])
    times = times_in(planned.timetable, run.wall, zone)
    fate = fate_of(
        waiting.at,
        None if times is None else times[1],
        since=None,
        awake_since=awake_since,
        now=now,
        grace=planned.grace,
        catch_up=planned.catch_up,
    )
    return WHY.get(fate)
