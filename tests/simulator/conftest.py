"""A simulator to start in a test."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from simulator_client import NOW, H2Client, connect

from scheduler.domain.clock import VirtualClock
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.listening import Listen
from scheduler.simulator.records import Statistics
from scheduler.simulator.server import SimulatorConfig, serve


@dataclass
class Running:
    """A simulator that listens, and what it keeps."""

    port: int
    ca_file: Path
    log_file: Path
    statistics: Statistics
    watch: ClientWatch
    clock: VirtualClock

    def connect(self) -> AbstractAsyncContextManager[H2Client]:
        return connect(self.port, self.ca_file)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


@pytest.fixture
def start(nursery: trio.Nursery, tmp_path: Path) -> Callable[..., Awaitable[Running]]:
    """`await start(devices=[…], **config)`: a simulator on a free port, at NOW, until the test ends."""

    async def start(*, devices: list[dict[str, Any]] | None = None, **config: Any) -> Running:
        if devices is not None:
            config["devices_file"] = tmp_path / "devices.ndjson"
            config["devices_file"].write_text("\n".join(json.dumps(device) for device in devices))
        clock, statistics, watch = VirtualClock(NOW), Statistics(), ClientWatch()
        listen, log = Listen(tmp_path / "ca.pem", port=0), tmp_path / "requests.ndjson"
        settings = SimulatorConfig(listen, log_file=log, **config)
        port = await nursery.start(partial(serve, settings, clock=clock, statistics=statistics, watch=watch))
        return Running(port, listen.ca_file, log, statistics, watch, clock)

    return start
