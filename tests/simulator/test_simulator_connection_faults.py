"""Faults of whole connections: each does exactly what it says, for as long as it says."""

from __future__ import annotations

import pytest
from fault_link import BODY, FaultLink, at_request
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, ExtensionFrame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame
from simulator_client import TOPIC, request_headers

from scheduler.simulator.faults import (
    ChangeSettings,
    CloseWindow,
    Cut,
    CutBy,
    Delay,
    Drain,
    Fault,
    GoAway,
    IgnoreTableSize,
    Ping,
    Stall,
    Stalled,
    Streams,
    UnknownFrame,
    UnknownSetting,
)
from scheduler.simulator.reasons import Reason


def test_the_stream_limit_falls_and_rises_when_the_script_says_so() -> None:
    link = FaultLink(Fault(action=Streams(2, 1), second=1), at_request(2, Delay(), times=2)).proved()
    link.pass_time(1)
    link.ask(2)
    link.overrun()
    (third,) = link.ask()
    assert link.resets() == {third: ErrorCodes.REFUSED_STREAM}
    link.pass_time(1)
    (fourth,) = link.ask()
    assert fourth in link.ended()
    assert [frame.settings[3] for frame in link.of(SettingsFrame) if 3 in frame.settings] == [1, 1000, 2, 1000]


def test_goaway_answers_what_is_open_and_then_ends_the_connection() -> None:
    link = FaultLink(at_request(2, GoAway(reason=Reason.SHUTDOWN))).proved()
    streams = link.ask(3)
    assert link.goaways() == [(streams[-1], ErrorCodes.NO_ERROR, b'{"reason":"Shutdown"}')]
    assert link.ended() == {1, *streams}
    assert not link.server.closed
    link.pass_time(1)
    assert link.server.closed


def test_goaway_waits_for_delayed_answers() -> None:
    link = FaultLink(at_request(2, Delay(5)), at_request(2, GoAway())).proved()
    (stream,) = link.ask()
    link.pass_time(4.9)
    assert (link.server.closed, stream in link.ended()) == (False, False)
    link.pass_time(1.2)
    assert (link.server.closed, stream in link.ended()) == (True, True)


def test_requests_above_the_last_stream_id_are_never_processed() -> None:
    link = FaultLink(
        at_request(3, GoAway(debug="Maximum active streams", error=ErrorCodes.REFUSED_STREAM, unprocessed=2))
    ).proved()
    streams = link.ask(5)
    assert link.goaways() == [(streams[2], ErrorCodes.REFUSED_STREAM, b"Maximum active streams")]
    assert [exchange.stream for exchange in link.exchanges] == [1, *streams[:3]]
    assert link.schedule.requests == 4, "nor do they count as requests of the script"
    later = link.ask()
    assert link.ended() == {1, *streams[:3]}
    assert later[0] not in link.resets()


def test_the_last_stream_id_is_never_below_what_was_processed() -> None:
    link = FaultLink(at_request(3, GoAway(unprocessed=2))).proved()
    first = link.open(end_stream=False)
    second = link.open()
    link.deliver()
    link.client.send_data(first, b" ", end_stream=True)
    third = link.open()
    link.deliver()
    ((last, _, _),) = link.goaways()
    assert last == second
    assert link.ended() == {1, second, first}
    assert third not in link.ended()


def test_a_second_goaway_may_lower_the_last_stream_id() -> None:
    link = FaultLink(at_request(2, GoAway()), at_request(3, GoAway(unprocessed=1))).proved()
    streams = link.ask(4)
    assert [last for last, _, _ in link.goaways()] == [streams[3], streams[2]]
    assert link.ended() == {1, *streams[:3]}


def test_a_drain_names_the_highest_id_first_and_the_last_stream_when_its_ping_is_answered() -> None:
    link = FaultLink(at_request(2, Drain(reason="Shutdown"))).proved()
    link.open()
    link.open()
    _, answers = link.server.receive(link.client.data_to_send(), 1.8e9, 0.0)
    late = link.open()
    link.take(answers)
    assert [last for last, _, _ in link.goaways()] == [2**31 - 1]
    link.deliver()
    assert [(last, debug) for last, _, debug in link.goaways()] == [
        (2**31 - 1, b'{"reason":"Shutdown"}'),
        (late, b'{"reason":"Shutdown"}'),
    ]
    assert link.ended() == {1, 3, 5, late}
    assert link.watch.verdict().obedient
    link.open()
    link.deliver()
    assert [finding.rule for finding in link.watch.verdict().findings] == ["after-goaway"]
    link.pass_time(1)
    assert link.server.closed


def test_while_reading_stalls_the_connection_says_so_and_ends_it_in_time() -> None:
    link = FaultLink(Fault(action=Stall(Stalled.READING, 3), second=1))
    link.pass_time(1)
    assert (link.server.reading, link.server.due) == (False, 4.0)
    link.pass_time(3)
    assert link.server.reading


def test_while_answering_stalls_everything_is_kept_and_then_sent() -> None:
    link = FaultLink(at_request(2, Stall(Stalled.ANSWERING, 3))).proved()
    streams = link.ask(2)
    link.client.ping(b"12345678")
    link.deliver()
    assert link.ended() == {1}
    link.pass_time(3)
    assert link.ended() == {1, *streams}
    assert any("ACK" in frame.flags for frame in link.of(PingFrame))


@pytest.mark.parametrize("how", list(CutBy))
def test_a_cut_lets_out_what_was_answered_before_and_the_request_was_processed(how: CutBy) -> None:
    link = FaultLink(at_request(3, Cut(how))).proved()
    first, second, third = link.ask(3)
    assert link.ended() == {1, first}
    assert [exchange.stream for exchange in link.exchanges] == [1, first, second]
    assert link.server.cut is how
    assert link.server.closed is (how is not CutBy.HALF)
    assert third not in link.ended()


def test_after_a_cut_no_other_fault_of_the_moment_has_a_voice() -> None:
    link = FaultLink(at_request(2, Cut()), at_request(2, GoAway()), at_request(2, Ping())).proved()
    link.ask()
    assert (link.goaways(), link.of(PingFrame)) == ([], [])


def test_settings_change_and_are_enforced_only_when_they_are_acknowledged() -> None:
    link = FaultLink(Fault(action=ChangeSettings(header_table_size=0, max_frame_size=20000), second=0, connection=1))
    assert link.of(SettingsFrame)[1].settings == {1: 0, 5: 20000}
    link.ask(apns_collapse_id="a")
    link.ask(apns_collapse_id="b")
    assert len(link.ended()) == 2
    assert (link.watch.verdict().settings_sent, link.watch.verdict().settings_acknowledged) == (3, 3)


def test_a_client_that_ignores_the_table_size_breaks_the_connection() -> None:
    link = FaultLink(Fault(action=ChangeSettings(header_table_size=0), second=1)).proved()
    link.client.encoder = _Deaf(link.client.encoder)
    link.pass_time(1)
    link.ask()
    assert link.server.closed
    assert [finding.rule for finding in link.watch.verdict().findings] == ["protocol"]


def test_of_two_settings_that_wait_for_acknowledgement_each_is_enforced_at_its_own() -> None:
    """h2 alone would take the first acknowledgement for both, and a block that came before the second for a breach."""
    link = FaultLink(
        Fault(action=Streams(50), second=1), Fault(action=ChangeSettings(header_table_size=0), second=1)
    ).proved()
    both = link.server.tick(1.0)
    first = 9 + both[2]
    link.take(both[:first])
    (stream,) = link.ask(apns_collapse_id="enters-the-table")
    assert stream in link.ended()
    link.take(both[first:])
    (stream,) = link.ask()
    assert stream in link.ended()
    assert link.watch.verdict().obedient


def test_a_client_that_sends_more_than_its_window_breaks_the_connection() -> None:
    link = FaultLink(Fault(action=CloseWindow(), second=1)).proved()
    link.pass_time(1)
    stream = link.client.get_next_available_stream_id()
    link.client.send_headers(stream, request_headers())
    link.deliver()
    link.server.receive(DataFrame(stream, BODY, flags=["END_STREAM"]).serialize(), 1.8e9, 1.0)
    assert link.server.closed
    (finding,) = link.watch.verdict().findings
    assert str(finding) == (
        "BREACH protocol: 1 x connections ended for FlowControlError, first: Flow control window shrunk below 0"
    )


class _Deaf:
    """An encoder that never hears of another table size."""

    def __init__(self, encoder: object) -> None:
        self.encode = encoder.encode  # type: ignore[attr-defined]
        self.header_table_size = 4096


def test_a_small_initial_window_is_refilled_bit_by_bit() -> None:
    link = FaultLink(Fault(action=ChangeSettings(initial_window_size=10), second=1)).proved()
    link.pass_time(1)
    stream = link.client.get_next_available_stream_id()
    link.client.send_headers(stream, request_headers())
    rest = BODY
    while rest:
        room = link.client.local_flow_control_window(stream)
        assert 0 < room <= 10
        link.client.send_data(stream, rest[:room], end_stream=len(rest) <= room)
        rest = rest[room:]
        link.deliver()
    assert stream in link.ended()


def test_a_closed_window_grants_nothing_until_it_opens() -> None:
    link = FaultLink(Fault(action=CloseWindow(2), second=1)).proved()
    link.pass_time(1)
    credits = len(link.of(WindowUpdateFrame))
    stream = link.client.get_next_available_stream_id()
    link.client.send_headers(stream, request_headers())
    link.deliver()
    assert link.client.local_flow_control_window(stream) == 0
    assert len(link.of(WindowUpdateFrame)) == credits
    link.pass_time(2)
    assert link.client.local_flow_control_window(stream) == 65535 - len(BODY)
    link.client.send_data(stream, BODY, end_stream=True)
    link.deliver()
    assert stream in link.ended()


def test_what_came_while_the_window_was_closed_is_credited_when_it_opens() -> None:
    link = FaultLink(Fault(action=CloseWindow(1), second=1)).proved()
    for _ in range(8):
        link.open(b"x" * 5000)
    link.at = 1.0
    closing = link.server.tick(1.0)
    link.deliver()
    link.take(closing)
    link.deliver()
    assert link.client.outbound_flow_control_window < 65535 - 40000
    assert link.of(WindowUpdateFrame) == []
    link.pass_time(1)
    assert [frame.stream_id for frame in link.of(WindowUpdateFrame)] == [0]
    assert link.client.outbound_flow_control_window > 60000


def test_answers_use_a_dynamic_table_though_the_client_allows_none() -> None:
    link = FaultLink(Fault(action=IgnoreTableSize(), second=0, connection="each")).proved()
    link.client.update_settings({1: 0})
    link.deliver()
    link.client.decoder.max_allowed_table_size = 4096  # h2 would end the connection, as it may
    link.ask(apns_topic=None)
    link.ask(apns_topic=None)
    first, second = (frame.data for frame in link.of(HeadersFrame)[-2:])
    assert len(first) > len(second) == 3
    assert all(byte & 0x80 for byte in second)


def test_a_ping_wants_an_answer_and_unknown_frames_and_settings_are_no_harm() -> None:
    link = FaultLink(*(at_request(2, action) for action in (Ping(), UnknownFrame(), UnknownSetting()))).proved()
    (stream,) = link.ask()
    assert stream in link.ended()
    assert [(frame.type, frame.stream_id) for frame in link.of(ExtensionFrame)] == [(0xF0, 0), (0xF0, stream)]
    assert {0xF0: 7} in [frame.settings for frame in link.of(SettingsFrame)]
    verdict = link.watch.verdict()
    assert (verdict.pings_sent, verdict.pings_answered) == (1, 1)
    assert verdict.settings_sent == verdict.settings_acknowledged == 3
    assert verdict.obedient


def test_an_idle_connection_is_sent_away_and_a_busy_one_is_not() -> None:
    link = FaultLink(at_request(2, Delay(20)), idle_timeout=10).proved()
    link.pass_time(5)
    (stream,) = link.ask()
    link.pass_time(14)
    assert link.goaways() == []
    link.pass_time(7)
    assert stream in link.ended()
    assert link.goaways() == [(stream, ErrorCodes.NO_ERROR, b'{"reason":"IdleTimeout"}')]
    link.pass_time(2)
    assert link.server.closed


def test_throttled_a_refused_request_takes_the_limit_down_and_an_accepted_one_restores_it() -> None:
    link = FaultLink(throttle=True).proved()
    link.ask(apns_topic=None)
    link.ask(apns_topic=TOPIC)
    limits = [frame.settings[3] for frame in link.of(SettingsFrame) if 3 in frame.settings]
    assert limits == [1, 1000, 1, 1000]
