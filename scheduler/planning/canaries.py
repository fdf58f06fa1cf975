"""Who goes first, and whether the rest may follow.

    canary ⇔ point("canary/RUN/PERSON") < share

with `point` as in `planning/experiments.py`, and RUN the run's id: each run has canaries of its own. The same people
would get every mistake first, and for good. PERSON keeps the devices of a user together. docs/semantics.md promises
the same, with an example that is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from scheduler.planning.experiments import drawn


def canaries(share: float, run: UUID, persons: Sequence[str]) -> list[bool]:
    """For each person, whether it is a canary of a run. `share` is in [0, 1].

    >>> canaries(0.5, UUID(int=7), ["user:anna", "user:ben", "device:17"])
    [True, False, True]
    """
    return drawn(f"canary/{run}/", share, persons)


@dataclass(frozen=True, slots=True)
class CanaryCounts:
    """What became of the canaries of a run so far. `waiting` still await an answer; the held do not count."""

    accepted: int
    rejected: int
    waiting: int

    @property
    def answered(self) -> int:
        return self.accepted + self.rejected

    @property
    def rejects(self) -> float:
        """The share of rejects among the answered, in [0, 1]."""
        return self.rejected / self.answered if self.answered else 0.0

    def is_open(self) -> bool:
        """Whether nothing is known yet, and something will be."""
        return not self.answered and bool(self.waiting)

    def is_good(self, max_rejects: float) -> bool:
        """Whether the rest may follow. What nobody can answer (all held, say) holds nobody up."""
        return self.rejects <= max_rejects
