"""Serving the API: Hypercorn's protocols on Trio, under an accept loop of our own.

Hypercorn's own loop (`hypercorn.trio.serve`) has one nursery for all connections, and an exception in one ends all of
them and the caller: a byte over 0x7F in an HTTP/2 `:path` is enough. Here a connection fails alone.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app
from starlette.applications import Starlette

from scheduler.domain.errors import OperatorError

_GRACE_SECONDS = 10.0
_LOG = logging.getLogger("clarion.api")


async def serve_api(
    app: Starlette,
    listen: str,
    *,
    stop: trio.Event | None = None,
    make_way: Callable[[], AbstractContextManager[None]] = nullcontext,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set: then requests in flight have ten seconds to finish. Reports the URLs it answers at.

    `make_way` is entered for each request, and for each new connection until its first request is there.
    `listen` is HOST:PORT, or [HOST]:PORT for IPv6; port 0 takes a free one. OperatorError if the address cannot be had.
    """
    listener = _Listener(trio.SocketListener(trio.socket.from_stdlib_socket(_bind(listen))), make_way)
    config = _config()
    context = WorkerContext(max_requests=None)
    wrapped = wrap_app(app, config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]  # both speak ASGI

    async def serve(connection: _Connection) -> None:
        async def answer(*call: Any) -> None:
            connection.until_the_first.close()
            with make_way():
                await wrapped(*call)

        try:
            await TCPServer(answer, config, context, ConnectionState({}), connection.stream)  # type: ignore[arg-type]
        except Exception:
            _LOG.warning("api.connection_failed", exc_info=True)

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(partial(trio.serve_listeners, serve, [listener], handler_nursery=connections))
            host, port = listener.accepting.socket.getsockname()[:2]
            task_status.started([f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"])
            await (trio.Event() if stop is None else stop).wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + _GRACE_SECONDS


class _Connection(trio.abc.AsyncResource):
    """A connection that was accepted, and what others do for it until its first request is there."""

    def __init__(self, stream: trio.SocketStream, until_the_first: ExitStack) -> None:
        self.stream = stream
        self.until_the_first = until_the_first

    async def aclose(self) -> None:
        self.until_the_first.close()
        await self.stream.aclose()


class _Listener(trio.abc.Listener[_Connection]):
    """Accepts, and has others make way from that moment: the task that serves a connection has its turn only after
    everybody else's."""

    def __init__(self, accepting: trio.SocketListener, make_way: Callable[[], AbstractContextManager[None]]) -> None:
        self.accepting = accepting
        self._make_way = make_way

    async def accept(self) -> _Connection:
        stream, until_the_first = await self.accepting.accept(), ExitStack()
        until_the_first.enter_context(self._make_way())
        return _Connection(stream, until_the_first)

    async def aclose(self) -> None:
        await self.accepting.aclose()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = _LOG
    config.include_server_header = False
    config.keep_alive_max_requests = 10**9  # the default of 1000 closes busy connections, and costs them answers
    config.keep_alive_timeout = 60.0
    return config


def _bind(listen: str) -> socket.socket:
    """A socket of our own, so that a port that is taken is told before anything runs, and in plain words."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(1024)
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
