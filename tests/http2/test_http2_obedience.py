"""Obedience: h2's server, which checks windows, limits, tables and states, accepts all that is written.

It raises at the first frame that breaks a rule of its; at the end every request has arrived as it was meant.
"""

from __future__ import annotations

from campaigns import CAMPAIGNS, NAMES, TABLE_SIZES, Campaigns, meant
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from http2_peer import Message, joined, literals
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scheduler.http2.events import Answered, Event, Reset, Succeeded, Unprocessed
from scheduler.http2.header_encoder import BlockShape

CHANGES = st.one_of(
    st.tuples(st.just(SettingCodes.HEADER_TABLE_SIZE), st.sampled_from(TABLE_SIZES)),
    st.tuples(st.just(SettingCodes.MAX_CONCURRENT_STREAMS), st.sampled_from([0, 1, 3, 20, 1000])),
    st.tuples(st.just(SettingCodes.INITIAL_WINDOW_SIZE), st.sampled_from([0, 1, 40, 300, 20_000, 65_535, 200_000])),
    st.tuples(st.just(SettingCodes.MAX_FRAME_SIZE), st.sampled_from([16_384, 16_500, 2**24 - 1])),
)


class ObedientClient(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pair = joined()
        self.campaigns = Campaigns()
        self.sent: dict[int, tuple[BlockShape, Message]] = {}
        self.ended: dict[int, Event[Message]] = {}

    def exchange(self) -> None:
        for event in self.pair.exchange():
            match event:
                case Succeeded(requests):
                    for message in requests:
                        self._end(message, event)
                case Answered(request=message) | Reset(request=message) | Unprocessed(request=message):
                    self._end(message, event)

    def _end(self, message: Message, event: Event[Message]) -> None:
        assert message.number not in self.ended
        self.ended[message.number] = event

    @rule(
        campaign=st.integers(0, CAMPAIGNS - 1),
        names=st.integers(0, len(NAMES) - 1),
        sizes=st.lists(st.sampled_from([0, 2, 250, 4096, 17_000, 70_000]), min_size=1, max_size=4),
    )
    def start(self, campaign: int, names: int, sizes: list[int]) -> None:
        shape = self.campaigns.shape(campaign, names)
        first = self.pair.client.newest_stream + 2
        messages = [
            Message(
                first + 2 * number,
                bytes([number]) * size,
                b"/3/device/%x" % (first + number),
                (b"v",) * len(shape.names),
            )
            for number, size in enumerate(sizes)
        ]
        for message in messages[: self.pair.client.start(shape, messages, literals)]:
            self.sent[message.number] = shape, message  # a message has the number of its stream

    @rule(change=CHANGES)
    def change_settings(self, change: tuple[SettingCodes, int]) -> None:
        code, value = change
        self.pair.peer.h2.update_settings({code: value})

    @rule()
    def refresh_token(self) -> None:
        self.campaigns.refresh_token()

    @rule(place=st.integers(0, 50), status=st.sampled_from([200, 200, 410]), body=st.sampled_from([b"", b"{}"]))
    def answer(self, place: int, status: int, body: bytes) -> None:
        """Also before all of the request has come."""
        stream = self._some_open(place)
        if stream is not None:
            self.pair.peer.answer(stream, status, body)

    @rule(place=st.integers(0, 50), code=st.sampled_from([ErrorCodes.REFUSED_STREAM, ErrorCodes.CANCEL]))
    def reset(self, place: int, code: ErrorCodes) -> None:
        stream = self._some_open(place)
        if stream is not None:
            self.pair.peer.h2.reset_stream(stream, code)

    def _some_open(self, place: int) -> int | None:
        self.exchange()
        streams = sorted(set(self.pair.peer.requests) - set(self.ended))
        return streams[place % len(streams)] if streams else None

    @rule()
    def carry(self) -> None:
        self.exchange()

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.pair.client.in_flight == len(self.sent) - len(self.ended)

    def teardown(self) -> None:
        """Open the windows; what was not answered arrives whole and is accepted."""
        self.exchange()
        self.pair.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 200_000})
        self.exchange()
        for stream in sorted(set(self.sent) - set(self.ended)):
            shape, message = self.sent[stream]
            request = self.pair.peer.requests[stream]
            assert (request.headers, request.body, request.ended) == (meant(shape, message), message.payload, True)
            self.pair.peer.answer(stream)
        self.exchange()
        assert set(self.ended) == set(self.sent)


class TestObedientClient(ObedientClient.TestCase):  # type: ignore[misc]  # made by Hypothesis
    settings = settings(stateful_step_count=40)
