"""Apple's push types and reasons as tables for docs/rules.md and docs/apns.md, made from what is obeyed."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.apns.reasons import TABLE, AppAction, DeviceAction, Disposition, LinkAction, RequestAction
from scheduler.domain.push_types import PushType

_REQUEST = {
    RequestAction.ACCEPT: "accepted",
    RequestAction.REJECT: "rejected",
    RequestAction.RESEND: "sent again at once, on another link",
    RequestAction.HOLD: "held",
}
_DEVICE = {
    DeviceAction.RETIRE: "the device is retired, unless it was registered after the answer's timestamp",
    DeviceAction.RETIRE_IF_PROVED: "the device is retired, if the environment is proved",
}
_LINK = {
    LinkAction.REPLACE: "the link is replaced",
    LinkAction.ROTATE: "new provider token, the link is replaced",
}


def push_type_rows() -> Iterator[tuple[str, ...]]:
    """What is tied to each push type."""
    yield "type", "priority, the default first", "topic: the bundle id and", "bytes at most"
    for kind in PushType:
        suffix = f"`{kind.topic_suffix}`" if kind.topic_suffix else "nothing"
        yield f"`{kind}`", ", ".join(map(str, kind.priorities)), suffix, f"{kind.payload_limit:,}"


def reason_rows() -> Iterator[tuple[str, ...]]:
    """Each reason with what it makes us do."""
    yield "status", "reason", "the request is", "beyond the request", "to be put right"
    yield "200", "", "accepted", "", ""
    for (status, reason), wanted in TABLE.items():
        yield str(status), reason, _of_request(status, wanted), _beyond(wanted), wanted.advice


def _of_request(status: int, wanted: Disposition) -> str:
    if wanted.request is not RequestAction.RETRY:
        return _REQUEST[wanted.request]
    if status == 429:
        return "sent again after a minute or so; this device alone waits"
    return "sent again after 15 minutes, or half of the remaining life, at least 5 s"


def _beyond(wanted: Disposition) -> str:
    stops = "**the app is stopped**" if wanted.app is AppAction.STOP else None
    said = (stops, _LINK.get(wanted.link), _DEVICE.get(wanted.device))
    return ", ".join(text for text in said if text is not None)
