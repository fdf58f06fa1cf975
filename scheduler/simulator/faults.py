"""What can go wrong on purpose, and when: the faults of a script, as values.

Each action is one thing that a server, or the network before it, has been seen to do. `do: <word>` in a script names
it; its parameters are the fields here. `fault_script` reads and prints them, `connection` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias

import msgspec
from h2.errors import ErrorCodes
from h2.settings import SettingCodes


class Stalled(StrEnum):
    """Which direction stands still: nothing is read from the socket, or nothing is written to it."""

    READING = "reading"
    ANSWERING = "answering"


class CutBy(StrEnum):
    """How a connection ends without a word in HTTP/2."""

    TLS = "tls"
    """TLS close_notify, then FIN: in order."""
    TCP = "tcp"
    """FIN without close_notify, as when a process dies."""
    RESET = "reset"
    """RST, as when a middlebox forgets the connection."""
    HALF = "half"
    """FIN from our side alone: nothing more is sent, and the client's bytes are still read."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """REFUSED_STREAM for the request: it was not processed (RFC 9113 §8.7), and is neither judged nor logged."""

    word: ClassVar = "refuse"


@dataclass(frozen=True, slots=True)
class Reset:
    """The request is processed, and its answer is RST_STREAM with any code but REFUSED_STREAM."""

    word: ClassVar = "reset"
    error: int = ErrorCodes.INTERNAL_ERROR


@dataclass(frozen=True, slots=True)
class Delay:
    """The request is processed, and its answer comes `seconds` later; never if that is left out."""

    word: ClassVar = "delay"
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AnswerWith:
    """The answer is this one, whatever the checks say. Without `reason` there is no body."""

    word: ClassVar = "answer"
    status: int | None = None
    """May be left out beside a reason of Apple's: then it is Apple's."""
    reason: str | None = None
    timestamp: int | None = None
    """Milliseconds since 1970; Apple sends it with 410."""


@dataclass(frozen=True, slots=True)
class Informational:
    """An interim answer before the real one (RFC 9110 §15.2)."""

    word: ClassVar = "informational"
    status: int = 103


@dataclass(frozen=True, slots=True)
class Trailers:
    """The answer ends with a trailer section (RFC 9113 §8.1)."""

    word: ClassVar = "trailers"


@dataclass(frozen=True, slots=True)
class Streams:
    """SETTINGS_MAX_CONCURRENT_STREAMS is `limit` for `seconds`, for ever if that is left out; new requests above it are
    refused at once."""

    word: ClassVar = "streams"
    limit: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class GoAway:
    """GOAWAY. The newest `unprocessed` open requests are above its last stream id: not processed, never answered.
    The others are answered, then the connection ends.

    The debug data is `{"reason": …}` as Apple sends it, or the text of `debug` as it stands, or nothing.
    """

    word: ClassVar = "goaway"
    reason: str | None = None
    debug: str | None = None
    error: int = ErrorCodes.NO_ERROR
    unprocessed: int = 0

    def debug_data(self) -> bytes:
        return _debug_data(self.reason) if self.debug is None else self.debug.encode()


@dataclass(frozen=True, slots=True)
class Drain:
    """GOAWAY in two steps (RFC 9113 §6.8): first with the highest stream id there is and a PING; when that is answered,
    with the last stream that was opened. Everything is answered, then the connection ends."""

    word: ClassVar = "drain"
    reason: str | None = None

    def debug_data(self) -> bytes:
        return _debug_data(self.reason)


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing is read, or nothing is written, for `seconds`; for ever if that is left out. TCP stays up."""

    word: ClassVar = "stall"
    what: Stalled
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends. What was answered before is still sent; the request of the moment was processed."""

    word: ClassVar = "cut"
    how: CutBy = CutBy.TCP


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """SETTINGS with these values. They hold when the client has acknowledged them; from then on they are enforced."""

    word: ClassVar = "settings"
    header_table_size: int | None = None
    initial_window_size: int | None = None
    max_frame_size: int | None = None
    max_header_list_size: int | None = None

    def values(self) -> dict[SettingCodes | int, int]:
        """The settings that are to change."""
        values = {
            SettingCodes.HEADER_TABLE_SIZE: self.header_table_size,
            SettingCodes.INITIAL_WINDOW_SIZE: self.initial_window_size,
            SettingCodes.MAX_FRAME_SIZE: self.max_frame_size,
            SettingCodes.MAX_HEADER_LIST_SIZE: self.max_header_list_size,
        }
        return {code: value for code, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class CloseWindow:
    """No flow-control window is granted for `seconds` (for ever if left out): the initial window is 0, and nothing that
    was received is credited. Then the window opens again."""

    word: ClassVar = "window"
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class IgnoreTableSize:
    """Answers are written with indexes of a dynamic table of 4096 bytes, whatever the client has announced: forbidden
    by RFC 7541 §4.2, and what a client should survive all the same."""

    word: ClassVar = "ignore_table_size"


@dataclass(frozen=True, slots=True)
class Ping:
    """A PING that wants an answer."""

    word: ClassVar = "ping"


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """Frames of an unknown type, on the connection and on the last stream: to be ignored (RFC 9113 §5.5)."""

    word: ClassVar = "unknown_frame"


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A setting that nobody knows: to be ignored and acknowledged (RFC 9113 §6.5.2)."""

    word: ClassVar = "unknown_setting"


RequestAction: TypeAlias = Refuse | Reset | Delay | AnswerWith | Informational | Trailers
"""What happens to one request: its moment is a request."""
ConnectionAction: TypeAlias = (
    Streams
    | GoAway
    | Drain
    | Stall
    | Cut
    | ChangeSettings
    | CloseWindow
    | IgnoreTableSize
    | Ping
    | UnknownFrame
    | UnknownSetting
)
"""What happens to a whole connection, before the request of the moment is answered."""
Action: TypeAlias = RequestAction | ConnectionAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One action and its moment, which is either `request` or `second`.

    `request` N: when the N-th request is complete, and at the `times` - 1 after it. `second` T: on every connection
    that is open then. With a `connection` (its number from 1, or `each`) both are counted on that connection, from
    its opening; without, over the whole simulator, from its first connection on.
    """

    action: Action
    request: int | None = None
    times: int = 1
    second: float | None = None
    connection: int | Literal["each"] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Faults; those of one moment happen in this order."""

    faults: tuple[Fault, ...] = ()


NO_FAULTS = Script()


def _debug_data(reason: str | None) -> bytes:
    return b"" if reason is None else msgspec.json.encode({"reason": reason})
