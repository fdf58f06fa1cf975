"""When the runs that wait in the store are due: a date for each lane is all that this process keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Final

import trio

from scheduler.domain.lanes import Lane
from scheduler.runs.waiting import Begun, wake_due
from scheduler.store.database import Store

MAX_AWAKE: Final = 500
"""Runs of a lane in hand with something to do, up to which more are woken: the others cost nothing meanwhile."""
_MAX_WOKEN = 250
"""In one transaction."""


class WaitingRuns:
    """Wakes them in time. In the Trio thread alone."""

    def __init__(self, store: Store, apps: Collection[str]) -> None:
        self._store = store
        self._apps = frozenset(apps)
        self._next_at: dict[Lane, datetime | None] = dict.fromkeys(Lane)
        self._without_link: dict[Lane, frozenset[str]] = dict.fromkeys(Lane, frozenset())
        """The apps of runs that are due and wait for nothing but a link."""
        self._sendable: frozenset[str] = frozenset()

    def look_again(self, next_at: Mapping[Lane, datetime | None]) -> None:
        """The store was read: the first waiting run of each lane is due at this time."""
        self._next_at.update(next_at)
        self._without_link.update(dict.fromkeys(next_at, frozenset()))  # it may have been paused: to be found anew

    def expect(self, lane: Lane, at: datetime | None) -> None:
        """A run of a lane waits until this time."""
        known = self._next_at[lane]
        if at is not None and (known is None or at < known):
            self._next_at[lane] = at

    async def wake(
        self, awake: Callable[[datetime], Mapping[Lane, int]], sendable: frozenset[str], now: datetime
    ) -> list[Begun]:
        """The runs that go on from now, of apps that can send; `awake` says how many are in hand already, by lane."""
        if sendable != self._sendable:
            self._sendable = sendable
            self._next_at = dict.fromkeys(Lane, now)
        found: list[Begun] = []
        due = [lane for lane in Lane if self._is_due(lane, now)]
        in_hand = awake(now) if due else {}
        for lane in due:
            room = MAX_AWAKE - in_hand[lane]
            if room > 0:
                self._next_at[lane] = None
                limit = min(room, _MAX_WOKEN)
                others = self._apps - sendable
                woken = await trio.to_thread.run_sync(
                    partial(wake_due, self._store, lane, sendable, now, limit=limit, without_link=others)
                )
                self.expect(lane, woken.next_at)
                self._without_link[lane] = woken.without_link
                found += woken.begun
        return found

    def are_due(self, now: datetime) -> bool:
        """Whether a run is due: one that waits for a link, or where the clock has jumped while everybody slept."""
        return self.want_link() or any(self._is_due(lane, now) for lane in Lane)

    def want_link(self, given_up: Collection[str] = ()) -> bool:
        """Whether a run is due and waits for a link, in another app than these."""
        return any(app not in given_up for apps in self._without_link.values() for app in apps)

    @property
    def due(self) -> list[datetime]:
        """When the first of each lane is due; not those that are due and cannot go on."""
        return [at for at in self._next_at.values() if at is not None]

    def _is_due(self, lane: Lane, now: datetime) -> bool:
        at = self._next_at[lane]
        return at is not None and at <= now
