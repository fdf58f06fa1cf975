"""One HTTP/2 connection from the server's side, without I/O: bytes in, bytes out.

Settings as they were observed at Apple's (github.com/jchambers/pushy/issues/878): a header table of 4096 bytes,
windows of 65535, frames of 16384, header lists of 8000, and 1000 streams, but one "until you post a request with a
valid authentication token" (Apple, "Sending notification requests to APNs").
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import NeverIndexedHeaderTuple

from scheduler.simulator.checks import Request, is_message_id
from scheduler.simulator.provider_tokens import ConnectionTokens
from scheduler.simulator.reasons import Answer

STREAMS = 1000
UNPROVED_STREAMS = 1

_SETTINGS = {
    SettingCodes.HEADER_TABLE_SIZE: 4096,
    SettingCodes.MAX_CONCURRENT_STREAMS: UNPROVED_STREAMS,
    SettingCodes.INITIAL_WINDOW_SIZE: 65535,
    SettingCodes.MAX_FRAME_SIZE: 16384,
    SettingCodes.MAX_HEADER_LIST_SIZE: 8000,
}
_MADE_IDS = uuid.UUID("6f2b3c1e-3c55-5d3a-9a53-7f0d5c9a8e11")
_SWEEP = 256


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was answered, and under which id."""

    request: Request
    answer: Answer
    apns_id: str
    stream: int


class ServerConnection:
    """Feeds h2, keeps the stream limit itself, and asks `judge` for the answer to each complete request.

    All requests of one `receive` are answered together, after it: a client that opens a stream before it can have
    seen the answer to the last one is over the limit, and is told so with REFUSED_STREAM (RFC 9113 §5.1.2).
    """

    def __init__(
        self, number: int, tokens: ConnectionTokens, judge: Callable[[Request, ConnectionTokens, float], Answer]
    ) -> None:
        self.number = number
        self.closed = False
        self.refused_streams = 0
        self._tokens = tokens
        self._judge = judge
        self._open: dict[int, Request] = {}
        self._unsent: dict[int, bytes] = {}
        self._limit = UNPROVED_STREAMS
        self._h2 = _ServerH2()
        self._h2.initiate_connection()

    def greeting(self) -> bytes:
        """The server's preface: its SETTINGS."""
        return self._h2.data_to_send()

    def receive(self, data: bytes, now: float) -> tuple[list[Exchange], bytes]:
        """What the client's bytes led to: the requests that are answered by it, and the bytes to send.

        After a breach of the protocol or a GOAWAY, `closed` is set: send the bytes, then close.
        """
        exchanges: list[Exchange] = []
        try:
            complete = self._apply(self._h2.receive_data(data))
            for stream in complete:
                exchange = self._answer(stream, now)
                if exchange is not None:
                    exchanges.append(exchange)
            if self._unsent:
                self._send_bodies()
            if self._tokens.proved and self._limit != STREAMS:
                self._limit = STREAMS
                self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS})
        except ProtocolError:
            self.closed = True
        return exchanges, self._h2.data_to_send()

    def _apply(self, events: list[Event]) -> list[int]:
        """Take in what happened; the streams whose request is complete, in order."""
        complete: list[int] = []
        over_limit: set[int] = set()
        for event in events:
            match event:
                case DataReceived():
                    if event.stream_id in self._open:
                        self._open[event.stream_id].extend(event.data)
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case RequestReceived():
                    if len(self._open) + len(self._unsent) < self._limit:
                        self._open[event.stream_id] = Request(event.headers)
                    else:
                        over_limit.add(event.stream_id)
                case StreamEnded():
                    if event.stream_id in self._open:
                        complete.append(event.stream_id)
                case StreamReset():
                    self._open.pop(event.stream_id, None)
                    self._unsent.pop(event.stream_id, None)
                    over_limit.discard(event.stream_id)
                case ConnectionTerminated():
                    self.closed = True
        for stream in over_limit:
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        self.refused_streams += len(over_limit)
        return complete

    def _answer(self, stream: int, now: float) -> Exchange | None:
        """Answer a complete request, if the client has not reset it since."""
        request = self._open.pop(stream, None)
        if request is None or self.closed:
            return None
        answer = self._judge(request, self._tokens, now)
        apns_id = self._id_for(request, stream)
        headers = [(b":status", b"%d" % answer.status), NeverIndexedHeaderTuple(b"apns-id", apns_id)]
        body = answer.body()
        if body:
            headers.append((b"content-type", b"application/json"))
            self._unsent[stream] = body
        self._h2.send_headers(stream, headers, end_stream=not body)
        return Exchange(request, answer, apns_id.decode(), stream)

    def _id_for(self, request: Request, stream: int) -> bytes:
        """The request's own apns-id if it is one, else one that is made from connection and stream."""
        own = request.fields.get(b"apns-id")
        if own is not None and is_message_id(own):
            return own
        return str(uuid.uuid5(_MADE_IDS, f"{self.number}/{stream}")).encode()

    def _send_bodies(self) -> None:
        """Send what the client's flow-control windows allow; the rest waits for WINDOW_UPDATE."""
        for stream, body in list(self._unsent.items()):
            room = self._h2.local_flow_control_window(stream)
            if room >= len(body):
                self._h2.send_data(stream, body, end_stream=True)
                del self._unsent[stream]
            elif room > 0:
                self._h2.send_data(stream, body[:room])
                self._unsent[stream] = body[room:]


class _ServerH2(H2Connection):
    """h2 as a server with Apple's settings. The stream limit is the owner's: h2 would end the connection over it,
    and would look at every open stream for each new one."""

    def __init__(self) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.local_settings = Settings(client=False, initial_values=dict(_SETTINGS))
        for setting in set(self.local_settings) - set(_SETTINGS):
            del self.local_settings[setting]
        self.decoder.max_header_list_size = _SETTINGS[SettingCodes.MAX_HEADER_LIST_SIZE]
        self._opened = 0

    @property
    def open_inbound_streams(self) -> int:
        """Always 0: see the class. h2 forgets closed streams while it counts, so it still counts now and then."""
        self._opened += 1
        if self._opened % _SWEEP == 0:
            self._open_streams(1)
        return 0
