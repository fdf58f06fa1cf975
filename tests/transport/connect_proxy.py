"""A small HTTP proxy on the loopback: it tunnels as RFC 9110 §9.3.6 says, or answers what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio


@dataclass
class ConnectProxy:
    """`answer` in place of a tunnel if it is set; b"" closes the connection without a word."""

    answer: bytes | None = None
    greeting: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    asked: list[list[str]] = field(default_factory=list)
    """The lines of each request's head."""
    port: int = 0

    async def serve(self, client: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await client.receive_some(1024)
        self.asked.append(head.decode().split("\r\n")[:-2])
        if self.answer is not None:
            if self.answer:
                await client.send_all(self.answer)
            await client.aclose()
            return
        port = int(self.asked[-1][0].split()[1].rpartition(":")[2])
        server = await trio.open_tcp_stream("127.0.0.1", port)
        await client.send_all(self.greeting)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, client, server)
            await self._carry(server, client)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(client)
        await trio.aclose_forcefully(server)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[ConnectProxy]:
        """At work, on `port`."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self.serve, listeners)
            yield self
            nursery.cancel_scope.cancel()

    async def _carry(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(65536):
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
