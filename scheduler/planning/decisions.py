"""Send, or not, and why: decided when a window opens and again when a work row is taken up.

What is the same for every device of a run at one instant is decided once (`decide_run`), the rest per device.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.outcomes import Outcome, OutcomeKind, SuppressReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTerms:
    """What a rule says about the time and the consent of its sends."""

    category: str
    honours_opt_out: bool
    max_age: timedelta | None
    lifetime: timedelta | None
    """From due; None is `never_store`: one attempt at Apple, which keeps nothing."""
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
