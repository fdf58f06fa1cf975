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

from scheduler.domain.errors import OperatorError, RemoteError

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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server of the provider. `ca_file` (PEM) is trusted in place of the system's authorities."""

    host: str
    port: int
    ca_file: Path | None = None

    @property
    def authority(self) -> str:
        """The `:authority` of requests: without the port where it is that of https."""
        return self.host if self.port == _HTTPS else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Our certificate and its private key, in PEM and read before: they fit together and have no password."""

    certificate_file: Path
    key_file: Path


class ConnectFailed(RemoteError):
    """No link could be made; the text says why, in words for an operator."""


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

    def __init__(self, socket: trio.SocketStream, endpoint: Endpoint, context: ssl.SSLContext) -> None:
        self._socket = socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=endpoint.host)

    @classmethod
    async def connect(cls, endpoint: Endpoint, context: ssl.SSLContext) -> TlsStream:
        """A new connection; the name is looked up each time, as Apple asks. ConnectFailed says what went wrong."""
        try:
            socket = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        except OSError as error:
            raise ConnectFailed(f"cannot connect to {endpoint}: {error}") from error
        stream = cls(socket, endpoint, context)
        try:
            await stream._shake_hands()
            if stream._tls.selected_alpn_protocol() != "h2":
                raise ConnectFailed(f"{endpoint} does not offer HTTP/2 (ALPN h2)")
        except ssl.SSLCertVerificationError as error:
            text = _VERIFY_TEXTS.get(error.verify_code, error.verify_message)
            await trio.aclose_forcefully(socket)
            raise ConnectFailed(f"{endpoint} is not trusted: {text}") from error
        except (ssl.SSLError, trio.BrokenResourceError) as error:
            await trio.aclose_forcefully(socket)
            raise ConnectFailed(f"no TLS with {endpoint}: {error}") from error
        except BaseException:
            await trio.aclose_forcefully(socket)
            raise
        return stream

    async def receive(self) -> bytes:
        """All that has come, at least one byte; b"" at the end. trio.BrokenResourceError if the connection broke."""
        while True:
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
                raise trio.BrokenResourceError(f"TLS: {error}") from error
            else:
                return b"".join(parts)
            await self._feed()

    async def send_all(self, data: bytes) -> None:
        """Write all of it; waits while the peer is slow. trio.BrokenResourceError if the connection broke."""
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS: {error}") from error
        await self._socket.send_all(self._outgoing.read())

    async def aclose(self) -> None:
        """Close at once. HTTP/2 has said its goodbye already, so TLS needs none."""
        await trio.aclose_forcefully(self._socket)

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
