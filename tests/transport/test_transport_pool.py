"""The pool over real TLS on the loopback: lanes, rates, reconnects, withdrawal, drain; one result for each request."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from push_server import Asked, Certificates, PushServer, serving

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Result, Unanswered, Unsent, UnsentCause
from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import Clock, VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.push_types import PushType
from scheduler.domain.quantities import Rate
from scheduler.transport import pool as pool_module
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint

HEADERS = HeaderSet("com.example.app", PushType.ALERT, 10)
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
START = datetime(2026, 3, 1, tzinfo=UTC)
LOST = Unanswered(UnknownCause.LINK_LOST)


class RealClock(VirtualClock):
    """The calendar stands still, the stopwatch is real."""

    def monotonic(self) -> float:
        return time.monotonic()


def requests(devices: range) -> list[PushRequest]:
    return [
        PushRequest(device, f"{device:064x}", f"8f0c2f6e-3bf0-5a3c-9f4e-{device:012x}", b"{}") for device in devices
    ]


class Sender:
    """A pool and all that it has reported."""

    def __init__(self, endpoint: Endpoint, links: int, clock: Clock) -> None:
        tokens = ProviderTokenSource(KEY, team_id="TEAM123456", key_id="KEY1234567", clock=clock)
        self.pool = Pool(
            endpoint, tokens, links=links, clock=clock, jitter=lambda: 0.0, on_results=self._take, name="test"
        )
        self.results: list[tuple[object, int, Result]] = []
        self.calls = 0
        self.submitted = 0
        self._changed = trio.Event()

    def submit(
        self,
        devices: range,
        lane: Lane = Lane.NORMAL,
        *buckets: TokenBucket,
        tag: object = "run",
        headers: HeaderSet = HEADERS,
    ) -> None:
        self.submit_requests(requests(devices), lane, *buckets, tag=tag, headers=headers)

    def submit_requests(
        self,
        made: list[PushRequest],
        lane: Lane = Lane.NORMAL,
        *buckets: TokenBucket,
        tag: object = "run",
        headers: HeaderSet = HEADERS,
    ) -> None:
        self.submitted += len(made)
        self.pool.submit(Batch(headers, made, lane=lane, buckets=buckets, tag=tag))

    def _take(self, tag: object, pairs: list[tuple[PushRequest, Result]]) -> None:
        self.calls += 1
        self.results += [(tag, request.device, result) for request, result in pairs]
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, count: int) -> None:
        while len(self.results) < count:
            await self._changed.wait()

    def counted(self) -> Counter[Result]:
        devices = [(tag, device) for tag, device, _ in self.results]
        assert len(set(devices)) == len(devices), "one result for each request"
        return Counter(result for _, _, result in self.results)


class Stage:
    def __init__(self, certificates: Certificates) -> None:
        self.server = PushServer()
        self.certificates = certificates

    @asynccontextmanager
    async def sending(self, links: int = 1, clock: Clock | None = None) -> AsyncIterator[Sender]:
        context = self.certificates.server_context()
        with trio.fail_after(10):
            async with (
                serving(self.server, context, self.certificates.ca_file) as endpoint,
                trio.open_nursery() as nursery,
            ):
                sender = Sender(endpoint, links, clock or RealClock(START))
                await nursery.start(sender.pool.run)
                yield sender
                nursery.cancel_scope.cancel()


@pytest.fixture
def stage(certificates: Certificates) -> Stage:
    return Stage(certificates)


@pytest.mark.slow
async def test_every_request_is_accepted_once_and_a_device_keeps_its_link(stage: Stage) -> None:
    async with stage.sending(links=3) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 3)
        for round_number in range(2):
            for first in range(0, 3000, 500):
                sender.submit(range(first, first + 500), tag=(round_number, first))
        await sender.until(6000)
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
            await sender.until(10 * (attempt + 1))
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
        await sender.until(9)
    assert [asked.device for asked in stage.server.asked] == [0, 30, 31, 40, 41, 20, 21, 10, 11]


async def test_starts_are_exactly_what_every_bucket_allows(stage: Stage) -> None:
    clock = VirtualClock(START)
    app, rule = TokenBucket(Rate(1000, 50), 0.0), TokenBucket(Rate(100, 10), 0.0)
    async with stage.sending(clock=clock) as sender:
        sender.submit(range(100), Lane.URGENT, app, rule, tag="limited")
        sender.submit(range(100, 120), Lane.BULK, app, tag="other")
        await sender.until(30)
        assert Counter(tag for tag, _, _ in sender.results) == {"limited": 10, "other": 20}
        clock.advance(0.05)
        await sender.until(35)
        clock.advance(0.055)
        await sender.until(40)
        assert (app.available(clock.monotonic()), rule.available(clock.monotonic())) == (45, 0)
        assert sender.pool.counters.requests == 40
        assert sender.pool.waiting == 80


async def test_a_link_that_is_cut_is_replaced_and_its_requests_are_unknown(stage: Stage) -> None:
    async with stage.sending() as sender:
        sender.submit(range(1))
        await sender.until(1)
        stage.server.hold()
        sender.submit(range(1, 6))
        await stage.server.until(lambda: len(stage.server.asked) == 6)
        await stage.server.connections[0].cut()
        await sender.until(6)
        stage.server.on_request = Asked.answer
        sender.submit(range(6, 9))
        await sender.until(9)
        assert sender.counted() == {ACCEPTED_ANSWER: 4, LOST: 5}
        assert sender.pool.counters.closes == {CloseReason.LOST: 1}
        assert sender.pool.connected == 1
        assert sender.pool.without_link_since is None


async def test_what_waits_at_a_lost_link_goes_to_another(stage: Stage) -> None:
    stage.server.streams = 1
    stage.server.hold()
    async with stage.sending(links=2) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 2)
        sender.submit(range(2))
        await stage.server.until(lambda: len(stage.server.asked) == 2)
        sender.submit(range(2, 20))
        stage.server.connections_allowed = 0
        first = next(asked for asked in stage.server.asked if asked.device == 0)
        stage.server.held.remove(first)
        await first.connection.cut()
        await sender.until(1)
        assert sender.results == [("run", 0, LOST)]
        await stage.server.release()
        await sender.until(20)
        assert sender.counted() == {ACCEPTED_ANSWER: 19, LOST: 1}
        assert sender.pool.connected == 1


async def test_goaway_sends_what_was_not_processed_again_on_a_new_link(stage: Stage) -> None:
    async with stage.sending() as sender:
        sender.submit(range(1))
        await sender.until(1)
        stage.server.hold()
        sender.submit(range(1, 5))
        await stage.server.until(lambda: len(stage.server.asked) == 5)
        old = stage.server.connections[0]
        stage.server.held[0].answer()
        stage.server.held[1].answer()
        stage.server.held.clear()
        stage.server.on_request = Asked.answer
        old.h2.close_connection(last_stream_id=5, additional_data=b'{"reason":"Shutdown"}')
        await old.flush()
        await sender.until(5)
        assert sender.counted() == {ACCEPTED_ANSWER: 5}
        assert sender.pool.counters.resent == 2
        assert sender.pool.last_failure == "goaway: Shutdown"
        await stage.server.until(lambda: old.terminated)


async def test_what_is_refused_again_and_again_is_reported_as_unsent(stage: Stage) -> None:
    def refuse(asked: Asked) -> None:
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)

    stage.server.on_request = refuse
    async with stage.sending() as sender:
        sender.submit(range(3))
        await sender.until(3)
        assert sender.counted() == {Unsent(UnsentCause.REFUSED): 3}
        assert sender.pool.counters.requests == 9
        assert sender.pool.connected == 1


async def test_withdraw_takes_back_what_was_not_started_and_the_rest_is_reported(stage: Stage) -> None:
    stage.server.hold()
    stage.server.streams = 4
    async with stage.sending() as sender:
        sender.submit(range(1))
        await stage.server.until(lambda: len(stage.server.asked) == 1)
        await stage.server.release()
        stage.server.hold()
        await sender.until(1)
        sender.submit(range(1, 11), tag="paused")
        sender.submit(range(11, 13), tag="other")
        await stage.server.until(lambda: len(stage.server.asked) == 5)
        assert [request.device for request in sender.pool.withdraw("paused")] == [5, 6, 7, 8, 9, 10]
        assert sender.pool.withdraw("paused") == []
        assert sender.pool.withdraw("never heard of") == []
        await stage.server.release()
        await sender.until(7)
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
        await sender.until(1)
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


async def test_refused_credentials_stop_the_app_and_keep_its_requests(stage: Stage) -> None:
    stage.server.on_request = lambda asked: asked.answer(403, "InvalidProviderToken")
    async with stage.sending() as sender:
        sender.submit(range(10))
        await sender.until(1)
        assert sender.counted() == {Answer(403, "InvalidProviderToken"): 1}
        assert sender.pool.stopped == "InvalidProviderToken"
        assert sender.pool.connected == 0
        assert sender.pool.without_link_since is not None
        assert len(sender.pool.withdraw("run")) == 9


async def test_a_server_that_uses_its_table_unasked_gets_a_link_with_one(stage: Stage) -> None:
    stage.server.ignores_table_size = True
    stage.server.on_request = lambda asked: asked.answer(410, "Unregistered")
    async with stage.sending() as sender:
        for first in range(0, 30, 10):
            sender.submit(range(first, first + 10))
        await sender.until(30)
        counted = sender.counted()
        assert counted[Answer(410, "Unregistered")] + counted[LOST] == 30
        assert counted[LOST] < 30
        assert sender.pool.counters.closes == {CloseReason.TABLE_IGNORED: 1}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_every_request_ends_once_whatever_the_server_does(
    stage: Stage, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.0)
    chance = random.Random(seed)
    cuts: list[Asked] = []

    def misbehave(asked: Asked) -> None:
        server = asked.connection.h2
        if asked.connection in {cut.connection for cut in cuts} or asked.connection.terminating:
            return
        match chance.choices(range(7), [80, 10, 5, 3, 2, 1, 1])[0]:
            case 0:
                asked.answer()
            case 1:
                asked.answer(chance.choice([400, 410, 500]), "Whatever")
            case 2:
                server.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)
            case 3:
                server.reset_stream(asked.stream, ErrorCodes.CANCEL)
            case 4:
                server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: chance.randint(1, 50)})
                asked.answer()
            case 5:
                asked.connection.terminating = True
                last = chance.randint(0, asked.stream // 2) * 2 + 1
                server.close_connection(last_stream_id=last, additional_data=b'{"reason":"Shutdown"}')
                cuts.append(asked)
            case _:
                cuts.append(asked)

    stage.server.on_request = misbehave
    async with stage.sending(links=3) as sender, trio.open_nursery() as nursery:

        async def cut() -> None:
            while True:
                await stage.server.until(lambda: bool(cuts))
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await cuts[0].connection.flush()
                await cuts.pop(0).connection.cut()

        nursery.start_soon(cut)
        for first in range(0, 2000, 100):
            sender.submit(range(first, first + 100), chance.choice(list(Lane)), tag=first)
        await sender.until(2000)
        assert sender.counted().total() == 2000
        assert (sender.pool.in_flight, sender.pool.waiting) == (0, 0)
        nursery.cancel_scope.cancel()


async def test_devices_of_a_link_that_cannot_be_made_use_another(stage: Stage) -> None:
    stage.server.connections_allowed = 1
    async with stage.sending(links=2) as sender:
        sender.submit(range(20))
        await sender.until(20)
        assert sender.counted() == {ACCEPTED_ANSWER: 20}
        assert sender.pool.connected == 1


async def test_without_any_link_requests_wait(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.0)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    sender = Sender(Endpoint("localhost", port, certificates.ca_file), 1, RealClock(START))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(sender.pool.run)
            sender.submit(range(5))
            while sender.pool.counters.connect_failures < 3:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert sender.pool.without_link_since is not None
    assert sender.pool.last_failure is not None
    assert sender.pool.last_failure.startswith(f"cannot connect to localhost:{port}: ")
    assert sender.results == []
    assert len(sender.pool.withdraw("run")) == 5


async def test_a_server_that_never_gets_ready_counts_as_a_failure(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "CONNECT_TIMEOUT", 0.05)
    failed: Callable[[Sender], bool] = lambda sender: sender.pool.counters.connect_failures > 0  # noqa: E731

    async def silence(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(
                    trio.serve_tcp,
                    silence,
                    0,
                    host="127.0.0.1",
                )
            )
            port = listeners[0].socket.getsockname()[1]
            sender = Sender(Endpoint("localhost", port, certificates.ca_file), 1, RealClock(START))
            await nursery.start(sender.pool.run)
            while not failed(sender):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert sender.pool.last_failure == f"localhost:{port} did not get ready in 0 s"
