"""What is on disk after a week, and what was true of people and devices at any instant of it: for the laws."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from scheduler.store.database import Store
from scheduler.store.tables import CLAIMS, DEVICES, EVENTS, LEDGER, RUNS, SHARDS, WORK
from support.week_rules import DEFAULT_ZONE, WeekRule
from support.weeks import Down, Move, OptOut, Switch, Up, Week

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is on disk."""

    source: str
    id: str
    type: str
    subject: str | None
    time: datetime
    arrived_at: datetime
    data: dict[str, Any]

    @property
    def counts_at(self) -> datetime:
        """Its time, never later than its arrival."""
        return min(self.time, self.arrived_at)


@dataclass(slots=True)
class StoredRun:
    """A run with the rows of its devices."""

    seq: int
    id: UUID
    rule: WeekRule
    occasion: str
    occasion_at: datetime
    due: datetime
    created_at: datetime
    state: str
    note: str | None
    supersede: str | None
    selected: int
    event: StoredEvent | None
    outcomes: list[Outcome] = field(default_factory=list)
    waits_until: datetime | None = None
    started_at: datetime | None = None
    waiting: dict[int, datetime] = field(default_factory=dict)
    """Devices that have a work row, and when it is due."""
    claims: list[Claim] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the ledger."""

    device: int
    outcome: str
    reason: str | None
    at: datetime
    maybe_repeated: bool
    variant: str | None

    @property
    def is_accepted(self) -> bool:
        return self.outcome == "accepted"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person has of a limit, for a device of a run."""

    person: str
    kind: str
    scope: str
    device: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Records:
    """All of it."""

    events: Sequence[StoredEvent]
    runs: Sequence[StoredRun]
    retired: frozenset[int]
    """Devices that were active when the week began, and are not any more."""


def read_records(week: Week, store: Store) -> Records:
    """Read what is on disk."""
    rules = {rule.name: rule for rule in week.rules}
    with store.read() as tx:
        events = {
            row.seq: StoredEvent(
                row.source, row.id, row.type, row.subject, _at(row.time), _at(row.arrived_at), json.loads(row.data)
            )
            for row in tx.execute(select(EVENTS).order_by(EVENTS.c.seq))
        }
        by_shards = select(SHARDS.c.run, func.sum(SHARDS.c.selected)).group_by(SHARDS.c.run)
        of_shards = dict(map(tuple, tx.execute(by_shards)))
        runs = {
            row.seq: StoredRun(
                row.seq, UUID(bytes=row.id), rules[row.rule], row.occasion, _at(row.occasion_at), _at(row.due),
                _at(row.created_at), row.state, row.note, row.supersede,
                of_shards.get(row.seq, 0) if row.sharded else row.selected, events.get(row.event),
                waits_until=None if row.waits_until is None else _at(row.waits_until),
                started_at=None if row.started_at is None else _at(row.started_at),
            )
            for row in tx.execute(select(RUNS).order_by(RUNS.c.seq))
        }  # fmt: skip
        for row in tx.execute(select(LEDGER).order_by(LEDGER.c.run, LEDGER.c.device)):
            outcome = Outcome(row.device, row.outcome, row.reason, _at(row.at), row.maybe_repeated, row.variant)
            runs[row.run].outcomes.append(outcome)
        for row in tx.execute(select(WORK.c.run, WORK.c.device, WORK.c.not_before)):
            runs[row.run].waiting[row.device] = _at(row.not_before)
        for row in tx.execute(select(CLAIMS)):
            runs[row.run].claims.append(Claim(row.person, row.kind, row.scope, row.device, _at(row.at)))
        retired = frozenset(tx.execute(select(DEVICES.c.id).where(~DEVICES.c.active)).scalars())
    return Records(list(events.values()), list(runs.values()), retired)


class People:
    """Who has which device, in which zone, and wants what, at any instant of a week."""

    def __init__(self, week: Week) -> None:
        self.devices = dict(enumerate(week.devices, 1))
        self.users = {user.id: user for user in week.users}
        numbers = {device.token: number for number, device in self.devices.items()}
        self.moved: set[int] = set()
        """Devices that were in more than one zone."""
        self._zones = {number: [(_EPOCH, device.time_zone)] for number, device in self.devices.items()}
        self._opt_outs = {user.id: [(_EPOCH, user.opt_outs)] for user in week.users}
        self.stops: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        self.downs: list[tuple[datetime, datetime]] = []
        self._devices_of: dict[str, list[int]] = defaultdict(list)
        for number, one in self.devices.items():
            if one.user:
                self._devices_of[one.user].append(number)
        since: dict[str, datetime] = {}
        for at, happening in week.happenings:
            match happening:
                case Move(device):
                    self._zones[numbers[device.token]].append((at, device.time_zone))
                    self.moved.add(numbers[device.token])
                case OptOut(user, category):
                    self._opt_outs[user].append((at, [category]))
                case Switch(category, True):
                    since[category] = at
                case Switch(category, False):
                    self.stops[category].append((since[category], at))
                case Down():
                    since["daemon"] = at
                case Up():
                    self.downs.append((since["daemon"], at))

    def user_of(self, device: int) -> str | None:
        return self.devices[device].user or None

    def person(self, device: int) -> str:
        """As the experiments' hash takes it."""
        user = self.user_of(device)
        return f"device:{device}" if user is None else f"user:{user}"

    def zone(self, device: int, at: datetime) -> str:
        """The zone of a device: its own, else its user's, else the workspace's."""
        user = self.user_of(device)
        own = _last_before(self._zones[device], at)
        return own or (None if user is None else self.users[user].time_zone) or DEFAULT_ZONE

    def zone_of_person(self, device: int, retired: Collection[int]) -> str | None:
        """The zone of the person behind a device: the user's, else that of the newest of the user's active devices that
        tells one (all were seen last at the same time), else the workspace's. None: it was not the same all week."""
        user = self.user_of(device)
        own = None if user is None else self.users[user].time_zone
        devices = [device] if user is None else self._devices_of[user]
        if own is None and any(one in self.moved or one in retired for one in devices):
            return None
        told = [zone for one in devices if (zone := self.devices[one].time_zone)]
        return own or (told[-1] if told else DEFAULT_ZONE)

    def has_opted_out(self, device: int, category: str, at: datetime) -> bool:
        """Whether the user had opted out before an instant."""
        user = self.user_of(device)
        return user is not None and category in (_last_before(self._opt_outs[user], at) or ())


def _last_before(changes: list[tuple[datetime, Any]], at: datetime) -> Any:
    """What held just before an instant: what is changed at it is changed after what is sent at it."""
    return changes[bisect_right(changes, at - timedelta.resolution, key=lambda change: change[0]) - 1][1]


def _at(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
