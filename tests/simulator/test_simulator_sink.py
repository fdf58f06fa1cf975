"""The sink: accepts everything, and counts exactly."""

from __future__ import annotations

import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import NOW, connect, receive, request_headers

from scheduler.domain.clock import VirtualClock
from scheduler.simulator.listening import Listen
from scheduler.simulator.records import Statistics
from scheduler.simulator.sink import FrameWalker, serve_sink

BODY = b'{"aps":{}}'


@pytest.fixture
async def sink(nursery: trio.Nursery, tmp_path: Path) -> Any:
    statistics = Statistics()
    listen = Listen(tmp_path / "ca.pem", port=0)
    port = await nursery.start(partial(serve_sink, listen, clock=VirtualClock(NOW), statistics=statistics))
    return partial(connect, port, listen.ca_file), statistics


async def test_every_request_is_accepted_and_counted(sink: Any) -> None:
    connection, statistics = sink
    async with connection() as client:
        assert client.stream_limits == [1000]
        for _ in range(3):
            responses = await client.ask_all([(request_headers(), BODY)] * 200 + [(request_headers(), b"")])
            assert {response.headers[":status"] for response in responses} == {"200"}
    assert (statistics.requests, statistics.accepted, statistics.connections) == (603, 603, 1)
    assert (statistics.first, statistics.last) == (NOW, NOW)


async def test_the_windows_never_run_dry(sink: Any) -> None:
    connection, statistics = sink
    async with connection() as client:
        start = client.h2.outbound_flow_control_window
        assert start == 2**31 - 1
        for _ in range(5):
            await client.ask_all([(request_headers(), b"x" * 16384)] * 70)
        assert client.h2.outbound_flow_control_window > start - 2**20 - 70 * 16384
    assert statistics.requests == 350


async def test_a_ping_is_answered_by_the_sink(sink: Any) -> None:
    connection, _ = sink
    async with connection() as client:
        client.h2.ping(b"12345678")
        await client.flush()
        acknowledged: list[bytes] = []
        while not acknowledged:
            acknowledged = [event.ping_data for event in await client.read() if hasattr(event, "ping_data")]
    assert acknowledged == [b"12345678"]


async def test_what_is_not_http2_is_dropped(sink: Any) -> None:
    connection, statistics = sink
    async with connection() as client:
        assert statistics.connections == 1
    async with connection(greet=False) as client:
        await client.stream.send_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        while await receive(client.stream):
            pass
    assert statistics.requests == 0


def _client_bytes(requests: int) -> bytes:
    client = H2Connection()
    client.initiate_connection()
    for stream in range(1, 2 * requests, 2):
        client.send_headers(stream, request_headers(), end_stream=stream % 3 == 0)
        if stream % 3:
            client.send_data(stream, BODY, end_stream=True)
    client.ping(b"abcdefgh")
    return client.data_to_send().removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


@given(requests=st.integers(0, 12), data=st.data())
def test_the_walk_does_not_depend_on_how_the_bytes_are_cut(requests: int, data: st.DataObject) -> None:
    sent = _client_bytes(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=20)))
    whole, pieces = FrameWalker(), FrameWalker()
    expected = whole.walk(sent)
    walked = b"".join(pieces.walk(sent[start:end]) for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True))
    assert walked == expected
    assert pieces.requests == whole.requests == requests


def test_stock_h2_reads_the_answers() -> None:
    client = H2Connection()
    client.initiate_connection()
    for stream in (1, 3):
        client.send_headers(stream, request_headers())
        client.send_data(stream, BODY, end_stream=True)
    answers = FrameWalker().walk(client.data_to_send().removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    events = client.receive_data(struct.pack(">BHBBI", 0, 0, 4, 0, 0) + answers)
    responses = [(event.stream_id, event.headers) for event in events if isinstance(event, ResponseReceived)]
    assert responses == [(1, [(b":status", b"200")]), (3, [(b":status", b"200")])]
    assert [event.stream_id for event in events if isinstance(event, StreamEnded)] == [1, 3]
