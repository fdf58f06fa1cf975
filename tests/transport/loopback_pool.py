"""Pools on the loopback with a resolver of the test's own: which addresses a name has is up to it."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from push_server import Certificates, PushServer

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest, PushType
from scheduler.apns.results import Result
from scheduler.domain.clock import Clock, VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.domain.proxy import Proxy
from scheduler.transport.batches import Batch
from scheduler.transport.dialing import Address
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint


def _has(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


several_addresses = pytest.mark.skipif(not _has("127.0.0.2"), reason="this machine's loopback has one address")

HEADERS = HeaderSet("com.example.app", PushType.ALERT, 10)
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
START = datetime(2026, 3, 1, tzinfo=UTC)
NAME = "localhost"


class RealStopwatch(VirtualClock):
    """The calendar stands still, the stopwatch is real."""

    def __init__(self) -> None:
        super().__init__(START)

    def monotonic(self) -> float:
        return time.monotonic()


class TrioClock(VirtualClock):
    """The calendar stands still, the stopwatch is Trio's: a test's MockClock moves it."""

    def __init__(self) -> None:
        super().__init__(START)

    def monotonic(self) -> float:
        return trio.current_time()


def ipv4(host: str, port: int) -> Address:
    return Address(socket.AF_INET, (host, port))


@dataclass
class Names:
    """A resolver: the addresses of every name, or the error that there is."""

    hosts: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    error: OSError | UnicodeError | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def look_up(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return [ipv4(one, port) for one in self.hosts]


class PoolUnderTest:
    """A pool and all that it has reported."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        look_up: Callable[[str, int], Awaitable[Sequence[Address]]],
        links: int = 1,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or RealStopwatch()
        tokens = ProviderTokenSource(KEY, team_id="TEAM123456", key_id="KEY1234567", clock=clock)
        self.pool = Pool(
            endpoint,
            tokens,
            links=links,
            clock=clock,
            jitter=lambda: 0.0,
            on_results=self._take,
            name="test",
            look_up=look_up,
        )
        self.results: list[tuple[int, Result]] = []
        self._changed = trio.Event()

    def submit(self, devices: range, payload: bytes = b"{}") -> None:
        made = [
            PushRequest(device, f"{device:064x}", f"8f0c2f6e-3bf0-5a3c-9f4e-{device:012x}", payload)
            for device in devices
        ]
        self.pool.submit(Batch(HEADERS, made, lane=Lane.NORMAL, buckets=(), tag="run"))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that changes without a result."""
        while not condition():
            await trio.lowlevel.checkpoint()

    async def until_ended(self, count: int) -> None:
        while len(self.results) < count:
            await self._changed.wait()

    def counted(self) -> Counter[Result]:
        assert len({device for device, _ in self.results}) == len(self.results), "one result for each request"
        return Counter(result for _, result in self.results)

    def _take(self, tag: object, pairs: list[tuple[PushRequest, Result]]) -> None:
        self.results += [(request.device, result) for request, result in pairs]
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def listening(
    server: PushServer,
    certificates: Certificates,
    hosts: Sequence[str] = ("127.0.0.1",),
    *,
    proxy: Proxy | None = None,
    used: list[str] | None = None,
) -> AsyncIterator[Endpoint]:
    """The server on one port of several addresses of this machine; `used` gets that of each connection."""
    context = certificates.server_context()

    async def serve(stream: trio.SocketStream) -> None:
        if used is not None:
            used.append(stream.socket.getsockname()[0])
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await tls.do_handshake()
            await server.serve_connection(tls)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(tls)

    first = (await trio.open_tcp_listeners(0, host=hosts[0]))[0]
    port = first.socket.getsockname()[1]
    others = [(await trio.open_tcp_listeners(port, host=host))[0] for host in hosts[1:]]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, [first, *others])
        yield Endpoint(NAME, port, certificates.ca_file, proxy)
        nursery.cancel_scope.cancel()
