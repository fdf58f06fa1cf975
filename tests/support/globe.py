"""A daemon on a virtual clock that lives by schedules: it looks, opens, sends and is answered at once; it can be down.

The services are the real ones, and time goes from one thing that is due to the next.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import RunState
from scheduler.runs.schedules import OpenedSlots, open_due, watch
from scheduler.runs.zone_shards import skip_missed_zones
from scheduler.store.registry_changes import DeviceChange
from support.driving import Driver
from support.worlds import APP, World, register, token_of


class Globe:
    """`up` begins a process, `run_until` lets time pass in it, `down` ends it. `got` is what devices were sent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.got: list[tuple[int, str, datetime]] = []
        """(device, occasion, instant), in order."""
        self.driver: Driver | None = None
        self.awake_since = world.now
        self._processes = 0
        self._next_slot: datetime | None = None

    def move(self, device: int, zone: str | None) -> None:
        """A device is somewhere else now."""
        register(self.world.store, [DeviceChange(app=APP, token=token_of(device), time_zone=zone)])

    def up(self, at: datetime | None = None) -> None:
        """A process starts, at this instant."""
        self.pass_to(at or self.world.now)
        self._processes += 1
        self.awake_since = self.world.now
        world = self.world
        self.driver = Driver(world, process=f"p{self._processes}")
        skip_missed_zones(world.store, self.driver.versions, world.now, awake_since=self.awake_since)
        self.reload()

    def reload(self) -> None:
        """The rules of the world are read."""
        assert self.driver is not None
        self.driver.versions.keep(self.world.workspace.campaigns.values())
        watch(self.world.store, self.world.workspace, self.world.now)

    def down(self) -> None:
        """The process is gone; what it had in hand is unknown."""
        self.driver = None

    def run_until(self, until: datetime) -> None:
        """Everything that is due up to an instant is done when it is due."""
        while True:
            self.look()
            self.send()
            due = self.next_due()
            if due is None or due > until:
                self.pass_to(until)
                return
            self.pass_to(due)

    def look(self) -> OpenedSlots:
        """What the ticker does."""
        store = self.world.store
        opened = open_due(store, self.world.workspace, store.namespace(), self.world.now, awake_since=self.awake_since)
        self._next_slot = opened.next_at
        assert self.driver is not None
        self.driver.wake()
        return opened

    def next_due(self) -> datetime | None:
        """When the next thing is due: a slot, a waiting run, or a shard of one in hand."""
        assert self.driver is not None
        waits = (run.waits_until for run in self.world.runs(RunState.WAITING))
        dues = (self._next_slot, *waits, *self.driver.work.shards_due())
        return min((due for due in dues if due is not None and due > self.world.now), default=None)

    def send(self, *, limit: int = 1_000) -> None:
        """Open what can be opened; everything is accepted at once."""
        assert self.driver is not None
        self.driver.load()
        self.driver.start()
        while self.open_all(limit=limit) or any(window.waiting for window in self.driver.work.windows.values()):
            for window in self.driver.work.windows.values():
                self.got += [(device, window.run.context.run.occasion, self.world.now) for device in window.waiting]
            self.driver.accept_all()
            self.driver.settle()

    def open_all(self, *, limit: int = 1_000) -> bool:
        """Open the next window of every run that has one; whether there was any."""
        assert self.driver is not None
        opened = False
        for run in list(self.driver.work.runs.values()):
            if run.shard_to_read(self.world.now) is not None:
                opened |= self.driver.open(run, limit=limit) is not None
            if run.has_due_work(self.world.now):
                opened |= self.driver.take_up(run) is not None
        return opened

    def pass_to(self, at: datetime) -> None:
        """It is this late."""
        assert isinstance(self.world.clock, VirtualClock)
        self.world.advance((at - self.world.now).total_seconds())
