"""`clarion simulator --sink`: real TLS and HTTP/2 frames, no headers read, every request accepted. It only counts.

It exists to be faster than what is measured against it. A request is done at END_STREAM; its answer is the one byte
0x88, HPACK's static entry for `:status: 200` (RFC 7541 Appendix A), without an apns-id.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import trio

from scheduler.domain.clock import Clock
from scheduler.simulator.listening import READ_SIZE, Listen, serve_connections
from scheduler.simulator.records import Statistics

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM = _ACK = 1
_FRAME_HEADER = 9

_MAX_WINDOW = 2**31 - 1
_TOP_UP = 2**20
"""Bytes of bodies after which the connection's window is filled up again. A stream never needs more than it has."""

_GREETING = (
    struct.pack(">BHBBIHIHIHI", 0, 18, _SETTINGS, 0, 0, 1, 4096, 3, 1000, 4, _MAX_WINDOW)  # table, streams, window
    + struct.pack(">BHBBII", 0, 4, 8, 0, 0, _MAX_WINDOW - 65535)
)
_SETTINGS_ACK = struct.pack(">BHBBI", 0, 0, _SETTINGS, _ACK, 0)
_PING_ACK = struct.pack(">BHBBI", 0, 8, _PING, _ACK, 0)
_ANSWER = struct.pack(">BHBB", 0, 1, _HEADERS, 0x5)  # END_STREAM | END_HEADERS; then the stream id
_STATUS_200 = b"\x88"


async def serve_sink(
    listen: Listen,
    *,
    clock: Clock,
    statistics: Statistics | None = None,
    walker: Callable[[], FrameWalker] | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; starts with the port that it listens on. `statistics` grows while it runs.

    `walker` makes what walks over a connection's frames: for who wants to see more of them than their number.
    """
    counts = statistics or Statistics()
    swallow = partial(_swallow, clock=clock, statistics=counts, make_walker=walker or FrameWalker)
    await serve_connections(listen, swallow, task_status=task_status)


async def _swallow(
    stream: trio.SSLStream[trio.SocketStream],
    *,
    clock: Clock,
    statistics: Statistics,
    make_walker: Callable[[], FrameWalker],
) -> None:
    await stream.do_handshake()
    statistics.connections += 1
    await stream.send_all(_GREETING)
    received = b""
    while len(received) < len(_PREFACE):
        data = await stream.receive_some(READ_SIZE)
        if not data:
            return
        received += data
    if not received.startswith(_PREFACE):
        return
    walker = make_walker()
    data = received[len(_PREFACE) :]
    while True:
        before = walker.requests
        answers = walker.walk(data)
        done = walker.requests - before
        if done:
            statistics.requests += done
            statistics.accepted += done
            statistics.seen(clock.now())
        if answers:
            await stream.send_all(answers)
        data = bytes(await stream.receive_some(READ_SIZE))
        if not data:
            return


class FrameWalker:
    """Walks over the frames that a client sends after its preface, counts requests and makes the answers.

    Bytes may come in any pieces. The client is trusted to keep the protocol.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._rest = b""
        self._consumed = 0

    def walk(self, data: bytes) -> bytes:
        """Take in more bytes; the frames to send for them."""
        if self._rest:
            data = self._rest + data
        answers: list[bytes] = []
        append = answers.append
        position, end, requests, consumed = 0, len(data), 0, self._consumed
        while position + _FRAME_HEADER <= end:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            after = position + _FRAME_HEADER + length
            if after > end:
                break
            kind = data[position + 3]
            if kind <= _HEADERS:
                if kind == _DATA:
                    consumed += length
                if data[position + 4] & _END_STREAM:
                    requests += 1
                    append(_ANSWER + data[position + 5 : position + 9] + _STATUS_200)
            elif kind == _SETTINGS:
                if not data[position + 4] & _ACK:
                    append(_SETTINGS_ACK)
            elif kind == _PING and not data[position + 4] & _ACK:
                append(_PING_ACK + data[after - 8 : after])
            position = after
        self._rest = data[position:]
        self.requests += requests
        if consumed >= _TOP_UP:
            append(struct.pack(">BHBBII", 0, 4, 8, 0, 0, consumed))
            consumed = 0
        self._consumed = consumed
        return b"".join(answers)
