"""One HTTP/2 connection from the server's side, without I/O: bytes in, bytes out, and faults at their moments.

1000 streams may be open at once, but one "until you post a request with a valid authentication token" (Apple,
"Sending notification requests to APNs").
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TypeAlias

from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from scheduler.simulator.checks import Credentials, Request, is_message_id
from scheduler.simulator.client_watch import ClientWatch, ConnectionWatch
from scheduler.simulator.fault_schedule import ConnectionFaults, FaultSchedule
from scheduler.simulator.faults import (
    NO_FAULTS,
    Action,
    AnswerWith,
    ChangeSettings,
    CloseWindow,
    Cut,
    CutBy,
    Delay,
    Drain,
    GoAway,
    IgnoreTableSize,
    Informational,
    Ping,
    Refuse,
    RequestAction,
    Reset,
    Stall,
    Stalled,
    Streams,
    Trailers,
    UnknownFrame,
    UnknownSetting,
)
from scheduler.simulator.line import DRAIN_PING, HIGHEST_STREAM, UNPROVED_STREAMS, Line
from scheduler.simulator.reasons import Answer, Reason

STREAMS = 1000
LINGER = 1.0
"""Seconds in which a client can read what came before the end of a connection that goes away."""

_MADE_IDS = uuid.UUID("6f2b3c1e-3c55-5d3a-9a53-7f0d5c9a8e11")

Judge: TypeAlias = Callable[[Request, Credentials, float], Answer]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was processed: its answer, under which id, and the faults that hit it."""

    request: Request
    answer: Answer
    apns_id: str
    stream: int
    faults: tuple[str, ...] = ()


class ServerConnection:
    """Keeps the stream limit, asks `judge` for the answer to each complete request, and carries out faults.

    All requests of one `receive` are answered together, after it: a client that opens a stream before it can have
    seen the answer to the last one is over the limit, and is told so with REFUSED_STREAM (RFC 9113 §5.1.2).

    `at` is the second of a stopwatch, the one that `due` is on.
    """

    def __init__(
        self,
        number: int,
        credentials: Credentials,
        judge: Judge,
        *,
        faults: ConnectionFaults | None = None,
        watch: ConnectionWatch | None = None,
        throttle: bool = False,
        idle_timeout: float | None = None,
        at: float = 0.0,
    ) -> None:
        self.number = number
        self.closed = False
        """Send what was given out last, then close: in order, or as `cut` says."""
        self.dismissed = False
        """It is ended by this side: by a fault, for a breach, for idleness."""
        self.cut: CutBy | None = None
        self.reading = True
        self.refused_streams = 0
        self.watch = watch or ClientWatch().connection(at)
        self._credentials = credentials
        self._judge = judge
        self._faults = faults or FaultSchedule(NO_FAULTS).connection(number, at)
        self._throttle = throttle
        self._throttled = False
        self._idle_timeout = idle_timeout
        self._last_activity = at
        self._line = Line(self.watch)
        self._open: dict[int, Request] = {}
        self._waiting: set[int] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = count()
        self._scripted_limit: int | None = None
        self._highest = 0
        self._last_stream = HIGHEST_STREAM
        self._draining: Drain | None = None
        self._processed = 0
        self._going = self._lingering = self._goaway_seen = False

    def greeting(self, at: float = 0.0) -> bytes:
        """The server's preface: its SETTINGS, and what is due at once."""
        return self.tick(at)

    @property
    def due(self) -> float | None:
        """The second at which `tick` has something to do; None if only the client can bring about anything."""
        moments = [self._faults.due, self._later[0][0] if self._later else None, self._idle_until]
        return min((moment for moment in moments if moment is not None), default=None)

    def tick(self, at: float) -> bytes:
        """Time has passed. The bytes to send."""
        while self._later and self._later[0][0] <= at:
            heapq.heappop(self._later)[2]()
        for action in self._faults.take_due(at):
            self._disturb(action, at)
        idle_until = self._idle_until
        if idle_until is not None and at >= idle_until:
            self._go_away(GoAway(reason=Reason.IDLE_TIMEOUT))
        self._settle(at)
        return self._line.take()

    @property
    def _idle_until(self) -> float | None:
        if self._idle_timeout is None or self._going or self._busy:
            return None
        return self._last_activity + self._idle_timeout

    def receive(self, data: bytes, now: float, at: float = 0.0) -> tuple[list[Exchange], bytes]:
        """What the client's bytes led to: the requests that were processed, and the bytes to send.

        `now` is in seconds since 1970. After a breach of the protocol or a GOAWAY, `closed` is set.
        """
        self.watch.at, self.watch.now = at, now
        self._last_activity = at
        try:
            events = self._line.receive(data)
        except ProtocolError as breach:
            self.watch.breach(type(breach).__name__, str(breach))
            self._dismiss()
            return [], self._line.take()
        processed = [self._process(stream, now, at) for stream in self._apply(events)]
        self._settle(at)
        return [exchange for exchange in processed if exchange is not None], self._line.take()

    def _apply(self, events: list[Event]) -> list[int]:
        """Take in what happened; the streams whose request is complete, in order."""
        complete: list[int] = []
        over_limit: set[int] = set()
        for event in events:
            match event:
                case DataReceived():
                    if event.stream_id in self._open:
                        self._open[event.stream_id].extend(event.data)
                    self._line.credit(event)
                case RequestReceived():
                    self._start(event, over_limit)
                case StreamEnded():
                    if event.stream_id in self._open:
                        complete.append(event.stream_id)
                case StreamReset():
                    self._open.pop(event.stream_id, None)
                    self._waiting.discard(event.stream_id)
                    self._line.forget(event.stream_id)
                    over_limit.discard(event.stream_id)
                case SettingsAcknowledged():
                    self._line.acknowledged()
                case PingAckReceived():
                    self.watch.ping_answered()
                    self._ping_answered(event.ping_data)
                case ConnectionTerminated():
                    self.closed = True
        if not self.closed:
            for stream in over_limit:
                self._line.reset(stream, ErrorCodes.REFUSED_STREAM)
            self.refused_streams += len(over_limit)
        return complete

    def _start(self, event: RequestReceived, over_limit: set[int]) -> None:
        self.watch.start()
        self._highest = max(self._highest, event.stream_id)
        if event.stream_id > self._last_stream or self._goaway_seen:
            if self._goaway_seen:
                self.watch.after_goaway()
            return
        open_streams = len(self._open) + len(self._waiting) + self._line.unsent
        if open_streams < self._line.limit:
            self._open[event.stream_id] = Request(event.headers)
            return
        over_limit.add(event.stream_id)
        if self._line.known_limit is not None and open_streams >= self._line.known_limit:
            self.watch.over_limit()

    def _process(self, stream: int, now: float, at: float) -> Exchange | None:
        """Answer a complete request, unless the client has reset it since, or nobody will ever look at it."""
        if stream not in self._open or self.closed or self.cut is not None or stream > self._last_stream:
            return None
        actions: list[RequestAction] = []
        for action in self._faults.on_request():
            if isinstance(action, RequestAction):
                self.watch.disturbed()
                actions.append(action)
            else:
                self._disturb(action, at)
        request = self._open.pop(stream)
        if stream > self._last_stream:
            return None
        if any(isinstance(action, Refuse) for action in actions):
            self._line.reset(stream, ErrorCodes.REFUSED_STREAM)
            self.refused_streams += 1
            return None
        answer = self._judge(request, self._credentials, now)
        for action in actions:
            if isinstance(action, AnswerWith):
                answer = Answer(action.reason, action.timestamp, action.status)
        if answer.status >= 300:
            self.watch.disturbed()
        apns_id = self._id_for(request, stream)
        self._waiting.add(stream)
        self._processed = max(self._processed, stream)
        delays = [action.seconds for action in actions if isinstance(action, Delay)]
        respond = partial(self._respond, stream, answer, (request.id_header, apns_id), actions)
        if not delays:
            respond()
        elif None not in delays:
            self._after(at + sum(seconds or 0 for seconds in delays), respond)
        if answer.status == 200 and request.broadcast is None:
            self.watch.accepted(request.device_token, apns_id.decode())
        return Exchange(request, answer, apns_id.decode(), stream, tuple(action.word for action in actions))

    def _respond(
        self, stream: int, answer: Answer, identity: tuple[bytes, bytes], actions: list[RequestAction]
    ) -> None:
        """The answer leaves, unless the client has cancelled or the connection has ended since."""
        if stream not in self._waiting or self.cut is not None or self.closed:
            return
        self._waiting.discard(stream)
        self._throttled = self._throttle and 400 <= answer.status < 500 and answer.status != 410
        for action in actions:
            if isinstance(action, Informational):
                self._line.inform(stream, action.status)
        for action in actions:
            if isinstance(action, Reset):
                self._line.reset(stream, action.error)
                return
        trailers = any(isinstance(action, Trailers) for action in actions)
        self._line.answer(stream, answer, identity, trailers=trailers)

    def _id_for(self, request: Request, stream: int) -> bytes:
        """The request's own id if it is one, else one that is made from connection and stream."""
        own = request.fields.get(request.id_header)
        if own is not None and is_message_id(own):
            return own
        return str(uuid.uuid5(_MADE_IDS, f"{self.number}/{stream}")).encode()

    def _settle(self, at: float) -> None:
        """What follows from all that happened: bodies, the stream limit, the end of a connection that goes away."""
        if self.closed:
            return
        self._line.send_bodies()
        limit = self._limit()
        if limit != self._line.limit:
            self._line.announce({SettingCodes.MAX_CONCURRENT_STREAMS: limit})
        if self._going and not self._lingering and not self._busy:
            self._lingering = True
            self._after(at + LINGER, self._dismiss)

    def _limit(self) -> int:
        if self._scripted_limit is not None:
            return self._scripted_limit
        return STREAMS if self._credentials.proved and not self._throttled else UNPROVED_STREAMS

    @property
    def _busy(self) -> bool:
        """Whether requests are open that will be answered."""
        return bool(self._waiting or self._line.unsent or any(stream <= self._last_stream for stream in self._open))

    def _disturb(self, action: Action, at: float) -> None:
        """Carry out what concerns the whole connection."""
        if self.closed or self.cut is not None:
            return
        self.watch.disturbed()
        line = self._line
        match action:
            case Streams():
                self._scripted_limit = action.limit
                line.announce({SettingCodes.MAX_CONCURRENT_STREAMS: action.limit})
                self._until(action.seconds, at, partial(setattr, self, "_scripted_limit", None))
            case GoAway():
                self._go_away(action)
            case Drain():
                self._draining = action
                line.go_away(HIGHEST_STREAM, ErrorCodes.NO_ERROR, action.debug_data())
                line.ping(DRAIN_PING)
            case Stall(what=Stalled.READING):
                self.reading = False
                self._until(action.seconds, at, partial(setattr, self, "reading", True))
            case Stall():
                line.muted = True
                self._until(action.seconds, at, partial(setattr, line, "muted", False))
            case Cut():
                self.cut = action.how
                self.dismissed = True
                self.closed = action.how is not CutBy.HALF
            case ChangeSettings():
                line.announce(action.values())
            case CloseWindow():
                line.close_window()
                self._until(action.seconds, at, line.open_window)
            case IgnoreTableSize():
                line.ignore_table_size()
            case Ping():
                line.ping()
            case UnknownFrame():
                line.unknown_frames(max(self._open, default=0))
            case UnknownSetting():
                line.unknown_setting()

    def _go_away(self, action: GoAway) -> None:
        """A last stream id below what was processed would be a lie: clients send again what is above it."""
        newest = sorted(self._open)[-action.unprocessed :] if action.unprocessed else []
        last = max(newest[0] - 2, self._processed, 0) if newest else self._highest
        self._last_stream = min(self._last_stream, last)
        self._line.go_away(self._last_stream, action.error, action.debug_data())
        self._going = True

    def _ping_answered(self, payload: bytes) -> None:
        """The second step of a drain: the client has seen the first."""
        if payload == DRAIN_PING and self._draining is not None:
            self._line.go_away(self._highest, ErrorCodes.NO_ERROR, self._draining.debug_data())
            self._last_stream, self._draining = self._highest, None
            self._going = self._goaway_seen = True

    def _dismiss(self) -> None:
        self.closed = self.dismissed = True

    def _until(self, seconds: float | None, at: float, then: Callable[[], None]) -> None:
        if seconds is not None:
            self._after(at + seconds, then)

    def _after(self, at: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._later, (at, next(self._sequence), then))
