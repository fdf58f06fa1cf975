"""The peer's limits are state: streams, windows, and what they let through."""

from __future__ import annotations

import pytest
from h2.settings import SettingCodes
from http2_peer import SHAPE, Client, Message, failure, joined, literals, opened, setting
from hypothesis import given
from hypothesis import strategies as st

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import (
    Reset,
    Succeeded,
)
from scheduler.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    SETTINGS,
    frame,
    window_update,
)


def test_stream_limit_may_fall_below_what_is_in_flight() -> None:
    client, messages = opened(10, setting(SettingCodes.MAX_CONCURRENT_STREAMS, 10))
    assert client.room == 0
    client.receive(frame(SETTINGS, 0, 0, setting(SettingCodes.MAX_CONCURRENT_STREAMS, 1)))
    for number in range(9):
        assert client.room == 0
        client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, b"\x88"))
    assert (client.in_flight, client.room) == (1, 0)
    client.receive(frame(SETTINGS, 0, 0, setting(SettingCodes.MAX_CONCURRENT_STREAMS, 5)))
    assert client.room == 4
    assert client.start(SHAPE, messages, literals) == 4


def test_our_own_limit_holds_where_the_peer_has_none() -> None:
    client, _ = opened(7, stream_limit=7)
    assert client.room == 0


def test_nothing_starts_before_the_settings_of_the_peer() -> None:
    client: Client = ExpressConnection(stream_limit=10)
    assert (client.ready, client.room) == (False, 0)
    assert client.take_output().startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    client.receive(frame(SETTINGS, 0, 0))
    assert (client.ready, client.room) == (True, 10)


@given(
    initial=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    bodies=st.lists(st.integers(0, 60), min_size=1, max_size=8),
)
def test_bodies_arrive_whole_through_windows_that_shrink_and_grow(initial: list[int], bodies: list[int]) -> None:
    pair = joined({SettingCodes.INITIAL_WINDOW_SIZE: initial[0]})
    messages = [Message(number, b"x" * size) for number, size in enumerate(bodies)]
    assert pair.start(*messages) == len(messages)
    for size in initial[1:]:
        pair.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        pair.exchange()
    pair.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    pair.exchange()
    assert [request.body for request in pair.peer.requests.values()] == [message.payload for message in messages]
    assert all(request.ended for request in pair.peer.requests.values())


def test_connection_window_stops_starts_and_its_update_lets_them_go_on() -> None:
    client, _ = opened(0)
    many = [Message(number, bytes(5000)) for number in range(20)]
    assert client.start(SHAPE, many, literals) == 14, "65,535 bytes: thirteen whole and a part of one"
    assert client.room == 0
    client.take_output()
    client.receive(window_update(0, 4_465))
    assert client.take_output() == frame(DATA, END_STREAM, 27, bytes(4_465))
    assert client.room == 0
    client.receive(window_update(0, 1))
    assert client.room == 986


def test_lost_connection_tells_apart_what_was_never_wholly_written() -> None:
    client, messages = opened(2)
    large = Message(9, bytes(70_000))
    client.start(SHAPE, [large], literals)
    client.take_output()
    client.receive(window_update(0, 100_000))
    client.take_output()
    client.start(SHAPE, [late := Message(10)], literals)
    assert client.lose() == (messages, [large, late]), "the stream's window has stopped the large one"
    assert client.lose() == ([], [])


@pytest.mark.slow
def test_four_gibibytes_leave_through_one_connection() -> None:
    client, _ = opened(0)
    client.receive(window_update(0, MAX_WINDOW - 65_535))
    payload, total, stream = bytes(16_000), 0, 1
    batch = [Message(number, payload) for number in range(100)]
    answer = bytearray()
    while total < 1 << 32:
        assert client.start(SHAPE, batch, literals, max_bytes=1 << 30) == 100
        client.take_output()
        answer.clear()
        for _ in range(100):
            answer += frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\x88")
            stream += 2
        total += 1_600_000
        assert client.receive(bytes(answer) + window_update(0, 1_600_000)) == [Succeeded(batch)]
    assert client.room == 1000


@pytest.mark.slow
def test_four_gibibytes_come_in_and_are_credited_back() -> None:
    client, _ = opened(0)
    content, total, credited = bytes(16_384), 0, 0
    stream = 1
    while total < 1 << 32:
        assert client.start(SHAPE, [Message(0)], literals) == 1
        client.take_output()
        client.receive(
            frame(HEADERS, END_HEADERS, stream, b"\x8d")
            + frame(DATA, 0, stream, content)
            + frame(DATA, END_STREAM, stream, content)
            + window_update(0, 10)
        )
        total += 32_768
        output = client.take_output()
        assert len(output) == 13, "an update"
        credited += int.from_bytes(output[9:13], "big")
        stream += 2
        assert 0 <= total - credited < 32_767


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (window_update(0, MAX_WINDOW), "WINDOW_UPDATE overflows the connection"),
        (frame(SETTINGS, 0, 0, setting(SettingCodes.INITIAL_WINDOW_SIZE, MAX_WINDOW + 1)), "INITIAL_WINDOW_SIZE="),
        (window_update(0, 0), "WINDOW_UPDATE by 0"),
    ],
)
def test_window_that_overflows_fails_the_connection(frames: bytes, text: str) -> None:
    client, _ = opened(1)
    assert text in failure(client.receive(frames))


def test_stream_window_that_overflows_costs_the_stream_alone() -> None:
    client, _ = opened(0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 100_000))
    client.start(SHAPE, [message := Message(1, bytes(70_000))], literals)
    assert client.receive(window_update(1, MAX_WINDOW)) == [Reset(message, 3)]
