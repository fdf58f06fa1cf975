"""The frames of HTTP/2 as bytes (RFC 9113 §4.1, §6), and the error that a peer's bytes can cause."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from scheduler.domain.errors import RemoteError

FRAME_HEAD_SIZE: Final = 9
MAX_FRAME_SIZE: Final = 16_384
"""What we accept: the value every peer must start with, and that we never raise (RFC 9113 §4.2)."""
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
DEFAULT_TABLE_SIZE: Final = 4_096

# Plain integers, not an enum: the reader compares one for each frame.
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

ON_STREAM_ZERO: Final = frozenset({SETTINGS, PING, GOAWAY})
ON_ANY_STREAM: Final = frozenset({WINDOW_UPDATE})
FIXED_LENGTHS: Final = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}

HEAD: Final = struct.Struct(">LBL")
"""A frame's head read as (length << 8 | type, flags, stream id): three numbers unpack faster than five."""


class ErrorCode(IntEnum):
    """RFC 9113 §7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def error_name(code: int) -> str:
    """`REFUSED_STREAM`, or the number in hex for a code that the RFC does not know.

    >>> error_name(7), error_name(0x99)
    ('REFUSED_STREAM', '0x99')
    """
    try:
        return ErrorCode(code).name
    except ValueError:
        return hex(code)


class RemoteProtocolError(RemoteError):
    """The peer broke HTTP/2. The connection cannot go on; `code` is what we tell it in our GOAWAY."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> None:
        super().__init__(text)
        self.code = code


class TableIgnoredError(RemoteProtocolError):
    """The peer used its header table although we announced a size of 0.

    Another connection with a table of 4,096 bytes, every block decoded, will get along with it.
    """

    def __init__(self) -> None:
        super().__init__("the peer ignores SETTINGS_HEADER_TABLE_SIZE=0", ErrorCode.COMPRESSION_ERROR)


class Frame(NamedTuple):
    """One whole frame. Made for each that is not skimmed, so a tuple: a frozen dataclass takes longer to make."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as bytes."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def goaway(code: ErrorCode, text: str = "") -> bytes:
    """Our last word. A client accepts no streams, so the last stream id is 0."""
    return frame(GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big") + text.encode())


def too_long(length: int, read: bytes) -> RemoteProtocolError:
    """The error for a frame of more than we accept; `read` may show a server that does not know HTTP/2 at all."""
    if read.startswith(b"HTTP/1."):
        return RemoteProtocolError(f"the server speaks {read[:8].decode('ascii', 'replace')}, not HTTP/2")
    return RemoteProtocolError(f"a frame of {length} bytes", ErrorCode.FRAME_SIZE_ERROR)


def check_place(kind: int, stream: int, length: int, next_stream: int) -> None:
    """Is a frame of this type and length allowed on this stream (RFC 9113 §6)? Unknown types are, anywhere.

    Streams from `next_stream` on are idle, and so are the server's own; PRIORITY alone may speak of them (§6.3).
    """
    if kind > CONTINUATION:
        return
    if kind == PUSH_PROMISE:
        raise RemoteProtocolError("PUSH_PROMISE, although push is switched off")
    if kind not in ON_ANY_STREAM and (kind in ON_STREAM_ZERO) != (stream == 0):
        raise RemoteProtocolError(f"a frame of type {kind} on stream {stream}")
    if (
        FIXED_LENGTHS.get(kind, length) != length
        or (kind == SETTINGS and length % 6)
        or (kind == GOAWAY and length < 8)
    ):
        raise RemoteProtocolError(f"a frame of type {kind} with {length} bytes", ErrorCode.FRAME_SIZE_ERROR)
    if stream and (stream >= next_stream or stream % 2 == 0) and kind != PRIORITY:
        raise RemoteProtocolError(f"stream {stream} was never opened")


def without_padding(frame: Frame) -> bytes:
    """The content of a DATA or HEADERS frame (RFC 9113 §6.1, §6.2)."""
    start, end = 0, len(frame.payload)
    if frame.flags & PADDED:
        start, end = 1, end - (frame.payload[0] if frame.payload else 0)
    if frame.kind == HEADERS and frame.flags & HAS_PRIORITY:
        start += 5
    if start > len(frame.payload):
        text = f"a frame of type {frame.kind} is too short for its flags"
        raise RemoteProtocolError(text, ErrorCode.FRAME_SIZE_ERROR)
    if end < start:
        raise RemoteProtocolError("padding is longer than its frame")
    return frame.payload[start:end]
