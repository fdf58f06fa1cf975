"""Links through an HTTP proxy: a real one on the loopback, and every way in which one can refuse."""

from __future__ import annotations

from base64 import b64encode

import pytest
import trio
from connect_proxy import ConnectProxy
from loopback_names import Names, listening
from push_server import Certificates, PushServer
from support.sending import START, Sender

from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.clock import VirtualClock
from scheduler.domain.proxy import Proxy
from scheduler.transport.dialing import Dialer
from scheduler.transport.failures import ConnectFailed, FailureKind
from scheduler.transport.tls import Endpoint, TlsStream, client_context
from scheduler.transport.tunnel import LONGEST_HEAD

REFUSES = "refuses to connect to push.example:443: "
ANNA = {"user": "anna", "password": "geheim"}


async def test_a_pool_sends_through_a_proxy_that_looks_the_name_up(certificates: Certificates) -> None:
    server, names, proxy = PushServer(), Names(), ConnectProxy()
    with trio.fail_after(10):
        async with proxy.listening(), listening(server, certificates) as direct, trio.open_nursery() as nursery:
            way = Proxy("proxy.example", proxy.port, **ANNA)
            endpoint = Endpoint(direct.host, direct.port, direct.ca_file, way)
            sender = Sender(endpoint, look_up=names.look_up)
            await nursery.start(sender.pool.run)
            sender.submit(range(20))
            await sender.until_ended(20)
            assert sender.counted() == {ACCEPTED_ANSWER: 20}
            assert names.asked == [("proxy.example", proxy.port)], "the proxy's name alone is looked up here"
            login = b64encode(b"anna:geheim").decode()
            assert proxy.asked == [
                [
                    f"CONNECT localhost:{direct.port} HTTP/1.1",
                    f"Host: localhost:{direct.port}",
                    f"Proxy-Authorization: Basic {login}",
                ]
            ]
            assert server.asked[0].headers[":authority"] == f"localhost:{direct.port}"
            nursery.cancel_scope.cancel()


async def failure(proxy: ConnectProxy, **login: str) -> tuple[FailureKind, str]:
    """Why no link can be made through it."""
    with trio.fail_after(5):
        async with proxy.listening():
            endpoint = Endpoint("push.example", 443, None, Proxy("127.0.0.1", proxy.port, **login))
            dialer = Dialer(*endpoint.dialled, VirtualClock(START))
            with pytest.raises(ConnectFailed) as caught:
                await TlsStream.connect(endpoint, client_context(endpoint), dialer)
    text = str(caught.value)
    assert "geheim" not in text
    return caught.value.kind, text.replace(f"127.0.0.1:{proxy.port}", "PROXY")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 Forbidden by policy\r\n\r\n", REFUSES + "403 Forbidden by policy"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nnope", REFUSES + "502 Bad Gateway"),
        (b"HTTP/1.1 503 \r\n\r\n", REFUSES + "503"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 504 Late\r\n\r\n", REFUSES + "504 Late"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", REFUSES + "301 Moved"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer in HTTP: illegal status line"),
        (b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n", "does not answer in HTTP: illegal status line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "does not answer in HTTP: illegal header line"),
        (b"HTTP/1.1 200 OK\r\nX: " + bytes(2 * LONGEST_HEAD), "answers with more than 16384 bytes of headers"),
        (b"", "broke the connection: it was closed before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "broke the connection: it was closed before the answer was complete"),
        (b"HTTP/1.1 503 \x1b[2Jgone\r\n\r\n", REFUSES + r"503 \x1b[2Jgone"),
        (b"HTTP/1.1 200 OK\r\n\r\nwelcome", "sends something of its own behind its answer"),
    ],
)  # fmt: skip
async def test_each_way_to_refuse_is_named(answer: bytes, text: str) -> None:
    kind, said = await failure(ConnectProxy(answer))
    assert kind is FailureKind.PROXY
    assert said.startswith(f"the proxy PROXY {text}")
    assert len(said) < 200


async def test_a_proxy_that_wants_a_login_says_how_to_give_one() -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"
    beginning = "the proxy PROXY refuses to connect to push.example:443: 407 Proxy Authentication Required; "
    _, said = await failure(ConnectProxy(answer))
    assert said == beginning + "it wants a user and a password: http://USER:PASSWORD@HOST:PORT"
    _, said = await failure(ConnectProxy(answer), **ANNA)
    assert said == beginning + "it does not take the password of 'anna'"


async def test_the_certificate_that_counts_is_the_endpoints(certificates: Certificates) -> None:
    """A proxy that leads elsewhere is found out: TLS is from end to end."""
    server, proxy = PushServer(), ConnectProxy()
    with trio.fail_after(5):
        async with proxy.listening(), listening(server, certificates) as direct:
            way = Proxy("127.0.0.1", proxy.port)
            endpoint = Endpoint("push.example", direct.port, direct.ca_file, way)
            with pytest.raises(ConnectFailed) as caught:
                await TlsStream.connect(
                    endpoint, client_context(endpoint), Dialer(*endpoint.dialled, VirtualClock(START))
                )
    assert caught.value.kind is FailureKind.NOT_TRUSTED
    assert str(caught.value) == f"push.example:{direct.port} is not trusted: its certificate is for another name"


async def test_a_proxy_that_is_not_there_is_named() -> None:
    endpoint = Endpoint("push.example", 443, None, Proxy("127.0.0.1", 1))
    with pytest.raises(ConnectFailed) as caught:
        await TlsStream.connect(endpoint, client_context(endpoint), Dialer(*endpoint.dialled, VirtualClock(START)))
    assert caught.value.kind is FailureKind.NO_CONNECTION
    text = "no way to the proxy: cannot connect to 127.0.0.1:1: 127.0.0.1: Connection refused"
    assert str(caught.value) == text
