"""What waits in superseded runs, on its way to the ledger: beside all else, since it may be a million devices."""

from __future__ import annotations

import trio

from scheduler.domain.clock import Clock
from scheduler.runs.calling_off import clear_superseded
from scheduler.store.database import Store


class Clearing:
    """Clears when it is told that there may be something. In the Trio thread alone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._is_wanted = self._is_under_way = False

    @property
    def is_busy(self) -> bool:
        """Whether devices may wait in superseded runs."""
        return self._is_wanted or self._is_under_way

    def want(self, wanted: bool) -> None:
        """Devices may wait in superseded runs, if so."""
        self._is_wanted = self._is_wanted or wanted

    async def clear(self) -> None:
        """Put them on the ledger, in pieces, if there may be any."""
        while self._is_wanted:
            self._is_wanted, self._is_under_way = False, True
            while await trio.to_thread.run_sync(clear_superseded, self._store, self._clock.now()):
                pass
            self._is_under_way = False
