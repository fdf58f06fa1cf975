"""One table: what a reason of APNs makes us do (Apple, "Handling notification responses from APNs").

Where Apple names no reaction, the comment says where ours comes from. A reason that is not in the table is kept
as text and decided by the group of its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from scheduler.apns.results import Answer
from scheduler.delivery.retry_times import device_pause, server_error_pause


class RequestAction(StrEnum):
    """What happens to the request that was answered."""

    ACCEPT = "accept"
    REJECT = "reject"
    """Final: sending it again would end the same way."""
    RETRY = "retry"
    """Again after a while, on another link: `retry_after`."""
    RESEND = "resend"
    """Again at once, on another link."""
    HOLD = "hold"
    """Again when an operator has put the app's credentials right."""


class DeviceAction(StrEnum):
    """What happens to the device."""

    KEEP = "keep"
    RETIRE = "retire"
    """The token is dead, unless it was registered again after the answer's timestamp."""


class LinkAction(StrEnum):
    """What happens to the link that brought the answer."""

    KEEP = "keep"
    REPLACE = "replace"
    ROTATE = "rotate"
    """Take a new provider token and replace the link."""


class AppAction(StrEnum):
    """What happens to the app."""

    GO_ON = "go_on"
    STOP = "stop"
    """Nothing of this app can be sent: stop and raise an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposition:
    """What a provider's reason makes us do."""

    request: RequestAction
    device: DeviceAction = DeviceAction.KEEP
    link: LinkAction = LinkAction.KEEP
    app: AppAction = AppAction.GO_ON
    doubts_token: bool = False
    """The answer does not show that the provider token is good, so the link stays at one stream."""


_ACCEPT: Final = Disposition(request=RequestAction.ACCEPT)
_REJECT: Final = Disposition(request=RequestAction.REJECT)
_RETIRE: Final = Disposition(request=RequestAction.REJECT, device=DeviceAction.RETIRE)
_RETRY: Final = Disposition(request=RequestAction.RETRY)
_RETRY_LATER: Final = Disposition(request=RequestAction.RETRY, doubts_token=True)
_NEW_LINK: Final = Disposition(request=RequestAction.RESEND, link=LinkAction.REPLACE, doubts_token=True)
_NEW_TOKEN: Final = Disposition(request=RequestAction.RESEND, link=LinkAction.ROTATE, doubts_token=True)
_STOP: Final = Disposition(request=RequestAction.HOLD, link=LinkAction.REPLACE, app=AppAction.STOP, doubts_token=True)

TABLE: Final[dict[tuple[int, str], Disposition]] = {
    (400, "BadCollapseId"): _REJECT,
    (400, "BadDeviceToken"): _REJECT,  # also said of a good token in the wrong environment: not retired for it
    (400, "BadExpirationDate"): _REJECT,
    (400, "BadMessageId"): _REJECT,
    (400, "BadPriority"): _REJECT,
    (400, "BadTopic"): _REJECT,
    (400, "DeviceTokenNotForTopic"): _REJECT,
    (400, "DuplicateHeaders"): _REJECT,
    (400, "IdleTimeout"): _NEW_LINK,  # Apple names no reaction; the link is at its end, the request is not
    (400, "InvalidPushType"): _REJECT,
    (400, "MissingDeviceToken"): _REJECT,
    (400, "MissingTopic"): _REJECT,
    (400, "PayloadEmpty"): _REJECT,
    (400, "TopicDisallowed"): _REJECT,
    (403, "BadCertificate"): _STOP,
    (403, "BadCertificateEnvironment"): _STOP,
    (403, "BadEnvironmentKeyIdInToken"): _STOP,
    (403, "ExpiredProviderToken"): _NEW_TOKEN,  # pushy found that such a connection does not recover
    (403, "Forbidden"): _REJECT,
    (403, "InvalidProviderToken"): _STOP,
    (403, "MissingProviderToken"): _STOP,
    (403, "UnrelatedKeyIdInToken"): _NEW_LINK,  # a connection is bound to the keys of its first request
    (404, "BadPath"): _REJECT,
    (405, "MethodNotAllowed"): _REJECT,
    (410, "ExpiredToken"): _RETIRE,
    (410, "Unregistered"): _RETIRE,
    (413, "PayloadTooLarge"): _REJECT,
    (429, "TooManyProviderTokenUpdates"): _NEW_LINK,  # keep the token: another one would make it worse
    (429, "TooManyRequests"): _RETRY,  # of one device: the link and the others go on
    (500, "InternalServerError"): _RETRY_LATER,
    (503, "ServiceUnavailable"): _RETRY_LATER,
    (503, "Shutdown"): _NEW_LINK,  # the server leaves, not the service: a new link is usual
}


def disposition(answer: Answer) -> Disposition:
    """What an answer makes us do.

    >>> disposition(Answer(410, "Unregistered")).device
    <DeviceAction.RETIRE: 'retire'>
    """
    known = TABLE.get((answer.status, answer.reason or ""))
    if known is not None:
        return known
    match answer.status:
        case 200:
            return _ACCEPT
        case 410:
            return _RETIRE
        case 429:
            return _RETRY
        case status if status >= 500:
            return _RETRY_LATER
        case _:
            return _REJECT


def retry_after(answer: Answer, remaining_life: timedelta | None, jitter: float) -> timedelta | None:
    """How long to wait before this request may go again; None if it must not, or would be too late.

    `remaining_life` runs to the expiration (None: it has none), `jitter` is in [0, 1).
    """
    match disposition(answer).request:
        case RequestAction.RESEND:
            return timedelta(0) if remaining_life is None or remaining_life > timedelta(0) else None
        case RequestAction.RETRY if answer.status == 429:
            return device_pause(remaining_life, jitter)
        case RequestAction.RETRY:
            return server_error_pause(remaining_life, jitter)
        case RequestAction.ACCEPT | RequestAction.REJECT | RequestAction.HOLD:
            return None
