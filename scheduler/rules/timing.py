"""When a rule sends: after a delay, unless an event calls it off, outside of quiet hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum

from scheduler.conditions.condition import Condition
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.domain.quiet_hours import NO_OVERRIDE, QuietAction, QuietOverride
from scheduler.rules.event_types import undeclared_type, without_user
from scheduler.rules.fields import Values

EXIT_ROOTS = frozenset({"event", "exit", "now"})
"""What the condition of an exit may be about."""


class ExitMatch(StrEnum):
    """What an exit event and the trigger's event have in common."""

    USER = "user"
    """`data.user_id` of the exit event is the person's user."""
    SUBJECT = "subject"
    """Both are about the same subject."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exit:
    """Events that call a message off: of a type (a final `*` stands for any rest), from `since` before the trigger's
    event on, for which `where` is true."""

    event: str
    match: ExitMatch
    where: Condition | None
    since: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timing:
    """`delay` is zero where nothing waits; `recheck`: whether `where` is asked again after it."""

    delay: timedelta
    recheck: bool
    exits: tuple[Exit, ...]
    quiet: QuietOverride


def timing_of(values: Values, schema: Schema, event: str | None) -> tuple[Timing, list[Diagnostic]]:
    """What a rule says under `timing`, and what is wrong with it. `event` is the type that starts the rule."""
    findings: list[Diagnostic] = []
    timing = Timing(
        delay=values.get("timing.delay", timedelta, timedelta(0)),
        recheck=values.get("timing.recheck", bool, True),
        exits=tuple(_exit(unless, schema, event, findings) for unless in values.get("timing.unless", tuple, ())),
        quiet=_quiet(values),
    )
    return timing, findings


def _exit(unless: Values, schema: Schema, event: str | None, findings: list[Diagnostic]) -> Exit:
    exit_type, match = unless.get("event", str, ""), unless.get("match", ExitMatch, ExitMatch.USER)
    problems = list(undeclared_type(exit_type, schema, unless.span("event")))
    if not problems and match is ExitMatch.USER:
        problems.extend(without_user(exit_type, schema, unless.span("event")))
    condition, where = None, unless.optional("where", ScalarNode)
    if where is not None:
        condition, more = parse_condition(where, schema, names=EXIT_ROOTS, event_type=event, exit_type=exit_type)
        problems.extend(more)
    findings.extend(problems)
    return Exit(event=exit_type, match=match, where=condition, since=unless.get("since", timedelta, timedelta(0)))


def _quiet(values: Values) -> QuietOverride:
    match values.optional("timing.quiet_hours", object):
        case None:
            return NO_OVERRIDE
        case Values() as said:
            action = said.optional("then", QuietAction)
            return QuietOverride(said.optional("from", time), said.optional("to", time), action)
        case word:
            return QuietOverride(action=QuietAction(str(word)))
