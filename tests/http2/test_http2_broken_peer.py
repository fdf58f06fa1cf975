"""A peer that breaks the protocol: named, told to it, and never an exception."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import pytest
from h2.settings import SettingCodes
from http2_peer import Client, Message, failure, opened, setting
from hypothesis import given
from hypothesis import strategies as st

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import (
    Answered,
    Failed,
    GoingAway,
    PingAnswered,
    Reset,
    Succeeded,
    Unprocessed,
)
from scheduler.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

BROKEN: list[tuple[Callable[[], bytes], str]] = [
    (lambda: frame(DATA, 0, 0, b"x"), "a frame of type 0 on stream 0"),
    (lambda: frame(HEADERS, 0, 0, b"x"), "a frame of type 1 on stream 0"),
    (lambda: frame(SETTINGS, 0, 1), "a frame of type 4 on stream 1"),
    (lambda: frame(PING, 0, 1, bytes(8)), "a frame of type 6 on stream 1"),
    (lambda: frame(GOAWAY, 0, 1, bytes(8)), "a frame of type 7 on stream 1"),
    (lambda: frame(PING, 0, 0, bytes(7)), "a frame of type 6 with 7 bytes"),
    (lambda: frame(SETTINGS, 0, 0, bytes(5)), "a frame of type 4 with 5 bytes"),
    (lambda: frame(SETTINGS, 1, 0, bytes(6)), "SETTINGS acknowledged with a payload"),
    (lambda: frame(SETTINGS, 0, 0, setting(SettingCodes.MAX_FRAME_SIZE, 9)), "MAX_FRAME_SIZE=9"),
    (lambda: frame(SETTINGS, 0, 0, setting(SettingCodes.ENABLE_PUSH, 7)), "control frame: "),
    (lambda: frame(GOAWAY, 0, 0, bytes(7)), "a frame of type 7 with 7 bytes"),
    (lambda: frame(RST_STREAM, 0, 1, bytes(3)), "a frame of type 3 with 3 bytes"),
    (lambda: frame(WINDOW_UPDATE, 0, 1, bytes(3)), "a frame of type 8 with 3 bytes"),
    (lambda: frame(PRIORITY, 0, 1, bytes(4)), "a frame of type 2 with 4 bytes"),
    (lambda: frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), "PUSH_PROMISE, although push is switched off"),
    (lambda: frame(DATA, 0, 0x7FFF, b"x"), "stream 32767 was never opened"),
    (lambda: frame(HEADERS, END_HEADERS, 2, b"\x88"), "stream 2 was never opened"),
    (lambda: frame(CONTINUATION, END_HEADERS, 1, b"\x88"), "CONTINUATION without HEADERS"),
    (lambda: frame(HEADERS, 0, 1, b"\x88") + frame(PING, 0, 0, bytes(8)), "a header block is interrupted"),
    (lambda: frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, 4, 3), "a header block is interrupted"),
    (lambda: frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, 0, 1, bytes(16_384)) * 5, "a header block of over"),
    (lambda: frame(HEADERS, PADDED | 4, 1, b"\x05\x88"), "padding is longer than its frame"),
    (lambda: frame(DATA, PADDED, 1), "a frame of type 0 is too short"),
    (lambda: frame(HEADERS, END_HEADERS, 1, b"\x00\x09abc"), "header block 0009616263 cannot be decoded: "),
    (lambda: frame(HEADERS, END_HEADERS, 1, b"\xff\xff"), "header block ffff cannot be decoded: HPACKDecodingError"),
    (lambda: frame(DATA, 0, 1, bytes(16_385)), "a frame of 16385 bytes"),
    (lambda: frame(SETTINGS, 0, 0, setting(SettingCodes.ENABLE_PUSH, 1)), "control frame: "),
    (lambda: frame(HEADERS, HAS_PRIORITY | END_HEADERS, 1, bytes(4)), "a frame of type 1 is too short"),
    (lambda: frame(HEADERS, 0, 1, b"\x88") + frame(0xEE, 0, 0), "a header block is interrupted"),
]


@pytest.mark.parametrize(("frames", "text"), BROKEN, ids=[text for _, text in BROKEN])
def test_broken_protocol_is_named_and_told_to_the_peer(frames: Callable[[], bytes], text: str) -> None:
    client, messages = opened(2)
    assert failure(client.receive(frames())).startswith(text)
    assert client.take_output()[3] == GOAWAY or client.in_flight == 2
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")) == [], "nothing more is read"
    assert client.lose() == (messages, [])


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_server_of_http_1_is_named_as_such(answer: bytes) -> None:
    client: Client = ExpressConnection(stream_limit=10)
    assert failure(client.receive(answer)) == f"the server speaks {answer[:8].decode()}, not HTTP/2"


def test_first_frame_must_be_settings() -> None:
    client: Client = ExpressConnection(stream_limit=10)
    assert failure(client.receive(frame(PING, 0, 0, bytes(8)))) == "the first frame is not SETTINGS"


def test_unknown_frames_and_priority_are_ignored() -> None:
    client, _ = opened(1)
    assert client.receive(frame(0xEE, 0xFF, 12, b"?") + frame(PRIORITY, 0, 1, bytes(5)) + frame(0xA, 0, 0)) == []
    assert client.receive(frame(PRIORITY, 0, 2, bytes(5)) + frame(PRIORITY, 0, 99, bytes(5))) == [], "idle streams too"


@given(st.lists(st.one_of(st.binary(max_size=40), st.builds(
    frame, st.integers(0, 10), st.integers(0, 255), st.integers(0, 12), st.binary(max_size=20))), max_size=12),
    st.integers(0, 4))  # fmt: skip
def test_no_bytes_of_the_peer_raise_and_each_request_ends_once(pieces: list[bytes], count: int) -> None:
    client, messages = opened(count)
    ended: list[Message] = []
    for piece in pieces:
        for event in client.receive(piece):
            match event:
                case Succeeded(requests):
                    ended += requests
                case Answered(request=request) | Reset(request=request) | Unprocessed(request=request):
                    ended.append(request)
                case GoingAway() | PingAnswered() | Failed():
                    pass
    ended += chain(*client.cancel(1))
    written, unwritten = client.lose()
    assert sorted(message.number for message in [*ended, *written, *unwritten]) == list(range(count))
    assert len(messages) == count


def test_connection_that_has_failed_asks_for_no_sign_of_life() -> None:
    client, _ = opened(1)
    client.receive(frame(SETTINGS, 0, 0, b"\x00\x08\x00\x00\x00\x03"))  # ENABLE_CONNECT_PROTOCOL is 0 or 1
    client.take_output()
    client.ping(b"12345678")
    assert client.take_output() == b""
