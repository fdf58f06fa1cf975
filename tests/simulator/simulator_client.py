"""A small client of stock h2 over real TLS, and requests to vary: what the simulator's tests talk with."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
TOPIC = "com.example.shop"
DEVICE = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
APNS_ID = "eabeae54-14a8-11e5-b60b-1697f925ec7b"


@cache
def provider_token(
    *, age: int = 0, team: str = "TEAM123456", key_id: str = "KEY1234567", key: Any = KEY, **header: Any
) -> str:
    """A JWT as Apple wants it, `age` seconds old at NOW. The same arguments give the same token."""
    return jwt.encode(
        {"iss": team, "iat": int(NOW.timestamp()) - age}, key, algorithm="ES256", headers={"kid": key_id, **header}
    )


def request_headers(**changes: str | None) -> list[tuple[str, str]]:
    """The headers of a request that is in order. Names with `_` for `-`; None takes a header away; `method`, `path`
    are the pseudo-headers."""
    headers: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "localhost",
        ":path": f"/3/device/{DEVICE}",
        "authorization": f"bearer {provider_token()}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-id": APNS_ID,
    }
    for name, value in changes.items():
        headers[f":{name}" if name in ("method", "path") else name.replace("_", "-")] = value
    return [(name, value) for name, value in headers.items() if value is not None]


@dataclass
class Response:
    """What came back on a stream."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def status(self) -> int:
        return int(self.headers[":status"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        return self.json["reason"] if self.body else None


class H2Client:
    """One connection. It does only what it is told to: it does not wait for a stream limit."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.terminated: ConnectionTerminated | None = None
        self.stream_limits: list[int] = []
        self.closed = False
        self._responses: dict[int, Response] = {}

    async def greet(self) -> None:
        """Send the preface, and read until the server's SETTINGS are there."""
        self.h2.initiate_connection()
        await self.flush()
        while not self.stream_limits and not self.closed:
            await self.read()

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def read(self) -> list[Event]:
        """One read from the socket, taken in."""
        data = await receive(self.stream)
        self.closed = not data
        events = self.h2.receive_data(data) if data else []
        for event in events:
            self._take(event)
        if not self.closed:
            await self.flush()
        return events

    def _take(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged():
                limit = event.changed_settings.get(SettingCodes.MAX_CONCURRENT_STREAMS)
                if limit is not None:
                    self.stream_limits.append(limit.new_value)
            case ResponseReceived():
                self._responses[event.stream_id].headers = dict(event.headers)
            case DataReceived():
                self._responses[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self._responses[event.stream_id].ended = True
            case StreamReset():
                self._responses[event.stream_id].reset = event.error_code
                self._responses[event.stream_id].ended = True
            case ConnectionTerminated():
                self.terminated = event

    def open(self, headers: list[tuple[str, str]], body: bytes, *, end_stream: bool = True) -> Response:
        """Put a request into the buffer; its response will be filled in."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=end_stream and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=end_stream)
        response = self._responses[stream] = Response(stream)
        return response

    async def ask(self, headers: list[tuple[str, str]] | None = None, body: bytes = b'{"aps":{}}') -> Response:
        """One request and its answer."""
        (response,) = await self.ask_all([(request_headers() if headers is None else headers, body)])
        return response

    async def ask_all(self, requests: Iterable[tuple[list[tuple[str, str]], bytes]]) -> list[Response]:
        """Requests in one write, and their answers."""
        responses = [self.open(headers, body) for headers, body in requests]
        await self.flush()
        while not all(response.ended for response in responses) and not self.closed:
            await self.read()
        return responses


async def receive(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes next; nothing if the other side has closed, in order or not."""
    try:
        return bytes(await stream.receive_some(65536))
    except trio.BrokenResourceError:
        return b""


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks run until it holds."""
    while not condition():
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def connect(port: int, ca_file: Path, *, name: str = "localhost", greet: bool = True) -> AsyncIterator[H2Client]:
    """A connection to a simulator on this machine, that trusts its authority alone."""
    tls = ssl.create_default_context(cafile=str(ca_file))
    tls.set_alpn_protocols(["h2"])
    socket = await trio.open_tcp_stream("127.0.0.1", port)
    async with trio.SSLStream(socket, tls, server_hostname=name, https_compatible=True) as stream:
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == "h2"
        client = H2Client(stream)
        if greet:
            await client.greet()
        yield client
