"""When to try again: arithmetic alone. Jitter comes in as a float in [0, 1), so that every answer can be repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

SERVER_ERROR_PAUSE: Final = timedelta(minutes=15)
"""Apple, "Handling notification responses from APNs": retry what was answered with 5xx after 15 minutes."""
DEVICE_PAUSE: Final = timedelta(minutes=1)
"""After TooManyRequests. Apple names no time; a minute is what a person would not notice as missing."""
RESEND_PAUSE: Final = timedelta(seconds=1)
"""Before what was not processed, or may not have been, goes again: a broken peer must not make us spin."""
SHORTEST_PAUSE: Final = timedelta(seconds=5)
LONGEST_RECONNECT: Final = 60.0


def server_error_pause(remaining_life: timedelta | None, jitter: float) -> timedelta | None:
    """15 minutes and up to a tenth more, or half of the remaining life if that is shorter, at least 5 s.

    None if the request would be dead by then.

    >>> server_error_pause(timedelta(minutes=10), 0.0), server_error_pause(timedelta(seconds=4), 0.0)
    (datetime.timedelta(seconds=300), None)
    """
    return _within(SERVER_ERROR_PAUSE * (1 + jitter / 10), remaining_life)


def device_pause(remaining_life: timedelta | None, jitter: float) -> timedelta | None:
    """A minute and up to a half more, or half of the remaining life if that is shorter, at least 5 s."""
    return _within(DEVICE_PAUSE * (1 + jitter / 2), remaining_life)


def unanswered_pause(attempts: int) -> timedelta:
    """A second, doubled with each of the attempts before, at most 15 minutes: it may have been processed each time, and
    a peer that only forgets to answer must not ring all day.

    >>> [int(unanswered_pause(attempts).total_seconds()) for attempts in (0, 1, 2, 9, 10, 100)]
    [1, 2, 4, 512, 900, 900]
    """
    return min(SERVER_ERROR_PAUSE, RESEND_PAUSE * 2.0 ** min(attempts, 10))


def reconnect_delay(failures: int, jitter: float) -> float:
    """Seconds before the next attempt to connect: at once after a success, then about 1 s doubling to 60 s.

    The jitter takes away up to half of it, so that many clients do not come back in step.

    >>> [reconnect_delay(failures, 0.0) for failures in (0, 1, 2, 7, 100)]
    [0.0, 1.0, 2.0, 60.0, 60.0]
    """
    if failures == 0:
        return 0.0
    return min(LONGEST_RECONNECT, 2.0 ** min(failures - 1, 6)) * (1 - jitter / 2)


def _within(pause: timedelta, remaining_life: timedelta | None) -> timedelta | None:
    if remaining_life is None:
        return pause
    shortened = max(SHORTEST_PAUSE, min(pause, remaining_life / 2))
    return shortened if shortened < remaining_life else None
