"""Rates in virtual time: the daemon's token buckets, on a clock that jumps to the instant of the next token."""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import VirtualClock
from scheduler.domain.quantities import Rate
from scheduler.rehearsal.virtual_runs import Bounds
from scheduler.runs.windows import MAX_WINDOW

_SHARE_OF_A_SECOND = 4
"""A window is at most this part of a second of the lowest rate, as in the daemon."""


class VirtualRates:
    """The buckets of everything that is bounded: of apps, lanes, rules and runs, by their names."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def window(self, bounds: Bounds) -> int:
        """Devices of a window that may start now under all of these bounds; 0: wait until `ready_at`."""
        limit = _window_limit(bounds)
        return limit if all(bucket.available(self._now) >= limit for bucket in self._of(bounds)) else 0

    def ready_at(self, bounds: Bounds) -> datetime:
        """When the next window may start, if nothing else takes the tokens."""
        limit = _window_limit(bounds)
        waits = [
            (limit - bucket.available(self._now)) / bucket.rate.per_second
            for bucket in self._of(bounds)
            if bucket.available(self._now) < limit
        ]
        # A microsecond more than needed: rounded down, the instant would come before its token.
        return self._clock.now() + timedelta(seconds=max(waits, default=0.0) + 1e-6)

    def available(self, scope: str, rate: Rate | None, at_most: int) -> int:
        """Devices that may start now under one bound."""
        if rate is None:
            return at_most
        (bucket,) = self._of(((scope, rate),))
        return min(at_most, bucket.available(self._now))

    def take(self, bounds: Bounds, count: int) -> None:
        """Count `count` starts, which `window` or `available` allowed."""
        for bucket in self._of(bounds):
            bucket.take(count, self._now)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    def _of(self, bounds: Bounds) -> list[TokenBucket]:
        return [self._bucket(scope, rate) for scope, rate in bounds]

    def _bucket(self, scope: str, rate: Rate) -> TokenBucket:
        bucket = self._buckets.get(scope)
        if bucket is None:
            bucket = self._buckets[scope] = TokenBucket(rate, self._now)
        elif bucket.rate != rate:
            bucket.change(rate, self._now)
        return bucket


def _window_limit(bounds: Bounds) -> int:
    """Devices of a window: a quarter of a second of the lowest rate, and no more than are saved up at most."""
    shares = [min(rate.burst, int(rate.per_second / _SHARE_OF_A_SECOND)) for _, rate in bounds]
    return max(1, min([MAX_WINDOW, *shares]))
