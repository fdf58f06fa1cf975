"""An HTTP/2 server made of h2, joined to an ExpressConnection without a network."""

from __future__ import annotations

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import Event, Failed, Succeeded
from scheduler.http2.frames import SETTINGS, frame
from scheduler.http2.header_encoder import BlockShape, SharedField, string_literal

AUTHORITY = SharedField(b":authority", b"api.push.example")
SHAPE = BlockShape(AUTHORITY, (SharedField(b"apns-topic", b"com.example.app"),), (b"apns-id",))


@dataclass(eq=False)
class Message:
    """A request as a test sees it: compared by identity."""

    number: int
    payload: bytes = b'{"aps":{}}'
    path: bytes = b"/3/device/00ff"
    values: tuple[bytes, ...] = (b"8f0c2f6e-3bf0-5a3c-9f4e-000000000000",)


def literals(message: Message) -> tuple[bytes, ...]:
    return tuple(string_literal(value) for value in (message.path, *message.values))


@dataclass
class Request:
    """What the server has understood of a stream."""

    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    ended: bool = False


class Peer:
    """The server's end. h2 checks what it gets: the order of pseudo-headers, windows, the table, stream states."""

    def __init__(self, settings: dict[int, int] | None = None) -> None:
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=True)
        )
        codes = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: 1000, **(settings or {})}
        )
        self.h2.initiate_connection()
        self.requests: dict[int, Request] = {}
        self.resets: dict[int, int] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None

    def take(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream, headers=headers):
                    self.requests[stream] = Request([(bytes(name), bytes(value)) for name, value in headers])
                case h2.events.DataReceived(stream_id=stream, data=content, flow_controlled_length=size):
                    self.requests[stream].body += content
                    if size:
                        self.h2.acknowledge_received_data(size, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    self.requests[stream].ended = True
                case h2.events.StreamReset(stream_id=stream, error_code=code):
                    self.resets[stream] = int(code)
                case h2.events.ConnectionTerminated():
                    self.goaway = event

    def answer(self, stream: int, status: int = 200, body: bytes = b"") -> None:
        self.h2.send_headers(stream, [(b":status", b"%d" % status), (b"apns-id", b"x")], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)

    def answer_all(self) -> None:
        for stream, request in self.requests.items():
            if request.ended:
                self.answer(stream)
        self.requests = {stream: request for stream, request in self.requests.items() if not request.ended}


@dataclass
class Joined:
    """A client and a server, and everything the client has been told."""

    client: ExpressConnection[Message]
    peer: Peer
    events: list[Event[Message]] = field(default_factory=list)

    def exchange(self) -> list[Event[Message]]:
        """Carry bytes both ways until both are silent."""
        news: list[Event[Message]] = []
        while True:
            up = self.client.take_output()
            if up:
                self.peer.take(up)
            down = self.peer.h2.data_to_send()
            if down:
                news += self.client.receive(down)
            if not up and not down:
                self.events += news
                return news

    def start(self, *messages: Message, shape: BlockShape = SHAPE) -> int:
        return self.client.start(shape, messages, literals)

    @property
    def succeeded(self) -> list[Message]:
        return [message for event in self.events if isinstance(event, Succeeded) for message in event.requests]


def joined(settings: dict[int, int] | None = None, *, header_table_size: int = 0, stream_limit: int = 1000) -> Joined:
    """Both ends, settings exchanged."""
    pair = Joined(ExpressConnection(stream_limit=stream_limit, header_table_size=header_table_size), Peer(settings))
    pair.exchange()
    return pair


Client = ExpressConnection[Message]


def opened(count: int, settings: bytes = b"", **options: int) -> tuple[Client, list[Message]]:
    """A client with the peer's SETTINGS and `count` streams in flight: 1, 3, 5…"""
    client: Client = ExpressConnection(**{"stream_limit": 1000, **options})
    client.receive(frame(SETTINGS, 0, 0, settings))
    messages = [Message(number) for number in range(count)]
    assert client.start(SHAPE, messages, literals) == count
    client.take_output()
    return client, messages


def setting(code: h2.settings.SettingCodes, value: int) -> bytes:
    return int(code).to_bytes(2, "big") + value.to_bytes(4, "big")


def flat(events: list[Event[Message]]) -> tuple[list[int], list[object]]:
    """Events without how the successes were grouped by reads."""
    succeeded = [message.number for event in events if isinstance(event, Succeeded) for message in event.requests]
    return succeeded, [event for event in events if not isinstance(event, Succeeded)]


def failure(events: list[Event[Message]]) -> str:
    assert isinstance(events[-1], Failed)
    return str(events[-1].error)
