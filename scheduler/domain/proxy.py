"""An HTTP proxy that connections go through, as it is written in settings: http://[USER:PASSWORD@]HOST:PORT."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_FORM = "http://HOST:PORT"
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
"""A name or an address: in ASCII, as it goes into headers."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens, and as whom to speak to it. As text without the password."""

    host: str
    port: int
    user: str | None = None
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """The proxy of an address. ValueError says what is wrong with it, without repeating a password.

    >>> str(parse_proxy("http://anna:secret@proxy.example:3128"))
    'proxy.example:3128'
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"is no address of a proxy; write {_FORM}") from None
    if parts.scheme == "https":
        raise ValueError(f"must begin with http://: how the proxy itself is spoken to. Write {_FORM}; Apple's TLS "
                         "goes through it untouched")  # fmt: skip
    if parts.scheme != "http" or not parts.hostname or not HOST.fullmatch(parts.hostname):
        raise ValueError(f"is no address of a proxy; write {_FORM}")
    if not port:
        raise ValueError(f"has no port; write {_FORM}, often with 3128 or 8080")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"has something behind the port; write {_FORM}")
    user = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    if user is not None and (":" in user or _CONTROL.search(user + password)):
        raise ValueError("has a user with a `:`, or a character that cannot be seen: neither can be sent (RFC 7617 §2)")
    return Proxy(parts.hostname, port, user, password)
