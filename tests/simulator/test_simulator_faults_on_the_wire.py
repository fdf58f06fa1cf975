"""Faults that need real sockets, TLS and time: seconds are Trio's, so a mock clock is what makes them pass."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hyperframe.frame import GoAwayFrame
from simulator_client import NOW, H2Client, Response, connect, request_headers, until
from trio.testing import MockClock

from scheduler.domain.clock import VirtualClock
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.faults import Cut, CutBy, Delay, Fault, GoAway, Script, Stall, Stalled
from scheduler.simulator.listening import Listen
from scheduler.simulator.server import SimulatorConfig, serve

BODY = b'{"aps":{}}'


def script(*faults: Fault) -> Script:
    return Script(faults)


async def _end_of(client: H2Client) -> str:
    """How the connection ends, seen from below TLS."""
    try:
        while await client.stream.receive_some(65536):
            pass
    except trio.BrokenResourceError as broken:
        return (
            "reset"
            if isinstance(broken.__cause__, OSError) and not isinstance(broken.__cause__, ssl.SSLError)
            else "no close_notify"
        )
    return "closed"


@pytest.mark.parametrize(
    ("how", "end"),
    [(CutBy.TLS, "closed"), (CutBy.TCP, "no close_notify"), (CutBy.RESET, "reset"), (CutBy.HALF, "no close_notify")],
)
async def test_a_cut_ends_the_connection_as_it_says_and_lets_out_what_was_answered(
    start: Callable[..., Awaitable[Any]], how: CutBy, end: str
) -> None:
    simulator = await start(faults=script(Fault(action=Cut(how), request=2)))
    async with simulator.connect() as client:
        assert (await client.ask()).status == 200
        client.stream._https_compatible = False  # so that a missing close_notify is seen
        client.open(request_headers(), BODY)
        await client.flush()
        assert await _end_of(client) == end
        if how is CutBy.HALF:
            await client.stream.transport_stream.send_all(b"still read")
        await trio.aclose_forcefully(client.stream)
    assert [line["status"] for line in simulator.log()] == [200, 200]


async def test_who_ended_a_connection_is_told_apart(tmp_path: Path) -> None:
    watch = ClientWatch()
    faults = script(Fault(action=Cut(), request=1, connection=4))
    config = SimulatorConfig(Listen(tmp_path / "ca.pem", port=0), faults=faults)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, config, clock=VirtualClock(NOW), watch=watch))
        async with connect(port, tmp_path / "ca.pem") as says_goodbye:
            await says_goodbye.stream.send_all(GoAwayFrame(0).serialize())
            await _end_of(says_goodbye)
        async with connect(port, tmp_path / "ca.pem") as leaves:
            await leaves.ask()
        async with connect(port, tmp_path / "ca.pem"), connect(port, tmp_path / "ca.pem") as is_cut:
            await is_cut.ask()
            await until(lambda: watch.verdict().connections.closed_by_client == 2)
            nursery.cancel_scope.cancel()
    connections = watch.verdict().connections
    assert (connections.opened, connections.closed_by_client, connections.most_open) == (4, 2, 2)


async def test_a_delayed_answer_comes_when_its_seconds_have_passed(
    start: Callable[..., Awaitable[Any]], mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    simulator = await start(faults=script(Fault(action=Delay(30), request=1)))
    async with simulator.connect() as client:
        answered: list[Response] = []
        started = trio.current_time()

        async def ask() -> None:
            answered.append(await client.ask())

        nursery.start_soon(ask)
        await until(simulator.log)
        mock_clock.jump(29.9)
        await trio.testing.wait_all_tasks_blocked()
        assert answered == []
        mock_clock.jump(0.1)
        await until(lambda: answered)
        assert trio.current_time() - started == 30
    assert simulator.log()[0]["faults"] == ["delay"]


async def test_nothing_is_read_while_reading_stalls(
    start: Callable[..., Awaitable[Any]], mock_clock: MockClock
) -> None:
    simulator = await start(faults=script(Fault(action=Stall(Stalled.READING, 10), second=0, connection=1)))
    async with simulator.connect() as client:
        client.open(request_headers(), BODY)
        await client.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert simulator.log() == []
        mock_clock.jump(10)
        await until(simulator.log)


async def test_a_goaway_lets_the_client_read_before_the_end(
    start: Callable[..., Awaitable[Any]], mock_clock: MockClock
) -> None:
    simulator = await start(faults=script(Fault(action=GoAway(reason="Shutdown"), request=1)))
    async with simulator.connect() as client:
        client.open(request_headers(), BODY)
        await client.flush()
        data = b""
        while b"Shutdown" not in data:
            data += await client.stream.receive_some(65536)
        mock_clock.jump(1)
        while await client.stream.receive_some(65536):
            pass
    assert simulator.watch.verdict().connections.closed_by_client == 0


async def test_an_idle_connection_hears_why_it_is_sent_away(
    start: Callable[..., Awaitable[Any]], mock_clock: MockClock
) -> None:
    simulator = await start(idle_timeout=60)
    async with simulator.connect() as client:
        await client.ask()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60)
        while client.terminated is None:
            await client.read()
        assert client.terminated.additional_data == b'{"reason":"IdleTimeout"}'
