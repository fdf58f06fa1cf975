"""The queue of a link: lanes, tokens, withdrawal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.domain.quantities import Rate
from scheduler.transport.batches import Batch, LaneQueue

HEADERS = HeaderSet("com.example.app", PushType.ALERT, 10)


def batch(count: int, lane: Lane = Lane.NORMAL, buckets: tuple[TokenBucket, ...] = (), tag: object = "run") -> Batch:
    return Batch(HEADERS, [PushRequest(n, "00", "", b"") for n in range(count)], lane=lane, buckets=buckets, tag=tag)


def queue_of(*batches: Batch) -> LaneQueue:
    queue = LaneQueue()
    for each in batches:
        queue.add(each)
    return queue


@pytest.mark.slow
@given(
    rates=st.lists(st.tuples(st.floats(0.5, 5000), st.integers(1, 500)), min_size=1, max_size=3),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=20),
)
def test_starts_never_exceed_the_rate_and_a_sleeper_who_wakes_in_time_loses_none(
    rates: list[tuple[float, int]], pauses: list[float]
) -> None:
    buckets = tuple(TokenBucket(Rate(per_second, burst), 0.0) for per_second, burst in rates)
    queue = queue_of(batch(10_001, buckets=buckets))
    now, started = 0.0, 0
    for pause in pauses:
        while (picked := queue.pick(now)) is not None:
            first, count = picked
            queue.started(first, count, now)
            started += count
        assert started <= min(per_second * now + burst for per_second, burst in rates) + 1e-6
        wait = queue.ready_in(now)
        assert wait is not None
        assert wait > 0
        now += max(wait, pause) + 1e-6  # more than what rounding takes away
        assert queue.pick(now) is not None, "the time that was named is the time"


def test_a_nap_is_never_so_long_that_a_bucket_runs_over() -> None:
    for rate in (Rate(1, 1), Rate(9000, 900), Rate(9000, 1), Rate(100, 2)):
        bucket = TokenBucket(rate, 0.0)
        bucket.take(rate.burst, 0.0)
        nap = batch(10, buckets=(bucket,)).ready_in(0.0)
        assert nap <= max(1 / rate.per_second + 1e-6, rate.burst / rate.per_second / 2)


def test_a_batch_without_tokens_is_passed_over_for_others_of_its_lane_and_of_lower_ones() -> None:
    empty = TokenBucket(Rate(1, 1), 0.0)
    empty.take(1, 0.0)
    stuck, free, bulk = batch(3, Lane.URGENT, (empty,)), batch(3, Lane.URGENT), batch(3, Lane.BULK)
    queue = queue_of(bulk, stuck, free)
    picked = []
    while (pick := queue.pick(0.0)) is not None:
        queue.started(*pick, 0.0)
        picked.append(pick[0])
    assert picked == [free, bulk]
    assert queue.waiting == 3
    assert queue.ready_in(0.0) == empty.ready_in(0.0)


def test_a_finished_batch_leaves_though_another_is_stuck_ahead_of_it() -> None:
    empty = TokenBucket(Rate(1, 1), 0.0)
    empty.take(1, 0.0)
    stuck = batch(3, buckets=(empty,))
    queue = queue_of(stuck)
    for _ in range(100):
        queue.add(batch(2))
        pick = queue.pick(0.0)
        assert pick is not None
        queue.started(*pick, 0.0)
    assert queue.take_all() == [stuck]


def test_nothing_waits_in_an_empty_queue() -> None:
    queue = queue_of()
    assert (queue.pick(0.0), queue.ready_in(0.0), queue.waiting, queue.take_all()) == (None, None, 0, [])


def test_withdraw_takes_what_was_not_started_of_the_wanted_ones() -> None:
    mine, other = batch(5, tag="mine"), batch(5, Lane.BULK, tag="other")
    queue = queue_of(mine, other)
    queue.started(mine, 2, 0.0)
    assert queue.withdraw(lambda each: each.tag == "mine") == mine.requests[2:]
    assert queue.take_all() == [other]
    assert queue.waiting == 0


def test_what_was_under_way_before_goes_first_in_its_lane() -> None:
    again, normal, urgent = batch(1), batch(1), batch(1, Lane.URGENT)
    queue = queue_of(normal, urgent)
    queue.add_first(again)
    order = []
    while (pick := queue.pick(0.0)) is not None:
        queue.started(pick[0], 1, 0.0)
        order.append(pick[0])
    assert order == [urgent, again, normal]
