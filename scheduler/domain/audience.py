"""Who can be notified: devices, and the users behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from scheduler.domain.json_values import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The human behind several devices. Conditions and templates call it `user`."""

    id: str
    attributes: JsonObject = field(default_factory=dict)
    opt_outs: frozenset[str] = frozenset()
    locale: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One app installation. Conditions and templates call it `device`; its number is the database's."""

    id: int
    app: str
    token: str
    user: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    topics: tuple[str, ...] = ()
    attributes: JsonObject = field(default_factory=dict)
    active: bool = True
    retired_reason: str | None = None
    registered_at: datetime | None
    """When the app itself last registered; not known of a device that was only imported."""
    last_seen_at: datetime
