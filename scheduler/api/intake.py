"""What the API needs from whoever runs it: a place for what comes in. The API knows nothing of the engine's inside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from scheduler.conditions.types import Schema
from scheduler.domain.events import Event
from scheduler.store.api_keys import Scope
from scheduler.store.registry_changes import DeviceChange, UserChange, Verdict


@dataclass(frozen=True, slots=True)
class Terms:
    """What is checked at the door at this moment: a reload may change it between two requests."""

    apps: Collection[str]
    schema: Schema
    horizon: timedelta
    """Events older than this are refused."""
    now: datetime


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What became of events: new ones, and ones whose (source, id) was known."""

    accepted: int
    duplicates: int


class Intake(Protocol):
    """Every method returns after the commit, and raises if there was none."""

    def terms(self) -> Terms: ...

    def ready(self) -> str | None:
        """None when work is taken, else why not, in a sentence."""
        ...

    async def authenticate(self, key: str) -> frozenset[Scope] | None:
        """What the holder of an API key may do; None for a key that is unknown or revoked."""
        ...

    async def events(self, events: Sequence[Event]) -> IntakeResult: ...

    async def put_device(self, change: DeviceChange) -> Verdict:
        """The app has just registered: see `upsert_devices`."""
        ...

    async def delete_device(self, app: str, token: str) -> bool:
        """False if there is none."""
        ...

    async def put_user(self, change: UserChange) -> Verdict: ...

    async def erase_user(self, user: str) -> bool:
        """False if nothing is known of such a user."""
        ...
