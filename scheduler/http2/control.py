"""Stream 0: h2 speaks until the peer says GOAWAY, a small responder of ours from then on.

h2 does the preface, SETTINGS and PING. Two things are kept from it. WINDOW_UPDATE: h2 would count a window
that it never sees used, and overflow after 2 GiB. GOAWAY: h2 drops what it has not sent yet and answers
every later frame with a connection error of its own, while answers to our streams are still on their way
(RFC 9113 §6.8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.exceptions

from scheduler.http2.frames import (
    ACK,
    DEFAULT_WINDOW,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    PING,
    SETTINGS,
    ErrorCode,
    Frame,
    RemoteProtocolError,
    frame,
)

_HEADER_TABLE_SIZE: Final = 0x1
_MAX_CONCURRENT_STREAMS: Final = 0x3
_INITIAL_WINDOW_SIZE: Final = 0x4
_MAX_FRAME_SIZE: Final = 0x5


@dataclass(slots=True)
class PeerSettings:
    """What the peer allows us (RFC 9113 §6.5.2), with the values that hold before its first word."""

    max_concurrent_streams: int | None = None
    initial_window_size: int = DEFAULT_WINDOW
    max_frame_size: int = MAX_FRAME_SIZE


class Control:
    """The control plane of one connection. Feed it SETTINGS and PING; `output` is to be written in its order."""

    def __init__(self, header_table_size: int, on_table_size: Callable[[int], None]) -> None:
        """`header_table_size` is ours. `on_table_size` hears every size the peer sets, also two in one frame:
        the smallest must be announced (RFC 7541 §4.2).
        """
        self._on_table_size = on_table_size
        self.peer = PeerSettings()
        self.output = b""
        self.answered_pings: list[bytes] = []
        self._going_away = False
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={codes.HEADER_TABLE_SIZE: header_table_size, codes.ENABLE_PUSH: 0},
        )
        self._h2.initiate_connection()
        self._flush()

    def ping(self, opaque: bytes) -> None:
        """Ask for a sign of life; `opaque` (8 bytes) will be in `answered_pings`."""
        if self._going_away:
            self.output += frame(PING, 0, 0, opaque)
        else:
            self._h2.ping(opaque)
            self._flush()

    def go_away(self) -> None:
        """The peer has said GOAWAY: h2 hears nothing from now on."""
        self._going_away = True

    def receive(self, control: Frame) -> None:
        """Take a SETTINGS or PING frame."""
        settings = control.kind == SETTINGS and not control.flags & ACK
        if settings:
            self._apply(control.payload)
        elif control.kind == PING and control.flags & ACK:
            self.answered_pings.append(control.payload)
        elif control.kind == SETTINGS and control.payload:
            raise RemoteProtocolError("SETTINGS acknowledged with a payload", ErrorCode.FRAME_SIZE_ERROR)
        if not self._going_away:
            self._feed(frame(*control))
        elif settings:
            self.output += frame(SETTINGS, ACK, 0)
        elif control.kind == PING and not control.flags & ACK:
            self.output += frame(PING, ACK, 0, control.payload)

    def _feed(self, raw: bytes) -> None:
        try:
            self._h2.receive_data(raw)
        except (h2.exceptions.ProtocolError, hyperframe.exceptions.HyperframeError) as error:
            code = ErrorCode(getattr(error, "error_code", ErrorCode.PROTOCOL_ERROR))
            raise RemoteProtocolError(f"control frame: {error}", code) from error
        self._flush()

    def _flush(self) -> None:
        self.output += self._h2.data_to_send() or b""

    def _apply(self, payload: bytes) -> None:
        for start in range(0, len(payload), 6):
            code = int.from_bytes(payload[start : start + 2], "big")
            value = int.from_bytes(payload[start + 2 : start + 6], "big")
            if code == _HEADER_TABLE_SIZE:
                self._on_table_size(value)
            elif code == _MAX_CONCURRENT_STREAMS:
                self.peer.max_concurrent_streams = value
            elif code == _INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise RemoteProtocolError(f"INITIAL_WINDOW_SIZE={value}", ErrorCode.FLOW_CONTROL_ERROR)
                self.peer.initial_window_size = value
            elif code == _MAX_FRAME_SIZE:
                if not MAX_FRAME_SIZE <= value < 2**24:
                    raise RemoteProtocolError(f"MAX_FRAME_SIZE={value}")
                self.peer.max_frame_size = value
