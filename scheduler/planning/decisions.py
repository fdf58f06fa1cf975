"""Send, defer, or suppress, and why: decided when a window opens and again when a work row is taken up.

What is the same for every device of a run at one instant is decided once (`decide_run`), the rest per device. Each
step says an outcome, a time to decide again (`DeferUntil`), or None: nothing against sending.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from scheduler.domain.outcomes import DeferReason, Outcome, OutcomeKind, SuppressReason
from scheduler.domain.quiet_hours import QuietAction
from scheduler.planning.quiet_hours import QuietTerms, quiet_until


@dataclass(frozen=True, slots=True)
class DeferUntil:
    """Not now: everything is decided again at this instant. `reason` is a word, as `runs show` prints it."""

    instant: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTerms:
    """What a rule says about the time and the consent of its sends."""

    category: str
    honours_opt_out: bool
    max_age: timedelta | None
    lifetime: timedelta | None
    """From due; None is `never_store`: one attempt at Apple, which keeps nothing."""
    quiet: QuietTerms | None = None
    ends: datetime | None = None
    """Nothing is sent from this instant on."""


def expires_at(terms: SendTerms, due: datetime) -> datetime | None:
    """The same instant in every attempt, or None for what Apple must never store."""
    if terms.lifetime is None:
        return None
    end = due + terms.lifetime
    return end if terms.ends is None else min(end, terms.ends)


def decide_run(terms: SendTerms, *, due: datetime, now: datetime) -> Outcome | None:
    """The outcome that every device of the run gets without being sent, or None: decide each.

    The end of the rule comes before all. Stale comes before expired: a run that is both is over because nobody sent it
    in time, not because Apple would not keep it.
    """
    if terms.ends is not None and now >= terms.ends:
        return Outcome(OutcomeKind.SUPPRESSED, SuppressReason.ENDED)
    if terms.max_age is not None and now - due > terms.max_age:
        return Outcome(OutcomeKind.SUPPRESSED, SuppressReason.STALE)
    end = expires_at(terms, due)
    if end is not None and now >= end:
        return Outcome(OutcomeKind.EXPIRED)
    return None


def decide_person(terms: SendTerms, opt_outs: frozenset[str]) -> Outcome | None:
    """The outcome of a person who is not to be sent to, or None: send."""
    if terms.honours_opt_out and terms.category in opt_outs:
        return Outcome(OutcomeKind.SUPPRESSED, SuppressReason.OPTED_OUT)
    return None


def decide_delay(terms: SendTerms, *, due: datetime) -> Outcome | DeferUntil:
    """What becomes of the devices of a run that is not due yet. What will be over then is over at once."""
    return decide_run(terms, due=due, now=due) or DeferUntil(due, DeferReason.DELAY)


def decide_quiet(terms: SendTerms, zone: tzinfo, *, due: datetime, now: datetime) -> Outcome | DeferUntil | None:
    """What the quiet hours do to the devices of a zone. What would be over when they end is over at once: nothing is
    held that cannot be sent."""
    if terms.quiet is None:
        return None
    end = quiet_until(terms.quiet.hours, zone, now)
    if end is None:
        return None
    if terms.quiet.action is QuietAction.DROP:
        return Outcome(OutcomeKind.SUPPRESSED, SuppressReason.QUIET_HOURS)
    return decide_run(terms, due=due, now=end) or DeferUntil(end, SuppressReason.QUIET_HOURS)
