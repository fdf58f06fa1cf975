"""Events that come in over HTTP: committed in groups, answered when they are on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.events import Event
from scheduler.engine.dispatcher import Dispatcher
from scheduler.engine.open_work import OpenWork
from scheduler.runs.ingest import MAX_EVENTS, Ingested, ingest
from scheduler.store.database import Store
from scheduler.workspace.loading import Workspace


@dataclass(slots=True, eq=False)
class _Waiting:
    """Events of one caller, and what became of them."""

    events: Sequence[Event]
    done: trio.Event = field(default_factory=trio.Event)
    fresh: list[bool] = field(default_factory=list)
    runs: int = 0
    problem: Exception | None = None


class EventIntake:
    """Takes events from many callers and commits them together: one transaction for what came while the last ran."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        namespace: UUID,
        work: OpenWork,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self.workspace = workspace
        self._store = store
        self._namespace = namespace
        self._work = work
        self._dispatcher = dispatcher
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._wake = trio.Event()
        self._committing = trio.Lock()

    async def take(self, events: Sequence[Event]) -> Ingested:
        """Store and match events; returns when they are on disk. The windows are in good hands already."""
        total = Ingested()
        for start in range(0, len(events), MAX_EVENTS):
            waiting = _Waiting(events[start : start + MAX_EVENTS])
            self._queue.append(waiting)
            self._wake.set()
            await waiting.done.wait()
            if waiting.problem is not None:
                raise waiting.problem
            total = Ingested(total.fresh + waiting.fresh, total.runs + waiting.runs)
        return total

    async def run(self) -> None:
        """Commit what callers bring, until cancelled."""
        while True:
            group = self._group()
            if not group:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            async with self._committing:
                await self._commit(group)

    async def committed(self) -> None:
        """Wait until the windows of the group that is being committed are in good hands."""
        async with self._committing:
            pass

    def _group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._queue and size + len(self._queue[0].events) <= MAX_EVENTS:
            group.append(self._queue.popleft())
            size += len(group[-1].events)
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        room = self._dispatcher.room()
        events = [event for waiting in group for event in waiting.events]
        result = Ingested()
        problem: Exception | None = None
        try:
            with self._work.reserved(room):
                result = await trio.to_thread.run_sync(
                    partial(ingest, self._store, self.workspace, self._namespace, events, self._clock.now(), room=room)
                )
        except Exception as raised:  # every caller is told; nothing of the group is on disk
            problem = raised
        position = 0
        for waiting in group:
            waiting.problem = problem
            waiting.fresh = result.fresh[position : position + len(waiting.events)]
            waiting.runs = result.runs
            position += len(waiting.events)
            waiting.done.set()
        self._dispatcher.adopt(result.windows)
        if result.runs > len(result.windows):
            self._dispatcher.look_again()
