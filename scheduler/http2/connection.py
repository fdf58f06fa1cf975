"""One HTTP/2 connection of a client that sends POST requests as fast as Python can (RFC 9113, RFC 7541).

Sans-IO: `receive` takes bytes and gives events, `start` opens streams, `take_output` gives bytes to write.
Limits of the peer are state to be asked (`room`), never something to wait on: they may fall below what is in flight.
Every started request comes back exactly once: in an event, or from `cancel` or `lose`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic

from scheduler.http2.answers import (
    BlockAssembly,
    HeaderDecoder,
    MalformedAnswerError,
    PartialAnswer,
    is_plain_success,
)
from scheduler.http2.control import Control
from scheduler.http2.events import (
    Answered,
    Event,
    Failed,
    GoingAway,
    PingAnswered,
    R,
    Reset,
    Succeeded,
    Unprocessed,
)
from scheduler.http2.flow_control import Bodies, Credit
from scheduler.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD_SIZE,
    GOAWAY,
    HEAD,
    HEADERS,
    MAX_FRAME_SIZE,
    MAX_STREAM_ID,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Frame,
    RemoteProtocolError,
    check_place,
    goaway,
    rst_stream,
    too_long,
    without_padding,
)
from scheduler.http2.header_encoder import BlockShape, HeaderEncoder
from scheduler.http2.skimming import skim


class ExpressConnection(Generic[R]):
    """The client's end. It begins with the preface in its output; `ready` turns true with the peer's SETTINGS."""

    def __init__(self, *, stream_limit: int, header_table_size: int = 0, first_stream: int = 1) -> None:
        """At most `stream_limit` streams are open, whatever the peer allows.

        `header_table_size` is what we announce: 0, or 4,096 for a peer that ignores the 0 (`TableIgnoredError`).
        """
        self.ready = False
        self.going_away = False
        self._stream_limit = stream_limit
        self._encoder = HeaderEncoder()
        self._decoder = HeaderDecoder(header_table_size)
        self._control = Control(header_table_size, self._encoder.resize)
        self._bodies = Bodies()
        self._open: dict[int, R] = {}
        self._partial: dict[int, PartialAnswer] = {}
        self._next_stream = first_stream
        self._last_stream = MAX_STREAM_ID
        self._blocks = BlockAssembly()
        self._events: list[Event[R]] = []
        self._succeeded: list[R] = []
        self._credit = Credit()
        self._failed = False
        self._buffer = b""
        self._out = [self._take_control()]
        self._handed_over = 0

    @property
    def in_flight(self) -> int:
        """Streams that are open."""
        return len(self._open)

    @property
    def newest_stream(self) -> int:
        """The id of the stream opened last; -1 before the first."""
        return self._next_stream - 2

    @property
    def waiting_bodies(self) -> Collection[int]:
        """The streams whose bodies wait for a window, the oldest first."""
        return self._bodies.waiting.keys()

    @property
    def exhausted(self) -> bool:
        """Every stream id has been used (RFC 9113 §5.1.1): this connection can only be drained."""
        return self._next_stream > MAX_STREAM_ID

    @property
    def room(self) -> int:
        """How many streams may be opened now. Falls to 0 when the peer lowers its limit, however many are open."""
        if not self.ready or self.going_away or self._failed or self._bodies.window <= 0:
            return 0
        limit = self._control.peer.max_concurrent_streams
        allowed = self._stream_limit if limit is None else min(limit, self._stream_limit)
        return max(0, min(allowed - len(self._open), (MAX_STREAM_ID - self._next_stream) // 2 + 1))

    def start(
        self,
        shape: BlockShape,
        requests: Sequence[R],
        literals: Callable[[R], tuple[bytes, ...]],
        max_bytes: int = 1 << 17,
    ) -> int:
        """Open streams for the first of `requests`, as many as there is room for; returns how many.

        `literals` gives the path and a value for each name of the shape, as `string_literal`s that are free of
        CR and LF. Stops behind `max_bytes` of payload, so that what waits to be written stays small.
        """
        values_of = [literals(request) for request in requests[: self.room]]
        if not values_of:
            return 0
        bodies, encoder, stream, opened = self._bodies, self._encoder, self._next_stream, self._open
        template = encoder.template(shape)
        write, pack = self._out.append, HEAD.pack
        window = bodies.window
        floor = max(0, window - max_bytes)
        whole = bodies.largest_whole
        started = 0
        for request, values in zip(requests, values_of, strict=False):
            if window <= floor:
                break
            if template is None:
                block = encoder.first_block(shape, values)
                template = encoder.template(shape)
            else:
                block = template % values
            payload = request.payload
            size = len(payload)
            write(pack(len(block) << 8 | HEADERS, END_HEADERS, stream))
            write(block)
            opened[stream] = request
            if size <= window and size <= whole:
                write(pack(size << 8, END_STREAM, stream))
                write(payload)
                window -= size
            else:
                bodies.window = window
                write(bodies.begin(stream, payload))
                window = bodies.window
            stream += 2
            started += 1
        bodies.window = window
        self._next_stream = stream
        return started

    def ping(self, opaque: bytes) -> None:
        """Ask for a sign of life; `PingAnswered` brings the 8 bytes back. A connection that has failed is not asked."""
        if not self._failed:
            self._control.ping(opaque)
            self._out.append(self._take_control())

    def cancel(self, last_stream: int) -> tuple[list[R], list[R]]:
        """Give up on the open streams up to this id (RST_STREAM CANCEL). Hands back as `lose` does."""
        streams = []
        for stream in self._open:  # in the order of their ids
            if stream > last_stream:
                break
            streams.append(stream)
        ended = self._parted(streams)
        for stream in streams:
            self._out.append(rst_stream(stream, ErrorCode.CANCEL))
            self._end(stream)
        return ended

    def lose(self) -> tuple[list[R], list[R]]:
        """The connection is gone. Hands back (what may have been processed, what was never wholly written)."""
        self._failed = True
        ended = self._parted(self._open)
        self._open.clear()
        return ended

    def _parted(self, streams: Iterable[int]) -> tuple[list[R], list[R]]:
        written: list[R] = []
        unwritten: list[R] = []
        for stream in streams:
            whole = stream <= self._handed_over and stream not in self._bodies.waiting
            (written if whole else unwritten).append(self._open[stream])
        return written, unwritten

    def take_output(self) -> bytes:
        """Everything to be written now. What it returns counts as written: hand it to the peer in this order."""
        if not self._out:
            return b""
        output = b"".join(self._out)
        self._out.clear()
        self._handed_over = self._next_stream - 2
        return output

    def close(self) -> None:
        """Say a clean GOAWAY; to be written and followed by the end of the connection."""
        if not self._failed:
            self._failed = True
            self._out.append(goaway(ErrorCode.NO_ERROR))

    def receive(self, data: bytes) -> list[Event[R]]:
        """What the peer's bytes mean. Never raises for them: a broken protocol is the event `Failed`."""
        if self._failed:
            return []
        buffer = self._buffer + data
        self._events, self._succeeded = [], []
        try:
            consumed = self._read(buffer)
            self._buffer = buffer[consumed:]
        except RemoteProtocolError as error:
            self._failed = True
            self._buffer = b""
            self._out.append(goaway(error.code, str(error)))
            self._events.append(Failed(error))
        if self._succeeded:
            self._events.insert(0, Succeeded(self._succeeded))
        return self._events

    def _read(self, buffer: bytes) -> int:
        """The loop over frames; returns how much it used. Nearly all answers go no further than `skim`."""
        position, end = 0, len(buffer)
        while True:
            if self.ready and self._decoder.stateless and not self._blocks.unfinished:
                position = skim(buffer, position, self._open, self._partial, self._bodies.waiting, self._succeeded)
            if end - position < FRAME_HEAD_SIZE:
                return position
            head, flags, stream = HEAD.unpack_from(buffer, position)
            length = head >> 8
            if length > MAX_FRAME_SIZE:
                raise too_long(length, buffer)
            content = position + FRAME_HEAD_SIZE
            stop = content + length
            if stop > end:
                return position
            self._receive_frame(Frame(head & 0xFF, flags, stream & MAX_STREAM_ID, buffer[content:stop]))
            position = stop

    def _receive_frame(self, frame: Frame) -> None:
        kind, stream = frame.kind, frame.stream
        check_place(kind, stream, len(frame.payload), self._next_stream)
        if not self.ready and (kind != SETTINGS or frame.flags & ACK):
            raise RemoteProtocolError("the first frame is not SETTINGS")
        if self._blocks.unfinished and kind != CONTINUATION:
            raise RemoteProtocolError("a header block is interrupted")
        try:
            self._dispatch(frame)
        except MalformedAnswerError:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)

    def _dispatch(self, frame: Frame) -> None:
        kind = frame.kind
        if kind in (HEADERS, CONTINUATION):
            block = self._blocks.take(frame)
            if block is not None:
                self._receive_block(*block)
        elif kind == DATA:
            self._receive_data(frame)
        elif kind == RST_STREAM:
            self._receive_reset(frame)
        elif kind == WINDOW_UPDATE:
            self._receive_window_update(frame)
        elif kind in (SETTINGS, PING):
            self._receive_control(frame)
        elif kind == GOAWAY:
            self._receive_goaway(frame)
        # What is left is PRIORITY and types that are unknown: ignored (RFC 9113 §5.5).

    def _receive_block(self, stream: int, block: bytes, ends: bool) -> None:
        if stream not in self._open:
            if not self._decoder.stateless:
                self._decoder.decode(block)  # the table has to follow, also where nobody waits any more
            return
        answer = self._partial.get(stream)
        if answer is None and self._decoder.stateless and is_plain_success(block):
            answer = PartialAnswer(status=200)
        else:
            answer = answer or PartialAnswer()
            answer.take_headers(self._decoder.decode(block), ends=ends)
        if ends:
            self._finish(stream, answer)
        else:
            self._partial[stream] = answer

    def _receive_data(self, frame: Frame) -> None:
        content = without_padding(frame)
        self._out.append(self._credit.take(len(frame.payload)))
        if frame.stream not in self._open:
            return
        answer = self._partial.setdefault(frame.stream, PartialAnswer())
        answer.take_body(content, len(frame.payload))
        if frame.flags & END_STREAM:
            self._finish(frame.stream, answer)
        elif answer.is_enough:
            self._finish(frame.stream, answer, cut_short=True)

    def _receive_reset(self, frame: Frame) -> None:
        if frame.stream not in self._open:
            return  # also a NO_ERROR behind a complete answer (RFC 9113 §8.1)
        code = int.from_bytes(frame.payload, "big")
        if code == ErrorCode.REFUSED_STREAM:
            self._give_back(frame.stream, code, refused=True)
        else:
            self._events.append(Reset(self._end(frame.stream), code))

    def _receive_window_update(self, frame: Frame) -> None:
        increment = int.from_bytes(frame.payload, "big") & MAX_STREAM_ID
        if frame.stream == 0:
            if not increment:
                raise RemoteProtocolError("WINDOW_UPDATE by 0")
            self._bodies.credit_connection(increment)
            self._go_on()
        elif not increment and frame.stream in self._open:
            self._reset(frame.stream, ErrorCode.PROTOCOL_ERROR)
        elif not self._bodies.credit_stream(frame.stream, increment):
            self._reset(frame.stream, ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self._out.append(self._bodies.go_on_with(frame.stream))

    def _receive_control(self, frame: Frame) -> None:
        self._control.receive(frame)
        self.ready = True
        self._out.append(self._take_control())
        self._events.extend(PingAnswered(opaque) for opaque in self._control.answered_pings)
        self._control.answered_pings.clear()
        peer = self._control.peer
        self._bodies.change(peer.initial_window_size, peer.max_frame_size)
        self._go_on()

    def _receive_goaway(self, frame: Frame) -> None:
        """The first one, or another that lowers the last stream id: it never rises (RFC 9113 §6.8)."""
        self.going_away = True
        self._control.go_away()
        last = int.from_bytes(frame.payload[:4], "big") & MAX_STREAM_ID
        self._last_stream = min(self._last_stream, last)
        code = int.from_bytes(frame.payload[4:8], "big")
        self._events.append(GoingAway(self._last_stream, code, frame.payload[8:]))
        for stream in [stream for stream in self._open if stream > self._last_stream]:
            self._give_back(stream, code, refused=False)

    def _give_back(self, stream: int, code: int, *, refused: bool) -> None:
        """The peer says that it did not look at it. Behind the beginning of an answer that proves nothing."""
        begun = stream in self._partial
        request = self._end(stream)
        self._events.append(Reset(request, code) if begun else Unprocessed(request, refused=refused))

    def _finish(self, stream: int, answer: PartialAnswer, *, cut_short: bool = False) -> None:
        if cut_short or stream in self._bodies.waiting:  # answered before we were done: nobody needs the rest
            self._out.append(rst_stream(stream, ErrorCode.CANCEL))
        request = self._end(stream)
        if answer.status == 200:
            self._succeeded.append(request)
        elif answer.status is not None:
            self._events.append(Answered(request, answer.status, answer.headers, bytes(answer.body)))

    def _reset(self, stream: int, code: ErrorCode) -> None:
        """The peer broke HTTP on this stream alone: say so and give up on it (RFC 9113 §5.4.2)."""
        self._out.append(rst_stream(stream, code))
        self._events.append(Reset(self._end(stream), code))

    def _end(self, stream: int) -> R:
        self._partial.pop(stream, None)
        self._bodies.waiting.pop(stream, None)
        return self._open.pop(stream)

    def _go_on(self) -> None:
        if self._bodies.waiting:
            self._out.append(self._bodies.go_on())

    def _take_control(self) -> bytes:
        output, self._control.output = self._control.output, b""
        return output
