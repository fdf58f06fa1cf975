"""Who makes way for whom in this process: urgent work is not only chosen first, it has the processor first.

Opening a window is done by a thread, which shares the interpreter with rendering, and the database's one writer with
settling. While a window of a lane is opened, or events of urgent rules are taken in, nothing of a lower lane is opened,
rendered or settled, so that an event during a bulk send takes little longer than alone. So it is while a request is
read of which nobody knows yet what is in it, but for a small share of the time only.

However much urgent work there is and however slow the disk, lower lanes keep a share of the time: making way uses up
credit, which comes back while nobody does, and without credit nobody does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from scheduler.domain.clock import Clock
from scheduler.domain.lanes import Lane

SHARE: Final = 0.75
"""Of the time, the most that lower lanes make way for windows of higher ones."""
AT_ONCE: Final = 0.5
"""Seconds for which they do so without a break, at most."""
SHARE_UNREAD: Final = 0.1
"""Of the time, the most that they make way for requests of which nobody knows yet what is in them."""
AT_ONCE_UNREAD: Final = 0.1
"""Seconds, as above."""


class _Credit:
    """Time that may be spent on making way: `share` of all time, and up to `at_once` seconds without a break."""

    def __init__(self, *, share: float, at_once: float) -> None:
        self._share = share
        self._most = self._left = at_once * (1 - share)

    @property
    def seconds(self) -> float:
        """How long it lasts from now on; 0 if there is none."""
        return max(0.0, self._left) / (1 - self._share)

    def reckon(self, seconds: float, *, spent: bool) -> None:
        """So much time has passed, in which it was spent, as far as there was any, or not."""
        rate = self._share - 1 if spent and self._left > 0 else self._share
        self._left = min(self._most, self._left + seconds * rate)


class Precedence:
    """In the Trio thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: list[Lane] = []
        """Whose windows are being opened or taken in now."""
        self._unseen: Lane | None = None
        self._unread = 0
        """Requests that are being read."""
        self._last_unread = 0.0
        """When the last of them began."""
        self._for_lanes: Final = _Credit(share=SHARE, at_once=AT_ONCE)
        self._for_unread: Final = _Credit(share=SHARE_UNREAD, at_once=AT_ONCE_UNREAD)
        self._reckoned = clock.monotonic()
        self._on_free: list[Callable[[], None]] = []

    @property
    def lowest(self) -> Lane:
        """Nothing of a lane below this one is to be opened, rendered or settled now."""
        self._reckon()
        if self._reading > 0 and self._for_unread.seconds:
            return Lane.URGENT
        return self._first_lane if self._for_lanes.seconds else Lane.BULK

    @property
    def patience(self) -> float:
        """Seconds after which whoever makes way looks again, if nobody calls before; infinite if nobody makes way."""
        self._reckon()
        waits = (
            min(self._for_unread.seconds, self._reading),
            self._for_lanes.seconds if self._first_lane is not Lane.BULK else 0.0,
        )
        return max(waits) or math.inf

    def allows(self, lane: Lane) -> bool:
        """Whether work of a lane may go on."""
        return lane.rank <= self.lowest.rank

    def on_free(self, wake: Callable[[], None]) -> None:
        """Call this whenever somebody is through for whom others made way."""
        self._on_free.append(wake)

    @contextmanager
    def of(self, lane: Lane) -> Iterator[None]:
        """Lower lanes make way while the block runs."""
        self._reckon()
        self._lanes.append(lane)
        try:
            yield
        finally:
            self._reckon()
            self._lanes.remove(lane)
            self._tell()

    @contextmanager
    def of_unread(self) -> Iterator[None]:
        """All but the urgent lane make way while the block runs, which reads a request: it may be urgent. Who is slow
        to send it does not hold others up for longer than a moment."""
        self._reckon()
        self._unread += 1
        self._last_unread = self._reckoned
        try:
            yield
        finally:
            self._reckon()
            self._unread -= 1
            self._tell()

    def expect(self, lane: Lane) -> None:
        """There is work of a lane that nobody has looked at: lower ones make way until it is `seen`."""
        self._reckon()
        if self._unseen is None or lane.rank < self._unseen.rank:
            self._unseen = lane

    def seen(self, lane: Lane) -> None:
        """Everything was looked at that there is of a lane and of higher ones."""
        if self._unseen is not None and self._unseen.rank <= lane.rank:
            self._reckon()
            self._unseen = None
            self._tell()

    @property
    def _reading(self) -> float:
        """For how many more seconds others make way for requests, when last reckoned."""
        return max(0.0, self._last_unread + AT_ONCE_UNREAD - self._reckoned) if self._unread else 0.0

    @property
    def _first_lane(self) -> Lane:
        lanes = self._lanes if self._unseen is None else [*self._lanes, self._unseen]
        return min(lanes, key=lambda lane: lane.rank, default=Lane.BULK)

    def _tell(self) -> None:
        for wake in self._on_free:
            wake()

    def _reckon(self) -> None:
        now = self._clock.monotonic()
        passed = now - self._reckoned
        self._for_lanes.reckon(passed, spent=self._first_lane is not Lane.BULK)
        self._for_unread.reckon(passed, spent=self._reading > 0)
        self._reckoned = now
