"""What rules are called and were called: a rename is not a new campaign, and what goes by a name follows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleNames:
    """The names of a workspace's rules."""

    had: tuple[tuple[str, ...], ...] = ()
    """Of each rule the name that it has, then those that it had."""

    def of_the_rule(self, name: str) -> frozenset[str]:
        """All names of the rule that is or was called so; no rule needs to be. Rules that had a name in common, being
        made of one, are taken together."""
        found = frozenset({name})
        while (more := found.union(*(names for names in self.had if not found.isdisjoint(names)))) != found:
            found = more
        return found

    def earlier_names_of(self, names: frozenset[str]) -> frozenset[str]:
        """What the rules that have one of these names now were called earlier, if no rule is called so now."""
        earlier = frozenset(old for now, *others in self.had if now in names for old in others)
        return earlier - {now for now, *_ in self.had}
