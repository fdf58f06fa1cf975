"""What a pool has counted, and its state as a value: for whoever shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.apns.link_laws import CloseReason
from scheduler.transport.failures import FailureKind


@dataclass(slots=True)
class Counters:
    """Since the pool was made. Every attempt to connect ends as one of `connects` or one of `failures`."""

    requests: int = 0
    """Starts; one that is sent again counts again."""
    resent: int = 0
    connects: int = 0
    """Links that came up."""
    failures: Counter[FailureKind] = field(default_factory=Counter)
    """Links that did not."""
    closes: Counter[CloseReason] = field(default_factory=Counter)
    """Ends of links that came up."""

    @property
    def connect_failures(self) -> int:
        """Attempts to connect that failed, of all kinds."""
        return self.failures.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A pool at one moment; the counts are since it was made."""

    name: str
    endpoint: str
    links: int
    """How many there should be."""
    connected: int
    """How many take requests."""
    in_flight: int
    """Requests that were started and have no result yet."""
    waiting: int
    """Requests that have not been started."""
    stream_limits: tuple[int, ...]
    """Of each connected link: how many requests it may have open at present."""
    addresses: tuple[str, ...]
    """Of each connected link: where it goes; the proxy's address if there is one."""
    stopped: str | None
    last_failure: str | None
    requests: int
    resent: int
    connects: int
    failures: Mapping[FailureKind, int]
    closes: Mapping[CloseReason, int]
