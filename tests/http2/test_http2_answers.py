"""What the connection reads: answers of h2's server side, whole and in pieces, and where they end a stream."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from http2_peer import SHAPE, Client, Message, flat, joined, literals, opened, setting

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import (
    Answered,
    Event,
    Failed,
    Reset,
    Succeeded,
    Unprocessed,
)
from scheduler.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_STREAM_ID,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    TableIgnoredError,
    frame,
    window_update,
)


def server_script(table_size: int) -> tuple[bytes, bytes, int]:
    """What a server sends to a client with nine requests: (its SETTINGS, the rest, how many requests)."""
    pair = joined(header_table_size=table_size)
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


def play(pieces: list[bytes], hello: bytes, requests: int, table_size: int) -> tuple[list[int], list[object], bytes]:
    client: Client = ExpressConnection(stream_limit=1000, header_table_size=table_size)
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


@pytest.mark.parametrize("table_size", [0, pytest.param(4096, marks=pytest.mark.slow)])
def test_answers_mean_the_same_whole_and_split_at_every_byte(table_size: int) -> None:
    hello, script, requests = server_script(table_size)
    whole = play([script], hello, requests, table_size)
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
    assert play([script[at : at + 1] for at in range(len(script))], hello, requests, table_size) == whole
    for cut in range(1, len(script)):
        assert play([script[:cut], script[cut:]], hello, requests, table_size) == whole


@pytest.mark.parametrize("prefix", [b"\x88", b"\x20\x88", b"\x08\x03200", b"\x48\x03200"])
def test_a_200_is_recognised_however_it_is_written(prefix: bytes) -> None:
    client, messages = opened(1)
    assert client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, prefix)) == [Succeeded(messages)]


@pytest.mark.parametrize(
    "end",
    [
        frame(DATA, END_STREAM, 1),
        frame(DATA, END_STREAM | PADDED, 1, b"\0"),
        frame(DATA, 0, 1) * 2 + frame(DATA, END_STREAM, 1),
    ],
)
def test_a_200_may_end_with_empty_data(end: bytes) -> None:
    client, messages = opened(2)
    begun = frame(HEADERS, END_HEADERS, 1, b"\x88\x00\x01a\x01b")
    other = frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x88")
    assert client.receive(begun + end + other) == [Succeeded(messages)]
    client, messages = opened(2)
    assert client.receive(begun + other + end) == [Succeeded([messages[1], messages[0]])]


def test_a_200_with_a_body_is_taken_at_its_first_byte_too() -> None:
    client, messages = opened(1)
    assert client.receive(frame(HEADERS, END_HEADERS, 1, b"\x88\xbe")) == [], "what follows the status is not decoded"
    assert client.receive(frame(DATA, END_STREAM, 1, b"{}")) == [Succeeded(messages)]


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
    assert client.cancel(3) == (messages[:2], [])
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


def test_refusal_behind_the_headers_of_an_answer_proves_nothing() -> None:
    client, messages = opened(1)
    begun = frame(HEADERS, END_HEADERS, 1, b"\x8d")
    events = client.receive(begun + frame(RST_STREAM, 0, 1, b"\0\0\0\x07"))
    assert events == [Reset(messages[0], 7)], "who has answered has processed it (RFC 9113 §8.7)"


@pytest.mark.parametrize("status", [b"\x88", b"\x8e"])
def test_an_answer_that_would_fill_its_window_is_known_before_and_cut_short(status: bytes) -> None:
    client, messages = opened(2)
    content = frame(DATA, 0, 1, b"x" * 16_000)
    events = client.receive(frame(HEADERS, END_HEADERS, 1, status) + content * 3)
    if status == b"\x88":
        assert events == [Succeeded(messages[:1])]
    else:
        assert events == [Answered(messages[0], 500, ((b":status", b"500"),), b"x" * 4096)]
    assert client.take_output().count(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")) == 1
    assert client.in_flight == 1


@pytest.mark.parametrize("update", [b"\x3f\xe1\x1f", b"\x21"])
def test_a_size_update_above_zero_is_a_table_that_was_not_announced(update: bytes) -> None:
    client, messages = opened(1)
    events = client.receive(frame(HEADERS, END_STREAM | END_HEADERS, 1, update + b"\x8d"))
    assert isinstance(events[0], Failed)
    assert isinstance(events[0].error, TableIgnoredError)
    assert client.lose() == (messages, [])


def test_an_interim_answer_and_trailers_leave_the_final_answer_as_it_is() -> None:
    client, messages = opened(1)
    interim = frame(HEADERS, END_HEADERS, 1, b"\x08\x03103") * 3
    answer = frame(HEADERS, END_HEADERS, 1, b"\x8e") + frame(DATA, 0, 1, b"{}")
    trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00\x01a\x01b")
    assert client.receive(interim + answer + trailers) == [Answered(messages[0], 500, ((b":status", b"500"),), b"{}")]


@pytest.mark.parametrize("code", range(16))
def test_reset_with_any_code_ends_its_request_and_no_other(code: int) -> None:
    client, messages = opened(2)
    events = client.receive(frame(RST_STREAM, 0, 1, code.to_bytes(4, "big")))
    assert events == [Unprocessed(messages[0], refused=True) if code == 7 else Reset(messages[0], code)]
    assert (client.in_flight, client.room) == (1, 999)
