"""Closure: every frame in every state gives events or `Failed`, never an exception, and each request ends once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, product

import pytest
from h2.settings import SettingCodes
from http2_peer import SHAPE, Client, Message, literals, setting
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import Answered, Event, Failed, GoingAway, PingAnswered, Reset, Succeeded, Unprocessed
from scheduler.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    window_update,
)


@dataclass
class Watched:
    """A connection under watch: what was started, what has ended, and that nothing else happens."""

    client: Client
    started: list[Message] = field(default_factory=list)
    ended: list[Message] = field(default_factory=list)
    failed: bool = False

    def start(self, *payloads: bytes) -> None:
        messages = [Message(len(self.started) + number, payload) for number, payload in enumerate(payloads)]
        room = self.client.room
        count = self.client.start(SHAPE, messages, literals)
        assert count <= room
        self.started += messages[:count]

    def receive(self, data: bytes) -> None:
        events = self.client.receive(data)
        assert not (self.failed and events), "nothing is read behind a failure"
        for number, event in enumerate(events):
            self._take(event)
            if isinstance(event, Failed):
                assert number == len(events) - 1
                self.failed = True

    def _take(self, event: Event[Message]) -> None:
        match event:
            case Succeeded(requests):
                self.ended += requests
            case Answered(request=request) | Unprocessed(request=request) | Reset(request=request):
                self.ended.append(request)
            case GoingAway() | PingAnswered() | Failed():
                pass

    def check(self) -> None:
        """What holds at every moment."""
        client = self.client
        assert client.in_flight == len(self.started) - len(self.ended)
        assert client.room == 0 or (client.ready and not client.going_away and not self.failed)
        assert len({id(message) for message in self.ended}) == len(self.ended)

    def end(self) -> None:
        """Lose the connection: now everything has ended, once."""
        written, unwritten = self.client.lose()
        self.ended += [*written, *unwritten]
        assert sorted(message.number for message in self.ended) == list(range(len(self.started)))
        assert self.client.in_flight == 0


# --- a table: each frame in each state

GREETING = frame(SETTINGS, 0, 0)


def _fresh(watched: Watched) -> None:
    watched.client.take_output()


def _ready(watched: Watched) -> None:
    watched.receive(GREETING)


def _in_flight(watched: Watched) -> None:
    _ready(watched)
    watched.start(b"{}", b"{}", b"{}")
    watched.client.take_output()


def _waiting_for_a_window(watched: Watched) -> None:
    watched.receive(frame(SETTINGS, 0, 0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 1)))
    watched.start(b"{}", b"{}", b"{}")


def _below_zero(watched: Watched) -> None:
    _ready(watched)
    watched.start(bytes(60_000), b"{}")
    watched.receive(frame(SETTINGS, 0, 0, setting(SettingCodes.INITIAL_WINDOW_SIZE, 0)))


def _answering(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(HEADERS, END_HEADERS, 1, b"\x8d") + frame(DATA, 0, 1, b"{"))


def _informed(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(HEADERS, END_HEADERS, 1, b"\x08\x03103"))


def _in_a_block(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(HEADERS, 0, 1, b"\x8d"))


def _answered(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(HEADERS, END_HEADERS | 1, 1, b"\x88"))


def _cancelled(watched: Watched) -> None:
    _in_flight(watched)
    watched.ended += chain(*watched.client.cancel(1))


def _going_away(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(GOAWAY, 0, 0, (3).to_bytes(4, "big") + bytes(4)))


def _broken(watched: Watched) -> None:
    _in_flight(watched)
    watched.receive(frame(DATA, 0, 0))


def _closed(watched: Watched) -> None:
    _in_flight(watched)
    watched.client.close()


STATES: list[Callable[[Watched], None]] = [
    _fresh, _ready, _in_flight, _waiting_for_a_window, _below_zero, _answering, _informed, _in_a_block, _answered,
    _cancelled, _going_away, _broken, _closed,
]  # fmt: skip
KINDS = [*range(CONTINUATION + 1), 0x0A, 0xFF]
STREAMS = [0, 1, 2, 3, 7, 2**31 + 1, 2**32 - 1]
FLAGS = [0x00, 0x01, 0x04, 0x05, 0x08, 0x0D, 0x20, 0x25, 0x2D, 0xFF]
PAYLOADS = [
    b"", b"\0", b"\x88", b"\x20\x88", b"\x8d", b"\xbe", b"\x08\x03103", b"\x00\x01a\x01b", b"\xff" * 4,
    (1).to_bytes(4, "big"), (7).to_bytes(4, "big"), bytes(4), bytes(5), bytes(6), bytes(8), b"\xff" * 8,
    setting(SettingCodes.HEADER_TABLE_SIZE, 0), setting(SettingCodes.ENABLE_PUSH, 1),
    setting(SettingCodes.MAX_CONCURRENT_STREAMS, 0), setting(SettingCodes.INITIAL_WINDOW_SIZE, MAX_WINDOW),
    setting(SettingCodes.INITIAL_WINDOW_SIZE, 2**31), setting(SettingCodes.MAX_FRAME_SIZE, 1),
    setting(SettingCodes.MAX_FRAME_SIZE, 2**24 - 1), (0xABCD).to_bytes(2, "big") + b"\xff" * 4, bytes(16_384),
    bytes(16_385), b"\x08" + b"\x88" + bytes(8), b"\x05\x88",
]  # fmt: skip


def _cases() -> Iterator[bytes]:
    """Each type with each payload, where it belongs or nearly; then with each mix of flags and stream one in turn."""
    for kind in KINDS:
        for stream in (0, 1):
            for payload in PAYLOADS:
                yield frame(kind, 0, stream, payload)
        for number, (flags, stream) in enumerate(product(FLAGS, STREAMS)):
            yield frame(kind, flags, stream, PAYLOADS[number * 11 % len(PAYLOADS)])


CASES = list(_cases())


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__.strip("_"))
def test_every_frame_in_every_state_is_an_event_or_a_failure(state: Callable[[Watched], None]) -> None:
    for number, said in enumerate(CASES):
        watched = Watched(ExpressConnection(stream_limit=1000, header_table_size=4096 * (number % 3 == 0)))
        state(watched)
        watched.receive(said)
        watched.check()
        watched.start(b"{}")
        watched.client.take_output()
        watched.end()


# --- a machine: any sequence of them

STREAM_NUMBERS = st.sampled_from([1, 1, 3, 3, 5, 7, 9, 11, 0, 2, MAX_STREAM_ID])
BLOCKS = st.sampled_from([b"\x88", b"\x20\x88", b"\x8d", b"\x8e\x00\x01a\x01b", b"\x08\x03103", b"\x00\x01a\x01b"])


class AnyConnection(RuleBasedStateMachine):
    """Frames that make sense with some that do not, our own doings between them, and pieces of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched(ExpressConnection(stream_limit=8))
        self.cut: int | None = None
        self.say(GREETING)

    def say(self, data: bytes) -> None:
        """The peer's bytes, whole or in two pieces."""
        at = len(data) if self.cut is None else self.cut % (len(data) + 1)
        self.watched.receive(data[:at])
        self.watched.receive(data[at:])

    @rule(sizes=st.lists(st.sampled_from([0, 2, 250, 20_000, 70_000]), max_size=4))
    def start(self, sizes: list[int]) -> None:
        self.watched.start(*(bytes(size) for size in sizes))

    @rule(cut=st.integers(0, 30))
    def break_what_follows(self, cut: int) -> None:
        self.cut = cut

    @rule(stream=STREAM_NUMBERS, block=BLOCKS, flags=st.sampled_from([0x05, 0x05, 0x04, 0x04, 0x01, 0x00]))
    def headers(self, stream: int, block: bytes, flags: int) -> None:
        self.say(frame(HEADERS, flags, stream, block))
        if not flags & END_HEADERS:
            self.say(frame(CONTINUATION, END_HEADERS, stream, b""))

    @rule(stream=STREAM_NUMBERS, size=st.sampled_from([0, 1, 16_384]), flags=st.sampled_from([0, 0, 1, 8]))
    def data(self, stream: int, size: int, flags: int) -> None:
        self.say(frame(DATA, flags, stream, bytes(size)))

    @rule(stream=STREAM_NUMBERS, code=st.sampled_from([0, 7, 8, 2**32 - 1]))
    def reset(self, stream: int, code: int) -> None:
        self.say(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    @rule(stream=STREAM_NUMBERS, increment=st.sampled_from([1, 100, 65_535, 1_000_000, 0, MAX_WINDOW]))
    def window(self, stream: int, increment: int) -> None:
        self.say(window_update(stream, increment))

    @rule(
        code=st.sampled_from([code for code in SettingCodes if code is not SettingCodes.ENABLE_PUSH]),
        value=st.sampled_from([0, 1, 3, 100, 4096, 16_384, 65_535, MAX_WINDOW]),
    )
    def peer_settings(self, code: SettingCodes, value: int) -> None:
        self.say(frame(SETTINGS, 0, 0, setting(code, value)))

    @rule(last=st.sampled_from([1, 3, 5, 9, MAX_STREAM_ID]), code=st.integers(0, 13))
    def goaway(self, last: int, code: int) -> None:
        self.say(frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + b"why"))

    @rule(kind=st.sampled_from([PING, PRIORITY, PUSH_PROMISE, WINDOW_UPDATE, 0x77]), flags=st.sampled_from([0, 1]))
    def other(self, kind: int, flags: int) -> None:
        self.say(frame(kind, flags, 1 if kind == PRIORITY else 0, bytes(5 if kind == PRIORITY else 8)))

    @rule(last=st.integers(0, 12))
    def cancel(self, last: int) -> None:
        self.watched.ended += chain(*self.watched.client.cancel(last))

    @rule()
    def ping(self) -> None:
        self.watched.client.ping(b"12345678")

    @rule()
    def write(self) -> None:
        self.watched.client.take_output()

    @invariant()
    def holds(self) -> None:
        self.watched.check()

    def teardown(self) -> None:
        self.watched.end()


class TestAnyConnection(AnyConnection.TestCase):  # type: ignore[misc]  # made by Hypothesis
    settings = settings(stateful_step_count=30)
