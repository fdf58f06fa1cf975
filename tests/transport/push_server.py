"""A small HTTP/2 server over real TLS on the loopback, made of h2, that does what a test tells it to."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio
import trustme

from scheduler.transport.tls import Endpoint


@dataclass(eq=False)
class Asked:
    """A whole request that has arrived."""

    connection: Connection
    stream: int
    headers: dict[str, str]
    body: bytes

    @property
    def device(self) -> int:
        return int(self.headers[":path"].removeprefix("/3/device/"), 16)

    def answer(self, status: int = 200, reason: str | None = None) -> None:
        server = self.connection.h2
        server.send_headers(self.stream, [(":status", str(status)), ("x", f"{status}")], end_stream=reason is None)
        if reason is not None:
            server.send_data(self.stream, json.dumps({"reason": reason}).encode(), end_stream=True)


class Connection:
    def __init__(self, server: PushServer, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.server = server
        self.stream = stream
        self.received: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        codes = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: server.streams}
        )
        self.h2.initiate_connection()
        self.terminated = False
        self.terminating = False
        self._writing = trio.Lock()

    async def flush(self) -> None:
        """Write what h2 has to say."""
        async with self._writing:
            output = self.h2.data_to_send()
            if output:
                await self.stream.send_all(output)

    async def cut(self) -> None:
        """Drop the connection without a word."""
        await trio.aclose_forcefully(self.stream)

    async def run(self) -> None:
        await self.flush()
        while data := await self.stream.receive_some():
            for event in self.h2.receive_data(data):
                self._take(event)
            await self.flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RemoteSettingsChanged() if self.server.ignores_table_size:
                self.h2.encoder.header_table.maxsize = 4096
            case h2.events.RequestReceived(stream_id=stream, headers=headers):
                self.received[stream] = {str(name): str(value) for name, value in headers}, bytearray()
            case h2.events.DataReceived(stream_id=stream, data=content, flow_controlled_length=size):
                self.received[stream][1].extend(content)
                self.h2.acknowledge_received_data(size, stream)
            case h2.events.StreamEnded(stream_id=stream):
                headers_of, body = self.received.pop(stream)
                self.server.take(Asked(self, stream, headers_of, bytes(body)))
            case h2.events.ConnectionTerminated():
                self.terminated = True


class PushServer:
    """Answers 200 to everything, unless `on_request` is set; `hold` keeps the requests for later."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.held: list[Asked] = []
        self.connections: list[Connection] = []
        self.streams = 1000
        self.connections_allowed = 1000
        self.ignores_table_size = False
        self.on_request: Callable[[Asked], None] = Asked.answer
        self._changed = trio.Event()

    def hold(self) -> None:
        self.on_request = self.held.append

    async def release(self) -> None:
        """Answer 200 to everything that is held and to all that comes."""
        self.on_request = Asked.answer
        held, self.held = self.held, []
        for asked in held:
            asked.answer()
        for connection in {asked.connection for asked in held}:
            await connection.flush()

    def take(self, asked: Asked) -> None:
        self.asked.append(asked)
        self.on_request(asked)
        self._note()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that happens at the server makes it true."""
        while not condition():
            await self._changed.wait()

    async def serve_connection(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        connection = Connection(self, stream)
        self.connections.append(connection)
        self._note()
        try:
            if len(self.connections) <= self.connections_allowed:
                await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h2.exceptions.ProtocolError):
            pass  # h2 hears nothing after its own GOAWAY
        finally:
            await trio.aclose_forcefully(stream)
            self._note()

    def _note(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@dataclass(frozen=True)
class Certificates:
    ca: trustme.CA
    ca_file: Path

    def server_context(self, leaf: trustme.LeafCert | None = None, alpn: str | None = "h2") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (leaf or self.ca.issue_cert("localhost")).configure_cert(context)
        if alpn:
            context.set_alpn_protocols([alpn])
        return context


@asynccontextmanager
async def serving(server: PushServer, context: ssl.SSLContext, ca_file: Path) -> AsyncIterator[Endpoint]:
    """The server at work; gives the endpoint."""

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
            return
        await server.serve_connection(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(
                trio.serve_ssl_over_tcp,
                serve,
                0,
                context,
                host="127.0.0.1",
            )
        )
        port = listeners[0].transport_listener.socket.getsockname()[1]
        yield Endpoint("localhost", port, ca_file)
        nursery.cancel_scope.cancel()
