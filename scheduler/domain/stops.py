"""The kill switch as a value: what an operator has stopped, for runs now and later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StopKind(StrEnum):
    """How far a stop reaches."""

    ALL = "all"
    RULE = "rule"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that is stopped. `name` is that of the rule or category, empty for everything."""

    kind: StopKind
    name: str
    since: datetime

    def __str__(self) -> str:
        return "everything" if self.kind is StopKind.ALL else f"{self.kind} {self.name}"

    @property
    def option(self) -> str:
        """As `clarion stop` and `clarion start` take it."""
        return "--all" if self.kind is StopKind.ALL else f"--{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Stops:
    """All stops that are in force. They do not touch the state of a run: without them it goes on as it was."""

    in_force: tuple[Stop, ...] = ()

    def holding(self, rule: str, category: str) -> tuple[Stop, ...]:
        """The stops that hold a rule of a category."""
        own = {StopKind.ALL: "", StopKind.RULE: rule, StopKind.CATEGORY: category}
        return tuple(stop for stop in self.in_force if own[stop.kind] == stop.name)

    def hold(self, rule: str, category: str) -> bool:
        """Whether nothing may be sent of a rule of a category."""
        return bool(self.in_force) and bool(self.holding(rule, category))

    def names(self, kind: StopKind) -> list[str]:
        """What is stopped of a kind."""
        return [stop.name for stop in self.in_force if stop.kind is kind]
