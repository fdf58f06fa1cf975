"""Reads the header blocks of answers: a bare 200 at a glance, anything else with hpack's decoder.

We announce a header table of size 0, so a block stands for itself, and one that begins with the static reference
for `:status 200` is an acceptance whatever follows. A peer that uses its table all the same is found out at the first
dynamic index that has to be decoded; then the link is replaced by one with a table, where every block is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import hpack

from scheduler.http2.frames import (
    DEFAULT_TABLE_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    ErrorCode,
    Frame,
    RemoteProtocolError,
    TableIgnoredError,
    without_padding,
)

STATUS_200: Final = 0x88  # RFC 7541, Appendix A
_BODY_KEPT: Final = 4_096
_MAX_BLOCK: Final = 65_536

Headers = tuple[tuple[bytes, bytes], ...]


class MalformedAnswerError(Exception):
    """An answer that breaks HTTP, on a connection that is sound (RFC 9113 §8.1.1): the stream's error alone."""


def is_plain_success(block: bytes) -> bool:
    """A block of a peer without a header table that says 200, perhaps behind a size update to 0 (RFC 7541 §6.3)."""
    return block[:1] == b"\x88" or block[:2] == b"\x20\x88"


@dataclass(slots=True)
class PartialAnswer:
    """What has come so far on a stream whose answer is more than one frame."""

    status: int | None = None
    headers: Headers = ()
    body: bytearray = field(default_factory=bytearray)
    received: int = 0
    """Bytes that count for the stream's window; no more than the first 4,096 of the body are kept."""

    @property
    def is_enough(self) -> bool:
        """Nothing more of it is wanted, and the window, which is never opened again, would stop the peer soon."""
        return self.received > DEFAULT_WINDOW // 2

    def take_headers(self, headers: Headers, *, ends: bool) -> None:
        """An interim answer, the final one, or its trailers (RFC 9113 §8.1)."""
        if self.status is not None:
            if not ends or any(name.startswith(b":") for name, _ in headers):
                raise MalformedAnswerError("a second final answer")
            return
        status = _status(headers)
        if status >= 200:
            self.status, self.headers = status, headers
        elif ends or status == 101:
            raise MalformedAnswerError(f"status {status} as the last word")

    def take_body(self, content: bytes, size: int) -> None:
        """`size` is what counts for the window, padding included (RFC 9113 §6.9.1)."""
        if self.status is None:
            raise MalformedAnswerError("DATA before the answer's headers")
        self.received += size
        if len(self.body) < _BODY_KEPT:
            self.body += content[: _BODY_KEPT - len(self.body)]


class BlockAssembly:
    """A header block from its HEADERS frame and the CONTINUATIONs that must follow it at once (RFC 9113 §4.3)."""

    def __init__(self) -> None:
        self._first: Frame | None = None
        self._block = bytearray()

    @property
    def unfinished(self) -> bool:
        """Only a CONTINUATION of the same stream may come next."""
        return self._first is not None

    def take(self, frame: Frame) -> tuple[int, bytes, bool] | None:
        """Take a frame; (stream, block, whether the stream ends) once the block is whole."""
        if frame.kind == HEADERS:
            self._first = frame
            self._block = bytearray(without_padding(frame))
        elif self._first is None:
            raise RemoteProtocolError("CONTINUATION without HEADERS")
        elif self._first.stream != frame.stream:
            raise RemoteProtocolError("a header block is interrupted")
        else:
            self._block += frame.payload
        if len(self._block) > _MAX_BLOCK:
            raise RemoteProtocolError(f"a header block of over {_MAX_BLOCK} bytes", ErrorCode.ENHANCE_YOUR_CALM)
        if not frame.flags & END_HEADERS:
            return None
        first, self._first = self._first, None
        return first.stream, bytes(self._block), bool(first.flags & END_STREAM)


class HeaderDecoder:
    """hpack's decoder with our table size."""

    def __init__(self, table_size: int) -> None:
        if table_size not in (0, DEFAULT_TABLE_SIZE):
            raise ValueError(f"the header table has 0 or {DEFAULT_TABLE_SIZE} bytes, not {table_size}")
        self._decoder = hpack.Decoder()
        # Set from the start and not by a size update: a peer that never had a table need not announce its end.
        self._decoder.header_table_size = table_size
        self._decoder.max_allowed_table_size = table_size
        self.stateless = table_size == 0

    def decode(self, block: bytes) -> Headers:
        try:
            return tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except (hpack.HPACKError, IndexError, ValueError) as error:
            if self.stateless and isinstance(error, hpack.InvalidTableIndexError | hpack.InvalidTableSizeError):
                raise TableIgnoredError from error
            # hpack's own text may have an address of our memory in it; this one is also told to the peer.
            text = f"header block {block[:32].hex()} cannot be decoded: {type(error).__name__}"
            raise RemoteProtocolError(text, ErrorCode.COMPRESSION_ERROR) from error


def _status(headers: Headers) -> int:
    pseudo = [(name, value) for name, value in headers if name.startswith(b":")]
    if len(pseudo) != 1 or pseudo[0][0] != b":status" or headers[0] != pseudo[0]:
        raise MalformedAnswerError("not exactly one :status in front")
    value = pseudo[0][1]
    if len(value) != 3 or not value.isdigit() or value < b"100":
        raise MalformedAnswerError(f"status {value!r}")
    return int(value)
