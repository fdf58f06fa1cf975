"""The API's intake for a running daemon: events go through its groups, the registry is written from threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from scheduler.api.app import make_app
from scheduler.api.intake import IntakeResult, Terms
from scheduler.api.serving import serve_api
from scheduler.domain.events import Event
from scheduler.engine.daemon import Daemon
from scheduler.engine.group_commit import GroupCommit
from scheduler.runs import registering
from scheduler.runs.event_reading import HORIZON
from scheduler.runs.keys import verify_key
from scheduler.store.api_keys import Scope
from scheduler.store.database import Transaction
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange, UserChange, Verdict
from scheduler.store.registry_users import upsert_users
from scheduler.store.registry_writing import upsert_devices

_T = TypeVar("_T")


MAX_CHANGES = 500
"""Registrations in one transaction."""


class DaemonIntake:
    """What the API hands on to a daemon. Every method returns after the commit.

    Registrations that come together are committed together, one transaction at a time: however many there are, the
    daemon's own writes wait for one of them at the most.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._devices = GroupCommit(self._put_devices, most=MAX_CHANGES)
        self._users = GroupCommit(self._put_users, most=MAX_CHANGES)
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(2)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit registrations until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._devices.run, name="devices")
            nursery.start_soon(self._users.run, name="users")
            task_status.started()

    def terms(self) -> Terms:
        """By the workspace that is in force now."""
        workspace = self._daemon.workspace
        return Terms(workspace.settings.apps, workspace.schema, HORIZON, self._daemon.clock.now())

    def ready(self) -> str | None:
        """A daemon that drains sends callers elsewhere."""
        return "this daemon is about to end" if self._daemon.stopping.is_set() else None

    async def authenticate(self, key: str) -> frozenset[Scope] | None:
        return await trio.to_thread.run_sync(verify_key, self._daemon.store, key, limiter=self._reading)

    async def events(self, events: Sequence[Event]) -> IntakeResult:
        taken = await self._daemon.intake.take(events)
        return IntakeResult(taken.accepted, taken.duplicates)

    async def put_device(self, change: DeviceChange) -> Verdict:
        return (await self._devices.take([change]))[0]

    async def delete_device(self, app: str, token: str) -> bool:
        return await self._write(partial(delete_device, app=app, token=token))

    async def put_user(self, change: UserChange) -> Verdict:
        return (await self._users.take([change]))[0]

    async def erase_user(self, user: str) -> bool:
        erase = partial(registering.erase, self._daemon.store, user)
        return (await trio.to_thread.run_sync(erase, limiter=self._writing)).found

    async def _put_devices(self, changes: Sequence[DeviceChange]) -> list[Verdict]:
        terms = self.terms()
        return await self._write(
            partial(upsert_devices, changes=changes, now=terms.now, schema=terms.schema, registering=True)
        )

    async def _put_users(self, changes: Sequence[UserChange]) -> list[Verdict]:
        return await self._write(partial(upsert_users, changes=changes, schema=self.terms().schema))

    async def _write(self, write: Callable[[Transaction], _T]) -> _T:
        def transact() -> _T:
            with self._daemon.store.write() as tx:
                return write(tx)

        return await trio.to_thread.run_sync(transact, limiter=self._writing)


async def serve_daemon(daemon: Daemon, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve the API of a daemon's workspace where it says to listen, until the daemon is told to stop."""
    address = daemon.workspace.settings.listen
    assert address is not None
    intake = DaemonIntake(daemon)
    async with trio.open_nursery() as nursery:
        await nursery.start(intake.run)
        make_way = daemon.precedence.of_unread
        app = make_app(intake)
        await serve_api(app, str(address), stop=daemon.stopping, make_way=make_way, task_status=task_status)
        nursery.cancel_scope.cancel()
