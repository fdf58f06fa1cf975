"""`clarion simulator`: listens with TLS, answers like Apple, logs every request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import trio

from scheduler.domain.clock import Clock
from scheduler.simulator.checks import World, judge
from scheduler.simulator.connection import Exchange, ServerConnection
from scheduler.simulator.devices import Environment, load_devices
from scheduler.simulator.listening import READ_SIZE, Listen, serve_connections
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenKey, TokenReader
from scheduler.simulator.records import RequestLog, Statistics, record_of


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """How a simulator behaves.

    Without `devices_file` every well-formed device token is valid. Without `keys` (key id → key) provider tokens are
    checked in form and age, not in signature. Without `environment` tokens of both are taken. `log_file` is emptied
    at the start; `log_payloads` keeps the text of each payload there.
    """

    listen: Listen
    devices_file: Path | None = None
    log_file: Path | None = None
    log_payloads: bool = False
    keys: Mapping[str, TokenKey] = field(default_factory=dict)
    environment: Environment | None = None


async def serve(
    config: SimulatorConfig,
    *,
    clock: Clock,
    statistics: Statistics | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. Starts with the port that it listens on: `port = await nursery.start(partial(serve, …))`.

    `statistics` grows while it runs. When this returns, or raises Cancelled, the log is complete. OperatorError
    before the start if a file or the address is no good.
    """
    world = World(None if config.devices_file is None else load_devices(config.devices_file), config.environment)
    with ExitStack() as files:
        log = files.enter_context(RequestLog(config.log_file)) if config.log_file else None
        simulator = _Simulator(config, world, clock, statistics or Statistics(), log)
        await serve_connections(config.listen, simulator.serve, task_status=task_status)


class _Simulator:
    """What the connections of one simulator share."""

    def __init__(
        self, config: SimulatorConfig, world: World, clock: Clock, statistics: Statistics, log: RequestLog | None
    ) -> None:
        self._keep_payloads = config.log_payloads
        self._reader = TokenReader(config.keys)
        self._world = world
        self._clock = clock
        self._statistics = statistics
        self._log = log
        self._numbers = count(1)

    async def serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """One connection, from its first byte to its last."""
        connection = ServerConnection(next(self._numbers), ConnectionTokens(self._reader), partial(judge, self._world))
        await stream.do_handshake()
        self._statistics.connections += 1
        await stream.send_all(connection.greeting())
        while not connection.closed:
            data = await stream.receive_some(READ_SIZE)
            if not data:
                return
            refused = connection.refused_streams
            exchanges, answers = connection.receive(bytes(data), self._clock.now().timestamp())
            self._statistics.refused_streams += connection.refused_streams - refused
            if exchanges:
                self._remember(exchanges, connection.number)
            if answers:
                await stream.send_all(answers)

    def _remember(self, exchanges: list[Exchange], connection: int) -> None:
        """Count and log, before the answers leave. The log is a local file: writing it does not block for long."""
        now = self._clock.now()
        self._statistics.seen(now)
        for exchange in exchanges:
            self._statistics.count(exchange.answer)
        if self._log is not None:
            at = now.isoformat(timespec="milliseconds")
            self._log.write(
                [
                    record_of(
                        exchange.request,
                        exchange.answer,
                        at=at,
                        apns_id=exchange.apns_id,
                        connection=connection,
                        stream=exchange.stream,
                        keep_payload=self._keep_payloads,
                    )
                    for exchange in exchanges
                ]
            )
