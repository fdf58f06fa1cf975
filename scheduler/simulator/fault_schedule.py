"""Which faults are due on which connection: moments against counts of requests and seconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.simulator.faults import Action, Fault, Script


class FaultSchedule:
    """The script of one simulator. Its seconds count from the opening of the first connection."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._started: float | None = None
        self.requests = 0
        """Complete requests so far, on all connections."""

    def connection(self, number: int, opened: float) -> ConnectionFaults:
        """The faults of the connection with this number, which is opened at this second of a stopwatch."""
        if self._started is None:
            self._started = opened
        started = self._started
        mine = [fault for fault in self._script.faults if fault.connection in (None, "each", number)]
        timed = [
            ((started if fault.connection is None else opened) + fault.second, fault.action)
            for fault in mine
            if fault.second is not None
        ]
        return ConnectionFaults(
            self,
            [fault for fault in mine if fault.request is not None],
            [(at, action) for at, action in timed if at >= opened],
        )


class ConnectionFaults:
    """What is still to happen to one connection."""

    def __init__(
        self, schedule: FaultSchedule, by_request: Iterable[Fault], by_second: Iterable[tuple[float, Action]]
    ) -> None:
        self._schedule = schedule
        self._by_request = list(by_request)
        self._by_second = sorted(by_second, key=lambda timed: timed[0])
        self._requests = 0

    @property
    def due(self) -> float | None:
        """The second of the next action; None if there is none."""
        return self._by_second[0][0] if self._by_second else None

    def take_due(self, at: float) -> list[Action]:
        """The actions whose second has come. Each is given once."""
        due = [action for second, action in self._by_second if second <= at]
        del self._by_second[: len(due)]
        return due

    def on_request(self) -> list[Action]:
        """One more request is complete: the actions of its moment."""
        self._requests += 1
        self._schedule.requests += 1
        return [fault.action for fault in self._by_request if self._strikes(fault)]

    def _strikes(self, fault: Fault) -> bool:
        number = self._schedule.requests if fault.connection is None else self._requests
        return fault.request is not None and fault.request <= number < fault.request + fault.times
