"""A bound on starts: at most rate × t + burst in every interval of t seconds.

The bucket holds up to `burst` tokens and gains `per_second` of them each second; a start costs one.
Time comes in as monotonic seconds, so that the same code runs in a rehearsal.
"""

from __future__ import annotations

from scheduler.domain.quantities import Rate


class TokenBucket:
    """Mutable on purpose: it is the one place that remembers how much was started."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float, *, is_full: bool = True) -> None:
        self._rate = rate
        self._tokens = float(rate.burst) if is_full else 0.0
        self._at = now

    @property
    def rate(self) -> Rate:
        return self._rate

    def change(self, rate: Rate, now: float) -> None:
        """Take another rate from `now` on. What was saved up stays, cut to the new burst."""
        self._refill(now)
        self._rate = rate
        self._tokens = min(self._tokens, float(rate.burst))

    def available(self, now: float) -> int:
        """How many may start at `now`."""
        self._refill(now)
        return int(self._tokens)

    def take(self, count: int, now: float) -> None:
        """Count `count` starts. The caller asked `available` first; taking more is a bug."""
        self._refill(now)
        if count > self._tokens:
            raise ValueError(f"took {count} of {self._tokens:.2f} tokens")
        self._tokens -= count

    def ready_in(self, now: float) -> float:
        """Seconds until one may start; 0 when one may start now."""
        self._refill(now)
        if self._tokens >= 1:
            return 0.0
        wait = (1 - self._tokens) / self._rate.per_second
        # A microsecond more than needed: a sleeper that wakes a rounding error early would find no token.
        return wait + 1e-6

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(float(self._rate.burst), self._tokens + (now - self._at) * self._rate.per_second)
            self._at = now
