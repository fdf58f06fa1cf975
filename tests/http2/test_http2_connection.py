"""What the connection reads, and its laws: each request ends once, limits are state, GOAWAY drains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from http2_peer import SHAPE, Message, joined, literals
from hypothesis import given
from hypothesis import strategies as st

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import (
    Answered,
    Event,
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
    HEADERS,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    TableIgnoredError,
    frame,
    window_update,
)

Client = ExpressConnection[Message]


def opened(count: int, settings: bytes = b"", **options: int) -> tuple[Client, list[Message]]:
    """A client with the peer's SETTINGS and `count` streams in flight: 1, 3, 5…"""
    client: Client = ExpressConnection(**{"stream_limit": 1000, **options})
    client.receive(frame(SETTINGS, 0, 0, settings))
    messages = [Message(number) for number in range(count)]
    assert client.start(SHAPE, messages, literals) == count
    client.take_output()
    return client, messages


def setting(code: SettingCodes, value: int) -> bytes:
    return int(code).to_bytes(2, "big") + value.to_bytes(4, "big")


def flat(events: list[Event[Message]]) -> tuple[list[int], list[object]]:
    """Events without how the successes were grouped by reads."""
    succeeded = [message.number for event in events if isinstance(event, Succeeded) for message in event.requests]
    return succeeded, [event for event in events if not isinstance(event, Succeeded)]


def failure(events: list[Event[Message]]) -> str:
    assert isinstance(events[-1], Failed)
    return str(events[-1].error)


# --- what h2's server side says, whole and in pieces


def server_script() -> tuple[bytes, bytes, int]:
    """What a server sends to a client with nine requests: (its SETTINGS, the rest, how many requests)."""
    pair = joined()
    assert pair.start(*(Message(number) for number in range(9))) == 9
    pair.peer.take(pair.client.take_output())
    server = pair.peer.h2
    pair.peer.answer(1)
    pair.peer.answer(3, 410, b'{"reason":"Unregistered","timestamp":1508249865488}')
    server.ping(b"whatever")
    server.send_headers(5, [(b":status", b"103")])
    server.send_headers(5, [(b":status", b"200"), (b"server", b"x" * 300)])
    server.send_data(5, b"", end_stream=True, pad_length=7)
    server.send_headers(7, [(b":status", b"500")])
    server.send_data(7, b"oops", pad_length=3)
    server.send_headers(7, [(b"grpc-status", b"0")], end_stream=True)
    server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2, SettingCodes.HEADER_TABLE_SIZE: 0})
    server.reset_stream(9, ErrorCodes.REFUSED_STREAM)
    server.reset_stream(11, ErrorCodes.INTERNAL_ERROR)
    pair.peer.answer(13)
    in_pieces = [
        frame(HEADERS, END_STREAM, 15, b"\x8d\x00"),
        frame(CONTINUATION, 0, 15, b"\x01x"),
        frame(CONTINUATION, END_HEADERS, 15, b"\x01y"),
    ]
    answers = server.data_to_send() + b"".join(in_pieces)
    server.close_connection(additional_data=b'{"reason":"Shutdown"}', last_stream_id=15)
    return frame(SETTINGS, 0, 0), answers + server.data_to_send(), 9


def play(pieces: list[bytes], hello: bytes, requests: int) -> tuple[list[int], list[object], bytes]:
    client: Client = ExpressConnection(stream_limit=1000)
    client.receive(hello)
    client.start(SHAPE, [Message(number) for number in range(requests)], literals)
    client.take_output()
    events: list[Event[Message]] = []
    for piece in pieces:
        events += client.receive(piece)
    succeeded, others = flat(events)
    shown: list[object] = [
        (type(event).__name__, getattr(getattr(event, "request", None), "number", None), getattr(event, "body", None))
        for event in others
    ]
    return succeeded, shown, client.take_output()


def test_answers_mean_the_same_whole_and_split_at_every_byte() -> None:
    hello, script, requests = server_script()
    whole = play([script], hello, requests)
    succeeded, others, output = whole
    assert succeeded == [0, 2, 6]
    assert others == [
        ("Answered", 1, b'{"reason":"Unregistered","timestamp":1508249865488}'),
        ("Answered", 3, b"oops"),
        ("Unprocessed", 4, None),
        ("Reset", 5, None),
        ("Answered", 7, b""),
        ("GoingAway", None, None),
        ("Unprocessed", 8, None),
    ]
    assert output == frame(PING, 1, 0, b"whatever") + frame(SETTINGS, 1, 0)
    assert play([script[at : at + 1] for at in range(len(script))], hello, requests) == whole
    for cut in range(1, len(script)):
        assert play([script[:cut], script[cut:]], hello, requests) == whole


@pytest.mark.parametrize("prefix", [b"\x88", b"\x20\x88", b"\x08\x03200", b"\x48\x03200"])
def test_a_200_is_recognised_however_it_is_written(prefix: bytes) -> None:
    client, messages = opened(1)
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, prefix)) == [Succeeded(messages)]


def test_with_a_table_every_block_is_decoded() -> None:
    pair = joined(header_table_size=4096)
    for number in range(5):
        pair.start(Message(number))
        pair.exchange()
        pair.peer.answer(1 + 2 * number, 200 if number % 2 else 429, b"" if number % 2 else b"{}")
        pair.exchange()
    succeeded, others = flat(pair.events)
    assert succeeded == [1, 3]
    assert [event.status for event in others if isinstance(event, Answered)] == [429, 429, 429]


def test_dynamic_index_although_no_table_was_announced_fails_the_connection_as_such() -> None:
    client, messages = opened(2)
    good = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88\xbe")
    bad = frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\xbe")
    events = client.receive(good + bad)
    assert events[0] == Succeeded(messages[:1]), "what came before it still counts"
    assert isinstance(events[1], Failed)
    assert isinstance(events[1].error, TableIgnoredError)
    assert client.lose() == ([messages[1]], [])


# --- streams


def test_answer_before_the_body_was_sent_ends_the_request_and_stops_the_body() -> None:
    client, _ = opened(0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 4))
    message = Message(1)
    assert client.start(SHAPE, [message], literals) == 1
    client.take_output()
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")) == [Succeeded([message])]
    assert client.take_output() == frame(RST_STREAM, 0, 1, b"\0\0\0\x08")
    assert client.receive(window_update(1, 100)) == []
    assert client.take_output() == b""


def test_complete_answer_followed_by_reset_counts_once() -> None:
    client, messages = opened(1)
    answer = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")
    assert client.receive(answer + frame(RST_STREAM, 0, 1, bytes(4)) + answer) == [Succeeded(messages)]


def test_refused_stream_is_unprocessed_any_other_reset_is_not() -> None:
    client, messages = opened(2)
    events = client.receive(frame(RST_STREAM, 0, 1, b"\0\0\0\x07") + frame(RST_STREAM, 0, 3, b"\0\0\0\x02"))
    assert events == [Unprocessed(messages[0], refused=True), Reset(messages[1], 2)]


@pytest.mark.parametrize(
    "frames",
    [
        frame(DATA, 0, 1, b"no headers yet"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x08\x03100"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x08\x0320x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x01a\x01b"),
        frame(HEADERS, END_HEADERS, 1, b"\x88") * 2,
        window_update(1, 0),
    ],
)
def test_answer_that_breaks_http_costs_its_stream_alone(frames: bytes) -> None:
    client, messages = opened(2)
    events = client.receive(frames + frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x88"))
    assert events == [Succeeded(messages[1:]), Reset(messages[0], 1)]
    assert frame(RST_STREAM, 0, 1, b"\0\0\0\x01") in client.take_output()


def test_cancel_gives_back_the_oldest_and_resets_their_streams() -> None:
    client, messages = opened(3)
    assert client.cancel(3) == messages[:2]
    assert client.take_output() == frame(RST_STREAM, 0, 1, b"\0\0\0\x08") + frame(RST_STREAM, 0, 3, b"\0\0\0\x08")
    late = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")
    assert client.receive(late) == []
    assert client.in_flight == 1


def test_stream_ids_end_at_the_last_one() -> None:
    client, _ = opened(0, first_stream=MAX_STREAM_ID - 2)
    assert client.room == 2
    assert client.start(SHAPE, [Message(number) for number in range(5)], literals) == 2
    assert client.newest_stream == MAX_STREAM_ID
    assert (client.room, client.exhausted) == (0, True)


# --- limits are state


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


# --- windows


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
            + frame(DATA, 0, stream, content) * 3
            + frame(DATA, END_STREAM, stream, content[:16_383])
            + window_update(0, 10)
        )
        total += 65_535
        output = client.take_output()
        assert len(output) == 26, "two updates"
        credited += int.from_bytes(output[9:13], "big") + int.from_bytes(output[22:26], "big")
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


# --- GOAWAY


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


# --- a broken peer


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
    (lambda: frame(DATA, PADDED, 1), "a padded frame without a pad length"),
    (lambda: frame(HEADERS, END_HEADERS, 1, b"\x00\x09abc"), "header block: "),
    (lambda: frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\x1f\x88"), "header block: "),
    (lambda: frame(DATA, 0, 1, bytes(16_385)), "a frame of 16385 bytes"),
    (
        lambda: frame(HEADERS, END_HEADERS, 1, b"\x8d") + frame(DATA, 0, 1, bytes(16_384)) * 4,
        "an answer larger than its window",
    ),
]


@pytest.mark.parametrize(("frames", "text"), BROKEN, ids=[text for _, text in BROKEN])
def test_broken_protocol_is_named_and_told_to_the_peer(frames: Callable[[], bytes], text: str) -> None:
    client, messages = opened(2)
    assert failure(client.receive(frames())).startswith(text)
    assert client.take_output()[3] == GOAWAY or client.in_flight == 2
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88")) == [], "nothing more is read"
    assert client.lose() == (messages, [])


def test_first_frame_must_be_settings() -> None:
    client: Client = ExpressConnection(stream_limit=10)
    assert failure(client.receive(frame(PING, 0, 0, bytes(8)))) == "the first frame is not SETTINGS"


def test_unknown_frames_and_priority_are_ignored() -> None:
    client, _ = opened(1)
    assert client.receive(frame(0xEE, 0xFF, 12, b"?") + frame(PRIORITY, 0, 1, bytes(5)) + frame(0xA, 0, 0)) == []


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
    ended += client.cancel(1)
    written, unwritten = client.lose()
    assert sorted(message.number for message in [*ended, *written, *unwritten]) == list(range(count))
    assert len(messages) == count
