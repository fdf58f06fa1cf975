"""The laws of one link to APNs, without I/O: what may be sent now, what an answer means for the link, when it ends.

Sources: RFC 9113; Apple, "Sending notification requests to APNs" (one stream until the provider token is proved,
GOAWAY with a reason, an idle PING after an hour) and "Handling notification responses from APNs".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

from scheduler.apns.header_fields import Shapes, literals, shape_number
from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.reasons import AppAction, LinkAction, disposition
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import (
    ACCEPTED_ANSWER,
    Answer,
    Result,
    Unanswered,
    Unsent,
    UnsentCause,
    read_answer,
    read_reason_body,
    reason_of,
    server_time,
)
from scheduler.delivery.stream_limit import StreamLimit
from scheduler.domain.errors import words_of_peer
from scheduler.domain.outcomes import UnknownCause
from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import Answered, Failed, GoingAway, PingAnswered, Reset, Succeeded, Unprocessed
from scheduler.http2.frames import TableIgnoredError, error_name

STREAM_LIMIT: Final = 1_000
"""The most streams we open even if the server allows more; the limit that APNs has been seen to set."""
RESPONSE_DEADLINE: Final = 30.0
"""Seconds without an answer, then the stream is cancelled and the outcome unknown."""
LATE_IN_A_ROW: Final = 3
"""So many deadlines without any answer between them, and the link is taken for dead."""
PING_DEADLINE: Final = 10.0
QUIET_BUSY: Final = 5.0
"""Seconds of silence with requests in flight before we ask for a sign of life."""
QUIET_IDLE: Final = 3_600.0
"""The same without any (Apple: after an hour)."""
NO_ROOM_DEADLINE: Final = 10.0
"""Seconds for which the server may let nothing be sent: no window for a body, or no stream at all."""
_TICKET: Final = 0.25

Ended: TypeAlias = "tuple[PushRequest, Result]"


class CloseReason(StrEnum):
    """Why a link takes no more requests."""

    GOAWAY = "goaway"
    REPLACED = "replaced"
    """An answer made us: an expired provider token, a server that shuts down."""
    NO_ANSWER = "no_answer"
    NO_PING = "no_ping"
    NO_ROOM = "no_room"
    """The server grants no window, or no stream, so that nothing can be sent."""
    NOT_READING = "not_reading"
    """The server takes nothing from the connection any more."""
    EXHAUSTED = "exhausted"
    """Every stream id has been used."""
    PROTOCOL = "protocol_error"
    TABLE_IGNORED = "table_ignored"
    """The peer uses its header table although we announced none: the next link has one."""
    NOT_READY = "not_ready"
    """No SETTINGS from the server in time."""
    LOST = "lost"
    """The connection broke or was closed by the peer without GOAWAY."""
    CLOSED = "closed"
    """We ended it: shutdown."""


_DEAD: Final = frozenset(
    {
        CloseReason.PROTOCOL,
        CloseReason.TABLE_IGNORED,
        CloseReason.NO_PING,
        CloseReason.NOT_READING,
        CloseReason.NOT_READY,
        CloseReason.LOST,
    }
)


@dataclass(frozen=True, slots=True)
class Retirement:
    """Why a link is at its end; `detail` is for people."""

    reason: CloseReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class LinkLaws:
    """One link. `receive`, `tick` and `lose` give the requests that have ended, each exactly once."""

    def __init__(
        self,
        authority: str,
        tokens: ProviderTokenSource | None,
        now: float,
        *,
        stream_limit: int = STREAM_LIMIT,
        header_table_size: int = 0,
        index_authorization: bool = True,
    ) -> None:
        """`tokens` None: a client certificate speaks for us. `now` is monotonic seconds, here and below.

        `index_authorization` off follows the stricter Apple page.
        """
        self.retirement: Retirement | None = None
        self.stop_app: str | None = None
        """Why nothing of this app can be sent: APNs' reason, perhaps with more words behind it."""
        self.proved = False
        """An answer has shown that our credentials are good: with a provider token, more than one stream is allowed."""
        self.limit = StreamLimit(stream_limit, now)
        self._tokens = tokens
        self._shapes = Shapes(authority, index_authorization=index_authorization)
        self._connection: ExpressConnection[PushRequest] = ExpressConnection(
            stream_limit=stream_limit, header_table_size=header_table_size
        )
        self._started: deque[tuple[int, float]] = deque()  # (last stream id, when it was started), oldest first
        self._late = 0
        self._dead = False
        self._heard = now
        self._pinged: float | None = None
        self._stuck: tuple[int, float] | None = None  # (what is stuck, since when)

    @property
    def ready(self) -> bool:
        """The server's SETTINGS are there."""
        return self._connection.ready

    @property
    def in_flight(self) -> int:
        return self._connection.in_flight

    @property
    def room(self) -> int:
        """How many requests may be started now."""
        if self.retirement is not None:
            return 0
        probing = self._tokens is not None and not self.proved
        room = (1 if probing else self.limit.limit) - self._connection.in_flight
        return max(0, min(room, self._connection.room))

    def start(self, headers: HeaderSet, requests: Sequence[PushRequest], now: float) -> int:
        """Start the first of `requests`, as many as there is room for; returns how many."""
        shapes = self._shapes.of(headers, self._tokens.current() if self._tokens is not None else None)
        first, room = 0, self.room
        in_flight = self._connection.in_flight
        self.limit.passed(in_flight, now)
        if room and (allowed := in_flight + self._connection.room) != self.limit.ceiling:
            self.limit.allow(allowed)
        while first < min(room, len(requests)):
            number = shape_number(requests[first])
            end = first + 1
            while end < min(room, len(requests)) and shape_number(requests[end]) == number:
                end += 1
            started = self._connection.start(shapes[number], requests[first:end], literals)
            first += started
            if first < end:
                break
        if first:
            self._note_start(now)
        if self._connection.exhausted:
            self.retire(CloseReason.EXHAUSTED)
        return first

    def receive(self, data: bytes, now: float) -> list[Ended]:
        """What the server's bytes end. `retirement` and `stop_app` may have changed."""
        self._heard = now
        self._pinged = None
        troubled = 0
        ended: list[Ended] = []
        for event in self._connection.receive(data):
            match event:
                case Succeeded(requests):
                    self._proof()
                    ended += [(request, ACCEPTED_ANSWER) for request in requests]
                case Answered(request, status, fields, body):
                    answer = read_answer(status, body)
                    self._obey(answer, server_time(fields))
                    troubled += answer.status >= 500
                    ended.append((request, answer))
                case Unprocessed(request, refused):
                    cause = UnsentCause.REFUSED if refused else UnsentCause.GOING_AWAY
                    troubled += refused
                    ended.append((request, Unsent(cause)))
                case Reset(request, _):
                    ended.append((request, Unanswered(UnknownCause.RESET)))
                case GoingAway(_, code, debug):
                    detail = reason_of(read_reason_body(debug)) or words_of_peer(debug)
                    self.retire(CloseReason.GOAWAY, detail or error_name(code))
                case PingAnswered():
                    pass  # any byte is a sign of life
                case Failed(error):
                    ignored = isinstance(error, TableIgnoredError)
                    reason = CloseReason.TABLE_IGNORED if ignored else CloseReason.PROTOCOL
                    self.retire(reason, str(error))
        if ended:
            self.limit.answered(len(ended), troubled, self._connection.in_flight, now)
        return ended

    def tick(self, now: float) -> list[Ended]:
        """Call it about once a second: cancels what is overdue, asks a silent link for a sign of life."""
        ended = self._expire(now)
        self._look_for_room(now)
        if self._late >= LATE_IN_A_ROW:
            self.retire(
                CloseReason.NO_ANSWER, f"{self._late} requests in a row had no answer in {RESPONSE_DEADLINE:.0f} s"
            )
        if self._pinged is not None:
            if now - self._pinged >= PING_DEADLINE:
                self.retire(CloseReason.NO_PING, f"no sign of life in {PING_DEADLINE:.0f} s")
        elif self.ready and now - self._heard >= (QUIET_BUSY if self.in_flight else QUIET_IDLE):
            self._pinged = now
            self._connection.ping(b"clarion!")
        return ended

    def retire(self, reason: CloseReason, detail: str = "") -> None:
        """No more requests on this link. The first reason stays; a dead connection is not waited for."""
        self._dead = self._dead or reason in _DEAD
        if self.retirement is None:
            self.retirement = Retirement(reason, detail)

    @property
    def over(self) -> bool:
        """At its end, with nothing left to wait for: close it."""
        return self.retirement is not None and (self._dead or self.in_flight == 0)

    def lose(self) -> list[Ended]:
        """The connection is gone, or is given up: everything in flight ends."""
        self.retire(CloseReason.LOST)
        written, unwritten = self._connection.lose()
        ended: list[Ended] = [(request, Unanswered(UnknownCause.LINK_LOST)) for request in written]
        ended += [(request, Unsent(UnsentCause.NOT_WRITTEN)) for request in unwritten]
        return ended

    def take_output(self) -> bytes:
        """Bytes to be handed to TLS now, in this order. What is in them counts as written."""
        return self._connection.take_output()

    def close(self) -> None:
        """Say goodbye in the output."""
        self._connection.close()

    def _expire(self, now: float) -> list[Ended]:
        """End what is overdue. A body that has found no window in all that time was certainly not processed."""
        ended: list[Ended] = []
        late = 0
        while self._started and now - self._started[0][1] >= RESPONSE_DEADLINE:
            last, _ = self._started.popleft()
            written, unwritten = self._connection.cancel(last)
            late += len(written)
            ended += [(request, Unanswered(UnknownCause.NO_ANSWER)) for request in written]
            ended += [(request, Unsent(UnsentCause.NOT_WRITTEN)) for request in unwritten]
            if unwritten:
                self._leave_for_room(len(unwritten), RESPONSE_DEADLINE)
        self._late += late
        if ended:
            self.limit.answered(len(ended), late, self._connection.in_flight, now)
        return ended

    def _look_for_room(self, now: float) -> None:
        """Is the same body waiting for a window still, or is there no stream for the next request?"""
        unwritten = self._connection.waiting_bodies
        if unwritten:
            stuck = next(iter(unwritten))
        elif self.ready and not self.in_flight and not self._connection.room:
            stuck = 0
        else:
            self._stuck = None
            return
        if self._stuck is None or self._stuck[0] != stuck:
            self._stuck = (stuck, now)
        elif now - self._stuck[1] >= NO_ROOM_DEADLINE:
            self._leave_for_room(len(unwritten), NO_ROOM_DEADLINE)
            if len(unwritten) == self.in_flight:  # answers to what was wholly written may still come
                self._dead = True

    def _leave_for_room(self, unwritten: int, seconds: float) -> None:
        what = f"no window for {unwritten} requests" if unwritten else "no stream or no window"
        self.retire(CloseReason.NO_ROOM, f"{what} in {seconds:.0f} s")

    def _note_start(self, now: float) -> None:
        """Starts within a quarter of a second share a deadline: that of the last one, so none comes early."""
        if len(self._started) > 1 and now - self._started[-2][1] < _TICKET:
            self._started.pop()
        self._started.append((self._connection.newest_stream, now))

    def _proof(self) -> None:
        self.proved = True
        self._late = 0

    def _obey(self, answer: Answer, at: datetime | None) -> None:
        wanted = disposition(answer)
        reason = answer.reason or str(answer.status)
        self._late = 0
        self.proved = self.proved or not wanted.doubts_token
        match wanted.link:
            case LinkAction.KEEP:
                pass
            case LinkAction.ROTATE:
                self._renew_token(reason, at)
                self.retire(CloseReason.REPLACED, reason)
            case LinkAction.REPLACE:
                self.retire(CloseReason.REPLACED, reason)
        if wanted.app is AppAction.STOP and self.stop_app is None:
            # A token from the future is not expired for APNs, but invalid.
            wrong_clock = self._tokens.wrong_clock(at) if self._tokens is not None and at is not None else None
            self.stop_app = reason if wrong_clock is None else f"{reason}: {wrong_clock}"

    def _renew_token(self, reason: str, at: datetime | None) -> None:
        """The token is renewed, or our clock is wrong. An answer on a link that has used several may be about any."""
        wrong_clock = self._tokens.expired(self._shapes.only_token, at) if self._tokens is not None else None
        if wrong_clock is not None and self.stop_app is None:
            self.stop_app = f"{reason}: {wrong_clock}"
