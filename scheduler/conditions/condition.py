"""A condition that was checked: evaluate it, bind what is known, ask what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from scheduler.conditions.binding import bound
from scheduler.conditions.evaluation import Evaluate, Scope, compiled
from scheduler.conditions.expressions import Constant, Expression, names_in, reads_zone
from scheduler.conditions.trace import Step, traced


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """A condition, compiled. Made by `parse_condition`, and by `bind` of another one."""

    expression: Expression
    source_text: str
    names: frozenset[str] = field(init=False)
    """The dotted names that it (still) reads, as `user.attributes.first_name`."""
    reads_zone: bool = field(init=False)
    """Whether the result depends on the person's zone: then a scope has it as `zone`, a tzinfo."""
    _evaluate: Evaluate = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozenset(str(name) for name in names_in(self.expression)))
        object.__setattr__(self, "reads_zone", reads_zone(self.expression))
        object.__setattr__(self, "_evaluate", compiled(self.expression))

    def evaluate(self, scope: Scope) -> bool | None:
        """True, false, or None for unknown. `scope` maps each root to nested dictionaries (instants are aware)."""
        value = self._evaluate(scope)
        return value if value is True or value is False else None

    def trace(self, scope: Scope) -> tuple[bool | None, tuple[Step, ...]]:
        """The result, and the questions that led to it: what was wanted and what was seen."""
        return traced(self.expression, scope)

    def bind(self, known: Mapping[str, object]) -> Condition:
        """What is left once these roots are known: `bind(known).evaluate(rest)` is `evaluate(known and rest)`.

        A known root that is None is missing with everything in it. The zone may be known too. Where it reads nothing
        that is known, what is left is one and the same condition each time.
        """
        if not (self.reads_zone and "zone" in known) and not any(_root(name) in known for name in self.names):
            return _folded(self)
        return Condition(bound(self.expression, known), self.source_text)

    @property
    def is_constant(self) -> bool:
        """Whether the result no longer depends on anything: then it is `constant`."""
        return isinstance(self.expression, Constant)

    @property
    def constant(self) -> bool | None:
        """The result of a constant condition. None is unknown; see `is_constant`."""
        return self.evaluate({})

    def missing_names(self, scope: Scope) -> tuple[str, ...]:
        """The names that it reads and `scope` does not have: why a result is unknown."""
        missing = (str(name) for name in names_in(self.expression) if compiled(name)(scope) is None)
        return tuple(dict.fromkeys(missing))


def _root(name: str) -> str:
    return name.partition(".")[0]


@lru_cache(maxsize=1_024)
def _folded(condition: Condition) -> Condition:
    return Condition(bound(condition.expression, {}), condition.source_text)
