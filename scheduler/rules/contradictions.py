"""Fields of a rule that are right each for itself, and make no sense together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Span
from scheduler.domain.quantities import format_duration
from scheduler.rules.fields import Values

_STARTERS = ("event", "schedule", "at")


def contradictions(values: Values) -> Iterator[Diagnostic]:
    """What does not fit together, each at the field that would have to go."""
    yield from _of_trigger(values)
    yield from _of_times(values)
    yield from _of_experiment(values)
    yield from _of_canary(values)


def _of_trigger(values: Values) -> Iterator[Diagnostic]:
    starters = [word for word in _STARTERS if values.node(f"trigger.{word}") is not None]
    for word in starters[1:]:
        yield _error(f"a rule starts by `{starters[0]}` or by `{word}`, not by both", values.span(f"trigger.{word}"),
                     "write two rules")  # fmt: skip
    scheduled = "schedule" in starters or "at" in starters
    for key in ("time_zone", "grace", "catch_up"):
        needs_schedule = key == "catch_up" and "at" in starters and "schedule" not in starters
        if values.node(f"trigger.{key}") is not None and (not scheduled or needs_schedule):
            about = "a schedule" if needs_schedule else "a schedule or a time"
            yield _error(f"`trigger.{key}` is about {about}, and this rule has none", values.span(f"trigger.{key}"),
                         "leave it out")  # fmt: skip
    schedule = values.optional("trigger.schedule", object)
    if isinstance(schedule, Values) and values.node("starts") is None:
        yield _error("`every` counts from `starts`, and that is missing", values.span("trigger.schedule"),
                     "add `starts: 2026-11-27` at the top")  # fmt: skip


def _of_times(values: Values) -> Iterator[Diagnostic]:
    event_starts_it = values.node("trigger.event") is not None
    for key in ("delay", "unless"):
        if values.node(f"timing.{key}") is not None and not event_starts_it:
            yield _error(f"`timing.{key}` counts from an event, and no event starts this rule",
                         values.span(f"timing.{key}"), "leave it out, or add `trigger.event`")  # fmt: skip
    starts, ends = values.optional("starts", date), values.optional("ends", date)
    if starts is not None and ends is not None and _day(ends) < _day(starts):
        yield _error("the rule ends before it starts", values.span("ends"), "exchange `starts` and `ends`")


def _of_experiment(values: Values) -> Iterator[Diagnostic]:
    variants: tuple[Values, ...] = values.get("experiment.variants", tuple, ())
    seen: set[str] = set()
    for variant in variants:
        name = variant.get("name", str, "")
        if name in seen:
            yield _error(f"there are two variants called '{name}'", variant.span("name"), "rename one")
        seen.add(name)
    if variants and not any(variant.get("weight", int, 0) for variant in variants):
        yield _error("no variant has any weight", values.span("experiment.variants"), "give each a weight such as 50")


def _of_canary(values: Values) -> Iterator[Diagnostic]:
    canary = values.optional("delivery.canary", Values)
    if canary is None:
        return
    if not 0 < canary.get("share", float, 0.0) < 1:
        yield _error("such a canary leaves one of the two parts empty", canary.span("share"), "write 0.5%")
    if canary.get("max_rejects", float, 0.0) >= 1:
        yield _error("no share of rejects is above 100%: such a canary stops nothing", canary.span("max_rejects"),
                     "write 2%")  # fmt: skip
    if values.optional("trigger.time_zone", str) == "device":
        yield _error("a canary goes before all others, and here every zone has an instant of its own",
                     values.span("delivery.canary"), "leave it out, or name a zone in `trigger.time_zone`")  # fmt: skip
    wait, day = canary.get("wait", timedelta, timedelta()), timedelta(days=1)
    for path, life in (
        ("delivery.max_age", values.optional("delivery.max_age", timedelta)),
        ("delivery.expires_after", values.get("delivery.expires_after", timedelta, day)),
    ):
        if life is not None and wait >= life:
            yield _error(f"nobody but the canary ever gets it: after so long a wait `{path}` "
                         f"({format_duration(life)}) is over", canary.span("wait"), "write 5 minutes")  # fmt: skip
            return
    if values.has("audience.users") and not values.has("audience.topics"):
        yield warning("contradiction", "the canary is drawn from the users that `audience.users` names: if they are "
                      "few it is nobody, and stops nothing", values.span("delivery.canary"),
                      "leave it out, or `ignore` this if they are thousands")  # fmt: skip


def _day(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _error(message: str, span: Span, hint: str) -> Diagnostic:
    return error("contradiction", message, span, hint)
