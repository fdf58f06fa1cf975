"""Caps of the settings that hold a rule, and what the rule must say for it."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.planning.caps import CapAction
from scheduler.rules.rule import Rule
from scheduler.workspace.settings import Settings


def check_caps(rule: Rule, settings: Settings) -> Iterator[Diagnostic]:
    """An error for a rule that may be held, and does not say when it is too old to go."""
    if not rule.heeds_caps or rule.delivery.max_age is not None:
        return
    for cap in settings.caps_of(rule.category):
        if cap.action is CapAction.HOLD:
            message = f"`delivery.max_age` is missing: the cap '{cap.name}' holds what is over it, for days if need be"
            yield error("missing-key", message, rule.category_node.span,
                        "add `delivery: {max_age: 2 days}`, or `limits: {caps: ignore}`")  # fmt: skip
            return
