"""What is sent to APNs: the headers a campaign shares, and one request.

Rules of Apple's "Sending notification requests to APNs". Values are checked at the door, by the functions here:
neither we nor the libraries below would ever notice a CR or LF inside a header otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from scheduler.domain.push_types import PushType

MAX_COLLAPSE_BYTES: Final = 64
MAX_TOKEN_DIGITS: Final = 512
_MAX_TOPIC: Final = 255
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_TOPIC: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """The headers that all requests of a campaign share. ValueError says what is wrong with them."""

    topic: str
    """The whole `apns-topic`, its suffix included."""
    push_type: PushType
    priority: int

    def __post_init__(self) -> None:
        if not _TOPIC.fullmatch(self.topic) or len(self.topic) > _MAX_TOPIC:
            raise ValueError(
                f"{self.topic!r} is not an apns-topic: 1 to {_MAX_TOPIC} printable ASCII characters, no spaces"
            )
        if not self.topic.endswith(self.push_type.topic_suffix):
            raise ValueError(
                f"the topic of a {self.push_type} push ends in {self.push_type.topic_suffix!r}, not {self.topic!r}"
            )
        if self.priority not in self.push_type.priorities:
            possible = ", ".join(map(str, self.push_type.priorities))
            raise ValueError(f"the priority of push type {self.push_type} is one of {possible}, not {self.priority}")


@dataclass(slots=True)
class PushRequest:
    """One notification for one device. Made by the million, so nothing is checked here: see `check_token`."""

    device: int
    """Our number of the device; with `attempt` it also chooses the link."""
    token: str
    """The device token in hex."""
    apns_id: str
    """A canonical lower-case UUID."""
    payload: bytes
    expiration: int | None = None
    """UNIX seconds; 0 = try once, do not store. None leaves it to Apple, which is not the same as 0."""
    collapse_id: str | None = None
    attempt: int = field(default=0, compare=False)
    """How often it was tried before, by earlier requests: another attempt goes over another link."""
    context: object = field(default=None, repr=False, compare=False)
    """Belongs to the pool: where the result goes."""
    resends: int = field(default=0, repr=False, compare=False)
    """Belongs to the pool: how often it sent it again, unprocessed. To try anew later, make a new request."""


def check_token(text: str) -> str:
    """A device token as it is, or ValueError. Apple: no assumption about its length; bytes in hex, so even.

    >>> check_token("0aFF")
    '0aFF'
    """
    if not 2 <= len(text) <= MAX_TOKEN_DIGITS or len(text) % 2 or not _HEX.fullmatch(text):
        raise ValueError(f"a device token is 2 to {MAX_TOKEN_DIGITS} hex digits, an even number of them")
    return text


def check_collapse_id(text: str) -> str:
    """A collapse id as it is, or ValueError: 1 to 64 bytes of UTF-8, printable.

    >>> check_collapse_id("sale-7")
    'sale-7'
    """
    if not text or not text.isprintable():
        raise ValueError("a collapse id is not empty and has printable characters only")
    if len(text.encode("utf-8", "replace")) > MAX_COLLAPSE_BYTES:
        raise ValueError(f"a collapse id has at most {MAX_COLLAPSE_BYTES} bytes")
    return text
