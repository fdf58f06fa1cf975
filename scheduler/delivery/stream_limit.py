"""How many requests a link may have open, by what its answers say: additive increase, multiplicative decrease.

Once a second of answers the limit moves by one formula, with `trouble` between 0 and 1:

    limit ← limit × (1 − trouble / 2) + STEP × (1 − trouble)

Trouble is the larger of two: the share of answers that were 5xx, refused streams or missed deadlines; and how far
the mean answer time is above what is tolerated, which is twice the lowest of the last five to ten minutes, and never
under a quarter of a second; slowness alone counts at most half. To cut in proportion to the share is DCTCP's rule
(RFC 8257 §3.3): a single 500 among thousands of answers costs nothing, an outage halves the limit each second, down to
one request.

The mean answer time costs nothing per request: by Little's law it is the time that all open requests have spent open,
divided by the number of answers. The reasons for the constants are in
docs/adr/0015-stream-limit-and-addresses.md.
"""

from __future__ import annotations

from typing import Final

STEP: Final = 50.0
"""Requests that are gained in a second without trouble: from 1 to 1,000 in 20 s."""
WINDOW: Final = 1.0
"""Seconds of answers that are judged together."""
TOLERATED: Final = 0.25
"""Seconds of mean answer time that are never trouble."""
TOLERATED_RISE: Final = 2.0
"""Times the lowest mean answer time that are no trouble."""
SLOWEST: Final = 0.5
"""The most trouble that slow answers alone are: they may have another cause than us, so 100 requests stay possible."""
MEMORY: Final = 300.0
"""Seconds after which the lowest mean answer time of the period before is forgotten."""


class StreamLimit:
    """The limit of one link. Told of groups of starts and answers; `now` is monotonic seconds."""

    __slots__ = (
        "_answers",
        "_highest",
        "_lowest",
        "_lowest_before",
        "_open_before",
        "_open_seconds",
        "_period_began",
        "_seen",
        "_troubled",
        "_value",
        "_window_began",
        "answer_time",
        "ceiling",
        "limit",
        "trouble",
    )

    def __init__(self, highest: int, now: float) -> None:
        """`highest` is our own limit, which no server raises."""
        self.limit = highest
        """Requests that may be open, at least 1."""
        self.ceiling = highest
        """What the server and we allow without trouble."""
        self.trouble = 0.0
        """Of the last window, 0 to 1."""
        self.answer_time: float | None = None
        """Mean of the last window in seconds."""
        self._highest = highest
        self._value = float(highest)
        self._lowest: float | None = None
        self._lowest_before: float | None = None
        self._period_began = now
        self._seen = now
        self._begin_window(0, now)

    @property
    def reduced(self) -> bool:
        """It is lower than it would be without trouble."""
        return self.limit < self.ceiling

    def allow(self, ceiling: int) -> None:
        """What the server allows at present: a decrease begins there."""
        self.ceiling = max(1, min(ceiling, self._highest))
        self._settle()

    def passed(self, in_flight: int, now: float) -> None:
        """So many requests have been open until `now`, when more are started."""
        self._open_seconds += in_flight * (now - self._seen)
        self._seen = now

    def answered(self, count: int, troubled: int, in_flight: int, now: float) -> None:
        """`count` requests have ended, `troubled` of them with a 5xx, a refusal or no answer in time.

        `in_flight` are still open.
        """
        self._open_seconds += (in_flight + count) * (now - self._seen)
        self._seen = now
        self._answers += count
        self._troubled += troubled
        alone = self.answer_time is None and not in_flight  # shows the way without a queue
        if self._answers and (alone or now - self._window_began >= WINDOW):
            self._judge(in_flight, now)
            self._begin_window(in_flight, now)

    def _judge(self, in_flight: int, now: float) -> None:
        # Those that are open now and were not at the beginning count with their age so far: else a burst
        # that has just been started would look like slow answers.
        grown = in_flight - self._open_before
        counted = self._answers + max(0, grown)
        self.answer_time = self._open_seconds / counted
        if abs(grown) <= self._answers / 4:  # else it is no good measure: too low
            self._remember(self.answer_time, now)
        self.trouble = max(self._troubled / self._answers, self._slowness(self.answer_time))
        value = min(self._value, float(self.ceiling)) if self.trouble else self._value
        value = value * (1 - self.trouble / 2) + STEP * (1 - self.trouble)
        self._value = max(1.0, min(value, float(self._highest)))
        self._settle()

    def _settle(self) -> None:
        self.limit = min(int(self._value), self.ceiling)

    def _slowness(self, answer_time: float) -> float:
        lowest = min((known for known in (self._lowest, self._lowest_before) if known is not None), default=0.0)
        tolerated = max(TOLERATED, TOLERATED_RISE * lowest)
        return 0.0 if answer_time <= tolerated else min(SLOWEST, 1 - tolerated / answer_time)

    def _remember(self, answer_time: float, now: float) -> None:
        if now - self._period_began >= MEMORY:
            self._lowest_before, self._lowest = self._lowest, None
            self._period_began = now
        self._lowest = answer_time if self._lowest is None else min(self._lowest, answer_time)

    def _begin_window(self, in_flight: int, now: float) -> None:
        self._answers = 0
        self._troubled = 0
        self._open_seconds = 0.0
        self._open_before = in_flight
        self._window_began = now
