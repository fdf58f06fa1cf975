"""What became of a submitted request. Each ends in exactly one of these three."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, TypeAlias

from scheduler.domain.outcomes import UnknownCause


@dataclass(frozen=True, slots=True)
class Answer:
    """APNs answered. `timestamp_ms` comes with a 410: since when the token is known to be dead, UNIX milliseconds."""

    status: int
    reason: str | None = None
    timestamp_ms: int | None = None


ACCEPTED_ANSWER: Final = Answer(200)
_YEAR_10000_MS: Final = 253_402_300_800_000
"""No timestamp from here on can be made a `datetime`, whoever sends it."""


class UnsentCause(StrEnum):
    """Why a request was certainly not processed."""

    NOT_WRITTEN = "not_written"
    """The link was lost before all of it was handed to TLS."""
    REFUSED = "refused"
    """RST_STREAM(REFUSED_STREAM): RFC 9113 §8.7."""
    GOING_AWAY = "going_away"
    """Above GOAWAY's last stream id: RFC 9113 §6.8."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """Never processed: safe to send again."""

    cause: UnsentCause


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It may have been processed or not, and nobody can tell."""

    cause: UnknownCause


Result: TypeAlias = Answer | Unsent | Unanswered


def read_answer(status: int, body: bytes) -> Answer:
    """An answer from its status and body. A body that is not Apple's JSON (a proxy's page) gives no reason.

    >>> read_answer(410, b'{"reason":"Unregistered","timestamp":1508249865488}')
    Answer(status=410, reason='Unregistered', timestamp_ms=1508249865488)
    >>> read_answer(503, b"<html>")
    Answer(status=503, reason=None, timestamp_ms=None)
    """
    if status == 200:
        return ACCEPTED_ANSWER
    content = read_reason_body(body)
    timestamp = content.get("timestamp")
    whole = isinstance(timestamp, int) and not isinstance(timestamp, bool) and 0 <= timestamp < _YEAR_10000_MS
    return Answer(status, reason_of(content), timestamp if whole and isinstance(timestamp, int) else None)


def server_time(headers: Iterable[tuple[bytes, bytes]]) -> datetime | None:
    """When an answer was made, by the peer's clock: its `date` field (RFC 9110 §6.6.1), if it has a readable one.

    >>> server_time([(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")])
    datetime.datetime(1994, 11, 6, 8, 49, 37, tzinfo=datetime.timezone.utc)
    """
    for name, value in headers:
        if name == b"date":
            try:
                at = parsedate_to_datetime(value.decode("ascii"))
                return at.astimezone(UTC) if at.tzinfo else None
            except (ValueError, OverflowError):
                return None
    return None


def read_reason_body(body: bytes) -> dict[str, object]:
    """The JSON object of an error's body or of GOAWAY's debug data; empty if it is anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def reason_of(content: dict[str, object]) -> str | None:
    """The reason as Apple writes it, or any other short printable text in its place."""
    reason = content.get("reason")
    return reason[:100] if isinstance(reason, str) and reason.isprintable() and reason else None
