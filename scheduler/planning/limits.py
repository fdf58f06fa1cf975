"""What a run is under of what bounds how much a person gets: caps, re-entry, one device a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from scheduler.domain.reentry import Reentry
from scheduler.planning.caps import Cap


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one run. `key` is its own for the re-entry, "" without one."""

    caps: tuple[Cap, ...] = ()
    reentry: Reentry | None = None
    key: str = ""
    one_device: bool = False
    """Of the devices of a user only the one that was seen last."""

    @property
    def any(self) -> bool:
        """Whether there is anything to decide: who is under no limit pays for none."""
        return bool(self.caps or self.reentry or self.one_device)

    @property
    def asks_zones(self) -> bool:
        """Whether the zone of each person counts."""
        return any(not isinstance(cap.period, timedelta) for cap in self.caps)


NO_LIMITS = Limits()
