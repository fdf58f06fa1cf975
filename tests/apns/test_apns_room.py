"""What a server lets us send: the stream limit that follows its answers, and servers that grant no window or stream."""

from __future__ import annotations

import pytest
from apns_peer import Joined, proved, requests
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h2.stream import StreamState
from hypothesis import given
from hypothesis import strategies as st

from scheduler.apns.link_laws import CloseReason, Retirement
from scheduler.apns.request import PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Result, Unanswered, Unsent, UnsentCause
from scheduler.domain.outcomes import UnknownCause

NOT_WRITTEN = Unsent(UnsentCause.NOT_WRITTEN)

# --- the stream limit in use


def answered(pair: Joined, status: int, reason: str) -> list[Result]:
    """One request more, answered like this after a second."""
    pair.start(requests(1))
    pair.clock.advance(1)
    pair.server.answer(max(pair.server.asked), status, reason)
    return pair.exchange()


@pytest.mark.parametrize(("status", "reason"), [(500, "InternalServerError"), (503, "ServiceUnavailable"), (599, "?")])
def test_a_5xx_lowers_the_stream_limit(status: int, reason: str) -> None:
    pair = proved()
    answered(pair, status, reason)
    assert pair.laws.limit.limit == pair.laws.room == 500


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "TooManyRequests"), (400, "BadDeviceToken"), (410, "Unregistered"), (413, "PayloadTooLarge")],
)
def test_a_rejection_or_too_many_requests_for_a_device_does_not(status: int, reason: str) -> None:
    pair = proved()
    for _ in range(5):
        pair.start(requests(1))
        pair.clock.advance(0.2)
        pair.server.answer(max(pair.server.asked), status, reason)
        pair.exchange()
    assert pair.laws.limit.trouble == 0
    assert pair.laws.room == 1000


def test_a_refused_stream_lowers_it() -> None:
    pair = proved()
    pair.start(requests(1))
    pair.clock.advance(1)
    pair.server.h2.reset_stream(3, ErrorCodes.REFUSED_STREAM)
    assert pair.exchange() == [Unsent(UnsentCause.REFUSED)]
    assert pair.laws.room == 500


def test_a_missed_deadline_lowers_it() -> None:
    pair = proved()
    pair.start(requests(1))
    pair.tick(30)
    assert pair.laws.limit.limit == 500


def test_slow_answers_lower_it_and_quick_ones_raise_it_again() -> None:
    pair = proved()
    for _ in range(3):
        pair.start(requests(1))
        pair.tick(2)
        pair.server.answer(max(pair.server.asked))
        pair.exchange()
    slowed = pair.laws.limit.limit
    assert slowed < 700
    for _ in range(20):
        pair.start(requests(1))
        pair.server.answer(max(pair.server.asked))
        pair.clock.advance(0.05)
        pair.exchange()
        pair.tick(1)
    assert pair.laws.limit.limit == 1000


def test_the_limit_is_cut_from_what_the_server_allows_and_more_may_be_open_than_it() -> None:
    pair = proved(streams=40)
    assert pair.start(requests(60)) == 40
    pair.clock.advance(1)
    for stream in range(3, 43, 2):
        pair.server.answer(stream, 503, "ServiceUnavailable")
    pair.exchange()
    assert (pair.laws.in_flight, pair.laws.limit.limit, pair.laws.room) == (20, 20, 0)
    for stream in range(43, 83, 2):
        pair.server.answer(stream)
    pair.exchange()
    assert pair.laws.room == 20


# --- no window, no stream


def without_window(streams: int = 1000) -> Joined:
    """A proved link to a server that lets no body be sent on new streams."""
    pair = proved(streams)
    pair.server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    pair.exchange()
    return pair


def test_without_a_window_requests_wait_and_go_on_when_there_is_one() -> None:
    pair = without_window()
    pair.start(requests(3))
    assert pair.tick(9) == []
    pair.server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
    pair.exchange()
    for stream in (3, 5, 7):
        pair.server.answer(stream)
    assert pair.exchange() == [ACCEPTED_ANSWER] * 3
    assert pair.laws.retirement is None
    pair.tick(20)
    assert pair.laws.retirement is None


def test_a_link_without_a_window_for_ten_seconds_is_replaced_and_its_requests_are_unsent() -> None:
    pair = without_window()
    pair.start(requests(3))
    assert pair.tick(11) == []
    assert pair.laws.retirement == Retirement(CloseReason.NO_ROOM, "no window for 3 requests in 10 s")
    assert pair.laws.over
    assert [result for _, result in pair.laws.lose()] == [NOT_WRITTEN] * 3


def test_what_was_wholly_written_still_gets_its_answer() -> None:
    pair = proved()
    pair.start(requests(2))
    pair.server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    pair.exchange()
    pair.start(requests(3))
    pair.tick(12)
    assert pair.laws.retirement is not None
    assert pair.laws.retirement.reason is CloseReason.NO_ROOM
    assert not pair.laws.over
    pair.server.answer(3)
    pair.server.answer(5)
    assert pair.exchange() == [ACCEPTED_ANSWER] * 2
    pair.tick(1)
    assert pair.laws.over
    assert [result for _, result in pair.laws.lose()] == [NOT_WRITTEN] * 3


def test_a_deadline_tells_what_was_never_wholly_written_from_what_may_have_been_processed() -> None:
    """Bodies get through one by one, so the link is not stuck; what has waited for 30 s ends all the same."""
    pair = without_window()
    pair.start(requests(10))
    ended: list[Result] = []
    for stream in (3, 5, 7):
        ended += pair.tick(9)
        pair.server.h2.increment_flow_control_window(100, stream)
        pair.exchange()
    assert ended == []
    assert pair.laws.retirement is None
    ended = pair.tick(4)
    assert pair.laws.retirement == Retirement(CloseReason.NO_ROOM, "no window for 7 requests in 30 s")
    assert sorted(map(repr, ended)) == sorted([repr(Unanswered(UnknownCause.NO_ANSWER))] * 3 + [repr(NOT_WRITTEN)] * 7)


def test_the_connections_window_counts_too_and_a_server_that_takes_no_request_for_ten_seconds_is_left() -> None:
    pair = proved()
    large = PushRequest(0, "00" * 32, "8f0c2f6e-3bf0-5a3c-9f4e-000000000000", bytes(65_535 - 10))
    pair.start([large])  # with the body of the first request it fills the connection's window
    pair.server.answer(3)
    pair.exchange()
    assert pair.laws.room == 0
    assert pair.tick(10) == []
    assert pair.laws.retirement is None
    pair.tick(1)
    assert pair.laws.retirement == Retirement(CloseReason.NO_ROOM, "no stream or no window in 10 s")
    assert pair.laws.over


def test_no_streams_at_all_for_ten_seconds_end_the_link() -> None:
    pair = proved()
    pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    pair.exchange()
    pair.tick(5)
    pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 10})
    pair.exchange()
    pair.tick(5)
    pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    pair.exchange()
    pair.tick(10)
    assert pair.laws.retirement is None
    pair.tick(1)
    assert pair.laws.retirement == Retirement(CloseReason.NO_ROOM, "no stream or no window in 10 s")


# --- whatever the server lets through


actions = st.one_of(
    st.tuples(st.just("start"), st.integers(1, 30)),
    st.tuples(st.just("answer"), st.sampled_from([200, 410, 429, 500, 503])),
    st.tuples(st.just("refuse"), st.just(0)),
    st.tuples(st.just("window"), st.sampled_from([0, 1, 10, 65_535])),
    st.tuples(st.just("streams"), st.integers(0, 20)),
    st.tuples(st.just("wait"), st.integers(1, 12)),
)


def answerable(pair: Joined) -> list[int]:
    """Streams of requests that have arrived whole and have no answer."""
    streams = pair.server.h2.streams
    arrived = StreamState.HALF_CLOSED_REMOTE
    return [one for one in sorted(pair.server.asked) if one in streams and streams[one].state_machine.state is arrived]


@given(st.lists(actions, max_size=40))
def test_each_request_ends_once_and_what_was_not_written_is_never_unknown(steps: list[tuple[str, int]]) -> None:
    pair = Joined(streams=20)
    started: list[PushRequest] = []
    arrived: set[int] = set()
    for action, value in steps:
        whole = answerable(pair)
        match action:
            case "start":
                batch, room = requests(value), pair.laws.room
                count = pair.start(batch)
                assert count <= room
                assert not count or pair.laws.in_flight <= pair.laws.limit.limit
                started += batch[:count]
            case "wait":
                pair.tick(value)
            case "answer" if whole:
                pair.server.answer(whole[0], value, None if value == 200 else "Whatever")
            case "refuse" if whole:
                pair.server.h2.reset_stream(whole[0], ErrorCodes.REFUSED_STREAM)
            case "window":
                pair.server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: value})
            case "streams":
                pair.server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: value})
        pair.exchange()
        arrived.update(answerable(pair))
    pair.ended += pair.laws.lose()
    assert sorted(id(request) for request, _ in pair.ended) == sorted(map(id, started))
    stream_of = {id(request): 2 * number + 1 for number, request in enumerate(started)}
    for request, result in pair.ended:
        assert isinstance(result, Unanswered) <= (stream_of[id(request)] in arrived)
