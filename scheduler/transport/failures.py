"""Why no link could be made: a kind to count, and words for an operator."""

from __future__ import annotations

from enum import StrEnum

from scheduler.domain.errors import RemoteError


class FailureKind(StrEnum):
    """The step at which an attempt to connect failed, in their order."""

    NO_ADDRESS = "no_address"
    """The name cannot be looked up, or has no address."""
    NO_CONNECTION = "no_connection"
    """No address takes a TCP connection."""
    PROXY = "proxy"
    """The proxy refuses, or answers what is no HTTP."""
    NO_TLS = "no_tls"
    NOT_TRUSTED = "not_trusted"
    """The server's certificate."""
    NO_HTTP2 = "no_http2"
    NOT_READY = "not_ready"
    """TLS was made, but the server's SETTINGS never came, or the link ended at once."""


class ConnectFailed(RemoteError):
    """No link could be made; the text says why, in words for an operator."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        self.kind = kind
        super().__init__(text)
