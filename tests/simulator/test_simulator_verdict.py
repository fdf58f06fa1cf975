"""The verdict counts what clients did, and says which rule they broke."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_link import BODY, FaultLink
from h2.connection import H2Connection
from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hyperframe.frame import DataFrame, HeadersFrame
from hypothesis import example, given
from hypothesis import strategies as st
from simulator_client import NOW, provider_token, request_headers

from scheduler.domain.errors import OperatorError
from scheduler.simulator.client_watch import ClientWatch, Peak
from scheduler.simulator.faults import Delay, Fault, Streams
from scheduler.simulator.header_blocks import ObservedDecoder, Representation, representations
from scheduler.simulator.verdict import Verdict, write_verdict


def rules(verdict: Verdict) -> list[tuple[str, bool, int]]:
    return [(finding.rule, finding.breach, finding.count) for finding in verdict.findings]


def test_of_nobody_there_is_nothing_to_say() -> None:
    verdict = ClientWatch().verdict()
    assert verdict.obedient
    assert (verdict.findings, verdict.starts.requests) == ((), 0)


@given(
    steps=st.lists(st.floats(0, 2, allow_nan=False).map(lambda step: round(step, 2)), max_size=40),
    length=st.sampled_from([0.1, 1.0]),
)
@example(steps=[0.0, 1.0], length=1.0)
def test_a_peak_is_the_most_in_any_stretch(steps: list[float], length: float) -> None:
    peak, moments, now = Peak(length), [], 0.0
    for step in steps:
        now += step
        moments.append(now)
        peak.add(now)
    assert peak.most == max(
        (sum(end - length < moment <= end for moment in moments) for end in moments),
        default=0,
    )


def test_starts_are_counted_by_the_second_and_the_tenth() -> None:
    link = FaultLink().proved()
    for at, count in ((0.5, 3), (0.95, 2), (1.2, 4), (7.0, 1)):
        link.at = at
        link.ask(count)
    starts = link.watch.verdict().starts
    assert (starts.requests, starts.peak_second, starts.peak_100_ms) == (11, 9, 4)


def test_connections_are_counted_and_those_that_end_soon_are_advised_against() -> None:
    watch = ClientWatch()
    for number in range(12):
        one = watch.connection(number * 2.0)
        one.closed(number * 2.0 + 1, by_client=True)
    last = watch.connection(100.0)
    watch.connection(101.0).closed(103.0, by_client=False)
    last.closed(500.0, by_client=True)
    verdict = watch.verdict()
    connections = verdict.connections
    assert (connections.opened, connections.closed_by_client, connections.short_lived) == (14, 13, 12)
    assert (connections.most_open, connections.peak_minute) == (2, 12)
    assert rules(verdict) == [("churn", False, 12)]
    assert verdict.obedient


def test_a_client_that_leaves_after_a_fault_is_not_short_lived() -> None:
    watch = ClientWatch()
    for _ in range(12):
        one = watch.connection(0.0)
        one.disturbed()
        one.closed(1.0, by_client=True)
    assert watch.verdict().findings == ()


def test_provider_tokens_that_change_too_early_are_a_breach() -> None:
    link = FaultLink()
    for age in (0, 1, 1, 0):
        link.ask(authorization=f"bearer {provider_token(age=age)}")
    verdict = link.watch.verdict()
    assert (verdict.provider_tokens.distinct, verdict.provider_tokens.most_on_one_connection) == (2, 2)
    assert rules(verdict)[0] == ("token-changes", True, 2)
    assert not verdict.obedient


def test_streams_over_a_limit_that_was_acknowledged_are_a_breach_and_others_are_not() -> None:
    link = FaultLink(Fault(action=Streams(1), second=1), Fault(action=Delay(), request=2)).proved()
    link.at = 1.0
    lowered = link.server.tick(1.0)
    first = [link.open(), link.open()]
    link.deliver()
    assert first[1] not in link.ended()
    assert link.watch.verdict().obedient
    link.take(lowered)
    link.overrun()
    link.ask()
    assert rules(link.watch.verdict()) == [("stream-limit", True, 1), ("repeated", False, 1)]


def test_streams_that_were_opened_before_the_limit_could_be_known_are_refused_and_no_breach() -> None:
    link = FaultLink()
    link.client = H2Connection()
    link.client.initiate_connection()
    link.ask(3)
    assert link.server.refused_streams == 2
    assert link.watch.verdict().obedient


def test_headers_are_counted_by_representation_and_ids_must_not_enter_the_table_twice() -> None:
    link = FaultLink()
    for number in range(3):
        link.ask(apns_id=f"eabeae54-14a8-11e5-b60b-00000000000{number}")
    verdict = link.watch.verdict()
    assert verdict.headers[":method"] == {"indexed": 3}
    assert verdict.headers["authorization"] == {"never_indexed": 3}
    assert verdict.headers["apns-topic"] == {"incremental": 1, "indexed": 2}
    assert verdict.headers["apns-id"] == {"incremental": 3}
    assert rules(verdict) == [("hpack", False, 2)]
    assert str(verdict.findings[0]) == (
        "advice hpack: 2 x apns-id entered the dynamic table again: it changes with every request"
    )


def test_a_pseudo_header_behind_another_is_a_breach() -> None:
    link = FaultLink().proved()
    headers = request_headers()
    block = Encoder().encode([*headers[1:], headers[0]])
    raw = (
        HeadersFrame(3, block, flags=["END_HEADERS"]).serialize() + DataFrame(3, BODY, flags=["END_STREAM"]).serialize()
    )
    link.server.receive(raw, NOW.timestamp())
    assert [rule for rule, breach, _ in rules(link.watch.verdict()) if breach] == ["pseudo-headers", "protocol"]
    assert link.server.closed


def test_what_breaks_http2_is_named() -> None:
    link = FaultLink().proved()
    link.server.receive(DataFrame(99, b"x").serialize(), NOW.timestamp())
    (finding,) = link.watch.verdict().findings
    assert str(finding) == "BREACH protocol: 1 x connections ended for NoSuchStreamError, first: 99"


def test_a_request_that_is_accepted_twice_is_advised_against_and_one_that_was_refused_is_not() -> None:
    link = FaultLink().proved()
    link.ask(apns_id="eabeae54-14a8-11e5-b60b-000000000001", apns_topic=None)
    link.ask(apns_id="eabeae54-14a8-11e5-b60b-000000000001")
    assert link.watch.verdict().repeated == 0
    link.ask(apns_id="eabeae54-14a8-11e5-b60b-000000000001")
    assert link.watch.verdict().repeated == 1


def test_the_verdict_is_written_as_words_and_as_json(tmp_path: Path) -> None:
    link = FaultLink().proved()
    link.ask()
    verdict = link.watch.verdict()
    assert str(verdict) == (
        "verdict: obedient\n"
        "  starts: 2 requests, at most 2 in a second, 2 in 100 ms\n"
        "  connections: 1 opened, 0 closed by the client, at most 1 at once, 1 opened in a minute\n"
        "  provider tokens: 1, at most 1 on one connection\n"
        "  settings: 2 of 2 acknowledged; pings: 0 of 0 answered\n"
        "  accepted again under the same apns-id: 1\n"
        "  advice repeated: 1 x requests were accepted before, under the same apns-id and device"
    )
    write_verdict(verdict, tmp_path / "verdict.json")
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert written["obedient"] is True
    assert written["starts"] == {"requests": 2, "peak_second": 2, "peak_100_ms": 2}
    assert written["headers"]["apns-priority"] == {"incremental": 1, "indexed": 1}
    assert written["findings"] == [{"rule": "repeated", "breach": False, "count": 1, "text": verdict.findings[0].text}]
    with pytest.raises(OperatorError) as error:
        write_verdict(verdict, tmp_path)
    assert str(error.value) == (f"{tmp_path}: the verdict cannot be written: Is a directory\n  hint: give another path")


NAMES = st.sampled_from([b":path", b":method", b"apns-id", b"x", b"y" * 200])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300), st.booleans()), max_size=12)


@given(blocks=st.lists(st.tuples(FIELDS, st.sampled_from([0, 64, 4096]))), huffman=st.booleans())
def test_every_field_of_every_block_has_one_representation(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], int]], huffman: bool
) -> None:
    """The walk and hpack's decoder agree on the number, and on what is never indexed."""
    encoder, decoder, seen = Encoder(), Decoder(), []
    observed = ObservedDecoder(lambda headers, written: seen.append((headers, written)))
    for fields, size in blocks:
        encoder.header_table_size = size
        block = encoder.encode(
            [(NeverIndexedHeaderTuple if never else HeaderTuple)(name, value) for name, value, never in fields],
            huffman=huffman,
        )
        written = representations(block)
        headers = decoder.decode(block, raw=True)
        assert len(written) == len(list(headers)) == len(fields)
        never = [isinstance(header, NeverIndexedHeaderTuple) for header in headers]
        assert never == [one is Representation.NEVER_INDEXED for one in written]
        observed.decode(block, raw=True)
        assert seen[-1] == (headers, written)
