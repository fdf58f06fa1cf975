"""What a rule, its category and the workspace say about quiet hours, taken together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.domain.quantities import format_duration
from scheduler.domain.quiet_hours import QuietAction, QuietHours
from scheduler.planning.quiet_hours import quiet_terms
from scheduler.rules.rule import Rule
from scheduler.workspace.settings import Settings

_PATH = "timing.quiet_hours"


def check_quiet_hours(rule: Rule, settings: Settings) -> Iterator[Diagnostic]:
    """An error for hours that are none; a warning for hours that do nothing, and for what is held and cannot be sent
    when they end."""
    said, category = rule.timing.quiet, settings.quiet_action(rule.category)
    terms = quiet_terms(said, category=category, workspace=settings.quiet_hours)
    place = rule.places.get(_PATH)
    if place is not None:
        if terms is None and (said.start or said.end) and said.action is None and category is QuietAction.IGNORE:
            message = f"these quiet hours do nothing: the category '{rule.category}' ignores quiet hours"
            yield warning("unused-key", message, place, "add `then: hold` or `then: drop`")
        elif terms is None and (said.action or category) is not QuietAction.IGNORE:
            missing = " and ".join(f"`{key}`" for key, one in (("from", said.start), ("to", said.end)) if one is None)
            message = f"there are no quiet hours: nothing says {missing}, and clarion.yaml has no `limits.quiet_hours`"
            yield warning("unused-key", message, place, "write `{from: 22:00, to: 08:00}`, or leave it out")
        elif terms is not None and terms.hours.start == terms.hours.end:
            message = f"the quiet hours end when they begin, at {terms.hours.end:%H:%M}"
            yield error("contradiction", message, place, "write `ignore` for none")
            return
    if terms is not None and terms.action is QuietAction.HOLD:
        yield from _lost(rule, terms.hours)


def _lost(rule: Rule, hours: QuietHours) -> Iterator[Diagnostic]:
    """What is held from the beginning of the quiet hours on is over before they end, on any day of any zone."""
    length = _length(hours)
    for path, life in (
        ("delivery.expires_after", rule.delivery.expires_after),
        ("delivery.max_age", rule.delivery.max_age),
    ):
        if path in rule.places and life is not None and life < length:
            message = (
                f"what is held at {hours.start:%H:%M} is never sent: the quiet hours last {format_duration(length)}"
            )
            yield warning("contradiction", message, rule.places[path],
                          f"write {format_duration(length)} or more, or `timing: {{quiet_hours: drop}}`")  # fmt: skip


def _length(hours: QuietHours) -> timedelta:
    """By a clock that nobody changes."""
    day = date(2000, 1, 1)
    between = datetime.combine(day, hours.end) - datetime.combine(day, hours.start)
    return between % timedelta(days=1)
