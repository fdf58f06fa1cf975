"""Slots: when the next one is due, and whether the daemon was awake when it came."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.runs import RunState
from scheduler.engine.dispatcher import Dispatcher
from scheduler.engine.open_work import OpenWork
from scheduler.runs.schedules import open_due, watch
from scheduler.runs.versions import Versions
from scheduler.runs.zone_shards import skip_missed_zones
from scheduler.store.database import Store
from scheduler.workspace.loading import Workspace

ASLEEP = timedelta(seconds=60)
"""A daemon that did not look for so long was down: the machine slept, or its clock was set."""

log = logging.getLogger("clarion.engine")


class Ticker:
    """Opens the runs of slots. Look often: it asks the store only when a slot is due."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        namespace: UUID,
        versions: Versions,
        work: OpenWork,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self.next_at: datetime | None = None
        """When the next slot of any rule is due, or the next zone of one that is on its way."""
        self.next_slot: datetime | None = None
        """When the next slot of any rule is due."""
        self._store = store
        self._workspace = workspace
        self._namespace = namespace
        self._versions = versions
        self._work = work
        self._dispatcher = dispatcher
        self._clock = clock
        self._looked = self._awake_since = clock.now()
        self._looking = trio.Lock()
        """Held while slots are opened and while schedules change: what is remembered is of one workspace."""

    async def use(self, workspace: Workspace) -> None:
        """Go by the schedules of a workspace that was loaded: at the start, and after a reload."""
        async with self._looking:
            await trio.to_thread.run_sync(watch, self._store, workspace, self._clock.now())
            self._workspace = workspace
            self.next_at = self.next_slot = self._clock.now()
        await self.look()

    async def look(self) -> None:
        """Open the slots that are due, if any is."""
        now = self._clock.now()
        if self.has_slept(now):
            self._awake_since = now
            await self._skip_missed_zones(now)
        self._looked = now
        if self.next_at is None or now < self.next_at:
            return
        async with self._looking:
            opened = await trio.to_thread.run_sync(
                partial(open_due, self._store, self._workspace, self._namespace, now, awake_since=self._awake_since)
            )
            self.next_at, self.next_slot = opened.next_at, opened.next_slot
        for run in opened.by_zone:
            if run.state is RunState.PAUSED:
                log.error("run.paused rule=%s run=%s why=%r", run.rule, run.id, run.note)
            self._work.waiting.expect(run.lane, run.waits_until)
        self._dispatcher.stop_superseded(opened.superseded)
        if opened.runs:
            self._dispatcher.look_again()

    async def _skip_missed_zones(self, now: datetime) -> None:
        async with self._work.opening:
            skipped = await trio.to_thread.run_sync(
                partial(skip_missed_zones, self._store, self._versions, now, awake_since=now)
            )
            self._work.skip(skipped)
        await self._dispatcher.load()

    def has_slept(self, now: datetime) -> bool:
        """Whether the clock has jumped since the last look: until the next one nobody knows which zones were missed."""
        return now - self._looked > ASLEEP

    def is_idle(self, now: datetime, within: timedelta) -> bool:
        """Whether no slot is due within this time. A zone of one that is on its way is its run's to wait for."""
        return self.next_slot is None or self.next_slot > now + within
