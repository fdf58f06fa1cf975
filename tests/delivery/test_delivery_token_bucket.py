"""The bound on starts: at most rate × t + burst in every interval, whatever the callers do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.quantities import Rate

RATES = st.builds(Rate, st.floats(0.01, 20_000), st.integers(1, 2_000))
STEPS = st.floats(0, 100) | st.floats(0, 0.01)
SLACK = 1e-6


@dataclass(frozen=True)
class Advance:
    seconds: float


@dataclass(frozen=True)
class Take:
    share: float


@dataclass(frozen=True)
class Change:
    rate: Rate


TAKES = st.builds(Take, st.floats(0, 1)) | st.just(Take(1.0))
MOVES = st.lists(st.builds(Advance, STEPS) | TAKES | st.builds(Change, RATES), max_size=60)


@given(RATES, st.floats(0, 1e6), MOVES)
def test_starts_in_every_interval_are_bounded_across_changes_of_the_rate(
    rate: Rate, start: float, moves: list[Advance | Take | Change]
) -> None:
    """In an interval with changes the bound is the sum of rate × t over its parts, and the greatest burst in it."""
    bucket, now = TokenBucket(rate, start), start
    taken: list[tuple[int, int]] = []  # how many, in which part
    parts = [(0.0, rate)]  # how long, at which rate
    for move in moves:
        match move:
            case Advance(seconds):
                before, now = now, now + seconds
                parts.append((now - before, bucket.rate))
            case Take(share):
                count = int(bucket.available(now) * share)
                bucket.take(count, now)
                taken.append((count, len(parts) - 1))
            case Change(other):
                bucket.change(other, now)
                parts.append((0.0, other))
    gained = list(accumulate(seconds * rate.per_second for seconds, rate in parts))
    for first, (_, begin) in enumerate(taken):
        started, burst = 0, 0
        for count, end in taken[first:]:
            started += count
            burst = max(part.burst for _, part in parts[begin : end + 1])
            assert started <= gained[end] - gained[begin] + burst + SLACK * (1 + gained[end])


@given(RATES, st.floats(0, 1e6), st.lists(STEPS, max_size=10))
@example(Rate(0.25, 1), 1.1, [0.0])  # 1.1 + 4.0 is a little less than 5.1
@example(Rate(10, 1), 397_511.7630134231, [0.0])
def test_after_waiting_as_long_as_told_one_may_start(rate: Rate, start: float, pauses: list[float]) -> None:
    bucket, now = TokenBucket(rate, start), start
    for pause in pauses:
        now += pause
        bucket.take(bucket.available(now), now)
        now += bucket.ready_in(now)
        assert bucket.available(now) >= 1
        assert bucket.ready_in(now) == 0


@given(RATES)
def test_waiting_is_not_longer_than_the_rate_needs(rate: Rate) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.take(rate.burst, 0.0)
    assert bucket.ready_in(0.0) <= 1 / rate.per_second + 1e-5


@given(RATES, RATES)
def test_a_change_never_gives_more_than_was_saved_up_nor_than_the_new_burst(rate: Rate, other: Rate) -> None:
    bucket = TokenBucket(rate, 0.0)
    bucket.change(other, 0.0)
    assert bucket.rate == other
    assert bucket.available(0.0) == min(rate.burst, other.burst)


def test_a_bucket_that_begins_empty_has_its_burst_after_as_long_as_that_takes() -> None:
    bucket = TokenBucket(Rate(10, 5), 0.0, is_full=False)
    assert [bucket.available(now) for now in (0.0, 0.09, 0.11, 0.51, 9.0)] == [0, 0, 1, 5, 5]


def test_a_full_bucket_stays_at_its_burst() -> None:
    bucket = TokenBucket(Rate(10, 5), 0.0)
    assert [bucket.available(now) for now in (0.0, 1.0, 1e9)] == [5, 5, 5]


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(Rate(10, 5), 100.0)
    bucket.take(5, 100.0)
    assert bucket.available(50.0) == 0
    assert bucket.available(100.0) == 0
    assert bucket.available(100.5) == 5


def test_taking_more_than_there_is_is_a_bug() -> None:
    bucket = TokenBucket(Rate(1, 2), 0.0)
    with pytest.raises(ValueError) as raised:
        bucket.take(3, 0.0)
    assert str(raised.value) == "took 3 of 2.00 tokens"
