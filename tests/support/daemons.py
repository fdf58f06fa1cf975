"""A daemon in the test's own process, sending over real TLS to a simulator in the same nursery."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import trio
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scheduler.engine.daemon import Daemon, Ended
from scheduler.simulator.certificates import authority
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.faults import NO_FAULTS, Script
from scheduler.simulator.listening import Listen
from scheduler.simulator.provider_tokens import TokenKey
from scheduler.simulator.records import Statistics
from scheduler.simulator.server import SimulatorConfig, serve
from scheduler.workspace.loading import Workspace
from support.worlds import (
    KEY_ID,
    TEAM_ID,
    World,
    load_workspace,
    new_store,
    settings_text,
    signing_key,
    write_workspace,
)


class ShiftedClock:
    """The machine's time and a shift: real sockets run on real seconds, and a minute passes when a test says so."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.shift)  # noqa: TID251 - sockets know no other time

    def monotonic(self) -> float:
        return monotonic() + self.shift


async def until(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    """Wait for a condition that other tasks or processes make true."""
    with trio.fail_after(within):
        while not condition():  # noqa: ASYNC110 - there is no event: it happens elsewhere
            await trio.sleep(0.005)


@dataclass(eq=False)
class Place:
    """A world whose clock is the machine's, and the simulator that its app is at."""

    world: World
    clock: ShiftedClock
    log_file: Path
    statistics: Statistics = field(default_factory=Statistics)
    watch: ClientWatch = field(default_factory=ClientWatch)
    reloads: list[Workspace | None] = field(default_factory=list)

    def daemon(self) -> Daemon:
        """A daemon that has not begun. Its reloads are what the test put into `reloads`."""
        return Daemon(self.world.store, self.world.workspace, self.clock, reload_workspace=self.reloads.pop)

    async def run_until_idle(self) -> Ended:
        """A daemon's whole life."""
        with trio.fail_after(30):
            return await self.daemon().run(until_idle=True)

    def log(self) -> list[dict[str, Any]]:
        """The requests as the simulator had them."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def sent(self) -> list[int]:
        """The devices of the requests, by the number in their tokens."""
        return [int(line["token"], 16) for line in self.log()]


@asynccontextmanager
async def place(
    nursery: trio.Nursery,
    folder: Path,
    rules: Mapping[str, str],
    *,
    devices: list[dict[str, Any]] | None = None,
    listening: bool = True,
    key: bytes | None = None,
    app: Mapping[str, Any] | None = None,
    faults: Script = NO_FAULTS,
    **files: Any,
) -> AsyncIterator[Place]:
    """A workspace and its simulator. `key` is the PEM that the simulator knows, if not the workspace's own."""
    clock, log_file = ShiftedClock(), folder / "requests.ndjson"
    port, statistics, watch = 1, Statistics(), ClientWatch()  # nobody listens on port 1
    if listening:
        known = load_pem_private_key(key or signing_key(), None).public_key()
        config = SimulatorConfig(
            Listen(folder / "ca.pem", port=0),
            log_file=log_file,
            log_payloads=True,
            keys={KEY_ID: TokenKey(TEAM_ID, known)},  # type: ignore[arg-type]
            devices_file=_write(folder / "devices.ndjson", devices) if devices is not None else None,
            faults=faults,
        )
        port = await nursery.start(partial(serve, config, clock=clock, statistics=statistics, watch=watch))
    else:
        authority(folder / "ca.pem")
    write_workspace(folder, rules, settings=settings_text(port=port, app=app), **files)
    world = World(folder, load_workspace(folder), new_store(folder / "clarion.db"), clock)
    try:
        yield Place(world, clock, log_file, statistics, watch)
    finally:
        world.store.close()
        nursery.cancel_scope.cancel()


def _write(path: Path, devices: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(device) for device in devices))
    return path


def rates(instants: list[float], window: float) -> int:
    """The most instants in any window of so many seconds."""
    most, first = 0, 0
    for last, at in enumerate(instants):
        while at - instants[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most
