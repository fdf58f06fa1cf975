"""What a rule says about waiting, together with its other words and the quiet hours of the settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.domain.quantities import format_duration
from scheduler.domain.quiet_hours import QuietAction
from scheduler.planning.quiet_hours import quiet_terms
from scheduler.planning.slots import end_instant, start_instant
from scheduler.rules.rule import Rule
from scheduler.workspace.settings import Settings

_NOTHING = timedelta(0)


def check_delays(rule: Rule, settings: Settings) -> Iterator[Diagnostic]:
    """Errors for a delay that nothing outlives and for an exit that nothing waits for; a warning for a `recheck` of
    nothing."""
    if rule.trigger.event is None:
        return  # that has a finding of its own
    yield from _delay(rule, settings)
    yield from _exits(rule, settings)
    recheck = rule.places.get("timing.recheck")
    if recheck is not None and (not rule.timing.delay or rule.audience.where is None):
        missing = "`timing.delay`" if not rule.timing.delay else "`audience.where`"
        message = f"`timing.recheck` asks `where` again after the delay, and there is no {missing}"
        yield warning("unused-key", message, recheck, "leave it out")


def _delay(rule: Rule, settings: Settings) -> Iterator[Diagnostic]:
    zone = ZoneInfo(settings.time_zone)
    start, end = start_instant(rule.starts, zone), end_instant(rule.ends, zone)
    if rule.timing.delay and start is not None and end is not None and start < end <= start + rule.timing.delay:
        message = f"nothing is ever sent: {format_duration(end - start)} lie between the rule's `starts` and `ends`"
        yield error("contradiction", message, rule.places["timing.delay"], "shorten it, or let the rule end later")


def _exits(rule: Rule, settings: Settings) -> Iterator[Diagnostic]:
    timing = rule.timing
    if timing.delay or all(one.since > _NOTHING for one in timing.exits):
        return
    category = settings.quiet_action(rule.category)
    quiet = quiet_terms(timing.quiet, category=category, workspace=settings.quiet_hours)
    if quiet is None or quiet.action is not QuietAction.HOLD:
        yield error("contradiction", "`timing.unless` calls off what waits, and nothing waits here",
                    rule.places["timing.unless"],
                    "add `delay: 2 hours`, or `since: 1 hour before` for what came before the event")  # fmt: skip
