"""Schedules: what is remembered of them, and the runs of slots whose time has come.

The memory of a rule says which schedule it was and up to when its slots were handled. A slot is handled once, whatever
became of it, and only slots that come later than the schedule was first seen are: a rule that is new, was edited, or
was disabled brings nothing of before. It is written when a slot is due, not when nothing is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from uuid import UUID

from scheduler.domain.ids import run_id
from scheduler.domain.runs import Run
from scheduler.domain.wall_times import Moment
from scheduler.planning.device_slots import SPAN, Fate, ZoneGroup, fate_of, zone_groups
from scheduler.planning.second_sends import is_second_in, may_be_second
from scheduler.planning.slots import Slot, due_slots, has_several_on
from scheduler.runs.births import prospective_run
from scheduler.runs.occasions import Miss, MissReason, Occasion, occasion_of_slot
from scheduler.runs.superseding import supersede
from scheduler.runs.zone_shards import TOO_LATE, WHILE_DOWN, WHY, Cut, Lost, cut_by_zone, is_too_large, missed_zones
from scheduler.store import in_flight as in_flight_rows
from scheduler.store import misses as miss_rows
from scheduler.store import rule_versions
from scheduler.store import runs as run_rows
from scheduler.store import schedules as schedule_rows
from scheduler.store import shards as shard_rows
from scheduler.store import zone_shards as zone_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.schedules import Remembered
from scheduler.store.zones_in_use import zones_in_use
from scheduler.workspace.campaign import Campaign
from scheduler.workspace.loading import Workspace
from scheduler.workspace.planned import Planned

MAX_OPENED = 100
"""Slots of one rule that are opened in one transaction."""
MAX_COUNTED = 10_000
"""Slots of one rule that are counted as missed at once: a long downtime of a rule of every minute has more."""
BLOCKED = "one of the schedule of before ran on that date"


def scheduled(workspace: Workspace) -> list[tuple[Campaign, Planned]]:
    """The enabled campaigns that have a schedule."""
    return [
        (campaign, campaign.planned)
        for campaign in workspace.campaigns.values()
        if campaign.enabled and campaign.planned is not None
    ]


def watch(store: Store, workspace: Workspace, now: datetime) -> None:
    """Remember the schedules of a workspace that was loaded. Slots up to now of those that are new, or other than they
    were, count as handled; a rule that was renamed is the one it was."""
    with store.read() as tx:
        known = schedule_rows.all_remembered(tx)
    changed = list(_changed(workspace, known, now))
    if changed:
        with store.write() as tx:
            schedule_rows.remember(tx, changed)


@dataclass(frozen=True, slots=True)
class OpenedSlots:
    """How many runs were born of slots, which older runs they superseded, and when to look again: at the next slot or
    the next zone of one, or at once where there are more. `next_slot` is that of slots alone: zones are what runs wait
    for, and nobody waits for those of a run that was paused."""

    runs: int
    superseded: frozenset[int]
    next_at: datetime | None
    next_slot: datetime | None
    by_zone: tuple[Run, ...] = ()
    """Of the runs, those that come to each zone at its own time: they wait, or are paused as their audience is too
    large."""


def open_due(
    store: Store, workspace: Workspace, namespace: UUID, now: datetime, *, awake_since: datetime
) -> OpenedSlots:
    """Give every slot whose time has come its run, or count it as missed; and let the zones go whose time has come.
    Slots up to `awake_since` came while the daemon was down. Only what `watch` was told of is looked at."""
    with store.read() as tx:
        known = schedule_rows.all_remembered(tx)
    looks = [
        _look(campaign, planned, known[campaign.name], now, awake_since)
        for campaign, planned in scheduled(workspace)
        if campaign.name in known
    ]
    due = [look for look in looks if look.is_due]
    with store.read() as tx:
        to_come = zone_rows.next_at(tx)
        too_large = _too_large(tx, workspace, namespace, due, now)
        apps = {look.campaign.app for look in due if any(one.lost for one in look.start)}
        in_use = {app: zones_in_use(tx, app) for app in apps}
    born: list[Cut] = []
    superseded: frozenset[int] = frozenset()
    if due or (to_come is not None and to_come <= now):
        with store.write() as tx:
            born = _born(tx, workspace, namespace, due, now, too_large, in_use)
            decided = supersede(tx, [one.run for one in born], workspace.campaigns, now)
            superseded = decided.older
            for one in born:
                late = decided.late.get(one.run.seq)
                run_rows.add(tx, [run_rows.NewRun(late or one.run, None, None)])
                shard_rows.add(tx, () if late else one.shards)
            schedule_rows.remember(tx, (look.remembered for look in due))
            if any(one.shards for one in born):
                in_flight_rows.forget_what_is_over(tx)
            zone_rows.release(tx, now)
            to_come = zone_rows.next_at(tx)
    slots = [now if look.more else look.next_at for look in looks]
    next_slot = min((at for at in slots if at is not None), default=None)
    next_at = min((at for at in (to_come, next_slot) if at is not None), default=None)
    by_zone = tuple(one.run for one in born if one.shards)
    return OpenedSlots(len(born), superseded, next_at, next_slot, by_zone)


def _changed(workspace: Workspace, known: Mapping[str, Remembered], now: datetime) -> Iterator[Remembered]:
    watched = scheduled(workspace)
    for campaign, planned in watched:
        rows = [known[name] for name in campaign.names_had if name in known]
        if not rows:
            yield Remembered(campaign.name, planned.signature, _handled(planned, now), since=now)
            continue
        row = max(rows, key=lambda one: one.handled)
        if row.signature != planned.signature:
            yield replace(
                row,
                rule=campaign.name,
                signature=planned.signature,
                handled=_handled(planned, now),
                blocked_on=None if row.several else row.ran_on,
                since=now,
            )
        elif row.rule != campaign.name:
            yield replace(row, rule=campaign.name)
    names = {campaign.name for campaign, _ in watched}
    for row in known.values():
        if row.rule not in names and row.signature is not None:
            yield replace(row, signature=None)


def _handled(planned: Planned, now: datetime) -> datetime:
    """Up to when the slots of a schedule that was just seen count as handled: one that goes by each device's clock may
    have begun elsewhere, and be still to come here."""
    return now - SPAN if planned.by_device else now


@dataclass(frozen=True, slots=True)
class _Start:
    """A slot that starts. `groups` are the zones in which it does, now or later; None: everywhere at once."""

    slot: Slot
    groups: tuple[ZoneGroup, ...] | None = None
    lost: tuple[Lost, ...] = ()
    """Its other groups that are missed."""


@dataclass(slots=True)
class _Look:
    """What one rule's schedule has due. `more`: it is to be looked at again at once."""

    campaign: Campaign
    start: Sequence[_Start]
    missed: Counter[str]
    remembered: Remembered
    more: bool
    next_at: datetime | None

    @property
    def is_due(self) -> bool:
        return bool(self.start or self.missed)


def _look(campaign: Campaign, planned: Planned, row: Remembered, now: datetime, awake_since: datetime) -> _Look:
    first = _first_after(planned, row.handled)
    if first is None or first > now:
        return _Look(campaign, (), Counter(), row, False, first)
    in_grace = now - planned.grace - timedelta.resolution - (SPAN if planned.by_device else timedelta())
    late = list(islice(planned.slots_between(row.handled, in_grace), MAX_COUNTED))
    slots = list(planned.slots_between(max(row.handled, in_grace), now))
    decide = _decide_by_device if planned.by_device else _decide
    due, missed = decide(campaign, planned, slots, row, now, awake_since)
    wanted = due[:MAX_OPENED]
    more = len(wanted) < len(due)
    handled = wanted[-1].slot.at if more else slots[-1].at if slots else in_grace if late else row.handled
    start = _without_second_sends(wanted, planned, row.blocked_on)
    counted = Counter(why for slot, why in missed if slot.at <= handled)
    counted[TOO_LATE] += len(late)
    counted[BLOCKED] = len(wanted) - len(start)
    row = replace(row, handled=handled)
    if start:
        last = start[-1].slot
        day = last.wall.date()
        row = replace(
            row,
            ran_on=day if planned.by_device else last.at.astimezone(planned.zone),
            several=has_several_on(planned.timetable, planned.zone, day),
        )
    following = next(planned.slots_after(now), None)
    return _Look(campaign, start, +counted, row, more, None if following is None else following.at)


def _without_second_sends(starts: Sequence[_Start], planned: Planned, last: Moment | None) -> Sequence[_Start]:
    """Without what would be a second send on a date to anybody because the schedule was edited after its last one."""
    if last is None:
        return starts
    left: list[_Start] = []
    for start in starts:
        if start.groups is None:
            if not may_be_second(start.slot, planned.zone, last=last):
                left.append(start)
            continue
        second = [group for group in start.groups if is_second_in(start.slot, group, last=last)]
        if len(second) < len(start.groups):
            lost = tuple(Lost(BLOCKED, group.at, group.zones) for group in second)
            groups = tuple(group for group in start.groups if group not in second)
            left.append(replace(start, groups=groups, lost=(*start.lost, *lost)))
    return left


@lru_cache(maxsize=4_096)  # the slots of one rule come, and all others are asked when theirs do
def _first_after(planned: Planned, handled: datetime) -> datetime | None:
    """When the first slot that was not handled is due."""
    slot = next(planned.slots_after(handled), None)
    return None if slot is None else slot.at


def _decide(
    campaign: Campaign, planned: Planned, slots: Sequence[Slot], row: Remembered, now: datetime, awake_since: datetime
) -> tuple[list[_Start], list[tuple[Slot, str]]]:
    """Of slots up to now, those that start, and those that are missed and why."""
    due = due_slots(slots, awake_since=awake_since, now=now, grace=planned.grace, catch_up=planned.catch_up)
    return [_Start(slot) for slot in due.start], [(slot, WHILE_DOWN) for slot in due.missed]


def _decide_by_device(
    campaign: Campaign, planned: Planned, slots: Sequence[Slot], row: Remembered, now: datetime, awake_since: datetime
) -> tuple[list[_Start], list[tuple[Slot, str]]]:
    """The same for slots that come to each device at its own time: each group of zones is decided by itself. A slot
    that starts nowhere any more is missed once; it is not where all of it came before the schedule was seen."""
    starts: list[_Start] = []
    missed: list[tuple[Slot, str]] = []
    for slot in slots:
        fates = [
            (group, fate_of(
                group.at, group.next_at, since=row.since, awake_since=awake_since, now=now, grace=planned.grace,
                catch_up=planned.catch_up,
            ))
            for group in zone_groups(planned.timetable, campaign.zone.key, slot.wall)
        ]  # fmt: skip
        groups = tuple(group for group, fate in fates if fate in (Fate.STARTS, Fate.TO_COME))
        lost = tuple(Lost(WHY[fate], group.at, group.zones) for group, fate in fates if fate in WHY)
        if groups:
            starts.append(_Start(slot, groups, lost))
        elif lost:
            missed.append((slot, lost[-1].why))
    return starts, missed


def _too_large(
    tx: Transaction, workspace: Workspace, namespace: UUID, looks: Sequence[_Look], now: datetime
) -> set[tuple[str, str]]:
    """(rule, key) of the slots by zones whose audience is over `audience_max`: a long look, and nobody waits for it."""
    return {
        (look.campaign.name, one.slot.key)
        for look in looks
        for one in look.start
        if one.groups is not None
        and isinstance(run := _run_of(look.campaign, one, namespace, now), Run)
        and is_too_large(tx, run, look.campaign, workspace.settings)
    }


def _born(
    tx: Transaction,
    workspace: Workspace,
    namespace: UUID,
    looks: Sequence[_Look],
    now: datetime,
    too_large: Collection[tuple[str, str]],
    in_use: Mapping[str, Collection[str | None]],
) -> list[Cut]:
    """The runs of what is due, each occasion once, also under the names that a rule had. Misses are counted."""
    born: list[Cut] = []
    misses: Counter[tuple[str, str, str]] = Counter()
    first = run_rows.next_seq(tx)
    for look in looks:
        campaign = look.campaign
        misses.update({(campaign.name, MissReason.SLOT_MISSED, why): count for why, count in look.missed.items()})
        for one in look.start:
            if run_rows.existing(tx, [run_id(namespace, name, one.slot.key) for name in campaign.names_had]):
                continue
            match _run_of(campaign, one, namespace, now):
                case Run() as run:
                    rule_versions.keep(tx, campaign.version, campaign.name, campaign.sources, now)
                    run = replace(run, seq=first + len(born))
                    born.append(
                        Cut(run)
                        if one.groups is None
                        else cut_by_zone(
                            tx, run, campaign, workspace.settings, one.groups, now,
                            too_large=(campaign.name, one.slot.key) in too_large,
                        )
                    )  # fmt: skip
                    missed = missed_zones(one.slot.wall, one.lost, in_use.get(campaign.app, ()))
                    misses.update((campaign.name, MissReason.ZONES_MISSED, line) for line in missed)
                case Miss(reason, detail):
                    misses[campaign.name, reason, detail] += 1
    miss_rows.count(tx, misses, now)
    return born


def _run_of(campaign: Campaign, start: _Start, namespace: UUID, now: datetime) -> Run | Miss:
    match occasion_of_slot(campaign, start.slot, now):
        case Occasion() as occasion:
            return prospective_run(
                campaign, occasion, None, None, now,
                namespace=namespace, slot=start.slot, by_device=start.groups is not None,
            )  # fmt: skip
        case miss:
            return miss
