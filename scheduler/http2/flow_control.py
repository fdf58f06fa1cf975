"""Flow control (RFC 9113 §5.2, §6.9): the connection's windows in both directions, and bodies that wait for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scheduler.http2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_STREAM,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    ErrorCode,
    RemoteProtocolError,
    frame,
    window_update,
)

_CREDIT_AT: Final = DEFAULT_WINDOW // 2


class Credit:
    """The connection's window for what comes. What has come is credited back once it is half of the window.

    A stream's window is never opened again: an answer that would need it is cut short.
    """

    def __init__(self) -> None:
        self._uncredited = 0

    def take(self, size: int) -> bytes:
        """So much of DATA has come, padding included; what to write for it, if anything."""
        self._uncredited += size
        if self._uncredited < _CREDIT_AT:
            return b""
        size, self._uncredited = self._uncredited, 0
        return window_update(0, size)


@dataclass(slots=True)
class _Waiting:
    payload: bytes
    sent: int
    window: int


class Bodies:
    """Nearly every body fits the windows and leaves in one frame; only the others are remembered here, with theirs.

    So a stream's window exists only while its body is unfinished: afterwards nothing depends on it.
    """

    def __init__(self) -> None:
        self.window = DEFAULT_WINDOW
        self.waiting: dict[int, _Waiting] = {}
        self._initial = DEFAULT_WINDOW
        self._max_frame = MAX_FRAME_SIZE

    @property
    def largest_whole(self) -> int:
        """The largest body that may leave in one frame on a new stream, the connection's window permitting."""
        return min(self._initial, self._max_frame)

    def begin(self, stream: int, payload: bytes) -> bytes:
        """Frames of a body that is too large for one, as far as the windows go; the rest waits."""
        body = self.waiting[stream] = _Waiting(payload, 0, self._initial)
        return self._advance(stream, body)

    def change(self, initial_window: int, max_frame: int) -> None:
        """The peer's SETTINGS. A difference counts for open streams too, whose windows may turn negative (§6.9.2)."""
        difference = initial_window - self._initial
        self._initial, self._max_frame = initial_window, max_frame
        for body in self.waiting.values():
            body.window += difference
            if body.window > MAX_WINDOW:
                raise RemoteProtocolError("INITIAL_WINDOW_SIZE overflows a window", ErrorCode.FLOW_CONTROL_ERROR)

    def credit_connection(self, increment: int) -> None:
        """WINDOW_UPDATE on stream 0."""
        self.window += increment
        if self.window > MAX_WINDOW:
            raise RemoteProtocolError("WINDOW_UPDATE overflows the connection", ErrorCode.FLOW_CONTROL_ERROR)

    def credit_stream(self, stream: int, increment: int) -> bool:
        """WINDOW_UPDATE on a stream; False if it overflows the stream's window."""
        body = self.waiting.get(stream)
        if body is None:
            return True
        body.window += increment
        return body.window <= MAX_WINDOW

    def go_on_with(self, stream: int) -> bytes:
        """The next frames of one body, if it waits."""
        body = self.waiting.get(stream)
        return b"" if body is None else self._advance(stream, body)

    def go_on(self) -> bytes:
        """The next frames of all that waits, in the order in which it came."""
        return b"".join([self._advance(stream, body) for stream, body in list(self.waiting.items())])

    def _advance(self, stream: int, body: _Waiting) -> bytes:
        frames = []
        while stream in self.waiting:
            size = max(0, min(len(body.payload) - body.sent, self.window, body.window, self._max_frame))
            ends = body.sent + size == len(body.payload)
            if not size and not ends:
                break
            frames.append(frame(DATA, END_STREAM if ends else 0, stream, body.payload[body.sent : body.sent + size]))
            body.sent += size
            body.window -= size
            self.window -= size
            if ends:
                del self.waiting[stream]
        return b"".join(frames)
