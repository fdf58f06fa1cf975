"""The HTTP/2 side of a connection, without I/O: h2 as a server, and the frames that h2 would not send.

Settings as they were observed at Apple's (github.com/jchambers/pushy/issues/878): a header table of 4096 bytes,
windows of 65535, frames of 16384, header lists of 8000, and one stream until the credentials are proved.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event
from h2.settings import ChangedSetting, SettingCodes, Settings
from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hyperframe.frame import GoAwayFrame, PingFrame, SettingsFrame

from scheduler.simulator.client_watch import ConnectionWatch
from scheduler.simulator.header_blocks import ObservedDecoder
from scheduler.simulator.reasons import Answer

UNPROVED_STREAMS = 1
HIGHEST_STREAM = 2**31 - 1
TRAILERS = ((b"x-trailer", b"1"),)
DRAIN_PING = b"drainage"

_WINDOW = 65535
_SETTINGS: dict[SettingCodes | int, int] = {
    SettingCodes.HEADER_TABLE_SIZE: 4096,
    SettingCodes.MAX_CONCURRENT_STREAMS: UNPROVED_STREAMS,
    SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
    SettingCodes.MAX_FRAME_SIZE: 16384,
    SettingCodes.MAX_HEADER_LIST_SIZE: 8000,
}
_UNKNOWN_SETTING = 0xF0
_UNKNOWN_FRAME = 0xF0
_SWEEP = 256


class Line:
    """Frames in and out of one connection. What is to be sent waits in order until it is taken."""

    def __init__(self, watch: ConnectionWatch) -> None:
        self._h2 = _ServerH2(watch)
        self._waiting = bytearray()
        self._bodies: dict[int, tuple[bytes, bool]] = {}
        self._withheld: list[tuple[int, int]] = []
        self._window_closed = False
        self._hoards_indexes = False
        self.limit = UNPROVED_STREAMS
        """The stream limit that was last sent."""
        self.muted = False
        """Nothing is given out while this is set; it is kept."""
        self.known_limit: int | None = None
        """The stream limit that the client has acknowledged last."""
        self._watch = watch
        self._sent_limits: deque[int | None] = deque([UNPROVED_STREAMS])
        self._h2.initiate_connection()
        self._h2.sent_settings.append({})
        watch.settings_sent()

    def receive(self, data: bytes) -> list[Event]:
        """What the client's bytes mean to h2; ProtocolError if they break HTTP/2."""
        return self._h2.receive_data(data)

    def take(self) -> bytes:
        """The bytes to send."""
        self._collect()
        if self.muted:
            return b""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken

    def _collect(self) -> None:
        self._waiting += self._h2.data_to_send()

    def _raw(self, frame: bytes) -> None:
        """A frame that h2 does not know of, behind what h2 has said so far."""
        self._collect()
        self._waiting += frame

    def announce(self, settings: Mapping[SettingCodes | int, int]) -> None:
        """SETTINGS. h2 holds the client to them when it has acknowledged exactly these."""
        frame = SettingsFrame(0, settings=dict(settings))
        self._h2.sent_settings.append({code: value for code, value in settings.items() if code in _SETTINGS})
        limit = settings.get(SettingCodes.MAX_CONCURRENT_STREAMS)
        self.limit = self.limit if limit is None else limit
        self._sent_limits.append(limit)
        self._watch.settings_sent()
        self._raw(frame.serialize())

    def acknowledged(self) -> None:
        """The client has acknowledged the eldest SETTINGS that it had not."""
        self._watch.settings_acknowledged()
        limit = self._sent_limits.popleft() if self._sent_limits else None
        self.known_limit = self.known_limit if limit is None else limit

    def unknown_setting(self) -> None:
        self.announce({_UNKNOWN_SETTING: 7})

    def unknown_frames(self, stream: int) -> None:
        """One on stream 0, and one on `stream` if it is another."""
        for one in sorted({0, stream}):
            self._raw(struct.pack(">BHBBI", 0, 4, _UNKNOWN_FRAME, 0, one) + b"what")

    def ping(self, payload: bytes = b"are you?") -> None:
        self._watch.ping_sent()
        self._raw(PingFrame(0, opaque_data=payload).serialize())

    def go_away(self, last_stream: int, error: int, debug: bytes) -> None:
        """GOAWAY past h2, which would not send another word after it."""
        frame = GoAwayFrame(0, last_stream_id=last_stream, error_code=error, additional_data=debug)
        self._raw(frame.serialize())

    def credit(self, event: DataReceived) -> None:
        """Grant the client the window for what it has sent, unless the window is closed."""
        if self._window_closed:
            self._withheld.append((event.flow_controlled_length, event.stream_id))
        else:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def close_window(self) -> None:
        self._window_closed = True
        self.announce({SettingCodes.INITIAL_WINDOW_SIZE: 0})

    def open_window(self) -> None:
        self._window_closed = False
        self.announce({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW})
        for size, stream in self._withheld:
            self._h2.acknowledge_received_data(size, stream)
        self._withheld.clear()

    def ignore_table_size(self) -> None:
        """From now on, answers are encoded with a dynamic table of our own choice."""
        self._h2.encoder = _StubbornEncoder()
        self._hoards_indexes = True

    def inform(self, stream: int, status: int) -> None:
        """An interim answer."""
        self._h2.send_headers(stream, [(b":status", b"%d" % status)])

    def answer(self, stream: int, answer: Answer, identity: tuple[bytes, bytes], *, trailers: bool = False) -> None:
        """The answer to a request; its body goes as far as the client's windows allow. `identity` is the header with
        the id of the request."""
        kind = HeaderTuple if self._hoards_indexes else NeverIndexedHeaderTuple
        headers = [HeaderTuple(b":status", b"%d" % answer.status), kind(*identity)]
        if answer.channel_id is not None:
            headers.append(kind(b"apns-channel-id", answer.channel_id.encode()))
        body = answer.body()
        if body:
            headers.append(HeaderTuple(b"content-type", b"application/json"))
        self._h2.send_headers(stream, headers, end_stream=not (body or trailers))
        if body or trailers:
            self._bodies[stream] = (body, trailers)

    def send_bodies(self) -> None:
        """Send what the client's windows allow; the rest waits for WINDOW_UPDATE."""
        for stream, (body, trailers) in list(self._bodies.items()):
            room = self._h2.local_flow_control_window(stream)
            if room >= len(body):
                if body:
                    self._h2.send_data(stream, body, end_stream=not trailers)
                if trailers:
                    self._h2.send_headers(stream, TRAILERS, end_stream=True)
                del self._bodies[stream]
            elif room > 0:
                self._h2.send_data(stream, body[:room])
                self._bodies[stream] = (body[room:], trailers)

    def reset(self, stream: int, error: int) -> None:
        """RST_STREAM, whatever else is known of the stream."""
        self._bodies.pop(stream, None)
        self._h2.reset_stream(stream, error)

    def forget(self, stream: int) -> None:
        """The client has reset this stream."""
        self._bodies.pop(stream, None)

    @property
    def unsent(self) -> int:
        """Answers whose bodies wait for a window."""
        return len(self._bodies)


class _ServerH2(H2Connection):
    """h2 as a server with Apple's settings. The stream limit is the owner's: h2 would end the connection over it,
    and would look at every open stream for each new one."""

    def __init__(self, watch: ConnectionWatch) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.sent_settings: deque[dict[SettingCodes | int, int]] = deque()
        self.local_settings = Settings(
            client=False, initial_values={SettingCodes(code): value for code, value in _SETTINGS.items()}
        )
        for setting in set(self.local_settings) - set(_SETTINGS):
            del self.local_settings[setting]
        self.decoder = ObservedDecoder(watch.block)
        self.decoder.max_header_list_size = _SETTINGS[SettingCodes.MAX_HEADER_LIST_SIZE]
        self._opened = 0

    @property
    def open_inbound_streams(self) -> int:
        """Always 0: see the class. h2 forgets closed streams while it counts, so it still counts now and then."""
        self._opened += 1
        if self._opened % _SWEEP == 0:
            self._open_streams(1)
        return 0

    def _local_settings_acked(self) -> dict[SettingCodes | int, ChangedSetting]:
        """h2 would take one acknowledgement for all settings that wait for one, and hold the client to those that it
        has not seen. So h2 gets to know them when their own acknowledgement comes (RFC 9113 §6.5.3)."""
        if self.sent_settings:
            self.local_settings.update(self.sent_settings.popleft())
        return super()._local_settings_acked()


class _StubbornEncoder(Encoder):
    """An encoder that keeps its table of 4096 bytes and says nothing about it."""

    @property
    def header_table_size(self) -> int:
        return 4096

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        """The client's wish is ignored."""
