"""Events that come in over HTTP: committed in groups, answered when they are on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.events import Event
from scheduler.domain.lanes import Lane
from scheduler.engine.alarms import runs_paused
from scheduler.engine.dispatcher import Dispatcher
from scheduler.engine.group_commit import GroupCommit
from scheduler.engine.open_work import OpenWork
from scheduler.engine.precedence import Precedence
from scheduler.runs.ingest import MAX_EVENTS, ingest
from scheduler.store.database import Store
from scheduler.workspace.loading import Workspace


@dataclass(frozen=True, slots=True)
class Taken:
    """How many events were new, and how many were known already."""

    accepted: int
    duplicates: int


class EventIntake:
    """Stores and matches events, and hands the windows that were opened at once to the dispatcher."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        namespace: UUID,
        work: OpenWork,
        dispatcher: Dispatcher,
        precedence: Precedence,
        clock: Clock,
    ) -> None:
        self.workspace = workspace
        self.groups = GroupCommit(self._commit, most=MAX_EVENTS)
        """Run it; wait for it before a drain, so that its windows are in good hands."""
        self._store = store
        self._namespace = namespace
        self._work = work
        self._dispatcher = dispatcher
        self._precedence = precedence
        self._clock = clock

    async def take(self, events: Sequence[Event]) -> Taken:
        """Store and match events; returns when they are on disk."""
        fresh = await self.groups.take(events)
        return Taken(sum(fresh), len(fresh) - sum(fresh))

    async def _commit(self, events: Sequence[Event]) -> list[bool]:
        room = self._dispatcher.room()
        lane = self._lane(events)
        with self._work.reserved(room), self._precedence.of(lane):
            result = await trio.to_thread.run_sync(
                partial(ingest, self._store, self.workspace, self._namespace, events, self._clock.now(), room=room)
            )
        runs_paused((run, run.note or "") for run in result.stopped)
        self._dispatcher.stop_superseded(result.superseded)
        self._dispatcher.adopt(result.windows)
        for lane, at in result.waits_until.items():
            self._work.waiting.expect(lane, at)
            self._dispatcher.wake()
        if result.pending:
            self._precedence.expect(lane)
            self._dispatcher.look_again()
        return result.fresh

    def _lane(self, events: Sequence[Event]) -> Lane:
        """Others make way for events that may start urgent work: they are few."""
        types = {event.type for event in events}
        lanes = {campaign.lane for type_ in types for campaign in self.workspace.campaigns_for(type_)}
        return Lane.URGENT if Lane.URGENT in lanes else Lane.BULK
