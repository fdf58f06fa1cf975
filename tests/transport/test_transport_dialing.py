"""Which address of a name a link goes to: fresh look-ups, spread, failover; real sockets on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from loopback_names import Names, ipv4, listening, several_addresses
from push_server import Certificates, PushServer
from support.sending import START, Sender, TrioClock

from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.clock import VirtualClock
from scheduler.transport.dialing import AVOIDED_FOR, Dialer, look_up
from scheduler.transport.failures import ConnectFailed, FailureKind

THREE = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def failure(dialer: Dialer) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await dialer.dial()
    return caught.value


@several_addresses
async def test_the_links_of_a_pool_spread_evenly_over_the_addresses(certificates: Certificates) -> None:
    server, used, names = PushServer(), list[str](), Names(THREE)
    with trio.fail_after(10):
        async with listening(server, certificates, THREE, used=used) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up, links=6)
            await nursery.start(sender.pool.run)
            await sender.until(lambda: sender.pool.connected == 6)
            assert sorted(used) == sorted(THREE * 2)
            assert sorted(sender.pool.state().addresses) == sorted(THREE * 2)
            assert names.asked == [("localhost", endpoint.port)] * 6, "a look-up for each link"
            nursery.cancel_scope.cancel()


@several_addresses
async def test_a_link_that_is_lost_is_made_anew_with_a_fresh_look_up(certificates: Certificates) -> None:
    server, used, names = PushServer(), list[str](), Names(THREE[:1])
    with trio.fail_after(10):
        async with listening(server, certificates, THREE, used=used) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up)
            await nursery.start(sender.pool.run)
            sender.submit(range(1))
            await sender.until_ended(1)
            names.hosts = THREE[1:2]  # the service has moved
            await server.connections[0].cut()
            sender.submit(range(1, 2))
            await sender.until_ended(2)
            assert sorted(used) == THREE[:2]
            nursery.cancel_scope.cancel()


@several_addresses
async def test_an_address_that_refuses_is_passed_over_and_comes_last_for_a_minute(certificates: Certificates) -> None:
    server, used, names = PushServer(), list[str](), Names(["127.0.0.9", *THREE[:2]])
    with trio.fail_after(10):
        async with listening(server, certificates, THREE[:2], used=used) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up, links=2)
            await nursery.start(sender.pool.run)
            sender.submit(range(20))
            await sender.until_ended(20)
            assert sender.counted() == {ACCEPTED_ANSWER: 20}
            assert sorted(used) == THREE[:2]
            assert sender.pool.counters.failures == {}
            nursery.cancel_scope.cancel()


@several_addresses
async def test_the_address_of_a_link_that_has_ended_is_free_again(certificates: Certificates) -> None:
    server, used, names = PushServer(), list[str](), Names(THREE[:2])
    with trio.fail_after(10):
        async with listening(server, certificates, THREE[:2], used=used) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=names.look_up, links=2)
            await nursery.start(sender.pool.run)
            await sender.until(lambda: sender.pool.connected == 2)
            sender.submit(range(2))
            await sender.until_ended(2)
            for round_number in range(2):
                ended = server.asked[round_number].connection
                await ended.cut()
                await sender.until(lambda: sender.pool.counters.closes.total() == len(used) - 1)
                await sender.until(lambda count=round_number: sender.pool.counters.connects == 3 + count)
            assert sorted(used) == sorted(THREE[:2] * 2)
            nursery.cancel_scope.cancel()


@several_addresses
async def test_no_address_that_answers_is_one_failure_that_names_each(closed_port: int) -> None:
    dialer = Dialer("push.example", closed_port, VirtualClock(START), Names(THREE[:2]).look_up)
    failed = await failure(dialer)
    assert failed.kind is FailureKind.NO_CONNECTION
    assert str(failed) == (
        f"cannot connect to push.example:{closed_port}: 127.0.0.1: Connection refused; 127.0.0.2: Connection refused"
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "label too long"),
        (OSError("no network"), "no network"),
    ],
)
async def test_a_name_that_cannot_be_looked_up_is_named(error: OSError | UnicodeError, text: str) -> None:
    failed = await failure(Dialer("push.example", 443, VirtualClock(START), Names(error=error).look_up))
    assert failed.kind is FailureKind.NO_ADDRESS
    assert str(failed) == f"cannot connect to push.example:443: the name cannot be looked up: {text}"


async def test_a_name_without_any_address_is_named() -> None:
    failed = await failure(Dialer("push.example", 443, VirtualClock(START), Names([]).look_up))
    assert str(failed) == "cannot connect to push.example:443: the name has no address"


async def test_an_address_that_says_nothing_holds_up_the_next_by_a_quarter_of_a_second(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    silent, tried = ipv4("127.0.0.1", 1), []

    async def connect(address: object) -> trio.SocketStream:
        tried.append((address, trio.current_time() - began))
        if address == silent:
            await trio.sleep_forever()
        return trio.SocketStream(trio.socket.socket())

    monkeypatch.setattr("scheduler.transport.dialing._connect", connect)
    monkeypatch.setattr("trio.SocketStream", lambda socket: _Stream(socket))
    mock_clock.autojump_threshold = 0
    began = trio.current_time()
    dialer = Dialer("push.example", 1, TrioClock(START), Names(THREE[:2]).look_up)
    connected = await dialer.dial()
    assert connected.address == ipv4("127.0.0.2", 1)
    assert tried == [(silent, 0.0), (ipv4("127.0.0.2", 1), 0.25)]
    await connected.aclose()


class _Stream(trio.abc.AsyncResource):
    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.socket = socket

    async def aclose(self) -> None:
        self.socket.close()
        await trio.lowlevel.checkpoint()


addresses = st.lists(st.sampled_from([ipv4(host, 443) for host in THREE]), min_size=1, max_size=3, unique=True)


@given(addresses, st.lists(st.tuples(st.integers(0, 2), st.floats(0, 2 * AVOIDED_FOR)), max_size=6))
def test_the_order_has_each_address_once_and_those_that_failed_lately_last(
    known: list[object], failures: list[tuple[int, float]]
) -> None:
    clock = VirtualClock(START)
    dialer = Dialer("push.example", 443, clock, Names().look_up)
    failed_at: dict[object, float] = {}
    for which, pause in failures:
        address = ipv4(THREE[which], 443)
        dialer.avoid(address)
        failed_at[address] = clock.monotonic()
        clock.advance(pause)
    order = dialer.order(known)
    assert sorted(map(str, order)) == sorted(map(str, known))
    lately = [address in failed_at and clock.monotonic() - failed_at[address] < AVOIDED_FOR for address in order]
    assert lately == sorted(lately)
    sound = [address for address, failed in zip(order, lately, strict=True) if not failed]
    assert sound == [address for address in known if address in sound], "among equals the order of the system holds"


async def test_a_resolver_that_hangs_takes_no_thread_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that was given up keeps its thread until the system gives up too: half a minute, or minutes."""
    asked, answer = threading.Semaphore(0), threading.Event()

    def hang(host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> list[object]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        asked.release()
        answer.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    shared = trio.to_thread.current_default_thread_limiter()
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(look_up, "push.example", 443)
            for _ in range(3):
                await trio.to_thread.run_sync(asked.acquire)
            nursery.cancel_scope.cancel()
        assert shared.borrowed_tokens == 0
    finally:
        answer.set()


async def test_the_systems_resolver_gives_what_sockets_connect_to() -> None:
    assert await look_up("127.0.0.1", 443) == [ipv4("127.0.0.1", 443)]
    (address,) = await look_up("::1", 443)
    assert (address.family, str(address)) == (socket.AF_INET6, "::1")
