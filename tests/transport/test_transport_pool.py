"""The pool over real TLS on the loopback: lanes, rates, withdrawal, drain; one result for each request."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing
from h2.errors import ErrorCodes
from pool_stage import Stage
from support.sending import LOST, START, requests

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.results import ACCEPTED_ANSWER, Unsent, UnsentCause
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate


@pytest.mark.slow
async def test_every_request_is_accepted_once_and_a_device_keeps_its_link(stage: Stage) -> None:
    async with stage.sending(links=3) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 3)
        for round_number in range(2):
            for first in range(0, 3000, 500):
                sender.submit(range(first, first + 500), tag=(round_number, first))
        await sender.until_ended(6000)
        assert sender.counted() == {ACCEPTED_ANSWER: 6000}
        assert {tag for tag, _, _ in sender.results} == {(r, first) for r in range(2) for first in range(0, 3000, 500)}
        assert sender.calls < 600, "results come in groups"
        assert sender.pool.counters.requests == 6000
        assert (sender.pool.in_flight, sender.pool.waiting) == (0, 0)
    links: dict[int, set[int]] = {}
    for asked in stage.server.asked:
        links.setdefault(asked.device, set()).add(id(asked.connection))
        assert asked.body == b"{}"
    assert {len(chosen) for chosen in links.values()} == {1}


async def test_attempts_of_a_device_go_over_different_links(stage: Stage) -> None:
    async with stage.sending(links=2) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 2)
        for attempt in range(3):
            again = requests(range(10))
            for request in again:
                request.attempt = attempt
            sender.submit_requests(again, tag=attempt)
            await sender.until_ended(10 * (attempt + 1))
    for device in range(10):
        first, second, third = (id(asked.connection) for asked in stage.server.asked if asked.device == device)
        assert first == third != second


async def test_urgent_goes_before_normal_before_bulk_and_first_comes_first_in_a_lane(stage: Stage) -> None:
    stage.server.streams = 1
    stage.server.hold()
    async with stage.sending() as sender:
        sender.submit(range(1))
        await stage.server.until(lambda: len(stage.server.asked) == 1)
        sender.submit(range(10, 12), Lane.BULK, tag="bulk")
        sender.submit(range(20, 22), Lane.NORMAL, tag="normal")
        sender.submit(range(30, 32), Lane.URGENT, tag="urgent")
        sender.submit(range(40, 42), Lane.URGENT, tag="urgent, later")
        await stage.server.release()
        await sender.until_ended(9)
    assert [asked.device for asked in stage.server.asked] == [0, 30, 31, 40, 41, 20, 21, 10, 11]


async def test_starts_are_exactly_what_every_bucket_allows(stage: Stage) -> None:
    clock = VirtualClock(START)
    app, rule = TokenBucket(Rate(1000, 50), 0.0), TokenBucket(Rate(100, 10), 0.0)
    async with stage.sending(clock=clock) as sender:
        sender.submit(range(100), Lane.URGENT, app, rule, tag="limited")
        sender.submit(range(100, 120), Lane.BULK, app, tag="other")
        await sender.until_ended(30)
        assert Counter(tag for tag, _, _ in sender.results) == {"limited": 10, "other": 20}
        clock.advance(0.05)
        await sender.until_ended(35)
        clock.advance(0.055)
        await sender.until_ended(40)
        assert (app.available(clock.monotonic()), rule.available(clock.monotonic())) == (45, 0)
        assert sender.pool.counters.requests == 40
        assert sender.pool.waiting == 80


async def test_withdraw_takes_back_what_was_not_started_and_the_rest_is_reported(stage: Stage) -> None:
    stage.server.hold()
    stage.server.streams = 4
    async with stage.sending() as sender:
        sender.submit(range(1))
        await stage.server.until(lambda: len(stage.server.asked) == 1)
        await stage.server.release()
        stage.server.hold()
        await sender.until_ended(1)
        sender.submit(range(1, 11), tag="paused")
        sender.submit(range(11, 13), tag="other")
        await stage.server.until(lambda: len(stage.server.asked) == 5)
        assert [request.device for request in sender.pool.withdraw("paused")] == [5, 6, 7, 8, 9, 10]
        assert sender.pool.withdraw("paused") == []
        assert sender.pool.withdraw("never heard of") == []
        await stage.server.release()
        await sender.until_ended(7)
        assert sorted(device for tag, device, _ in sender.results if tag == "paused") == [1, 2, 3, 4]


async def test_what_was_withdrawn_is_not_sent_again(stage: Stage) -> None:
    stage.server.hold()
    async with stage.sending() as sender:
        sender.submit(range(1))
        await stage.server.until(lambda: len(stage.server.asked) == 1)
        assert sender.pool.withdraw("run") == []
        asked = stage.server.held.pop()
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)
        await asked.connection.flush()
        await sender.until_ended(1)
        assert sender.counted() == {Unsent(UnsentCause.REFUSED): 1}


async def test_drain_starts_nothing_more_and_waits_for_the_answers(stage: Stage) -> None:
    stage.server.hold()
    async with stage.sending(links=2) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 2)
        sender.submit(range(10))
        await stage.server.until(lambda: len(stage.server.asked) == 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.pool.drain)
            await trio.testing.wait_all_tasks_blocked()
            assert sender.results == []
            await stage.server.release()
        assert sender.counted() == {ACCEPTED_ANSWER: 2}
        assert len(sender.pool.withdraw("run")) == 8
        assert sender.pool.connected == 0
        assert sender.pool.counters.closes == {CloseReason.CLOSED: 2}
        assert all(connection.terminated for connection in stage.server.connections), "a clean GOAWAY"


async def test_cancelling_the_pool_reports_what_is_in_flight(stage: Stage) -> None:
    stage.server.hold()
    async with stage.sending() as sender:
        sender.submit(range(5))
        await stage.server.until(lambda: len(stage.server.asked) == 1)
    assert sender.counted() == {LOST: 1}
    assert len(sender.pool.withdraw("run")) == 4
