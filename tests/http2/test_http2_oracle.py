"""What the express path writes is decoded by h2's server side to exactly what was meant."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from campaigns import CAMPAIGNS, NAMES, TABLE_SIZES, Campaigns, meant
from h2.settings import SettingCodes
from http2_peer import Joined, Message, joined, literals
from hypothesis import given
from hypothesis import strategies as st


def check_everything_arrives(pair: Joined, steps: Iterable[tuple[str, int, int, int]]) -> None:
    campaigns = Campaigns()
    number = 0
    for step, campaign, names, count in steps:
        match step:
            case "send":
                shape = campaigns.shape(campaign, names)
                messages = []
                for _ in range(count):
                    number += 1
                    # Lengths on both sides of what fits a length octet (RFC 7541 §5.1).
                    path = b"/3/device/" + b"%x" % number * (1 + number % 40)
                    values = tuple(b"%d%%" % number + b"v" * (number * 7 % 140) for _ in shape.names)
                    messages.append(Message(number, b"{%d}" % number, path, values))
                first = pair.client.newest_stream + 2
                assert pair.client.start(shape, messages, literals) == count
                pair.peer.take(pair.client.take_output())
                for stream, message in zip(range(first, first + 2 * count, 2), messages, strict=True):
                    request = pair.peer.requests[stream]
                    assert request.headers == meant(shape, message)
                    assert (request.body, request.ended) == (message.payload, True)
                pair.peer.answer_all()
                pair.exchange()
            case "token":
                campaigns.refresh_token()
            case _:
                # The next block is written with the old size on its way, then with the new one.
                pair.peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: TABLE_SIZES[campaign % len(TABLE_SIZES)]})
                pair.client.receive(pair.peer.h2.data_to_send())
    assert len(pair.succeeded) == number
    assert pair.client.in_flight == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "send", "table", "token"]),
        st.integers(0, CAMPAIGNS - 1),
        st.integers(0, len(NAMES) - 1),
        st.integers(1, 3),
    ),
    max_size=60,
)


@given(STEPS)
def test_interleaved_campaigns_arrive_with_their_own_headers(steps: list[tuple[str, int, int, int]]) -> None:
    check_everything_arrives(joined(), steps)


@pytest.mark.slow
@given(st.sampled_from(TABLE_SIZES), st.randoms(use_true_random=False))
def test_all_campaigns_in_one_connection_keep_their_headers(table_size: int, chance: random.Random) -> None:
    order = [("send", campaign, campaign % len(NAMES), 1) for campaign in range(CAMPAIGNS) for _ in range(2)]
    chance.shuffle(order)
    for _ in range(2):
        order.insert(chance.randrange(len(order)), ("token", 0, 0, 0))
    for number in range(len(TABLE_SIZES)):
        order.insert(chance.randrange(len(order)), ("table", number, 0, 0))
    check_everything_arrives(joined({SettingCodes.HEADER_TABLE_SIZE: table_size}), order)


def test_after_the_first_block_a_shared_field_costs_one_byte() -> None:
    pair = joined()
    shape = Campaigns().shape(1, 0)
    sizes = []
    for number in range(3):
        assert pair.client.start(shape, [Message(number)], literals) == 1
        sizes.append(len(pair.client.take_output()))
    path, own_id, payload, heads = 2 + 14, 2 + 36, 10, 18
    assert sizes[0] > 250
    assert sizes[1:] == [heads + 2 + 1 + path + 4 + 1 + own_id + payload] * 2


def test_table_size_that_goes_down_and_up_between_blocks_is_announced_with_its_lowest() -> None:
    pair = joined()
    shape = Campaigns().shape(1, 1)
    check_everything_arrives(pair, [("send", 1, 1, 1)])
    for size in (0, 4096):
        pair.peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
        pair.client.receive(pair.peer.h2.data_to_send())
    message = Message(9, values=(b"a", b"b"))
    pair.client.take_output()
    assert pair.client.start(shape, [message], literals) == 1
    block = pair.client.take_output()[9:]
    assert block[:4].hex() == "203fe11f"  # to 0, then to 4096 (RFC 7541 §4.2)


def test_unindexed_authorization_is_written_out_each_time() -> None:
    pair = joined()
    shape = Campaigns().shape(7, 0)
    for number in range(2):
        assert pair.client.start(shape, [Message(number)], literals) == 1
        output = pair.client.take_output()
        assert b"\x0f\x08" in output, "literal without indexing, name 23"
        assert b"bearer" in output
