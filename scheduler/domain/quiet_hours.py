"""Quiet hours as values: what is done with what falls into them, and what a rule says about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from enum import StrEnum


class QuietAction(StrEnum):
    """What is done with what falls into the quiet hours."""

    HOLD = "hold"
    """It goes when they are over."""
    DROP = "drop"
    """It never goes."""
    IGNORE = "ignore"
    """It goes all the same."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The same hours of every day by the clock at the device. `end` before `start` is the next morning; never equal."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class QuietOverride:
    """What a rule says about its quiet hours; what is None it leaves to its category and the workspace."""

    start: time | None = None
    end: time | None = None
    action: QuietAction | None = None


NO_OVERRIDE = QuietOverride()
