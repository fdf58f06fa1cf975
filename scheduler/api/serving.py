"""Serving the API with Hypercorn's Trio worker."""

from __future__ import annotations

import errno
import logging
import socket
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette

from scheduler.domain.errors import OperatorError

_GRACE_SECONDS = 10.0


async def serve_api(
    app: Starlette,
    listen: str,
    *,
    stop: trio.Event | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set: then requests in flight have ten seconds to finish. Reports the URLs it answers at.

    `listen` is HOST:PORT, or [HOST]:PORT for IPv6; port 0 takes a free one. OperatorError if the address cannot be had.
    """
    listener = _bind(listen)
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("clarion.api")
    config.include_server_header = False
    config.keep_alive_max_requests = 10**9  # the default of 1000 closes busy connections, and costs them answers
    config.keep_alive_timeout = 60.0
    config.graceful_timeout = _GRACE_SECONDS
    end = trio.Event() if stop is None else stop
    async with trio.open_nursery() as nursery:
        serving = partial(serve, app, config, shutdown_trigger=end.wait)  # type: ignore[arg-type]  # both speak ASGI
        urls = await nursery.start(serving)
        task_status.started(urls)


def _bind(listen: str) -> socket.socket:
    """A socket of our own, so that a port that is taken is told before anything runs, and in plain words."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen()
    except (OSError, ValueError, OverflowError) as problem:
        listener.close()
        raise _refusal(listen, problem) from problem
    return listener


def _refusal(listen: str, problem: Exception) -> OperatorError:
    code = problem.errno if isinstance(problem, OSError) else None
    if code == errno.EADDRINUSE:
        return OperatorError(
            f"the API cannot listen on {listen}: the port is taken",
            where="api.listen",
            hint="is another 'clarion run' there? End it, or choose another port",
        )
    if code == errno.EACCES:
        return OperatorError(
            f"the API cannot listen on {listen}: not permitted",
            where="api.listen",
            hint="ports under 1024 need privileges; choose a higher one, behind a proxy",
        )
    return OperatorError(
        f"the API cannot listen on {listen!r}: {problem}",
        where="api.listen",
        hint="write an address of this machine and a port: 127.0.0.1:8080",
    )
