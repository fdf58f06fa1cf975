"""Peers that grant no window, read no more, or have closed their half of TCP: the link ends with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import h2.settings
import pytest
import trio
import trio.testing
from loopback_names import Names, listening
from push_server import Certificates, PushServer
from support.sending import START, Sender

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.results import ACCEPTED_ANSWER, Unanswered
from scheduler.domain.clock import VirtualClock
from scheduler.domain.outcomes import UnknownCause
from scheduler.transport import link as link_module
from scheduler.transport import pool as pool_module

LOST = Unanswered(UnknownCause.LINK_LOST)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws look at the clock a thousand times a second; the clock is the test's."""
    monkeypatch.setattr(link_module, "_TICK", 0.001)
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.0)


@asynccontextmanager
async def sending(server: PushServer, certificates: Certificates, clock: VirtualClock) -> AsyncIterator[Sender]:
    with trio.fail_after(20):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=Names().look_up, clock=clock)
            await nursery.start(sender.pool.run)
            yield sender
            nursery.cancel_scope.cancel()


async def proved(sender: Sender) -> None:
    """The first request is accepted: the link may have many open."""
    sender.submit(range(1))
    await sender.until_ended(1)


async def test_without_a_window_nothing_is_lost_and_another_link_sends_it(certificates: Certificates) -> None:
    server, clock = PushServer(), VirtualClock(START)
    async with sending(server, certificates, clock) as sender:
        await proved(sender)
        stingy = server.connections[0]
        stingy.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        await stingy.flush()
        sender.submit(range(1, 40))
        await sender.until(lambda: len(stingy.received) == 39)
        assert len(sender.results) == 1
        await sender.until(lambda: clock.advance(0.01) or len(sender.results) == 40)
        assert 9 < clock.monotonic() < 30
        assert sender.counted() == {ACCEPTED_ANSWER: 40}
        counters = sender.pool.counters
        assert counters.closes == {CloseReason.NO_ROOM: 1}
        assert (counters.resent, counters.requests) == (39, 79)


async def test_a_peer_that_closes_its_half_ends_the_link(certificates: Certificates) -> None:
    """It could still read, but no answer can come any more."""
    server = PushServer()
    async with sending(server, certificates, VirtualClock(START)) as sender:
        await proved(sender)
        server.hold()
        sender.submit(range(1, 4))
        await server.until(lambda: len(server.held) == 3)
        await server.connections[0].stream.transport_stream.send_eof()
        await sender.until_ended(4)
        assert sender.counted() == {ACCEPTED_ANSWER: 1, LOST: 3}
        assert sender.pool.counters.closes == {CloseReason.LOST: 1}
        assert sender.pool.last_failure == "lost: closed by the peer"


class Deaf:
    """A stream of which nothing is read any more."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.send_all = stream.send_all

    async def receive_some(self) -> bytes:
        await trio.sleep_forever()
        raise AssertionError("never")


async def test_a_peer_that_reads_no_more_is_left_even_if_it_still_sends(certificates: Certificates) -> None:
    server, clock = PushServer(), VirtualClock(START)
    async with sending(server, certificates, clock) as sender:
        await proved(sender)
        deaf = server.connections[0]
        deaf.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        deaf.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        deaf.stream = Deaf(deaf.stream)
        await deaf.flush()
        await trio.testing.wait_all_tasks_blocked()
        sender.submit(range(1, 401), payload=bytes(60_000))
        seconds = 0
        while len(sender.results) < 401:
            clock.advance(1)
            seconds += 1
            deaf.h2.ping(b"still up")
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await deaf.flush()
            await trio.testing.wait_all_tasks_blocked()
        assert seconds < 30
        assert sender.pool.counters.closes == {CloseReason.NOT_READING: 1}
        assert sender.counted().keys() == {ACCEPTED_ANSWER, LOST}
