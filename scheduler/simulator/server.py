"""`clarion simulator`: listens with TLS, answers like Apple, logs every request."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import trio

from scheduler.domain.clock import Clock
from scheduler.simulator.broadcasts import Channels, judge_broadcast
from scheduler.simulator.checks import Credentials, Request, Row, World, judge
from scheduler.simulator.client_certificates import read_certificate
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.connection import LINGER, Exchange, ServerConnection
from scheduler.simulator.devices import Environment, load_devices
from scheduler.simulator.fault_schedule import FaultSchedule
from scheduler.simulator.faults import NO_FAULTS, CutBy, Script
from scheduler.simulator.lint import defects_of
from scheduler.simulator.listening import READ_SIZE, Listen, serve_connections
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenKey, TokenReader
from scheduler.simulator.reasons import Answer
from scheduler.simulator.records import RequestLog, Statistics, record_of

_TlsStream = trio.SSLStream[trio.SocketStream]


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """How a simulator behaves.

    Without `devices_file` every well-formed device token is valid. Without `keys` (key id → key) provider tokens are
    checked in form and age, not in signature. Without `environment` tokens of both are taken. `log_file` is emptied
    at the start; `log_payloads` keeps the text of each payload there, `lint` what is wrong with it.

    `in_a_row`: so many requests one after the other to one device are not too many; None is any number. `throttle`:
    a refused request takes the stream limit down to 1 until the next that is accepted, as was observed at Apple's in
    2016. `idle_timeout` is in seconds. `faults` happen at their moments.
    """

    listen: Listen
    devices_file: Path | None = None
    log_file: Path | None = None
    log_payloads: bool = False
    keys: Mapping[str, TokenKey] = field(default_factory=dict)
    environment: Environment | None = None
    in_a_row: int | None = None
    throttle: bool = False
    idle_timeout: float | None = None
    lint: bool = False
    faults: Script = NO_FAULTS


async def serve(
    config: SimulatorConfig,
    *,
    clock: Clock,
    statistics: Statistics | None = None,
    watch: ClientWatch | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. Starts with the port that it listens on: `port = await nursery.start(partial(serve, …))`.

    `statistics` and `watch` grow while it runs; `watch.verdict()` says how the clients behaved. When this returns, or
    raises Cancelled, the log is complete. OperatorError before the start if a file or the address is no good.

    `clock` tells the age of tokens; the seconds of faults are those of Trio's clock.
    """
    devices = None if config.devices_file is None else load_devices(config.devices_file)
    world = World(devices, config.environment, Row(config.in_a_row))
    with ExitStack() as files:
        log = files.enter_context(RequestLog(config.log_file)) if config.log_file else None
        simulator = _Simulator(config, world, clock, statistics or Statistics(), watch or ClientWatch(), log)
        await serve_connections(config.listen, simulator.serve, task_status=task_status)


class _Simulator:
    """What the connections of one simulator share."""

    def __init__(
        self,
        config: SimulatorConfig,
        world: World,
        clock: Clock,
        statistics: Statistics,
        watch: ClientWatch,
        log: RequestLog | None,
    ) -> None:
        self._config = config
        self._reader = TokenReader(config.keys)
        self._world = world
        self._channels = Channels()
        self._clock = clock
        self._statistics = statistics
        self._watch = watch
        self._log = log
        self._numbers = count(1)
        self._faults = FaultSchedule(config.faults)

    async def serve(self, stream: _TlsStream) -> None:
        """One connection, from its first byte to its last."""
        await stream.do_handshake()
        self._statistics.connections += 1
        opened, number = trio.current_time(), next(self._numbers)
        connection = ServerConnection(
            number,
            self._credentials(stream),
            self._judge,
            faults=self._faults.connection(number, opened),
            watch=self._watch.connection(opened),
            throttle=self._config.throttle,
            idle_timeout=self._config.idle_timeout,
            at=opened,
        )
        try:
            await self._converse(stream, connection)
        except trio.Cancelled:
            connection.dismissed = True
            raise
        finally:
            connection.watch.closed(trio.current_time(), by_client=not connection.dismissed)

    def _judge(self, request: Request, credentials: Credentials, now: float) -> Answer:
        if request.broadcast is not None:
            return judge_broadcast(self._channels, request, credentials, now)
        return judge(self._world, request, credentials, now)

    def _credentials(self, stream: _TlsStream) -> Credentials:
        certificate = stream.getpeercert(binary_form=True)
        if certificate is None:
            return ConnectionTokens(self._reader, self._config.environment)
        return read_certificate(certificate, self._config.environment)

    async def _converse(self, stream: _TlsStream, connection: ServerConnection) -> None:
        """Until either side has had enough. One task reads, writes and waits for what is due."""
        answers = connection.greeting(trio.current_time())
        while True:
            if answers:
                await stream.send_all(answers)
            if connection.cut is CutBy.HALF:
                await _half_close(stream)
                return
            if connection.closed:
                break
            data = await _next_bytes(stream, connection)
            if data is None:
                answers = connection.tick(trio.current_time())
            elif data:
                answers = self._take_in(data, connection)
            else:
                return
        if connection.cut is not None:
            await _cut(stream, connection.cut)

    def _take_in(self, data: bytes, connection: ServerConnection) -> bytes:
        """The answers to what was read, once it is counted and logged."""
        refused = connection.refused_streams
        exchanges, answers = connection.receive(data, self._clock.now().timestamp(), trio.current_time())
        self._statistics.refused_streams += connection.refused_streams - refused
        if exchanges:
            self._remember(exchanges, connection.number)
        return answers

    def _remember(self, exchanges: list[Exchange], connection: int) -> None:
        """Count and log, before the answers leave. The log is a local file: writing it does not block for long."""
        now = self._clock.now()
        self._statistics.seen(now)
        lint = [self._defects(exchange) for exchange in exchanges]
        for exchange in exchanges:
            self._statistics.count(exchange.answer)
        if self._log is not None:
            at, keep = now.isoformat(timespec="milliseconds"), self._config.log_payloads
            self._log.write(
                [
                    record_of(exchange, at=at, connection=connection, keep_payload=keep, lint=defects)
                    for exchange, defects in zip(exchanges, lint, strict=True)
                ]
            )

    def _defects(self, exchange: Exchange) -> tuple[str, ...]:
        if not self._config.lint or exchange.request.broadcast is not None:
            return ()
        defects = defects_of(exchange.request)
        self._watch.defects(defects)
        return defects


async def _next_bytes(stream: _TlsStream, connection: ServerConnection) -> bytes | None:
    """What the client sends, empty at its end; None when something is due before."""
    due = connection.due
    with trio.CancelScope(deadline=math.inf if due is None else due):
        if not connection.reading:
            await trio.sleep_forever()
        return bytes(await stream.receive_some(READ_SIZE))
    return None


async def _half_close(stream: _TlsStream) -> None:
    """FIN to the client; what it sends is read and thrown away."""
    await stream.transport_stream.send_eof()
    while await stream.transport_stream.receive_some(READ_SIZE):
        pass
    await trio.aclose_forcefully(stream)


async def _cut(stream: _TlsStream, how: CutBy) -> None:
    """The end of TLS, if it is asked for; and of TCP."""
    if how is CutBy.TLS:
        # The client may answer with its own close_notify, and need not.
        with trio.move_on_after(LINGER), suppress(trio.BrokenResourceError):
            await stream.unwrap()
    elif how is CutBy.RESET:
        # Linger of no time: the kernel sends RST.
        stream.transport_stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)
