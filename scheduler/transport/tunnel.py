"""A way through an HTTP proxy: CONNECT (RFC 9110 §9.3.6). What follows is between us and the endpoint alone."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import h11
import trio

from scheduler.domain.errors import words_of_peer
from scheduler.domain.proxy import Proxy
from scheduler.transport.failures import ConnectFailed, FailureKind

LONGEST_HEAD: Final = 16_384
"""Bytes of the proxy's answer that are read in search of its end."""
_READ_SIZE: Final = 4_096
_LOGIN_WANTED: Final = 407


async def open_tunnel(socket: trio.SocketStream, proxy: Proxy, target: str) -> None:
    """Ask the proxy at the other end of `socket` to connect to `target` (HOST:PORT). ConnectFailed if it does not."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
    headers = [("Host", target)]
    if proxy.user is not None:
        login = b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {login}"))  # RFC 7617 §2
    try:
        asked = http.send(h11.Request(method="CONNECT", target=target, headers=headers))
        await socket.send_all((asked or b"") + (http.send(h11.EndOfMessage()) or b""))
        answer = await _answer(http, socket)
    except trio.BrokenResourceError as error:
        raise _failed(proxy, f"broke the connection: {error.__cause__ or error}") from error
    except h11.RemoteProtocolError as error:
        if error.error_status_hint == 431:
            raise _failed(proxy, f"answers with more than {LONGEST_HEAD} bytes of headers") from error
        raise _failed(proxy, f"does not answer in HTTP: {error}") from error
    if not 200 <= answer.status_code < 300:
        words = f"{answer.status_code} {words_of_peer(answer.reason)}".strip()
        raise _failed(proxy, f"refuses to connect to {target}: {words}{_advice(answer.status_code, proxy)}")
    if http.trailing_data[0]:
        raise _failed(proxy, "sends something of its own behind its answer")


async def _answer(http: h11.Connection, socket: trio.SocketStream) -> h11.Response:
    """The final answer; interim ones are passed over."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            data = await socket.receive_some(_READ_SIZE)
            if not data:
                raise trio.BrokenResourceError("it was closed before the answer was complete")
            http.receive_data(data)


def _advice(status: int, proxy: Proxy) -> str:
    if status != _LOGIN_WANTED:
        return ""
    if proxy.user is None:
        return "; it wants a user and a password: http://USER:PASSWORD@HOST:PORT"
    return f"; it does not take the password of {proxy.user!r}"


def _failed(proxy: Proxy, text: str) -> ConnectFailed:
    return ConnectFailed(FailureKind.PROXY, f"the proxy {proxy} {text}")
