"""Faults of single requests, and their moments: each strikes exactly what it says, and nothing else."""

from __future__ import annotations

import pytest
from fault_link import FaultLink, at_request
from h2.errors import ErrorCodes

from scheduler.simulator.fault_schedule import FaultSchedule
from scheduler.simulator.faults import (
    AnswerWith,
    Delay,
    Drain,
    Fault,
    GoAway,
    Informational,
    Ping,
    Refuse,
    Reset,
    Script,
    Streams,
    Trailers,
)
from scheduler.simulator.reasons import Reason


def test_without_faults_nothing_happens() -> None:
    link = FaultLink().proved()
    assert link.server.due is None
    assert link.ended() == {1}
    assert [exchange.faults for exchange in link.exchanges] == [()]


def test_a_fault_strikes_its_request_and_as_many_after_it_as_it_says() -> None:
    link = FaultLink(at_request(3, AnswerWith(reason=Reason.SHUTDOWN), times=2)).proved()
    streams = link.ask(4)
    assert [link.statuses(stream) for stream in streams] == [["200"], ["503"], ["503"], ["200"]]
    assert link.body(streams[1]) == b'{"reason":"Shutdown"}'
    assert [exchange.faults for exchange in link.exchanges] == [(), (), ("answer",), ("answer",), ()]


def test_an_answer_may_have_any_status_reason_and_timestamp_or_no_body() -> None:
    link = FaultLink(
        at_request(1, AnswerWith(status=418, reason="Teapot", timestamp=7)), at_request(2, AnswerWith(status=500))
    )
    first, second = link.ask()[0], link.ask()[0]
    assert (link.statuses(first), link.body(first)) == (["418"], b'{"reason":"Teapot","timestamp":7}')
    assert (link.statuses(second), link.body(second)) == (["500"], b"")
    assert link.ended() == {first, second}


def test_a_refused_request_was_not_processed() -> None:
    link = FaultLink(at_request(2, Refuse())).proved()
    refused, other = link.ask(2)
    assert link.resets() == {refused: ErrorCodes.REFUSED_STREAM}
    assert [exchange.stream for exchange in link.exchanges] == [1, other]
    assert link.server.refused_streams == 1


@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.CANCEL, 0xFACE])
def test_a_reset_request_was_processed_and_has_no_answer(code: int) -> None:
    link = FaultLink(at_request(2, Reset(code))).proved()
    (stream,) = link.ask()
    assert link.resets() == {stream: code}
    assert link.statuses(stream) == []
    assert [(exchange.stream, exchange.faults) for exchange in link.exchanges] == [(1, ()), (stream, ("reset",))]


def test_a_delayed_answer_comes_at_its_second_and_those_behind_it_do_not_wait() -> None:
    link = FaultLink(at_request(2, Delay(2.5))).proved()
    delayed, other = link.ask(2)
    assert link.ended() == {1, other}
    assert link.server.due == 2.5
    link.pass_time(2.4)
    assert link.ended() == {1, other}
    link.pass_time(0.1)
    assert link.ended() == {1, other, delayed}


def test_an_answer_that_is_delayed_for_ever_never_comes_and_counts_as_open() -> None:
    link = FaultLink(Fault(action=Streams(1), request=2), at_request(2, Delay())).proved()
    delayed, refused = link.ask(2)
    link.pass_time(1e6)
    assert delayed not in link.ended()
    link.overrun()
    more = link.ask()[0]
    assert more in link.resets()
    assert refused in link.ended()


def test_a_request_that_is_cancelled_while_its_answer_is_delayed_has_none() -> None:
    link = FaultLink(at_request(2, Delay(1))).proved()
    (stream,) = link.ask()
    link.client.reset_stream(stream, ErrorCodes.CANCEL)
    link.deliver()
    link.pass_time(2)
    assert link.statuses(stream) == []
    assert not link.server.closed


def test_an_interim_answer_comes_before_the_real_one_and_trailers_behind_it() -> None:
    link = FaultLink(at_request(1, Informational(103)), at_request(1, Trailers()), at_request(2, Trailers()))
    (first,) = link.ask()
    (second,) = link.ask(apns_topic=None)
    assert link.statuses(first) == ["103", "200", "trailers"]
    assert link.statuses(second) == ["400", "trailers"]
    assert link.body(second) == b'{"reason":"MissingTopic"}'
    assert link.ended() == {first, second}


def test_moments_count_over_all_connections_or_over_one() -> None:
    schedule = FaultSchedule(
        Script(
            (
                Fault(action=AnswerWith(status=500), request=3),
                Fault(action=AnswerWith(status=501), request=2, connection=2),
                Fault(action=AnswerWith(status=502), request=4, connection="each"),
            )
        )
    )
    first, second = FaultLink(schedule=schedule), FaultLink(schedule=schedule, number=2)
    for link in (first, second, first, second, first, second, first, second):
        link.ask()
    assert [exchange.answer.status for exchange in first.exchanges] == [200, 500, 200, 502]
    assert [exchange.answer.status for exchange in second.exchanges] == [200, 501, 200, 502]


def test_a_second_counts_from_the_first_connection_and_passes_over_those_that_open_later() -> None:
    script = Script((Fault(action=Ping(), second=1), Fault(action=Drain(), second=1, connection="each")))
    schedule = FaultSchedule(script)
    first, second, late = (schedule.connection(*opened) for opened in ((1, 100.0), (2, 100.5), (3, 101.5)))
    assert first.take_due(101.0) == [Ping(), Drain()]
    assert second.take_due(101.0) == [Ping()]
    assert (second.due, second.take_due(101.5)) == (101.5, [Drain()])
    assert (late.due, late.take_due(200)) == (102.5, [Drain()])
    assert late.due is None


def test_faults_of_one_moment_happen_in_the_order_of_the_script() -> None:
    link = FaultLink(at_request(2, GoAway(debug="a")), at_request(2, GoAway(debug="b"))).proved()
    link.ask()
    assert [debug for _, _, debug in link.goaways()] == [b"a", b"b"]
