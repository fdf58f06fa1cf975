"""A server on several addresses of this machine, and a resolver that says which of them a name has."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from push_server import Certificates, PushServer

from scheduler.domain.proxy import Proxy
from scheduler.transport.dialing import Address
from scheduler.transport.tls import Endpoint


def _has(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


several_addresses = pytest.mark.skipif(not _has("127.0.0.2"), reason="this machine's loopback has one address")

NAME = "localhost"


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
