"""The order rule: a device that awaits its answer in a superseded run gets the newer notification after it.

Two requests for one device on their way at once may reach Apple in either order, and the older would then stay on the
screen. So those few wait for their answer, at most `PATIENCE`; all others of the window go at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from scheduler.engine.active import OpenWindow
from scheduler.engine.orders import WindowOrder
from scheduler.engine.sender import Sender

PATIENCE: Final = 2.0
"""Seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A window with devices that are held back, until monotonic seconds or the answers in `blockers`."""

    order: WindowOrder
    window: OpenWindow
    blockers: Sequence[OpenWindow]
    until: float


class HeldBack:
    """Between the dispatcher and the sender, in the Trio thread alone. The window itself knows whom it holds."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiting: list[_Waiting] = []

    def send(self, order: WindowOrder, window: OpenWindow, blockers: Sequence[OpenWindow], now: float) -> None:
        """Send a window, and hold back the devices that await their answer in one of `blockers`."""
        window.held = {one.id: one for one in order.recipients if _is_in_flight(one.id, blockers)}
        if window.held:
            self._waiting.append(_Waiting(order, window, blockers, now + PATIENCE))
            order = replace(order, recipients=[one for one in order.recipients if one.id not in window.held])
        if order.recipients:
            self._sender.send(order)

    def release(self, now: float) -> None:
        """Send those whose answers have come, or whose time is up."""
        for waiting in self._waiting:
            held = waiting.window.held
            is_late = now >= waiting.until
            free = [one for one in held.values() if is_late or not _is_in_flight(one.id, waiting.blockers)]
            for one in free:
                del held[one.id]
            if free:
                self._sender.send(replace(waiting.order, recipients=free))
        self._waiting = [waiting for waiting in self._waiting if waiting.window.held]

    def withdraw(self, window: OpenWindow) -> set[int]:
        """Take a window back: the devices that were held."""
        held = set(window.held)
        window.held.clear()
        return held

    def waits(self, now: float) -> list[float]:
        """Seconds until the time of those that are held is up."""
        return [max(0.0, waiting.until - now) for waiting in self._waiting if waiting.window.held]


def _is_in_flight(device: int, windows: Sequence[OpenWindow]) -> bool:
    return any(device in window.waiting and device not in window.withdrawn for window in windows)
