"""GOAWAY drains; PING and SETTINGS go on meanwhile."""

from __future__ import annotations

import pytest
from h2.settings import SettingCodes
from http2_peer import SHAPE, Message, joined, literals, opened, setting

from scheduler.http2.events import (
    GoingAway,
    PingAnswered,
    Reset,
    Succeeded,
    Unprocessed,
)
from scheduler.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MAX_STREAM_ID,
    PING,
    SETTINGS,
    frame,
    window_update,
)


def test_goaway_gives_up_what_is_above_and_waits_for_the_rest() -> None:
    pair = joined()
    pair.start(*(messages := [Message(number) for number in range(4)]))
    pair.exchange()
    pair.peer.h2.close_connection(last_stream_id=3, additional_data=b"why")
    events = pair.exchange()
    assert events == [GoingAway(3, 0, b"why"), *(Unprocessed(message, refused=False) for message in messages[2:])]
    assert (pair.client.room, pair.client.in_flight) == (0, 2)
    answers = [frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\x88") for stream in (3, 1, 5)]
    assert pair.client.receive(b"".join(answers)) == [Succeeded([messages[1], messages[0]])]


def test_second_goaway_lowers_the_last_stream_and_never_raises_it() -> None:
    client, messages = opened(3)
    first = frame(GOAWAY, 0, 0, MAX_STREAM_ID.to_bytes(4, "big") + bytes(4))
    assert client.receive(first) == [GoingAway(MAX_STREAM_ID, 0, b"")]
    second = frame(GOAWAY, 0, 0, (3).to_bytes(4, "big") + bytes(4) + b"bye")
    assert client.receive(second) == [GoingAway(3, 0, b"bye"), Unprocessed(messages[2], refused=False)]
    assert client.receive(first) == [GoingAway(3, 0, b"")]


def test_after_goaway_pings_and_settings_are_still_answered_and_windows_count() -> None:
    client, _ = opened(0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 4))
    client.start(SHAPE, [message := Message(1)], literals)
    client.take_output()
    client.receive(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4)))
    client.receive(frame(PING, 0, 0, b"12345678"))
    client.receive(frame(SETTINGS, 0, 0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 6)) + frame(SETTINGS, 1, 0))
    client.receive(window_update(1, 10))
    assert client.take_output() == b"".join(
        [
            frame(PING, 1, 0, b"12345678"),
            frame(SETTINGS, 1, 0),
            frame(DATA, 0, 1, message.payload[4:6]),
            frame(DATA, END_STREAM, 1, message.payload[6:]),
        ]
    )
    client.ping(b"abcdefgh")
    assert client.take_output() == frame(PING, 0, 0, b"abcdefgh")
    assert client.receive(frame(PING, 1, 0, b"abcdefgh")) == [PingAnswered(b"abcdefgh")]
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")) == [Succeeded([message])]


def test_ping_is_answered_and_ours_comes_back() -> None:
    pair = joined()
    pair.client.ping(b"clarion!")
    assert pair.exchange() == [PingAnswered(b"clarion!")]


def test_close_says_goaway_and_nothing_else_follows() -> None:
    pair = joined()
    pair.client.close()
    pair.exchange()
    assert pair.peer.goaway is not None
    assert pair.client.room == 0


def test_goaway_below_an_answer_that_has_begun_proves_nothing_for_it() -> None:
    client, messages = opened(3)
    client.receive(frame(HEADERS, END_HEADERS, 3, b"\x8d"))
    events = client.receive(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + (11).to_bytes(4, "big")))
    assert events == [GoingAway(1, 11, b""), Reset(messages[1], 11), Unprocessed(messages[2], refused=False)]


@pytest.mark.parametrize("code", [0, 2, 11, 0xFFFFFFFF])
def test_goaway_with_any_code_ends_only_what_is_above_it(code: int) -> None:
    client, messages = opened(2)
    word = frame(GOAWAY, 0, 0, (0x80000001).to_bytes(4, "big") + code.to_bytes(4, "big") + bytes(4000))
    assert client.receive(word) == [GoingAway(1, code, bytes(4000)), Unprocessed(messages[1], refused=False)]
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")) == [Succeeded(messages[:1])]
    assert client.in_flight == 0
