"""Whatever bytes a server sends, the HTTP/2 connection answers within a second with events, of which `Failed` can only
be the last; each request ends exactly once; and it means the same whole and in pieces of any size. No exception.

    python -m fuzz.fuzz_frames                     ten minutes of chance
    python -m fuzz.fuzz_frames --seconds 60 --seed 7
    python -m fuzz.fuzz_frames --file BYTES        one input again
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fuzz.fuzzer import Broken, Tried, main
from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import Answered, Event, Failed, GoingAway, PingAnswered, Reset, Succeeded, Unprocessed
from scheduler.http2.frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    frame,
    window_update,
)
from scheduler.http2.header_encoder import BlockShape, SharedField, string_literal

KIND: Final = "server"
SHAPE: Final = BlockShape(SharedField(b":authority", b"a"), (SharedField(b"apns-topic", b"b"),), (b"apns-id",))
LITERALS: Final = (string_literal(b"/3/device/00"), string_literal(b"1"))
GREETING: Final = frame(SETTINGS, 0, 0)
PIECES: Final = (1, 2, 9, 10, 13, 100)


def setting(code: int, value: int) -> bytes:
    return code.to_bytes(2, "big") + value.to_bytes(4, "big")


WORDS: Sequence[bytes] = (
    GREETING,
    frame(SETTINGS, 1, 0),
    *(
        frame(SETTINGS, 0, 0, setting(code, value))
        for code, values in {
            1: (0, 64, 4096, 2**32 - 1),
            2: (0, 1),
            3: (0, 1, 1000),
            4: (0, 1, 65_535, 2**31 - 1, 2**31),
            5: (0, 16_384, 2**24 - 1),
            6: (100,),
            8: (1, 7),
            0xABCD: (1,),
        }.items()
        for value in values
    ),
    *(frame(HEADERS, flags, stream, b"\x88") for flags in (5, 4, 1, 0) for stream in (1, 3, 5, 2)),
    *(
        frame(HEADERS, 5, 1, block)
        for block in (b"\x20\x88", b"\x8d", b"\xbe", b"\x3f\xe1\x1f\x88", b"\x08\x03103", b"\x48\x83\x08\x9d\xff", b"")
    ),
    frame(HEADERS, 0x2C, 1, b"\x01" + bytes(5) + b"\x8d\0"),
    *(frame(CONTINUATION, flags, stream, b"\x00\x01a\x01b") for flags in (0, 4) for stream in (1, 3)),
    *(frame(DATA, flags, stream, b"{}") for flags in (0, 1, 8) for stream in (1, 3, 5)),
    frame(DATA, 0, 1, bytes(16_000)),
    *(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")) for stream in (1, 3) for code in (0, 7, 8)),
    *(window_update(stream, increment) for stream in (0, 1, 3) for increment in (0, 1, 100, 2**31 - 1)),
    *(
        frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + bytes(4) + b'{"reason":"Shutdown"}')
        for last in (0, 1, 3, 2**31 - 1)
    ),
    frame(PING, 0, 0, b"whatever"),
    frame(PING, 1, 0, b"whatever"),
    frame(PRIORITY, 0, 1, bytes(5)),
    frame(PUSH_PROMISE, 4, 1, bytes(5)),
    frame(0x77, 0xFF, 0, b"?"),
    *(bytes([number]) for number in (0, 1, 4, 5, 8, 9, 0x20, 0x40, 0x7F, 0x80, 0x88, 0xFF)),
)
"""Frames of a server, and bytes that may make others of them."""


@dataclass(eq=False)
class Message:
    number: int
    payload: bytes


@dataclass
class Played:
    """What a client has made of a server's bytes."""

    succeeded: list[int] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Events but for successes, which are grouped by reads."""
    output: bytes = b""
    ended: list[int] = field(default_factory=list)
    late: bool = False
    """An event came behind `Failed`."""

    def take(self, events: Sequence[Event[Message]]) -> None:
        for event in events:
            self.late = self.late or any(other.startswith("Failed") for other in self.others)
            match event:
                case Succeeded(requests):
                    self.succeeded += [request.number for request in requests]
                    self.ended += [request.number for request in requests]
                case Answered(request, status, _, body):
                    self._note(request, f"Answered {status} {body!r}")
                case Unprocessed(request, refused):
                    self._note(request, f"Unprocessed {refused}")
                case Reset(request, code):
                    self._note(request, f"Reset {code}")
                case GoingAway() | PingAnswered():
                    self.others.append(repr(event))
                case Failed(error):
                    self.others.append(f"Failed {error}")

    def _note(self, request: Message, text: str) -> None:
        self.others.append(f"{text} of {request.number}")
        self.ended.append(request.number)


def played(content: bytes, piece: int) -> Played:
    """The client's side of a conversation. The first byte says how it is set up, the others are the server's."""
    setup, said = content[0], content[1:]
    client: ExpressConnection[Message] = ExpressConnection(
        stream_limit=100, header_table_size=4096 if setup & 0x08 else 0
    )
    result = Played()
    count = 0
    if setup & 0x01:
        result.take(client.receive(frame(SETTINGS, 0, 0, setting(4, 4)) if setup & 0x10 else GREETING))
        messages = [Message(number, bytes(20_000 if setup & 0x20 else 10)) for number in range((setup >> 1 & 3) * 2)]
        count = client.start(SHAPE, messages, lambda message: LITERALS)
        if setup & 0x40:
            client.take_output()
    for start in range(0, len(said), piece):
        result.take(client.receive(said[start : start + piece]))
    result.output = client.take_output()
    written, unwritten = client.lose()
    result.ended += [request.number for request in (*written, *unwritten)]
    result.ended.sort()
    if result.ended != list(range(count)):
        raise AssertionError(f"{count} requests were started, these ended: {result.ended}")
    return result


class Server:
    """The bytes of a server, whole and in pieces."""

    most_seconds = 1.0
    tokens: Sequence[bytes] = WORDS

    def seeds(self) -> Mapping[str, list[bytes]]:
        """Conversations of a few words, each with another set-up."""
        setups = (0x07, 0x47, 0x4F, 0x57, 0x67, 0x00, 0x37)
        return {KIND: [bytes([setups[at % 7]]) + b"".join(WORDS[at : at + 5]) for at in range(0, len(WORDS), 3)]}

    def tried(self, kind: str, content: bytes) -> Tried:
        if not content:
            return Tried()
        whole = played(content, len(content))
        pieces = played(content, PIECES[len(content) % len(PIECES)])
        broken = None
        if whole.late:
            broken = Broken("Failed is the last event", f"{whole.others}")
        elif whole != pieces:
            broken = Broken("the same whole and in pieces", f"whole:  {whole}\npieces: {pieces}")
        return Tried(broken, _ways(whole), "\n".join([f"succeeded: {whole.succeeded}", *whole.others]))


def _ways(result: Played) -> AbstractSet[str]:
    """Which events there were, and which followed another, without their numbers."""
    names = [re.sub(r"\d+|b'.*'", "", other) for other in result.others]
    pairs = {f"{first} > {second}" for first, second in pairwise(names)}
    written = {f"wrote {kind}" for kind in _kinds(result.output)}
    return {*names, *pairs, *written, f"{len(result.succeeded)} succeeded"}


def _kinds(output: bytes) -> AbstractSet[int]:
    """The types of the frames in our own output, behind the preface."""
    at, kinds = output.find(b"SM\r\n\r\n") + 6 if output.startswith(b"PRI") else 0, set()
    while at + 9 <= len(output):
        kinds.add(output[at + 3])
        at += 9 + int.from_bytes(output[at : at + 3], "big")
    return kinds


if __name__ == "__main__":
    sys.exit(main(Server(), "fuzz.fuzz_frames", __doc__))
