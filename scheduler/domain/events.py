"""Something that happened, in CloudEvents 1.0 terms (cloudevents.io, spec v1.0.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from scheduler.domain.json_values import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `(source, id)` is unique; `time` is aware UTC and never later than the arrival."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime
    data: JsonObject = field(default_factory=dict)
