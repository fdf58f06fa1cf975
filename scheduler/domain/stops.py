"""The kill switch as a value: what an operator has stopped, for runs now and later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.domain.rule_names import RuleNames


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

    def with_all_names(self, names: RuleNames) -> Stops:
        """These, and each that stops a rule under all names of it, since the first of them."""
        known = {stop.name for stop in self.in_force if stop.kind is StopKind.RULE}
        found = list(self.in_force)
        for stop in sorted(self.in_force, key=lambda one: one.since):
            if stop.kind is StopKind.RULE:
                others = sorted(names.of_the_rule(stop.name) - known)
                found += (Stop(stop.kind, name, stop.since) for name in others)
                known.update(others)
        return Stops(tuple(found))

    def told_once(self, names: RuleNames) -> Stops:
        """These as a person is told of them: a rule that is stopped under several names by the one that it has now."""
        repeated = names.earlier_names_of(frozenset(self.names(StopKind.RULE)))
        told = (stop for stop in self.in_force if stop.kind is not StopKind.RULE or stop.name not in repeated)
        return Stops(tuple(told))

    def of(self, kind: StopKind, name: str, names: RuleNames) -> Stops:
        """The stops of one thing: of a rule those under any name of it."""
        same = names.of_the_rule(name) if kind is StopKind.RULE else {name}
        return Stops(tuple(stop for stop in self.in_force if stop.kind is kind and stop.name in same))
