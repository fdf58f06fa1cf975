"""The bound on starts, checked over every interval of what was recorded: at most ∫ rate dt + burst."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import pytest

from scheduler.delivery.token_bucket import TokenBucket
from scheduler.domain.clock import Clock
from scheduler.domain.quantities import Rate
from scheduler.simulator.fault_schedule import ConnectionFaults
from scheduler.simulator.faults import Action
from scheduler.simulator.sink import FrameWalker

LATE = 0.1
"""Seconds that a request may need to the server. So much more, at the rate, may be seen there in any interval."""


@dataclass(frozen=True)
class Pace:
    """A rate that holds from an instant on."""

    since: float
    rate: Rate


def excess(instants: Sequence[float], paces: Sequence[Pace], *, late: float = 0.0) -> float:
    """By how many the starts of some interval are more than is allowed there; nothing in excess is 0 or less.

    `instants` and `paces` are in order. The burst is the greatest of the paces: check a part by its own. One pass: with
    R(t) for what the rates have given until t, the starts i to j keep to the bound if and only if
    (j - R(tj)) - (i - R(ti - late)) + 1 is not more than the burst, and only the least i - R(ti - late) so far counts.
    """
    gained = _gained(paces)
    burst = max(pace.rate.burst for pace in paces)
    least, most = float("inf"), -float("inf")
    for number, at in enumerate(instants):
        least = min(least, number - gained(at - late))
        most = max(most, number - gained(at) - least + 1)
    return most - burst if instants else 0.0


def _gained(paces: Sequence[Pace]) -> Callable[[float], float]:
    sinces = [pace.since for pace in paces]
    parts = ((after.since - before.since) * before.rate.per_second for before, after in pairwise(paces))
    gains = list(accumulate(parts, initial=0.0))

    def gained(at: float) -> float:
        which = max(0, bisect_right(sinces, at) - 1)
        return gains[which] + (at - sinces[which]) * paces[which].rate.per_second

    return gained


class RecordingBucket(TokenBucket):
    """A bucket that keeps the instant of each start, and its rates."""

    __slots__ = ("paces", "starts")

    def __init__(self, rate: Rate, now: float, *more: Any, **options: Any) -> None:
        super().__init__(rate, now, *more, **options)
        self.starts: list[float] = []
        self.paces = [Pace(now, rate)]

    def change(self, rate: Rate, now: float) -> None:
        super().change(rate, now)
        self.paces.append(Pace(now, rate))

    def take(self, count: int, now: float) -> None:
        super().take(count, now)
        self.starts += [now] * count


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's buckets record."""
    monkeypatch.setattr("scheduler.engine.sender.TokenBucket", RecordingBucket)


class StampingWalker(FrameWalker):
    """A sink's walker that keeps when each request was read."""

    def __init__(self, clock: Clock, arrivals: list[float]) -> None:
        super().__init__()
        self._clock = clock
        self._arrivals = arrivals

    def walk(self, data: bytes) -> bytes:
        before = self.requests
        answers = super().walk(data)
        self._arrivals += [self._clock.monotonic()] * (self.requests - before)
        return answers


def stamp_requests(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[float]:
    """Where the instants are going to be at which a simulator has read a request, refused ones too."""
    arrivals: list[float] = []
    on_request = ConnectionFaults.on_request

    def stamped(faults: ConnectionFaults) -> list[Action]:
        arrivals.append(clock.monotonic())
        return on_request(faults)

    monkeypatch.setattr(ConnectionFaults, "on_request", stamped)
    return arrivals
