"""Where a simulator listens, and the life of its connections on Trio."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from scheduler.domain.errors import OperatorError
from scheduler.simulator.certificates import authority, server_tls

READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Listen:
    """An address with TLS. Port 0 is any free port. Clients trust the certificate that is written to `ca_file`
    (PEM); its key is kept beside it, in `.key`. It may sign clients' certificates too, and so may `client_ca_file`."""

    ca_file: Path
    host: str = "127.0.0.1"
    port: int = 2197
    client_ca_file: Path | None = None


Serve = Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]]


async def serve_connections(
    listen: Listen, serve: Serve, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run `serve` for every connection until cancelled; starts with the port. A connection that breaks ends alone.

    OperatorError if the address cannot be had.
    """
    tls = server_tls(authority(listen.ca_file), listen.client_ca_file)
    try:
        listeners = await trio.open_tcp_listeners(listen.port, host=listen.host)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise OperatorError(
            "the port is taken" if taken else f"cannot listen there: {error.strerror}",
            where=f"{listen.host}:{listen.port}",
            hint="give another port; 0 takes any free one" if taken else "give an address of this machine",
        ) from error
    secured = [trio.SSLListener(listener, tls, https_compatible=True) for listener in listeners]
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_listeners, partial(_serve_one, serve), secured))
        task_status.started(listeners[0].socket.getsockname()[1])


async def _serve_one(serve: Serve, stream: trio.SSLStream[trio.SocketStream]) -> None:
    try:
        async with stream:
            await serve(stream)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # the client went away, or never spoke TLS
