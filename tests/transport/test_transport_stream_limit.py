"""The stream limit of real links: what is open at once follows it, and the log and the pool's state tell of it."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing
from loopback_names import Names, listening
from push_server import Certificates, PushServer
from support.sending import START, Sender

from scheduler.apns.results import ACCEPTED_ANSWER, Answer
from scheduler.domain.clock import VirtualClock
from scheduler.transport import link as link_module


async def test_a_server_in_trouble_is_asked_less_and_less_and_in_full_again_after(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "_TICK", 0.001)
    caplog.set_level(logging.INFO, "clarion.transport")
    server, clock = PushServer(), VirtualClock(START)
    server.streams = 64
    devices = iter(range(0, 10_000, 64))
    sent = 0

    async def second() -> int:
        """A second in which 64 requests more are submitted; how many were open at once in it."""
        nonlocal sent
        first = next(devices)
        sender.submit(range(first, first + 64))
        sent += 64
        most = 0
        clock.advance(1)
        while len(sender.results) < sent:
            await trio.testing.wait_all_tasks_blocked()
            most = max(most, len(server.held))
            held = list(server.held)
            server.held.clear()
            for asked in held:
                asked.answer(*answer)
            for connection in {asked.connection for asked in held}:
                await connection.flush()
        return most

    answer: tuple[int, str | None] = (200, None)
    server.hold()
    with trio.fail_after(20):
        async with listening(server, certificates) as endpoint, trio.open_nursery() as nursery:
            sender = Sender(endpoint, look_up=Names().look_up, clock=clock)
            await nursery.start(sender.pool.run)
            await second()
            assert sender.pool.state().stream_limits == (64,)
            assert await second() == 64
            answer = (503, "ServiceUnavailable")
            assert [await second() for _ in range(6)] == [64, 32, 16, 8, 4, 2]
            assert sender.pool.state().stream_limits == (1,)
            await sender.until(lambda: "link.slowed" in caplog.text)
            answer = (200, None)
            assert await second() == 1
            assert await second() > 32
            for _ in range(3):
                await second()
            assert await second() == 64
            await sender.until(lambda: "link.at_full_speed" in caplog.text)
            counted = sender.counted()
            assert counted[Answer(503, "ServiceUnavailable")] == 6 * 64
            assert counted[ACCEPTED_ANSWER] == sent - 6 * 64
            nursery.cancel_scope.cancel()
    assert sender.pool.counters.closes.keys() <= {"lost"}, "no link was given up for it"
