"""When links are made again: back-off on every way to fail, outages of any length, where devices go meanwhile."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import pytest
import trio
import trio.testing
import trustme
from loopback_names import Names, listening
from push_server import Asked, Certificates, Connection, PushServer
from support.sending import START, Sender, TrioClock

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.results import ACCEPTED_ANSWER, Unanswered
from scheduler.delivery.retry_times import reconnect_delay
from scheduler.domain.clock import VirtualClock
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.proxy import Proxy
from scheduler.transport import pool as pool_module
from scheduler.transport.dialing import Address, LookUp
from scheduler.transport.failures import FailureKind
from scheduler.transport.tls import Endpoint

HOUR = 3600.0

Handler = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before attempts to connect, none of which is made."""
    made: list[float] = []

    def no_pause(failures: int, jitter: float) -> float:
        made.append(reconnect_delay(failures, jitter))
        return 0.0

    monkeypatch.setattr(pool_module, "reconnect_delay", no_pause)
    return made


@asynccontextmanager
async def connecting(
    server: PushServer, certificates: Certificates, *, trusted: Certificates | None = None
) -> AsyncIterator[Sender]:
    with trio.fail_after(10):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            if trusted is not None:
                endpoint = Endpoint(endpoint.host, endpoint.port, trusted.ca_file)
            sender = Sender(endpoint, look_up=Names().look_up)
            await nursery.start(sender.pool.run)
            yield sender
            nursery.cancel_scope.cancel()


# --- back-off


async def test_a_server_that_is_not_trusted_is_asked_less_and_less(
    certificates: Certificates, delays: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "ca.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(other))
    async with connecting(PushServer(), certificates, trusted=Certificates(authority, other)) as sender:
        await sender.until(lambda: len(delays) > 8)
        assert delays[:9] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
        assert set(sender.pool.counters.failures) == {FailureKind.NOT_TRUSTED}
        assert sender.pool.counters.connects == 0


async def test_a_link_that_ends_before_its_settings_is_a_failure(
    certificates: Certificates, delays: list[float]
) -> None:
    server = PushServer()
    server.connections_allowed = 0
    async with connecting(server, certificates) as sender:
        await sender.until(lambda: len(delays) > 3)
        assert delays[:4] == [0, 1, 2, 4]
        assert set(sender.pool.counters.failures) == {FailureKind.NOT_READY}
        assert sender.pool.counters.closes == {}
        assert sender.pool.last_failure is not None
        assert "ended the link at once: lost: " in sender.pool.last_failure


@asynccontextmanager
async def on_each_connection(server: PushServer, act: Callable[[Connection], None]) -> AsyncIterator[None]:
    async def watch() -> None:
        for seen in count():
            await server.until(lambda seen=seen: len(server.connections) > seen)
            act(server.connections[seen])
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await server.connections[seen].flush()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        nursery.cancel_scope.cancel()


async def test_goaway_right_after_connecting_does_not_spin(certificates: Certificates, delays: list[float]) -> None:
    server = PushServer()
    leave = lambda connection: connection.h2.close_connection(additional_data=b'{"reason":"Shutdown"}')  # noqa: E731
    async with on_each_connection(server, leave), connecting(server, certificates) as sender:
        begun = sender.pool.without_link_since
        await sender.until(lambda: len(delays) > 3)
        assert delays[:4] == [0, 1, 2, 4]
        await sender.until(lambda: sender.pool.without_link_since == begun)  # links that are of no use are none
        counters = sender.pool.counters
        assert counters.connects == counters.closes.total()
        assert counters.connects + counters.failures.total() >= 3


async def test_a_link_that_comes_up_and_dies_without_an_answer_is_a_failure(
    certificates: Certificates, delays: list[float]
) -> None:
    server = PushServer()
    async with connecting(server, certificates) as sender:
        for number in range(1, 4):
            await sender.until(lambda number=number: sender.pool.counters.connects == number)
            await server.connections[-1].cut()
        await sender.until(lambda: len(delays) > 3)
        assert delays[:4] == [0, 1, 2, 4]
        assert sender.pool.counters.closes == {CloseReason.LOST: 3}


async def test_complaints_about_the_provider_token_that_do_not_end_do_not_spin(
    certificates: Certificates, delays: list[float]
) -> None:
    server = PushServer()
    server.on_request = lambda asked: asked.answer(429, "TooManyProviderTokenUpdates")
    async with connecting(server, certificates) as sender:
        for number in range(1, 5):
            sender.submit(range(number, number + 1))
            await sender.until(lambda number=number: len(delays) > number)
        assert delays[:5] == [0, 1, 2, 4, 8]
        assert sender.pool.counters.closes == {CloseReason.REPLACED: 4}


async def test_links_that_work_and_end_at_once_are_made_at_once_only_the_first_time(
    certificates: Certificates, delays: list[float]
) -> None:
    server = PushServer()
    async with connecting(server, certificates) as sender:
        for number in range(1, 6):
            sender.submit(range(number, number + 1))
            await sender.until_ended(number)
            await server.connections[-1].cut()
            await sender.until(lambda number=number: len(delays) > number)
        assert delays == [0, 0, 1, 2, 4, 8]
        assert sender.counted() == {ACCEPTED_ANSWER: 5}


async def test_a_link_that_has_worked_for_a_while_is_replaced_at_once(
    certificates: Certificates, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SHORT_LIFE", 0.0)
    server = PushServer()
    async with connecting(server, certificates) as sender:
        for number in range(1, 4):
            sender.submit(range(number, number + 1))
            await sender.until_ended(number)
            await server.connections[-1].cut()
            await sender.until(lambda number=number: len(delays) > number)
        assert delays == [0, 0, 0, 0]


async def test_an_idle_link_that_is_closed_after_long_is_no_failure(
    certificates: Certificates, delays: list[float]
) -> None:
    server, clock = PushServer(), VirtualClock(START)
    with trio.fail_after(10):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=Names().look_up, clock=clock)
            await nursery.start(sender.pool.run)
            for number in range(1, 4):
                await sender.until(lambda number=number: sender.pool.counters.connects == number)
                clock.advance(600)
                await server.connections[-1].cut()
            await sender.until(lambda: len(delays) > 3)
            assert delays == [0, 0, 0, 0]
            nursery.cancel_scope.cancel()


# --- no end of an attempt


async def test_an_attempt_that_does_not_end_is_given_up_and_counted_at_its_step(
    certificates: Certificates, mock_clock: trio.testing.MockClock
) -> None:
    """Ten seconds for all of it: the look-up, TCP, the proxy, TLS and the server's SETTINGS."""
    stuck = trio.Event()

    async def look_up(host: str, port: int) -> list[Address]:
        stuck.set()
        await trio.sleep_forever()
        raise AssertionError("never")

    async def hears(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        stuck.set()
        await trio.sleep_forever()

    async def makes_tls(stream: trio.SocketStream) -> None:
        await trio.SSLStream(stream, certificates.server_context(), server_side=True).do_handshake()
        stuck.set()
        await trio.sleep_forever()

    async def step(
        handler: Callable[[trio.SocketStream], Awaitable[None]], *, proxy: bool, name: LookUp
    ) -> FailureKind:
        nonlocal stuck
        stuck = trio.Event()
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, handler, listeners)
            port = listeners[0].socket.getsockname()[1]
            way = Proxy("127.0.0.1", port) if proxy else None
            endpoint = Endpoint("localhost", port, certificates.ca_file, way)
            sender = Sender(endpoint, look_up=name, clock=TrioClock(START))
            await nursery.start(sender.pool.run)
            await stuck.wait()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(11)
            await sender.until(lambda: sender.pool.counters.connect_failures == 1)
            assert sender.pool.last_failure == f"localhost:{port} did not get ready in 10 s"
            nursery.cancel_scope.cancel()
        (kind,) = sender.pool.counters.failures
        return kind

    known = Names().look_up
    assert await step(hears, proxy=False, name=look_up) is FailureKind.NO_ADDRESS
    assert await step(hears, proxy=True, name=known) is FailureKind.PROXY
    assert await step(hears, proxy=False, name=known) is FailureKind.NO_TLS
    assert await step(makes_tls, proxy=False, name=known) is FailureKind.NOT_READY


# --- outages


@pytest.mark.parametrize("hours", [1, 30])
async def test_an_outage_of_hours_ends_without_a_restart(
    certificates: Certificates, hours: int, mock_clock: trio.testing.MockClock
) -> None:
    server, names = PushServer(), Names(error=OSError("Temporary failure in name resolution"))
    async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
        sender = Sender(endpoint, look_up=names.look_up, links=2, clock=TrioClock(START))
        await nursery.start(sender.pool.run)
        sender.submit(range(50))
        mock_clock.autojump_threshold = 0  # nothing but sleeping goes on
        await trio.sleep(hours * HOUR)
        mock_clock.autojump_threshold = float("inf")
        attempts = sender.pool.counters.connect_failures
        assert hours * 60 * 2 <= attempts <= hours * 60 * 2 + 14, "one a minute and link, after the first few"
        assert sender.pool.without_link_since == 0.0
        assert sender.pool.waiting == 50
        names.error = None
        mock_clock.jump(60)
        await sender.until_ended(50)
        assert sender.counted() == {ACCEPTED_ANSWER: 50}
        await sender.until(lambda: sender.pool.connected == 2)
        assert sender.pool.without_link_since is None
        state = sender.pool.state()
        assert (state.links, state.connected, state.connects) == (2, 2, 2)
        assert state.failures == {FailureKind.NO_ADDRESS: attempts}
        nursery.cancel_scope.cancel()


async def test_every_kind_of_outage_in_turn_is_survived_and_counted(
    certificates: Certificates, delays: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    server, names = PushServer(), Names(error=OSError("no network"))
    counters = None
    with trio.fail_after(10):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up)
            counters = sender.pool.counters
            await nursery.start(sender.pool.run)
            sender.submit(range(10))
            await sender.until(lambda: counters.failures[FailureKind.NO_ADDRESS] > 1)
            server.connections_allowed = 0
            names.hosts, names.error = ["127.0.0.77"], None
            await sender.until(lambda: counters.failures[FailureKind.NO_CONNECTION] > 1)
            names.hosts = ["127.0.0.1"]
            await sender.until(lambda: counters.failures[FailureKind.NOT_READY] > 1)
            server.connections_allowed = 10_000
            await sender.until_ended(10)
            assert sender.counted() == {ACCEPTED_ANSWER: 10}
            nursery.cancel_scope.cancel()


# --- devices


async def test_a_device_keeps_its_link_and_those_of_a_lost_one_go_elsewhere_until_it_is_back(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PushServer()
    pause = [0.0]
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: pause[0])

    def ways(answered: list[Asked]) -> dict[int, int]:
        return {asked.device: server.connections.index(asked.connection) for asked in answered}

    with trio.fail_after(10):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=Names().look_up, links=3)
            await nursery.start(sender.pool.run)
            await sender.until(lambda: sender.pool.connected == 3)
            sender.submit(range(30))
            await sender.until_ended(30)
            before = ways(server.asked)
            pause[0] = 60.0
            await server.connections[0].cut()
            await sender.until(lambda: sender.pool.connected == 2)
            sender.submit(range(30, 60))
            await sender.until_ended(60)
            during = {device - 30: way for device, way in ways(server.asked[30:]).items()}
            assert sender.counted() == {ACCEPTED_ANSWER: 60}
            nursery.cancel_scope.cancel()
    assert {device for device in during if during[device] == before[device]} == {
        device for device in before if before[device] != 0
    }
    moved = [during[device] for device in before if before[device] == 0]
    assert set(moved) == {1, 2}, "spread over the links that are left"


# --- what an operator sees


async def test_the_life_of_a_link_is_in_the_log(
    certificates: Certificates, delays: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "clarion.transport")
    server, names = PushServer(), Names(error=OSError("no network"))
    with trio.fail_after(10):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up)
            await nursery.start(sender.pool.run)
            await sender.until(lambda: sender.pool.counters.connect_failures == 1)
            names.error = None
            sender.submit(range(1))
            await sender.until_ended(1)
            server.hold()
            sender.submit(range(1, 3))
            await server.until(lambda: len(server.held) == 2)
            await server.connections[0].cut()
            await sender.until_ended(3)
            assert sender.counted() == {ACCEPTED_ANSWER: 1, Unanswered(UnknownCause.LINK_LOST): 2}
            nursery.cancel_scope.cancel()
    place = f"localhost:{endpoint.port}"
    failed, up, closed = (record.getMessage() for record in caplog.records[:3])
    assert failed == (
        "link.failed pool=test link=0 failures=1 kind=no_address "
        f"error='cannot connect to {place}: the name cannot be looked up: no network'"
    )
    assert up == f"link.up pool=test link=0 endpoint={place} address=127.0.0.1"
    assert closed == "link.closed pool=test link=0 reason=lost detail='closed by the peer'"
