"""Schedules: what is remembered of them, and the runs of slots whose time has come.

The memory of a rule says which schedule it was and up to when its slots were handled. A slot is handled once, whatever
became of it, and only slots that come later than the schedule was first seen are: a rule that is new, was edited, or
was disabled brings nothing of before. It is written when a slot is due, not when nothing is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from uuid import UUID

from scheduler.domain.ids import run_id
from scheduler.domain.runs import Run
from scheduler.planning.slots import Slot, due_slots, has_several_on, slots_after, slots_between
from scheduler.runs.births import prospective_run
from scheduler.runs.occasions import Miss, MissReason, Occasion, occasion_of_slot
from scheduler.runs.superseding import supersede
from scheduler.store import misses as miss_rows
from scheduler.store import rule_versions
from scheduler.store import runs as run_rows
from scheduler.store import schedules as schedule_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.schedules import Remembered
from scheduler.workspace.campaign import Campaign, Planned
from scheduler.workspace.loading import Workspace

MAX_OPENED = 100
"""Slots of one rule that are opened in one transaction."""
MAX_COUNTED = 10_000
"""Slots of one rule that are counted as missed at once: a long downtime of a rule of every minute has more."""
TOO_LATE = "later than the grace"
WHILE_DOWN = "came while the daemon was down"
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
    """How many runs were born of slots, which older runs they superseded, and when to look again: at the next slot, or
    at once where there are more."""

    runs: int
    superseded: frozenset[int]
    next_at: datetime | None


def open_due(
    store: Store, workspace: Workspace, namespace: UUID, now: datetime, *, awake_since: datetime
) -> OpenedSlots:
    """Give every slot whose time has come its run, or count it as missed. Slots up to `awake_since` came while the
    daemon was down. Only what `watch` was told of is looked at."""
    with store.read() as tx:
        known = schedule_rows.all_remembered(tx)
    looks = [
        _look(campaign, planned, known[campaign.name], now, awake_since)
        for campaign, planned in scheduled(workspace)
        if campaign.name in known
    ]
    due = [look for look in looks if look.is_due]
    born: list[Run] = []
    superseded: frozenset[int] = frozenset()
    if due:
        with store.write() as tx:
            born = _born(tx, namespace, due, now)
            decided = supersede(tx, born, now)
            superseded = decided.older
            run_rows.add(tx, [run_rows.NewRun(decided.late.get(run.seq, run), None, None) for run in born])
            schedule_rows.remember(tx, (look.remembered for look in due))
    nexts = [now if look.more else look.next_at for look in looks]
    return OpenedSlots(len(born), superseded, min((at for at in nexts if at is not None), default=None))


def _changed(workspace: Workspace, known: Mapping[str, Remembered], now: datetime) -> Iterator[Remembered]:
    watched = scheduled(workspace)
    for campaign, planned in watched:
        rows = [known[name] for name in campaign.names_had if name in known]
        if not rows:
            yield Remembered(campaign.name, planned.signature, now)
            continue
        row = max(rows, key=lambda one: one.handled)
        if row.signature != planned.signature:
            blocked_on = None if row.several else row.ran_on
            yield replace(row, rule=campaign.name, signature=planned.signature, handled=now, blocked_on=blocked_on)
        elif row.rule != campaign.name:
            yield replace(row, rule=campaign.name)
    names = {campaign.name for campaign, _ in watched}
    for row in known.values():
        if row.rule not in names and row.signature is not None:
            yield replace(row, signature=None)


@dataclass(slots=True)
class _Look:
    """What one rule's schedule has due. `more`: it is to be looked at again at once."""

    campaign: Campaign
    start: Sequence[Slot]
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
    timetable, zone = planned.timetable, planned.zone
    in_grace = now - planned.grace - timedelta.resolution
    late = list(islice(slots_between(timetable, zone, row.handled, in_grace), MAX_COUNTED))
    slots = list(slots_between(timetable, zone, max(row.handled, in_grace), now))
    due = due_slots(slots, awake_since=awake_since, now=now, grace=planned.grace, catch_up=planned.catch_up)
    wanted = due.start[:MAX_OPENED]
    more = len(wanted) < len(due.start)
    handled = wanted[-1].at if more else slots[-1].at if slots else in_grace if late else row.handled
    start = [slot for slot in wanted if slot.wall.date() != row.blocked_on]
    missed = Counter({TOO_LATE: len(late), WHILE_DOWN: sum(slot.at <= handled for slot in due.missed)})
    missed[BLOCKED] = len(wanted) - len(start)
    row = replace(row, handled=handled)
    if start:
        day = start[-1].wall.date()
        row = replace(row, ran_on=day, several=has_several_on(timetable, zone, day))
    following = next(slots_after(timetable, zone, now), None)
    return _Look(campaign, start, +missed, row, more, None if following is None else following.at)


@lru_cache(maxsize=4_096)  # the slots of one rule come, and all others are asked when theirs do
def _first_after(planned: Planned, handled: datetime) -> datetime | None:
    """When the first slot that was not handled is due."""
    slot = next(slots_after(planned.timetable, planned.zone, handled), None)
    return None if slot is None else slot.at


def _born(tx: Transaction, namespace: UUID, looks: Sequence[_Look], now: datetime) -> list[Run]:
    """The runs of what is due, each occasion once, also under the names that a rule had. Misses are counted."""
    born: list[Run] = []
    misses: Counter[tuple[str, str, str]] = Counter()
    first = run_rows.next_seq(tx)
    for look in looks:
        campaign = look.campaign
        misses.update({(campaign.name, MissReason.SLOT_MISSED, why): count for why, count in look.missed.items()})
        for slot in look.start:
            if run_rows.existing(tx, [run_id(namespace, name, slot.key) for name in campaign.names_had]):
                continue
            match occasion_of_slot(campaign, slot, now):
                case Occasion() as occasion:
                    rule_versions.keep(tx, campaign.version, campaign.name, campaign.sources, now)
                    run = prospective_run(campaign, occasion, None, None, now, namespace=namespace, slot=slot.at)
                    born.append(replace(run, seq=first + len(born)))
                case Miss(reason, detail):
                    misses[campaign.name, reason, detail] += 1
    miss_rows.count(tx, misses, now)
    return born
