"""Living through a week: a daemon in virtual time that goes down and is killed, what others do meanwhile, and what is
on disk at the end."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import SQLModel

from scheduler.apns.request import PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Result, Unanswered, Unsent, UnsentCause
from scheduler.conditions.types import Schema
from scheduler.domain.clock import VirtualClock
from scheduler.domain.events import Event
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.stops import StopKind
from scheduler.rehearsal.virtual_daemon import VirtualDaemon
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.ingest import ingest
from scheduler.runs.stopping import start, stop
from scheduler.store.database import Store
from scheduler.store.registry_changes import UserChange
from scheduler.store.registry_users import upsert_users
from scheduler.store.registry_writing import upsert_devices
from scheduler.store.tables import META
from scheduler.workspace.loading import Workspace
from support.week_rules import END, START, TEMPLATES, settings_text
from support.weeks import Arrive, Down, Emit, Fire, Happening, Move, OptOut, Restart, Switch, Up, Week
from support.worlds import load_workspace, new_store, write_workspace


@dataclass
class Provider:
    """What Apple would say: a function of the request. Every eighth occasion meets trouble. `taken` counts what was
    accepted, by apns-id."""

    taken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __call__(self, request: PushRequest) -> Result:
        assert request.collapse_id is not None, "an alert's is derived from its occasion"
        is_troubled = request.collapse_id[0] in "07"
        answer = _answer(int(request.apns_id[:8], 16) % 1000, request.attempt, is_troubled=is_troubled)
        if answer is ACCEPTED_ANSWER:
            self.taken[request.apns_id] += 1
        return answer


def settle_in(week: Week, folder: Path) -> tuple[Workspace, Store]:
    """The workspace and the store of a week before it begins. The ids of its runs go by the seed."""
    write_workspace(
        folder, {rule.name: rule.text() for rule in week.rules}, settings=settings_text(), templates=TEMPLATES
    )
    store = new_store(folder / "clarion.db")
    namespace = UUID(bytes=hashlib.md5(str(week.seed).encode()).digest())
    with store.write() as tx:
        tx.execute(update(META).where(META.c.key == "namespace").values(value=str(namespace)))
    before = START - timedelta(days=30)
    for first in range(0, len(week.devices), 500):
        with store.write() as tx:
            part = list(week.devices[first : first + 500])
            upsert_devices(tx, part, now=before, schema=Schema.undeclared(), registering=True)
    with store.write() as tx:
        upsert_users(tx, list(week.users), schema=Schema.undeclared())
    return load_workspace(folder), store


class Killed(Exception):
    """The process of a daemon is gone."""


def live(week: Week, workspace: Workspace, store: Store, provider: Provider, *, mortal: Store | None = None) -> int:
    """Live through the week; returns how many daemons it took. `mortal` is the same store as the daemons see it: its
    transactions may raise Killed."""
    life = _Life(workspace, mortal or store, provider)
    missed: list[Event] = []
    for at, happening in week.happenings:
        life.go_on_to(at)
        match happening:
            case Arrive(events) if life.daemon is None:
                missed += events
            case Arrive(events):
                life.take(events)
            case Down():
                life.daemon = None
            case Up():
                life.begin()
                life.take(missed)
                missed = []
            case Restart() if life.daemon is not None:
                life.begin()
            case Restart():
                pass
            case other:
                _by_others(other, workspace, store, life.clock.now())
                life.do(lambda daemon: daemon.look())
    life.go_on_to(END)
    return life.lives


class _Life:
    """Daemons one after the other: one that is killed is followed by another in the same moment."""

    def __init__(self, workspace: Workspace, store: Store, provider: Provider) -> None:
        self.clock = VirtualClock(START)
        self.daemon: VirtualDaemon | None = None
        self.lives = 0
        self._workspace = workspace
        self._store = store
        self._provider = provider
        self.begin()

    def begin(self) -> None:
        while True:
            self.lives += 1
            try:
                self.daemon = VirtualDaemon(self._store, self._workspace, self.clock, self._provider)
                return
            except Killed:
                pass

    def go_on_to(self, at: datetime) -> None:
        self.do(lambda daemon: daemon.run_until(at))
        self.clock.advance((at - self.clock.now()).total_seconds())

    def take(self, events: Sequence[Event]) -> None:
        """Who gives events to a daemon that is killed has no answer, and gives them again."""
        self.do(lambda daemon: daemon.take(events))

    def do(self, what: Callable[[VirtualDaemon], None]) -> None:
        while self.daemon is not None:
            try:
                what(self.daemon)
                return
            except Killed:
                self.begin()


def _by_others(happening: Happening, workspace: Workspace, store: Store, now: datetime) -> None:
    """What other processes write."""
    match happening:
        case Emit(events):
            ingest(store, workspace, store.namespace(), events, now)
        case Fire(rule, key):
            campaign = workspace.campaigns[rule]
            if campaign.enabled and campaign.is_on(now):
                fire(store, campaign, fired_occasion(campaign, key, None, workspace.settings, now), None, now)
        case Switch(category, is_stopped):
            if is_stopped:
                stop(store, StopKind.CATEGORY, category, now, known=lambda: {category})
            else:
                start(store, StopKind.CATEGORY, category)
        case OptOut(user, category):
            with store.write() as tx:
                upsert_users(tx, [UserChange(id=user, opt_outs=[category])], schema=Schema.undeclared())
        case Move(device):
            with store.write() as tx:
                upsert_devices(tx, [device], now=now, schema=Schema.undeclared(), registering=False)


def _answer(lot: int, attempt: int, *, is_troubled: bool) -> Result:
    """One in fifty is refused for good. Where there is trouble, every fifth gets no clear answer the first time."""
    match lot:
        case _ if lot < 8:
            return Answer(410, "Unregistered")
        case _ if lot < 14:
            return Answer(400, "DeviceTokenNotForTopic")
        case _ if lot < 20:
            return Answer(400, "BadDeviceToken")
        case _ if not is_troubled:
            return ACCEPTED_ANSWER
        case _ if lot < 80 and attempt < 1 + lot % 3:
            return Answer(503, "ServiceUnavailable")
        case _ if lot < 140 and attempt < 1 + lot % 2:
            return Answer(429, "TooManyRequests")
        case _ if lot < 170 and attempt < 1:
            return Unsent(UnsentCause.REFUSED)
        case _ if lot < 200 and attempt < 2:
            return Unanswered(UnknownCause.NO_ANSWER)
    return ACCEPTED_ANSWER


def dump(store: Store) -> dict[str, list[str]]:
    """Every table's rows as text, in an order that the rows alone give."""
    found: dict[str, list[str]] = {}
    with store.read() as tx:
        for table in SQLModel.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name != "process"]
            rows = tx.execute(select(*columns).order_by(*(table.primary_key.columns))).all()
            found[table.name] = [repr(tuple(row)) for row in rows]
    return dict(sorted(found.items()))


def digest(tables: Mapping[str, Sequence[str]]) -> str:
    """One hash over a dump."""
    total = hashlib.sha256()
    for name, rows in tables.items():
        total.update(f"{name} {len(rows)}\n".encode())
        for row in rows:
            total.update(row.encode() + b"\n")
    return total.hexdigest()
