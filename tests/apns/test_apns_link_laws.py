"""The laws of a link: probing, limits, deadlines, GOAWAY, provider tokens; each request ends exactly once."""

from __future__ import annotations

import pytest
from apns_peer import HEADERS, Joined, proved, requests
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from scheduler.apns.link_laws import CloseReason, Retirement
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Unanswered, Unsent, UnsentCause
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.push_types import PushType

NO_ANSWER = Unanswered(UnknownCause.NO_ANSWER)

# --- one stream until the token is proved


def test_one_stream_until_the_token_is_proved_then_the_servers_limit() -> None:
    pair = Joined(streams=50)
    assert pair.start(requests(10)) == 1
    assert (pair.laws.room, pair.laws.proved) == (0, False)
    pair.server.answer(1)
    pair.exchange()
    assert (pair.laws.room, pair.laws.proved) == (50, True)


@pytest.mark.parametrize(
    ("status", "reason"), [(410, "Unregistered"), (400, "BadDeviceToken"), (429, "TooManyRequests")]
)
def test_a_rejection_that_is_not_about_the_token_proves_it(status: int, reason: str) -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.answer(1, status, reason)
    assert pair.exchange() == [Answer(status, reason)]
    assert pair.laws.room == 1000


@pytest.mark.parametrize(("status", "reason"), [(500, "InternalServerError"), (503, "ServiceUnavailable"), (502, "")])
def test_a_server_error_proves_nothing(status: int, reason: str) -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.answer(1, status, reason)
    pair.exchange()
    assert (pair.laws.room, pair.laws.retirement) == (1, None)


@pytest.mark.parametrize("reason", ["InvalidProviderToken", "MissingProviderToken", "BadEnvironmentKeyIdInToken"])
def test_a_refused_provider_token_stops_the_app(reason: str) -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.answer(1, 403, reason)
    assert pair.exchange() == [Answer(403, reason)]
    assert pair.laws.stop_app == reason
    assert pair.laws.retirement == Retirement(CloseReason.REPLACED, reason)


def test_an_expired_provider_token_is_rotated_and_the_link_replaced() -> None:
    pair = proved()
    pair.clock.advance(1200)
    old = pair.tokens.current()
    pair.start(requests(3))
    for stream in (3, 5):
        pair.server.answer(stream, 403, "ExpiredProviderToken")
    pair.exchange()
    new = pair.tokens.current()
    assert new != old, "rotated, and once only: the second answer finds it fresh"
    assert pair.laws.retirement == Retirement(CloseReason.REPLACED, "ExpiredProviderToken")
    assert (pair.laws.room, pair.laws.over) == (0, False)
    pair.server.answer(7)
    assert pair.exchange() == [ACCEPTED_ANSWER]
    assert pair.laws.over


def test_too_many_token_updates_replace_the_link_and_keep_the_token() -> None:
    pair = proved()
    pair.clock.advance(1200)
    token = pair.tokens.current()
    pair.start(requests(1))
    pair.server.answer(3, 429, "TooManyProviderTokenUpdates")
    pair.exchange()
    assert pair.tokens.current() == token
    assert pair.laws.retirement == Retirement(CloseReason.REPLACED, "TooManyProviderTokenUpdates")


# --- limits


def test_refused_stream_is_unsent_and_the_link_stays() -> None:
    pair = proved()
    pair.start(requests(2))
    pair.server.h2.reset_stream(5, ErrorCodes.REFUSED_STREAM)
    assert pair.exchange() == [Unsent(UnsentCause.REFUSED)]
    assert (pair.laws.retirement, pair.laws.in_flight) == (None, 1)


def test_stream_limit_that_falls_below_what_is_in_flight_stops_starts_until_it_has_drained() -> None:
    pair = proved(streams=4)
    assert pair.start(requests(9)) == 4
    pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    for stream in (3, 5, 7):
        pair.exchange()
        assert pair.laws.room == 0
        pair.server.answer(stream)
    pair.exchange()
    assert pair.laws.room == 0
    pair.server.answer(9)
    pair.exchange()
    assert pair.laws.room == 1


# --- time


def test_thirty_seconds_without_an_answer_cancel_the_stream() -> None:
    pair = proved()
    pair.start(requests(1))
    assert pair.tick(29) == []
    assert pair.tick(1) == [NO_ANSWER]
    assert pair.server.resets == [3]
    assert pair.laws.retirement is None


def test_a_deadline_is_never_early_for_starts_close_together() -> None:
    pair = proved()
    for _ in range(10):
        pair.start(requests(1))
        pair.clock.advance(0.1)
    last_start = pair.now - 0.1
    ended = {}
    while len(ended) < 10:
        pair.clock.advance(0.05)
        for request, _ in pair.laws.tick(pair.now):
            ended[id(request)] = pair.now
    assert max(ended.values()) >= last_start + 30
    assert max(ended.values()) < last_start + 30.3
    assert min(ended.values()) >= last_start - 0.9 + 30


def test_three_deadlines_in_a_row_replace_the_link() -> None:
    pair = proved()
    for _ in range(3):
        assert pair.laws.retirement is None
        pair.start(requests(1))
        pair.tick(30)
    assert pair.laws.retirement == Retirement(CloseReason.NO_ANSWER, "3 requests in a row had no answer in 30 s")


def test_an_answer_breaks_the_row() -> None:
    pair = proved()
    for stream in (3, 7, 11):
        pair.start(requests(1))
        pair.tick(30)
        pair.start(requests(1))
        pair.server.answer(stream + 2)
        pair.exchange()
    assert pair.laws.retirement is None


def test_a_silent_link_is_asked_for_a_sign_of_life_and_replaced_without_one() -> None:
    pair = proved()
    pair.start(requests(1))
    for _ in range(5):
        pair.clock.advance(1)
        pair.laws.tick(pair.now)
    asked = pair.laws.take_output()
    assert asked.endswith(b"clarion!")
    for _ in range(9):
        pair.clock.advance(1)
        pair.laws.tick(pair.now)
    assert pair.laws.retirement is None
    pair.clock.advance(1)
    assert pair.laws.tick(pair.now) == []
    assert pair.laws.retirement == Retirement(CloseReason.NO_PING, "no sign of life in 10 s")
    assert pair.laws.over, "a dead link is not waited for"
    assert [result for _, result in pair.laws.lose()] == [Unanswered(UnknownCause.LINK_LOST)]


def test_a_link_that_answers_pings_stays() -> None:
    pair = proved()
    pair.start(requests(1))
    pair.tick(29)
    assert len(pair.server.pings) >= 4
    assert pair.laws.retirement is None


def test_an_idle_link_is_pinged_once_an_hour() -> None:
    pair = proved()
    pair.tick(3599)
    assert pair.server.pings == []
    pair.tick(1)
    assert len(pair.server.pings) == 1
    pair.tick(3600)
    assert len(pair.server.pings) == 2


# --- ends


def test_goaway_drains_and_says_why() -> None:
    pair = proved()
    pair.start(requests(3))
    pair.server.h2.close_connection(last_stream_id=3, additional_data=b'{"reason":"Shutdown"}')
    assert pair.exchange() == [Unsent(UnsentCause.GOING_AWAY)] * 2
    assert pair.laws.retirement == Retirement(CloseReason.GOAWAY, "Shutdown")
    assert (pair.laws.over, pair.laws.start(HEADERS, requests(1), pair.now)) == (False, 0)
    late = b"\x00\x00\x01\x01\x05\x00\x00\x00\x03\x88"
    assert [result for _, result in pair.laws.receive(late, pair.now)] == [ACCEPTED_ANSWER]
    assert pair.laws.over


def test_goaway_with_text_that_is_not_json_is_kept() -> None:
    pair = proved()
    pair.server.h2.close_connection(ErrorCodes.REFUSED_STREAM, b"Maximum active streams violated", 1)
    pair.exchange()
    assert pair.laws.retirement == Retirement(CloseReason.GOAWAY, "Maximum active streams violated")


def test_goaway_with_what_cannot_be_seen_moves_no_cursor() -> None:
    pair = proved()
    pair.server.h2.close_connection(ErrorCodes.REFUSED_STREAM, b"\x1b[2J\xffgone\n", 1)
    pair.exchange()
    assert pair.laws.retirement == Retirement(CloseReason.GOAWAY, r"\x1b[2J\xffgone\n")


def test_goaway_without_a_word_has_its_code() -> None:
    pair = proved()
    pair.server.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=1)
    pair.exchange()
    assert pair.laws.retirement == Retirement(CloseReason.GOAWAY, "ENHANCE_YOUR_CALM")


def test_a_draining_link_that_dies_is_not_waited_for() -> None:
    pair = proved()
    pair.start(requests(2))
    pair.server.h2.close_connection(last_stream_id=5)
    pair.exchange()
    assert not pair.laws.over
    pair.laws.receive(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x", pair.now)
    assert pair.laws.over
    assert pair.laws.retirement == Retirement(CloseReason.GOAWAY, "NO_ERROR")


def test_reset_without_refusal_is_unknown() -> None:
    pair = proved()
    pair.start(requests(1))
    pair.server.h2.reset_stream(3, ErrorCodes.INTERNAL_ERROR)
    assert pair.exchange() == [Unanswered(UnknownCause.RESET)]


def test_lost_link_is_unknown_for_what_was_written_and_unsent_for_the_rest() -> None:
    pair = proved()
    pair.start(requests(1))
    assert pair.laws.start(HEADERS, requests(1), pair.now) == 1
    assert [result for _, result in pair.laws.lose()] == [
        Unanswered(UnknownCause.LINK_LOST),
        Unsent(UnsentCause.NOT_WRITTEN),
    ]
    assert pair.laws.retirement == Retirement(CloseReason.LOST)
    assert pair.laws.lose() == []


def test_broken_protocol_ends_the_link_and_tells_the_server() -> None:
    pair = proved()
    assert pair.laws.receive(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x", pair.now) == []
    assert pair.laws.retirement == Retirement(CloseReason.PROTOCOL, "a frame of type 0 on stream 0")
    assert pair.laws.over
    pair.server.take(pair.laws.take_output())
    assert pair.server.gone


def test_a_table_that_was_not_announced_is_its_own_reason() -> None:
    pair = proved()
    pair.start(requests(1))
    pair.laws.receive(b"\x00\x00\x01\x01\x05\x00\x00\x00\x03\xbe", pair.now)
    assert pair.laws.retirement is not None
    assert pair.laws.retirement.reason is CloseReason.TABLE_IGNORED


# --- exactly once

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "accept", "reject", "refuse", "reset", "limit", "goaway", "tick", "cut"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_every_request_ends_in_exactly_one_result(actions: list[tuple[str, int]]) -> None:
    pair = Joined()
    background = HeaderSet("com.example.other", PushType.BACKGROUND, 5)
    waiting = requests(200)
    started: list[PushRequest] = []
    going_away = False
    for action, number in actions:
        stream = sorted(pair.server.asked)[number % len(pair.server.asked)] if pair.server.asked else None
        if action == "start":
            count = pair.start(waiting[:number], HEADERS if number % 2 else background) if not going_away else 0
            started += waiting[:count]
            del waiting[:count]
        elif action == "limit" and not going_away:
            pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: number})
        elif action == "tick":
            pair.tick(number)
        elif action == "goaway" and not going_away:
            pair.server.h2.close_connection(last_stream_id=2 * number + 1, additional_data=b"bye")
            going_away = True
        elif action == "cut":
            # A part of what the server says, then silence.
            pair.ended += pair.laws.receive(pair.server.h2.data_to_send()[:number], pair.now)
            break
        elif stream is not None and not going_away and stream not in pair.server.resets:
            del pair.server.asked[stream]
            match action:
                case "accept":
                    pair.server.answer(stream)
                case "reject":
                    pair.server.answer(stream, 400 + number % 30, "BadDeviceToken")
                case "refuse":
                    pair.server.h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
                case _:
                    pair.server.h2.reset_stream(stream, ErrorCodes.NO_ERROR)
        if action != "accept":
            pair.exchange()
    pair.ended += pair.laws.lose()
    assert sorted(id(request) for request, _ in pair.ended) == sorted(map(id, started))
