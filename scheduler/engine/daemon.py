"""The daemon as a whole: its parts, how they start, and how they end."""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import trio

from scheduler.domain.clock import Clock
from scheduler.domain.errors import OperatorError
from scheduler.engine.dispatcher import Dispatcher
from scheduler.engine.intake import EventIntake
from scheduler.engine.looking import Remaining, read_remaining
from scheduler.engine.open_work import OpenWork
from scheduler.engine.precedence import Precedence
from scheduler.engine.sender import Sender
from scheduler.engine.settler import Progress, Settler
from scheduler.engine.single_daemon import only_daemon
from scheduler.engine.ticker import Ticker
from scheduler.engine.waiting_runs import WaitingRuns
from scheduler.runs.exits import find_exits_of
from scheduler.runs.pausing import pause_what_cannot_run
from scheduler.runs.recovery import Recovered, recover
from scheduler.runs.stopping import stop_under_all_names
from scheduler.runs.versions import Versions
from scheduler.runs.zone_shards import skip_missed_zones
from scheduler.store.database import Store
from scheduler.workspace.loading import Workspace

TICK = 0.2
"""Seconds between looks at what other processes committed, and at links and silent windows."""
IDLE_HORIZON = timedelta(seconds=60)
"""`--until-idle` waits for what is due within this time."""
NO_LINK_PATIENCE = 60.0
"""Seconds without any link after which `--until-idle` gives up on an app."""

log = logging.getLogger("clarion.engine")


class Ending(StrEnum):
    """Why the daemon ended."""

    IDLE = "idle"
    STOPPED = "stopped"
    APP_STOPPED = "app_stopped"
    NO_LINK = "no_link"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the daemon ended, what it settled, and what is left."""

    ending: Ending
    detail: str | None
    progress: Progress
    recovered: Recovered
    remaining: Remaining
    next_slot: datetime | None
    """When the next slot of any rule is due."""

    @property
    def exit_code(self) -> int:
        """0 also with rejections; 1 if an app was stopped or had no link."""
        return 0 if self.ending in (Ending.IDLE, Ending.STOPPED) else 1


class Serve(Protocol):
    """The HTTP API: serves a daemon until it is stopping."""

    async def __call__(self, daemon: Daemon, *, task_status: trio.TaskStatus[list[str]]) -> None: ...


class Daemon:
    """Make one, `await run()` it. Attributes are for the API and for people who watch."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        clock: Clock,
        *,
        reload_workspace: Callable[[], Workspace | None],
        serve: Serve | None = None,
    ) -> None:
        """`reload_workspace` gives the new workspace, or None if it has errors. `serve` is the HTTP API."""
        self.store = store
        self.clock = clock
        self.workspace = workspace
        process = os.urandom(6).hex()
        jitter = random.Random(int(process, 16)).random
        settings = workspace.settings
        self.versions = Versions(store, workspace.campaigns.values())
        self.work = OpenWork(settings.apps, clock, WaitingRuns(store, settings.apps))
        precedence = self.precedence = Precedence(clock)
        self.settler = Settler(
            store, self.work, precedence, clock, jitter, process=process, on_settled=lambda: self.dispatcher.wake()
        )
        self.sender = Sender(settings.apps, self.versions, clock, jitter, self.settler.deliver, precedence)
        self.dispatcher = Dispatcher(
            store, settings, self.versions, self.work, self.sender, self.settler, precedence, clock, process=process
        )
        precedence.on_free(self.dispatcher.wake)
        self.intake = EventIntake(store, workspace, store.namespace(), self.work, self.dispatcher, precedence, clock)
        self.ticker = Ticker(store, workspace, store.namespace(), self.versions, self.work, self.dispatcher, clock)
        self.work.has_slept = self.ticker.has_slept
        self._process = process
        self._reload_workspace = reload_workspace
        self._serve = serve
        self.stopping = trio.Event()

    def stop(self) -> None:
        """Drain and end: open nothing more, wait for answers, put the rest back."""
        self.stopping.set()

    async def run(
        self, *, until_idle: bool = False, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> Ended:
        """Work until stopped (SIGTERM, SIGINT, `stop`), or until there is nothing to do."""
        assert self.store.path is not None
        with only_daemon(self.store.path):
            recovered = await trio.to_thread.run_sync(self._prepare)
            if recovered.resend or recovered.dropped:
                log.warning("recovered resend=%d dropped=%d", recovered.resend, recovered.dropped)
            async with trio.open_nursery() as nursery:
                await nursery.start(self._listen_to_signals)
                await nursery.start(self.sender.run)
                nursery.start_soon(self.settler.run, name="settler")
                nursery.start_soon(self.intake.groups.run, name="intake")
                seen = await trio.to_thread.run_sync(self.store.data_version)
                await self.dispatcher.load()
                await self.ticker.use(self.workspace)
                nursery.start_soon(self.dispatcher.run, name="dispatcher")
                nursery.start_soon(self._tick, seen, name="tick")
                nursery.start_soon(self._clear_superseded, name="superseded")
                if self._serve is not None and not until_idle:
                    await nursery.start(self._serve, self)
                task_status.started()
                ending, detail = await (self._wait_until_idle() if until_idle else self._wait_for_stop())
                await self._drain()
                remaining = await trio.to_thread.run_sync(read_remaining, self.store, self.workspace.names)
                nursery.cancel_scope.cancel()
        return Ended(ending, detail, self.settler.progress, recovered, remaining, self.ticker.next_slot)

    def _prepare(self) -> Recovered:
        now = self.clock.now()
        pause_what_cannot_run(self.store, self.workspace, self.versions)
        stop_under_all_names(self.store, self.workspace)
        find_exits_of(self.store, self.workspace)
        recovered = recover(self.store, self.versions, self.workspace.settings, now, process=self._process)
        skip_missed_zones(self.store, self.versions, now, awake_since=now)
        return recovered

    async def _wait_for_stop(self) -> tuple[Ending, str | None]:
        await self.stopping.wait()
        return Ending.STOPPED, None

    async def _wait_until_idle(self) -> tuple[Ending, str | None]:
        """An app that cannot send is given up, and keeps the others from nothing."""
        while not self.stopping.is_set():
            given_up = self._given_up()
            if self._is_idle(given_up):
                await self.settler.settled()
                if self._is_idle(given_up):
                    return next(iter(given_up.values()), (Ending.IDLE, None))
            with trio.move_on_after(TICK / 4):
                await self.stopping.wait()
        return Ending.STOPPED, None

    def _is_idle(self, given_up: Collection[str] = ()) -> bool:
        """Whether nothing is to be done soon, but for apps that are given up; where all are, slots wait in vain."""
        now = self.clock.now()
        no_slot = self.ticker.is_idle(now, IDLE_HORIZON) or len(given_up) == len(self.workspace.settings.apps)
        return no_slot and self.dispatcher.is_idle(now, IDLE_HORIZON, given_up=given_up)

    def _given_up(self) -> dict[str, tuple[Ending, str | None]]:
        """The apps that cannot send, and why."""
        found: dict[str, tuple[Ending, str | None]] = {}
        for app in self.workspace.settings.apps:
            pool = self.sender.pool_of(app)
            since = pool.without_link_since
            if pool.stopped is not None:
                found[app] = Ending.APP_STOPPED, f"app {app} is stopped: {pool.stopped}"
            elif since is not None and self.clock.monotonic() - since >= NO_LINK_PATIENCE:
                found[app] = Ending.NO_LINK, f"app {app} had no link for 60 s: {pool.last_failure}"
        return found

    async def _drain(self) -> None:
        await self.dispatcher.stop_opening()
        await self.intake.groups.committed()
        with trio.move_on_after(self.workspace.settings.shutdown_grace.total_seconds()):
            await self.sender.drain()
        self.dispatcher.close_silent_windows(now_unsendable=True)
        await self.settler.settled()

    async def _tick(self, seen: int) -> None:
        while True:
            await trio.sleep(TICK)
            self.dispatcher.close_silent_windows()
            await self.ticker.look()
            version = await trio.to_thread.run_sync(self.store.data_version)
            if version != seen:
                seen = version
                await self.dispatcher.load()
            elif self.dispatcher.has_work:
                self.dispatcher.wake()

    async def _clear_superseded(self) -> None:
        while True:  # beside the ticks: a million devices take many transactions
            await self.dispatcher.clearing.clear()
            await trio.sleep(TICK)

    async def _listen_to_signals(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reload()
                else:
                    log.info("draining signal=%s", signal.Signals(number).name)
                    self.stop()

    async def _reload(self) -> None:
        try:
            workspace = await trio.to_thread.run_sync(self._read_again)
        except Exception as problem:  # a file that vanished during a checkout, say, must not end the daemon
            blame = "" if isinstance(problem, OperatorError) else f"{type(problem).__name__}: "
            first_line = f"{blame}{problem}".partition("\n")[0]
            log.error("reload.refused the rules of before stay in force: %s", first_line)
            return
        if workspace is None:
            return
        self.intake.workspace = self.workspace = workspace
        self.dispatcher.obey(workspace.settings)
        await self.ticker.use(workspace)
        await self.dispatcher.load()
        log.info("reloaded rules=%d", len(workspace.campaigns))

    def _read_again(self) -> Workspace | None:
        """The new workspace, and what it cannot run is paused. None if it is refused: the log says why."""
        workspace = self._reload_workspace()
        if workspace is None:
            log.error("reload.refused the rules of before stay in force")
            return None
        old, new = self.workspace.settings, workspace.settings
        if (new.apps, new.store_url, new.listen) != (old.apps, old.store_url, old.listen):
            log.error("reload.refused apps, store and api of clarion.yaml are read at the start only: restart")
            return None
        self.versions.keep(workspace.campaigns.values())
        pause_what_cannot_run(self.store, workspace, self.versions)
        stop_under_all_names(self.store, workspace)
        find_exits_of(self.store, workspace)
        return workspace
