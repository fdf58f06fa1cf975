"""What the simulator remembers of requests: one NDJSON line each, and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from scheduler.domain.errors import OperatorError
from scheduler.simulator.connection import Exchange
from scheduler.simulator.reasons import Answer


class RequestRecord(msgspec.Struct, frozen=True, gc=False):
    """One line of the log: what was asked, as it was sent, and what was answered.

    `bytes` is the size of the payload; `payload` its text, only where the simulator was told to keep it. `faults` and
    `lint` are there only if there were any; `broadcast` (method and path) and `channel` only where channels are
    concerned.
    """

    at: str
    apns_id: str
    token: str | None
    topic: str | None
    push_type: str | None
    priority: int | str | None
    expiration: int | str | None
    collapse_id: str | None
    status: int
    reason: str | None
    bytes: int
    connection: int
    stream: int
    broadcast: str | msgspec.UnsetType = msgspec.UNSET
    channel: str | msgspec.UnsetType = msgspec.UNSET
    payload: str | msgspec.UnsetType = msgspec.UNSET
    faults: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    lint: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


def record_of(
    exchange: Exchange, *, at: str, connection: int, keep_payload: bool, lint: tuple[str, ...] = ()
) -> RequestRecord:
    """The record of a request that was processed; `at` is the instant in ISO 8601."""
    request, answer = exchange.request, exchange.answer
    fields = request.fields
    return RequestRecord(
        at=at,
        apns_id=exchange.apns_id,
        token=request.device_token,
        topic=_text(fields.get(b"apns-topic")),
        push_type=_text(fields.get(b"apns-push-type")),
        priority=_number(fields.get(b"apns-priority")),
        expiration=_number(fields.get(b"apns-expiration")),
        collapse_id=_text(fields.get(b"apns-collapse-id")),
        status=answer.status,
        reason=answer.reason,
        bytes=request.size,
        connection=connection,
        stream=exchange.stream,
        broadcast=request.broadcast or msgspec.UNSET,
        channel=_channel(exchange),
        payload=request.payload.decode("utf-8", "replace") if keep_payload else msgspec.UNSET,
        faults=exchange.faults or msgspec.UNSET,
        lint=lint or msgspec.UNSET,
    )


def _channel(exchange: Exchange) -> str | msgspec.UnsetType:
    """The channel that was asked for, or that was created."""
    if exchange.request.broadcast is None:
        return msgspec.UNSET
    return exchange.answer.channel_id or _text(exchange.request.fields.get(b"apns-channel-id")) or msgspec.UNSET


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _number(value: bytes | None) -> int | str | None:
    """A number where it is one of a plain size, else the text as it came."""
    if value is None:
        return None
    return int(value) if value.isdigit() and len(value) <= 18 else _text(value)


@dataclass(slots=True)
class Statistics:
    """Counts of a simulator or a sink, as they grow. `first` and `last` are the instants of requests."""

    requests: int = 0
    accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused_streams: int = 0
    """Streams over the announced limit, or refused by a fault: reset with REFUSED_STREAM, not counted as requests and
    not logged."""
    connections: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def count(self, answer: Answer) -> None:
        """One request was answered."""
        self.requests += 1
        if answer.reason is None:
            self.accepted += 1
        else:
            self.reasons[answer.reason] += 1

    def seen(self, now: datetime) -> None:
        """Requests came in at this instant."""
        self.first = self.first or now
        self.last = now


class RequestLog:
    """An NDJSON file that grows by a line per request. It is flushed before the answers leave: who has an answer
    finds its line in the file."""

    def __init__(self, path: Path) -> None:
        """Opens the file and empties it. OperatorError if that cannot be."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        except OSError as error:
            raise OperatorError(
                f"the request log cannot be written: {error.strerror}", where=str(path), hint="give another path"
            ) from error
        self._encoder = msgspec.json.Encoder()

    def write(self, records: list[RequestRecord]) -> None:
        """Append records, and flush."""
        self._file.write(self._encoder.encode_lines(records))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
