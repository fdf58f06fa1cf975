"""TLS to a provider: where to connect, and a byte stream that moves as much as there is at once.

Not `trio.SSLStream`: that hands over one TLS record (at most 16 KiB) a step. Here one read of the socket gives all
the records that have come, and one write takes a whole chunk of requests.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from scheduler.domain.errors import OperatorError
from scheduler.domain.proxy import Proxy
from scheduler.transport.dialing import Address, Connected, Dialer, OnStep
from scheduler.transport.failures import ConnectFailed, FailureKind

_READ_SIZE: Final = 1 << 17
_HTTPS: Final = 443
_VERIFY_TEXTS: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    19: "its certificate is signed by an unknown authority",
    20: "its certificate is signed by an unknown authority",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
_TLS_TEXTS: Final = {
    "WRONG_VERSION_NUMBER": "it answers in another protocol",
    "RECORD_LAYER_FAILURE": "it answers in another protocol",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it has no TLS 1.2 or later",
    "UNSUPPORTED_PROTOCOL": "it has no TLS 1.2 or later",
}
_NO_COMMON_PROTOCOL: Final = "no application protocol"  # the alert's name in OpenSSL; not every Python has a reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server of the provider. `ca_file` (PEM) is trusted in place of the system's authorities.

    With a `proxy` its name is looked up there; the TLS is with the server all the same.
    """

    host: str
    port: int
    ca_file: Path | None = None
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """The `:authority` of requests: without the port where it is that of https."""
        return self._bracketed if self.port == _HTTPS else str(self)

    @property
    def dialled(self) -> tuple[str, int]:
        """The host and port that TCP connects to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self._bracketed}:{self.port}"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Our certificate and its private key, in PEM and read before: they fit together and have no password."""

    certificate_file: Path
    key_file: Path


def client_context(endpoint: Endpoint, certificate: CertificateFiles | None = None) -> ssl.SSLContext:
    """TLS 1.2 or later, the server verified, HTTP/2 by ALPN. OperatorError if a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(
            f"cannot use it as a list of certificates: {error}",
            where=str(endpoint.ca_file),
            hint="ca_file is a PEM file of authorities to trust; leave it out for Apple's own servers",
        ) from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate.certificate_file, certificate.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise OperatorError(
                f"cannot use it as a certificate: {error}",
                where=str(certificate.certificate_file),
                hint="auth.certificate_file is a PEM file with the certificate first",
            ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


class TlsStream:
    """A TLS connection to an endpoint. One task reads, one writes."""

    def __init__(self, connected: Connected, endpoint: Endpoint, context: ssl.SSLContext) -> None:
        self._connected = connected
        self._socket = connected.socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=endpoint.host)
        self._broken: ssl.SSLError | None = None

    @classmethod
    async def connect(
        cls, endpoint: Endpoint, context: ssl.SSLContext, dialer: Dialer, on_step: OnStep = lambda kind: None
    ) -> TlsStream:
        """A new connection to what `dialer` dials. ConnectFailed says what went wrong; `on_step` as there."""
        try:
            connected = await dialer.dial(on_step)
        except ConnectFailed as error:
            if endpoint.proxy is None:
                raise
            raise ConnectFailed(error.kind, f"no way to the proxy: {error}") from error
        try:
            if endpoint.proxy is not None:
                from scheduler.transport.tunnel import open_tunnel  # who has no proxy need not load an HTTP/1 library

                on_step(FailureKind.PROXY)
                await open_tunnel(connected.socket, endpoint.proxy, str(endpoint))
            on_step(FailureKind.NO_TLS)
            return await cls._secured(connected, endpoint, context)
        except BaseException:
            await connected.aclose(failed=True)
            raise

    @classmethod
    async def _secured(cls, connected: Connected, endpoint: Endpoint, context: ssl.SSLContext) -> TlsStream:
        try:
            stream = cls(connected, endpoint, context)
            await stream._shake_hands()
        except ssl.SSLCertVerificationError as error:
            text = _VERIFY_TEXTS.get(error.verify_code, error.verify_message)
            raise ConnectFailed(FailureKind.NOT_TRUSTED, f"{endpoint} is not trusted: {text}") from error
        except ssl.SSLError as error:
            if _NO_COMMON_PROTOCOL in str(error).lower().replace("_", " "):
                raise _no_http2(endpoint) from error
            text = _TLS_TEXTS.get(error.reason or "", str(error))
            raise ConnectFailed(FailureKind.NO_TLS, f"no TLS with {endpoint}: {text}") from error
        except trio.BrokenResourceError as error:
            text = f"no TLS with {endpoint}: {error.__cause__ or error}"
            raise ConnectFailed(FailureKind.NO_TLS, text) from error
        except ValueError as error:  # a host that can be in no certificate
            raise ConnectFailed(FailureKind.NO_TLS, f"no TLS with {endpoint}: {error}") from error
        if stream._tls.selected_alpn_protocol() != "h2":
            raise _no_http2(endpoint)
        return stream

    @property
    def address(self) -> Address:
        """The address at the other end of TCP: the server's, or the proxy's."""
        return self._connected.address

    async def receive(self) -> bytes:
        """All that has come, at least one byte; b"" at the end. trio.BrokenResourceError if the connection broke."""
        while self._broken is None:
            parts = []
            try:
                while part := self._tls.read(_READ_SIZE):
                    parts.append(part)
            except ssl.SSLWantReadError:
                if parts:
                    return b"".join(parts)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b"".join(parts)
            except ssl.SSLError as error:
                self._broken = error
                if parts:  # answers that came before it are answers
                    return b"".join(parts)
                break
            else:
                return b"".join(parts)
            await self._feed()
        raise trio.BrokenResourceError(f"TLS: {self._broken}") from self._broken

    async def send_all(self, data: bytes) -> None:
        """Write all of it; waits while the peer is slow. trio.BrokenResourceError if the connection broke."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS: {error}") from error
        await self._socket.send_all(self._outgoing.read())

    async def aclose(self) -> None:
        """Close at once. HTTP/2 has said its goodbye already, so TLS needs none."""
        await self._connected.aclose()

    async def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._flush()  # the alert says why
                raise
            else:
                await self._flush()
                return

    async def _feed(self) -> None:
        data = await self._socket.receive_some(_READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._socket.send_all(self._outgoing.read())


def _no_http2(endpoint: Endpoint) -> ConnectFailed:
    return ConnectFailed(FailureKind.NO_HTTP2, f"{endpoint} does not offer HTTP/2 (ALPN h2)")
