"""Who makes way for whom in this process: urgent work is not only chosen first, it has the processor first.

Opening a window is done by a thread, which shares the interpreter with rendering, and the database's one writer with
settling. While a window of a lane is opened, or events of urgent rules are taken in, nothing of a lower lane is opened,
rendered or settled, so that an event during a bulk send takes little longer than alone. The lower lanes keep a quarter
of the time, however much urgent work there is and however slow the disk: when they have made way for too long, they do
not until they have caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane

SHARE: Final = 0.75
"""Of the time, the most that lower lanes make way."""
AT_ONCE: Final = 0.5
"""Seconds for which they make way without a break, at most, but for the one opening that goes over it."""


class Precedence:
    """In the Trio thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before: list[Lane] = []
        """Those that others make way for now."""
        self._credit = AT_ONCE * (1 - SHARE)
        self._reckoned = clock.monotonic()
        self._on_free: list[Callable[[], None]] = []

    @property
    def lowest(self) -> Lane:
        """Nothing of a lane below this one is to be opened, rendered or settled now."""
        return min(self._before, key=lambda lane: lane.rank, default=Lane.BULK)

    def allows(self, lane: Lane) -> bool:
        """Whether work of a lane may go on."""
        return lane.rank <= self.lowest.rank

    def on_free(self, wake: Callable[[], None]) -> None:
        """Call this whenever the way is free again."""
        self._on_free.append(wake)

    @contextmanager
    def of(self, lane: Lane) -> Iterator[None]:
        """Lower lanes make way while the block runs, unless they have for too long already."""
        self._reckon()
        if self._credit <= 0:
            yield
            return
        self._before.append(lane)
        try:
            yield
        finally:
            self._reckon()
            self._before.remove(lane)
            for wake in self._on_free:
                wake()

    def _reckon(self) -> None:
        """Time in which somebody makes way costs credit, other time gives it, so that SHARE is the balance."""
        now = self._clock.monotonic()
        passed, self._reckoned = now - self._reckoned, now
        gain = SHARE - 1 if self.lowest is not Lane.BULK else SHARE
        self._credit = min(AT_ONCE * (1 - SHARE), self._credit + passed * gain)
