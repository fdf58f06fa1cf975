"""What a read from the peer can mean, as values. `R` is whatever the caller sends: it comes back as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from scheduler.http2.answers import Headers
from scheduler.http2.frames import RemoteProtocolError


class Sendable(Protocol):
    """A request as far as the connection looks into it."""

    @property
    def payload(self) -> bytes: ...


R = TypeVar("R", bound=Sendable)


@dataclass(frozen=True, slots=True)
class Succeeded(Generic[R]):
    """Answered with a bare 200 and nothing else; in the order of arrival."""

    requests: list[R]


@dataclass(frozen=True, slots=True)
class Answered(Generic[R]):
    """Answered in any other way; the first 4,096 bytes of the body."""

    request: R
    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Unprocessed(Generic[R]):
    """The peer says that it did not look at it: the stream was refused, or is above GOAWAY's last stream id."""

    request: R
    refused: bool


@dataclass(frozen=True, slots=True)
class Reset(Generic[R]):
    """The stream ended without an answer, by the peer or because its answer broke HTTP."""

    request: R
    code: int


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The peer takes no more streams; answers to the streams up to `last_stream` may still come."""

    last_stream: int
    code: int
    debug: bytes


@dataclass(frozen=True, slots=True)
class PingAnswered:
    opaque: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The peer broke the protocol: nothing more is read. Always the last event."""

    error: RemoteProtocolError


Event: TypeAlias = "Succeeded[R] | Answered[R] | Unprocessed[R] | Reset[R] | GoingAway | PingAnswered | Failed"
