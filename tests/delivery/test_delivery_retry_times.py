"""When to try again: never after the end, never at once, always the same for the same jitter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.delivery.retry_times import (
    DEVICE_PAUSE,
    LONGEST_RECONNECT,
    SERVER_ERROR_PAUSE,
    SHORTEST_PAUSE,
    device_pause,
    reconnect_delay,
    server_error_pause,
)

Pause = Callable[[timedelta | None, float], timedelta | None]
JITTER = st.floats(0, 1, exclude_max=True)
LIVES = st.timedeltas(timedelta(0), timedelta(days=40))
PAUSES = pytest.mark.parametrize(
    ("pause", "least", "most"),
    [(server_error_pause, SERVER_ERROR_PAUSE, 1.1), (device_pause, DEVICE_PAUSE, 1.5)],
    ids=["5xx", "TooManyRequests"],
)


@PAUSES
@given(life=LIVES, jitter=JITTER)
def test_a_retry_is_within_the_life_and_not_at_once(
    pause: Pause, least: timedelta, most: float, life: timedelta, jitter: float
) -> None:
    wait = pause(life, jitter)
    if wait is None:
        assert life <= SHORTEST_PAUSE
    else:
        assert SHORTEST_PAUSE <= wait < life
        assert wait <= least * most
        assert wait == SHORTEST_PAUSE or wait >= min(least, life / 2)


@PAUSES
@given(jitter=JITTER)
def test_without_an_end_a_retry_waits_its_pause_and_the_jitter(
    pause: Pause, least: timedelta, most: float, jitter: float
) -> None:
    wait = pause(None, jitter)
    assert wait is not None
    assert least <= wait <= least * most
    assert wait == pause(None, jitter)


def test_server_errors_wait_the_quarter_of_an_hour_that_apple_asks_for() -> None:
    assert server_error_pause(timedelta(days=1), 0.0) == timedelta(minutes=15)
    assert server_error_pause(timedelta(minutes=10), 0.0) == timedelta(minutes=5)
    assert server_error_pause(timedelta(seconds=8), 0.5) == timedelta(seconds=5)
    assert server_error_pause(timedelta(seconds=5), 0.0) is None


@given(st.integers(1, 10_000), JITTER)
def test_reconnecting_slows_down_to_a_minute_and_never_stops(failures: int, jitter: float) -> None:
    delay = reconnect_delay(failures, jitter)
    assert 0.5 <= delay <= LONGEST_RECONNECT
    assert delay <= 2.0 ** min(failures - 1, 30)
    assert reconnect_delay(failures + 1, jitter) >= delay


def test_after_a_success_the_first_attempt_is_at_once() -> None:
    assert reconnect_delay(0, 0.9) == 0.0
