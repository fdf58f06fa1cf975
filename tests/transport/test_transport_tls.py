"""Failures of TLS are named in an operator's words, on the loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from push_server import Certificates, PushServer, serving

from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import OperatorError
from scheduler.transport.dialing import Dialer
from scheduler.transport.failures import ConnectFailed, FailureKind
from scheduler.transport.tls import Endpoint, TlsStream, client_context

FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def connect(endpoint: Endpoint) -> TlsStream:
    dialer = Dialer(*endpoint.dialled, VirtualClock(datetime(2026, 3, 1, tzinfo=UTC)))
    return await TlsStream.connect(endpoint, client_context(endpoint), dialer)


async def failure(
    certificates: Certificates,
    leaf: trustme.LeafCert | None = None,
    kind: FailureKind = FailureKind.NOT_TRUSTED,
    **changes: object,
) -> str:
    """Why a connection to a server with this certificate fails."""
    context = certificates.server_context(leaf, alpn="h2" if changes.get("alpn", True) else None)
    ca_file = changes.get("ca_file", certificates.ca_file)
    assert isinstance(ca_file, Path)
    with trio.fail_after(5):
        async with serving(PushServer(), context, ca_file) as endpoint:
            with pytest.raises(ConnectFailed) as caught:
                await connect(endpoint)
    assert caught.value.kind is kind
    return str(caught.value).replace(str(endpoint), "HOST")


async def test_bytes_go_both_ways_whatever_their_size(certificates: Certificates) -> None:
    async def echo(stream: trio.SSLStream[trio.SocketStream]) -> None:
        async for data in stream:
            await stream.send_all(data)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, echo, 0, certificates.server_context(), host="127.0.0.1")
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            stream = await connect(Endpoint("localhost", port, certificates.ca_file))
            sent = bytes(range(256)) * 4096
            nursery.start_soon(stream.send_all, sent)
            received = b""
            while len(received) < len(sent):
                received += await stream.receive()
            assert received == sent
            await stream.aclose()
            nursery.cancel_scope.cancel()


async def test_what_came_before_a_broken_record_is_read_before_the_error(certificates: Certificates) -> None:
    written = trio.Event()

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.send_all(b"answers")
        await stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        written.set()
        await trio.sleep_forever()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, answer, 0, certificates.server_context(), host="127.0.0.1")
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            stream = await connect(Endpoint("localhost", port, certificates.ca_file))
            await written.wait()
            assert await stream.receive() == b"answers"
            for _ in range(2):
                with pytest.raises(trio.BrokenResourceError, match="BAD_RECORD_MAC"):
                    await stream.receive()
            await stream.aclose()
            nursery.cancel_scope.cancel()


async def test_unknown_authority_is_named(certificates: Certificates, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    text = await failure(certificates, ca_file=tmp_path / "other.pem")
    assert text == "HOST is not trusted: its certificate is signed by an unknown authority"


async def test_wrong_name_is_named(certificates: Certificates) -> None:
    text = await failure(certificates, certificates.ca.issue_cert("push.example"))
    assert text == "HOST is not trusted: its certificate is for another name"


async def test_expired_certificate_is_named(certificates: Certificates) -> None:
    leaf = certificates.ca.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1))  # noqa: TID251
    assert await failure(certificates, leaf) == "HOST is not trusted: its certificate has expired"


async def test_certificate_of_the_future_is_named(certificates: Certificates) -> None:
    leaf = certificates.ca.issue_cert("localhost", not_before=datetime(2099, 1, 1, tzinfo=UTC), not_after=FAR)
    assert await failure(certificates, leaf) == "HOST is not trusted: its certificate is not valid yet"


async def test_server_without_http2_is_named(certificates: Certificates) -> None:
    text = await failure(certificates, kind=FailureKind.NO_HTTP2, alpn=False)
    assert text == "HOST does not offer HTTP/2 (ALPN h2)"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers in another protocol"),
        (b"220 mail.example ESMTP\r\n", "it answers in another protocol"),
        (b"", "it closed the connection"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "it has no TLS 1.2 or later"),
        (b"\x15\x03\x03\x00\x02\x02\x78", None),
    ],
)
async def test_server_that_makes_no_tls_is_named(certificates: Certificates, sent: bytes, text: str | None) -> None:
    """The last two are alerts: 70 is protocol_version, 120 no_application_protocol (RFC 8446 §6, RFC 7301 §3.2)."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        if sent:
            await stream.send_all(sent)
        await stream.aclose()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            place = f"localhost:{listeners[0].socket.getsockname()[1]}"
            with pytest.raises(ConnectFailed) as caught:
                await connect(Endpoint("localhost", int(place.partition(":")[2]), certificates.ca_file))
            nursery.cancel_scope.cancel()
    if text is None:
        assert caught.value.kind is FailureKind.NO_HTTP2
    else:
        assert caught.value.kind is FailureKind.NO_TLS
        assert str(caught.value) == f"no TLS with {place}: {text}"


async def test_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConnectFailed, match=r"^cannot connect to push\.invalid:443: "):
        await connect(Endpoint("push.invalid", 443))


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_list_of_authorities_that_cannot_be_used_is_the_operators(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(OperatorError) as caught:
        client_context(Endpoint("localhost", 1, ca_file))
    assert str(caught.value).startswith(f"{ca_file}: cannot use it as a list of certificates: ")


def test_the_port_of_https_is_left_out_of_the_authority() -> None:
    assert Endpoint("api.push.apple.com", 443).authority == "api.push.apple.com"
    assert Endpoint("localhost", 2197).authority == "localhost:2197"
    assert (Endpoint("::1", 443).authority, str(Endpoint("::1", 2197))) == ("[::1]", "[::1]:2197")
