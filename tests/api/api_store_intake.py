"""A real intake over a real SQLite store, without an engine: it stores and matches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import trio

from scheduler.api.intake import IntakeResult, Terms
from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.domain.events import Event
from scheduler.runs.keys import verify_key
from scheduler.runs.registering import erase
from scheduler.store import events as event_rows
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange, UserChange, Verdict
from scheduler.store.registry_users import upsert_users
from scheduler.store.registry_writing import upsert_devices

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHEMA = Schema(
    devices=Section(
        {"unread": FieldType(ValueType.INTEGER, optional=True), "alerts": FieldType(ValueType.STRING, optional=True)}
    ),
    users=Section({"first_name": FieldType(ValueType.STRING, optional=True)}),
    events={
        "com.example.score.changed": Section(
            {
                "home": FieldType(ValueType.STRING),
                "away": FieldType(ValueType.STRING),
                "home_score": FieldType(ValueType.INTEGER),
                "away_score": FieldType(ValueType.INTEGER),
                "minute": FieldType(ValueType.INTEGER, optional=True),
            }
        )
    },
)


@dataclass
class StoreIntake:
    """Every method is one transaction in a thread."""

    store: Store
    trouble: str | None = None
    handed_over: list[int] = field(default_factory=list)

    def terms(self) -> Terms:
        return Terms(apps=("scores", "shop"), schema=SCHEMA, horizon=timedelta(days=30), now=NOW)

    def ready(self) -> str | None:
        return self.trouble

    async def authenticate(self, key: str) -> frozenset[Scope] | None:
        return await trio.to_thread.run_sync(verify_key, self.store, key)

    async def events(self, events: Sequence[Event]) -> IntakeResult:
        self.handed_over.append(len(events))
        return await trio.to_thread.run_sync(self._add, events)

    def _add(self, events: Sequence[Event]) -> IntakeResult:
        with self.store.write() as tx:
            known = event_rows.known(tx, events)
            fresh = {(event.source, event.id): event for event in events if (event.source, event.id) not in known}
            event_rows.add(tx, list(fresh.values()), first_seq=event_rows.next_seq(tx), arrived_at=NOW)
        return IntakeResult(len(fresh), len(events) - len(fresh))

    async def put_device(self, change: DeviceChange) -> Verdict:
        def put() -> Verdict:
            with self.store.write() as tx:
                return upsert_devices(tx, [change], now=NOW, schema=SCHEMA, registering=True)[0]

        return await trio.to_thread.run_sync(put)

    async def delete_device(self, app: str, token: str) -> bool:
        def delete() -> bool:
            with self.store.write() as tx:
                return delete_device(tx, app, token)

        return await trio.to_thread.run_sync(delete)

    async def put_user(self, change: UserChange) -> Verdict:
        def put() -> Verdict:
            with self.store.write() as tx:
                return upsert_users(tx, [change], schema=SCHEMA)[0]

        return await trio.to_thread.run_sync(put)

    async def erase_user(self, user: str) -> bool:
        return (await trio.to_thread.run_sync(partial(erase, self.store, user))).found
