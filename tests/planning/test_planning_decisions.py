from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.outcomes import Outcome, OutcomeKind, SuppressReason
from scheduler.planning.decisions import SendTerms, decide_person, decide_run, expires_at

DUE = datetime(2026, 11, 20, 12, tzinfo=UTC)
spans = st.timedeltas(timedelta(0), timedelta(days=30))


def _terms(max_age: timedelta | None, lifetime: timedelta | None, *, honours: bool = True) -> SendTerms:
    return SendTerms(category="sports", honours_opt_out=honours, max_age=max_age, lifetime=lifetime)


@given(max_age=st.none() | spans, lifetime=st.none() | spans, age=spans)
def test_a_run_is_sent_exactly_while_it_is_fresh_and_alive(
    max_age: timedelta | None, lifetime: timedelta | None, age: timedelta
) -> None:
    outcome = decide_run(_terms(max_age, lifetime), due=DUE, now=DUE + age)
    is_fresh = max_age is None or age <= max_age
    is_alive = lifetime is None or age < lifetime
    assert (outcome is None) == (is_fresh and is_alive)
    if not is_fresh:
        assert outcome == Outcome(OutcomeKind.SUPPRESSED, SuppressReason.STALE)
    elif not is_alive:
        assert outcome == Outcome(OutcomeKind.EXPIRED)


@given(lifetime=spans, ages=st.lists(spans, min_size=1))
def test_a_run_that_is_over_never_comes_back(lifetime: timedelta, ages: list[timedelta]) -> None:
    over = [decide_run(_terms(None, lifetime), due=DUE, now=DUE + age) is not None for age in sorted(ages)]
    assert over == sorted(over)


def test_the_end_is_the_same_in_every_attempt_and_never_store_has_none() -> None:
    assert expires_at(_terms(None, timedelta(hours=1)), DUE) == DUE + timedelta(hours=1)
    assert expires_at(_terms(None, None), DUE) is None


def test_an_opt_out_counts_in_its_own_category_where_the_category_has_one() -> None:
    out = Outcome(OutcomeKind.SUPPRESSED, SuppressReason.OPTED_OUT)
    assert decide_person(_terms(None, None), frozenset({"sports", "news"})) == out
    assert decide_person(_terms(None, None), frozenset({"news"})) is None
    assert decide_person(_terms(None, None, honours=False), frozenset({"sports"})) is None
