"""A fuse: a rule that suddenly selects far more devices than ever is taken for a mistake.

Time goes by whole minutes. A *total* is what a rule selected in the last `within`, rounded up to minutes. The *peak* is
the largest total of the last 30 days whose time has nothing in common with that of the total now: a burst is not
measured by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from scheduler.domain.quantities import format_duration

LEAST = 1_000
"""Devices: no more than these never blow a fuse."""
MEMORY = 30 * 24 * 60
"""Minutes that the peak is taken from."""
HISTORY = 3 * 24 * 60
"""Minutes since its first selection before a rule can blow its fuse: until then nobody knows what is usual."""


@dataclass(frozen=True, slots=True)
class Fuse:
    """`limits.fuse`: a rule pauses above `times` its peak, both counted over `within`."""

    times: int
    within: timedelta

    @property
    def minutes(self) -> int:
        """The time that a total is counted over: whole minutes, at least one."""
        return max(1, -(-int(self.within.total_seconds()) // 60))


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known of a rule at some minute: the total before, and the peak and first minute that it is judged by."""

    total: int
    peak: int | None
    since: int | None

    def limit(self, fuse: Fuse, minute: int) -> int | None:
        """The largest total that does not blow the fuse; None while there is no history to judge by."""
        if self.peak is None or self.since is None or minute - self.since < HISTORY:
            return None
        return max(LEAST, fuse.times * self.peak)


def blown_note(fuse: Fuse, total: int, peak: int) -> str:
    """What a total that is too large means, in numbers."""
    within = format_duration(fuse.within)
    return (
        f"{total} devices within {within}, more than {fuse.times} times {peak}, "
        f"the most within {within} in the 30 days before"
    )
