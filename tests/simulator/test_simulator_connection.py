"""The connection: settings, the stream limit, flow control, and what ends it."""

from __future__ import annotations

import ssl
from functools import partial
from itertools import pairwise
from typing import Any

import h2.settings
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, ResponseReceived, StreamEnded
from hyperframe.frame import DataFrame, GoAwayFrame, SettingsFrame
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import NOW, TOPIC, H2Client, connect, receive, request_headers

from scheduler.simulator.checks import World
from scheduler.simulator.checks import judge as judge_request
from scheduler.simulator.connection import Exchange, ServerConnection
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenReader
from scheduler.simulator.reasons import ACCEPTED

BODY = b'{"aps":{}}'


async def test_the_settings_are_those_observed_at_apple(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        settings = dict(client.h2.remote_settings)
    codes = h2.settings.SettingCodes
    assert {
        codes.HEADER_TABLE_SIZE: 4096,
        codes.MAX_CONCURRENT_STREAMS: 1,
        codes.INITIAL_WINDOW_SIZE: 65535,
        codes.MAX_FRAME_SIZE: 16384,
        codes.MAX_HEADER_LIST_SIZE: 8000,
    }.items() <= settings.items()


def test_the_first_frame_holds_these_settings_and_no_others() -> None:
    connection = ServerConnection(1, ConnectionTokens(TokenReader({})), lambda *_: ACCEPTED)
    greeting = connection.greeting()
    frame, length = SettingsFrame.parse_frame_header(memoryview(greeting[:9]))
    frame.parse_body(memoryview(greeting[9 : 9 + length]))
    assert isinstance(frame, SettingsFrame)
    assert frame.settings == {1: 4096, 3: 1, 4: 65535, 5: 16384, 6: 8000}
    assert len(greeting) == 9 + length


async def test_one_stream_until_a_request_with_a_valid_token_was_posted_then_1000(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        await client.ask(request_headers(authorization=None))
        assert client.stream_limits == [1]
        await client.ask(request_headers(apns_topic=None))
        assert client.stream_limits == [1, 1000]
        await client.ask()
        assert client.stream_limits == [1, 1000]


async def test_a_stream_over_the_limit_is_refused_and_can_be_sent_again(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        client.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        client.h2.remote_settings.acknowledge()
        first, second, third = await client.ask_all([(request_headers(), BODY)] * 3)
        assert (first.status, second.reset, third.reset) == (200, ErrorCodes.REFUSED_STREAM, ErrorCodes.REFUSED_STREAM)
        assert (await client.ask()).status == 200
    assert (simulator.statistics.requests, simulator.statistics.refused_streams) == (2, 2)


@pytest.mark.slow
async def test_a_thousand_streams_at_once_are_answered(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        await client.ask()
        for _ in range(2):
            responses = await client.ask_all([(request_headers(), BODY)] * 1000)
            assert {response.status for response in responses} == {200}
    assert simulator.statistics.requests == 2001
    assert simulator.statistics.refused_streams == 0


async def test_bodies_wait_for_the_clients_window(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
        await client.flush()
        response = client.open(request_headers(apns_topic=None), BODY)
        await client.flush()
        while len(response.body) < 10:
            await client.read()
        assert (response.status, response.body, response.ended) == (400, b'{"reason":', False)
        client.h2.increment_flow_control_window(100, response.stream)
        await client.flush()
        while not response.ended:
            await client.read()
        assert response.reason == "MissingTopic"


async def test_a_body_may_come_in_pieces(start: Any) -> None:
    simulator = await start(log_payloads=True)
    async with simulator.connect() as client:
        response = client.open(request_headers(), BODY, end_stream=False)
        await client.flush()
        client.h2.send_data(response.stream, b" and the rest", end_stream=True)
        await client.flush()
        while not response.ended:
            await client.read()
    assert response.status == 200
    assert [(line["payload"], line["bytes"]) for line in simulator.log()] == [('{"aps":{}} and the rest', 23)]


async def test_the_connections_window_is_credited_for_every_body(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        for _ in range(30):
            assert (await client.ask(body=b"x" * 5000)).status == 413


async def test_a_request_that_the_client_cancels_is_no_request(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, request_headers())
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        await client.flush()
        assert (await client.ask()).status == 200
    assert simulator.statistics.requests == 1


async def test_a_ping_is_answered(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        client.h2.ping(b"12345678")
        await client.flush()
        seen = [event async for event in _events(client)]
    assert any(getattr(event, "ping_data", None) == b"12345678" for event in seen)


async def _events(client: H2Client) -> Any:
    while True:
        events = await client.read()
        for event in events:
            yield event
        if any(getattr(event, "ping_data", None) for event in events):
            return


async def test_a_breach_of_the_protocol_ends_the_connection_with_goaway(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        await client.stream.send_all(DataFrame(99, b"x").serialize())
        while not client.closed and client.terminated is None:
            await client.read()
        assert client.terminated is not None
        assert client.terminated.error_code == ErrorCodes.PROTOCOL_ERROR
        while not client.closed:
            await client.read()


async def test_line_breaks_in_a_header_end_the_connection(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        client.open(request_headers(apns_collapse_id="a\r\nx: y"), BODY)
        await client.flush()
        while not client.closed:
            await client.read()
        assert client.terminated is not None


async def test_the_clients_goaway_closes_the_connection(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        await client.ask()
        await client.stream.send_all(GoAwayFrame(0).serialize())
        while not client.closed:
            await client.read()
    assert simulator.statistics.requests == 1


async def test_a_goaway_behind_a_request_over_the_limit_is_no_breach(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        client.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        client.h2.remote_settings.acknowledge()
        client.open(request_headers(), BODY)
        client.open(request_headers(), BODY)
        await client.stream.send_all(client.h2.data_to_send() + GoAwayFrame(0).serialize())
        while not client.closed:
            await client.read()
    assert [finding.rule for finding in simulator.watch.verdict().findings] == ["stream-limit"]


class _InMemory:
    """A stock client and the server's side, with no network between them."""

    def __init__(self) -> None:
        judge = partial(judge_request, World())
        self.server = ServerConnection(1, ConnectionTokens(TokenReader({})), judge)
        self.client = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.client.initiate_connection()
        self.exchanges: list[Exchange] = []
        self.events: list[Event] = self.client.receive_data(self.server.greeting())

    def send(self, topic: str | None, body: bytes, *, cancel: bool = False) -> int:
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, request_headers(apns_topic=topic), end_stream=not body)
        if body:
            self.client.send_data(stream, body, end_stream=not cancel)
        if cancel:
            self.client.reset_stream(stream, ErrorCodes.CANCEL)
        return stream

    def deliver(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            exchanges, answers = self.server.receive(piece, NOW.timestamp())
            self.exchanges += exchanges
            self.events += self.client.receive_data(answers)


@given(requests=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 300)), max_size=30), data=st.data())
def test_every_complete_request_has_one_answer_however_the_bytes_are_cut(
    requests: list[tuple[bool, bool, int]], data: st.DataObject
) -> None:
    link = _InMemory()
    link.send(TOPIC, BODY)
    link.deliver([link.client.data_to_send()])
    expected = {1: "200"}
    for in_order, cancel, size in requests:
        stream = link.send(TOPIC if in_order else None, b"x" * size, cancel=cancel)
        if not cancel:
            expected[stream] = "200" if in_order else "400"
    sent = link.client.data_to_send()
    cuts = [0, *sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=12))), len(sent)]
    link.deliver([sent[start:end] for start, end in pairwise(cuts)])
    answered = {
        event.stream_id: dict(event.headers)[":status"] for event in link.events if isinstance(event, ResponseReceived)
    }
    assert answered == expected
    assert sorted(event.stream_id for event in link.events if isinstance(event, StreamEnded)) == sorted(expected)
    assert [exchange.stream for exchange in link.exchanges] == sorted(expected)
    assert not link.server.closed


@given(cancels=st.lists(st.booleans(), min_size=2, max_size=20))
def test_before_the_token_is_proved_one_request_at_a_time_passes(cancels: list[bool]) -> None:
    """A cancelled request makes room; a complete one does only when its answer has left."""
    link = _InMemory()
    link.client.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 100
    link.client.remote_settings.acknowledge()
    open_streams, refused = 0, 0
    for cancel in cancels:
        link.send(None, BODY, cancel=cancel)
        refused += open_streams == 1 and not cancel
        open_streams = 1 if open_streams or not cancel else 0
    link.deliver([link.client.data_to_send()])
    assert not link.server.closed
    assert len(link.exchanges) == open_streams
    assert link.server.refused_streams == refused


async def test_http1_is_not_spoken(start: Any) -> None:
    simulator = await start()
    tls = ssl.create_default_context(cafile=str(simulator.ca_file))
    tls.set_alpn_protocols(["http/1.1"])
    socket = await trio.open_tcp_stream("127.0.0.1", simulator.port)
    async with trio.SSLStream(socket, tls, server_hostname="localhost", https_compatible=True) as stream:
        await stream.send_all(b"POST /3/device/aa HTTP/1.1\r\nhost: localhost\r\n\r\n")
        received = b""
        while chunk := await receive(stream):
            received += chunk
    assert b"HTTP/1.1" not in received
    assert simulator.statistics.requests == 0


async def test_a_client_that_does_not_speak_tls_disturbs_nobody(start: Any) -> None:
    simulator = await start()
    async with await trio.open_tcp_stream("127.0.0.1", simulator.port) as plain:
        await plain.send_all(b"GET / HTTP/1.0\r\n\r\n")
        while await receive(plain):
            pass
    async with connect(simulator.port, simulator.ca_file) as client:
        assert (await client.ask()).status == 200
