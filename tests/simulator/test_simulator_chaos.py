"""Whatever a script does, the simulator itself keeps to HTTP/2 and to what its log says."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from fault_link import BODY, FaultLink
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import NOW

from scheduler.simulator.chaos import chaos_script


def _may_open(link: FaultLink) -> bool:
    client = link.client
    room = min(client.remote_settings.initial_window_size, client.outbound_flow_control_window)
    streams = client.open_outbound_streams
    return streams < client.remote_settings.max_concurrent_streams and room >= len(BODY) and not link.goaways()


@given(seed=st.integers(0, 10**6), asks=st.lists(st.integers(0, 4), min_size=5, max_size=25))
def test_every_request_ends_in_at_most_one_way_and_the_log_knows_which(seed: int, asks: list[int]) -> None:
    link = FaultLink(*chaos_script(seed, requests=40, seconds=3.0, faults=10).faults)
    for count in asks:
        for _ in range(count):
            if _may_open(link):
                link.open()
        if link.server.reading:
            link.deliver()
        link.pass_time(0.2)
        assert link.server.due is None or link.server.due > link.at
        if link.server.closed or link.server.cut:
            break
    answered, reset = link.ended(), link.resets()
    assert not answered & set(reset)
    processed = Counter(exchange.stream for exchange in link.exchanges)
    assert set(processed.values()) <= {1}
    refused = {stream for stream, code in reset.items() if code == 7}
    assert not refused & set(processed)
    assert answered <= set(processed)
    assert set(reset) - refused <= set(processed)
    for last, _, _ in link.goaways():
        assert all(stream <= last for stream in processed)
    assert link.watch.verdict().obedient, str(link.watch.verdict())


@given(
    seed=st.integers(0, 10**6),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=6),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
)
def test_no_bytes_of_a_client_make_the_simulator_fail(
    seed: int, changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    """They end in answers, or in a breach that ends the connection; never in an exception of ours."""
    link = FaultLink(*chaos_script(seed, requests=6, seconds=1.0, faults=6).faults)
    link.overrun()
    for _ in range(6):
        link.open()
    link.client.ping(b"12345678")
    sent = bytearray(link.client.data_to_send())
    for position, written in changes:
        sent[position % len(sent) : position % len(sent) + len(written)] = written
    pieces = sorted({0, *(cut % len(sent) for cut in cuts), len(sent)})
    for start, end in pairwise(pieces):
        if link.server.closed:
            break
        link.server.receive(bytes(sent[start:end]), NOW.timestamp(), link.at)
        link.at += 0.3
        link.server.tick(link.at)
    for finding in link.watch.verdict().findings:
        assert finding.count
