"""Faults by chance: the same seed gives the same script, today and on another machine."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from h2.errors import ErrorCodes

from scheduler.simulator.faults import (
    Action,
    AnswerWith,
    ChangeSettings,
    CloseWindow,
    Cut,
    CutBy,
    Delay,
    Drain,
    Fault,
    GoAway,
    IgnoreTableSize,
    Informational,
    Ping,
    Refuse,
    Reset,
    Script,
    Stall,
    Stalled,
    Streams,
    Trailers,
    UnknownFrame,
    UnknownSetting,
)
from scheduler.simulator.reasons import Reason

_PASSING = (
    Reason.INTERNAL_SERVER_ERROR,
    Reason.SERVICE_UNAVAILABLE,
    Reason.SHUTDOWN,
    Reason.IDLE_TIMEOUT,
    Reason.TOO_MANY_REQUESTS,
    Reason.UNREGISTERED,
    Reason.BAD_DEVICE_TOKEN,
)
"""Reasons that concern a request or a connection. Those about credentials end all sending: chance leaves them out."""
_RESETS = (
    ErrorCodes.NO_ERROR,
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.INTERNAL_ERROR,
    ErrorCodes.STREAM_CLOSED,
    ErrorCodes.CANCEL,
    ErrorCodes.ENHANCE_YOUR_CALM,
    0xFACE,
)
_LONGEST = 60.0


def chaos_script(seed: int, *, requests: int = 1000, seconds: float = 5.0, faults: int = 12) -> Script:
    """`faults` faults at moments in the first `requests` requests or `seconds` seconds.

    Nothing is for ever: what stalls, closes or falls does so for at most a fifth of `seconds`. So a client that gets
    over each fault gets over the script.
    """
    chance = Random(seed)
    script: list[Fault] = []
    for _ in range(faults):
        action = chance.choice(_KINDS)(chance, min(seconds / 5, _LONGEST))
        if isinstance(action, Refuse | Reset | Delay | AnswerWith | Informational | Trailers):
            moment = chance.randint(1, requests)
            script.append(Fault(action=action, request=moment, times=chance.choice((1, 1, 1, 2, 5))))
        elif isinstance(action, IgnoreTableSize):
            script.append(Fault(action=action, second=0.0, connection=chance.randint(1, 3)))
        elif chance.random() < 0.5:
            script.append(Fault(action=action, request=chance.randint(1, requests)))
        else:
            script.append(Fault(action=action, second=_short(chance, seconds * 0.8)))
    return Script(tuple(script))


def _short(chance: Random, longest: float) -> float:
    return round(chance.uniform(0, longest), 3)


def _go_away(chance: Random, longest: float) -> Action:
    unprocessed = chance.choice((0, 0, 1, 3, 100))
    match chance.randrange(4):
        case 0:
            return GoAway(reason=Reason.SHUTDOWN, unprocessed=unprocessed)
        case 1:
            text = "Maximum active streams violated for this endpoint."
            return GoAway(debug=text, error=ErrorCodes.REFUSED_STREAM, unprocessed=unprocessed)
        case 2:
            return GoAway(error=chance.choice(_RESETS), unprocessed=unprocessed)
        case _:
            return Drain()


def _settings(chance: Random, longest: float) -> Action:
    match chance.randrange(3):
        case 0:
            return ChangeSettings(header_table_size=chance.choice((0, 64, 200, 4096, 65536)))
        case 1:
            return ChangeSettings(initial_window_size=chance.choice((1, 100, 65535, 2**31 - 1)))
        case _:
            return ChangeSettings(max_frame_size=chance.choice((16384, 32768, 2**24 - 1)))


_KINDS: tuple[Callable[[Random, float], Action], ...] = (
    lambda chance, longest: Refuse(),
    lambda chance, longest: Reset(chance.choice(_RESETS)),
    lambda chance, longest: Delay(_short(chance, longest)),
    lambda chance, longest: AnswerWith(reason=chance.choice(_PASSING)),
    lambda chance, longest: Informational(chance.choice((100, 103))),
    lambda chance, longest: Trailers(),
    lambda chance, longest: Streams(chance.choice((0, 1, 1, 10, 100)), _short(chance, longest)),
    _go_away,
    lambda chance, longest: Stall(chance.choice(list(Stalled)), _short(chance, longest)),
    lambda chance, longest: Cut(chance.choice(list(CutBy))),
    _settings,
    lambda chance, longest: CloseWindow(_short(chance, longest)),
    lambda chance, longest: IgnoreTableSize(),
    lambda chance, longest: Ping(),
    lambda chance, longest: UnknownFrame(),
    lambda chance, longest: UnknownSetting(),
)
