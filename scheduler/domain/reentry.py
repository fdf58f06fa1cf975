"""Re-entry: how often one person may have a rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Reentry:
    """The same person again when this time lies between the occasions; `after` None: never."""

    after: timedelta | None = None

    def admits(self, occasion_at: datetime, others: Iterable[datetime]) -> bool:
        """Whether a person may have an occasion, given those of the same rule and key that it had.

        The distance counts, in whichever order they are decided: an event that comes late is judged by its own time.
        """
        if self.after is None:
            return not any(True for _ in others)
        return all(abs(occasion_at - other) >= self.after for other in others)
