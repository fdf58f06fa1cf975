"""The checker of rate bounds is right: it says what looking at every interval says."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rate_bounds import Pace, excess

from scheduler.domain.quantities import Rate

STEPS = st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.5, 3.0]), max_size=30)
RATES = st.builds(Rate, st.sampled_from([1.0, 50.0, 5000.0]), st.integers(1, 5))
PACES = st.lists(st.builds(Pace, st.floats(0, 5), RATES), min_size=1, max_size=4).map(
    lambda paces: sorted(paces, key=lambda pace: pace.since)
)


@given(STEPS, PACES, st.sampled_from([0.0, 0.1]))
def test_one_pass_finds_the_worst_interval(steps: list[float], paces: list[Pace], late: float) -> None:
    instants = list(accumulate(steps))
    burst = max(pace.rate.burst for pace in paces)
    worst = max(
        (
            count - _given(paces, first - late, last) - burst
            for start, first in enumerate(instants)
            for count, last in enumerate(instants[start:], 1)
        ),
        default=0.0,
    )
    assert excess(instants, paces, late=late) == pytest.approx(worst, abs=1e-6)


def _given(paces: list[Pace], start: float, end: float) -> float:
    """What the rates give from one instant to another; before the first pace its rate holds."""
    total = 0.0
    for number, pace in enumerate(paces):
        begins = -1e9 if number == 0 else pace.since
        ends = paces[number + 1].since if number + 1 < len(paces) else 1e9
        total += max(0.0, min(end, ends) - max(start, begins)) * pace.rate.per_second
    return total


def test_one_start_too_many_in_one_interval_is_seen() -> None:
    pace = [Pace(0.0, Rate(10, 2))]
    in_order = [0.0, 0.0, 0.1, 0.2, 5.0, 5.0, 5.1]
    assert excess(in_order, pace) == pytest.approx(0)
    assert excess([*in_order, 5.15], pace) == pytest.approx(0.5)
    assert excess([*in_order, 5.15], pace, late=0.1) == pytest.approx(-0.5)
