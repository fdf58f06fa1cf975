"""A server made of h2, joined to the laws of a link without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scheduler.apns.link_laws import Ended, LinkLaws
from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import Result
from scheduler.domain.clock import VirtualClock
from scheduler.domain.push_types import PushType

HEADERS = HeaderSet("com.example.app", PushType.ALERT, 10)
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def requests(count: int, **fields: object) -> list[PushRequest]:
    return [
        PushRequest(device, f"{device:064x}", f"8f0c2f6e-3bf0-5a3c-9f4e-{device:012x}", b'{"aps":{}}', **fields)  # type: ignore[arg-type]
        for device in range(count)
    ]


def token_source(clock: VirtualClock) -> ProviderTokenSource:
    return ProviderTokenSource(KEY, team_id="TEAM123456", key_id="KEY1234567", clock=clock)


@dataclass
class Server:
    """What it was asked, by stream; answers are given by hand."""

    streams: int = 1000
    asked: dict[int, dict[str, str]] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    gone: bool = False

    def __post_init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={limit: self.streams})
        self.h2.initiate_connection()

    def take(self, data: bytes) -> None:
        if self.h2.state_machine.state is h2.connection.ConnectionState.CLOSED:
            return  # h2 hears nothing after its own GOAWAY
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream, headers=headers):
                    assert len(headers) == len(dict(headers)), "no header twice"
                    self.asked[stream] = {str(name): str(value) for name, value in headers}
                case h2.events.StreamReset(stream_id=stream):
                    self.resets.append(stream)
                case h2.events.PingReceived(ping_data=opaque):
                    self.pings.append(opaque)
                case h2.events.ConnectionTerminated():
                    self.gone = True

    def answer(self, stream: int, status: int = 200, reason: str | None = None) -> None:
        self.h2.send_headers(stream, [(":status", str(status))], end_stream=reason is None)
        if reason is not None:
            self.h2.send_data(stream, json.dumps({"reason": reason}).encode(), end_stream=True)


class Joined:
    """A link's laws and a server; `now` is the link's time."""

    def __init__(self, streams: int = 1000) -> None:
        self.clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
        self.tokens = token_source(self.clock)
        self.laws = LinkLaws("api.push.example", self.tokens, self.now)
        self.server = Server(streams)
        self.ended: list[Ended] = []
        self.exchange()

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def exchange(self) -> list[Result]:
        """Carry bytes both ways until both are silent; what has ended by it."""
        news: list[Ended] = []
        while True:
            up = self.laws.take_output()
            if up:
                self.server.take(up)
            down = self.server.h2.data_to_send()
            if down:
                news += self.laws.receive(down, self.now)
            if not up and not down:
                self.ended += news
                return [result for _, result in news]

    def start(self, batch: list[PushRequest], headers: HeaderSet = HEADERS) -> int:
        started = self.laws.start(headers, batch, self.now)
        self.exchange()
        return started

    def tick(self, seconds: float) -> list[Result]:
        """Let time pass, a second at a time."""
        news: list[Ended] = []
        for _ in range(int(seconds)):
            self.clock.advance(1)
            news += self.laws.tick(self.now)
            self.exchange()
        self.ended += news
        return [result for _, result in news]


def proved(streams: int = 1000) -> Joined:
    """A link whose provider token is proved by one accepted request; the next stream is 3."""
    pair = Joined(streams)
    pair.start(requests(1))
    pair.server.answer(1)
    pair.exchange()
    pair.ended.clear()
    return pair
