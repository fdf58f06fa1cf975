"""One table: what a reason of APNs makes us do (Apple, "Handling notification responses from APNs").

Where Apple names no reaction, the comment says where ours comes from. A reason that is not in the table is kept
as text and decided by the group of its status.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    RETIRE_IF_PROVED = "retire_if_proved"
    """The same, if others have shown that the environment is right: in the wrong one a good token is refused too."""


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
    advice: str = ""
    """What someone has to put right; empty where nobody has to. Said once a run, and where its outcomes are shown."""


_ACCEPT: Final = Disposition(request=RequestAction.ACCEPT)
_REJECT: Final = Disposition(request=RequestAction.REJECT)
_RETIRE: Final = Disposition(request=RequestAction.REJECT, device=DeviceAction.RETIRE)
_RETRY: Final = Disposition(request=RequestAction.RETRY)
_RETRY_LATER: Final = Disposition(request=RequestAction.RETRY, doubts_token=True)
_NEW_LINK: Final = Disposition(request=RequestAction.RESEND, link=LinkAction.REPLACE, doubts_token=True)
_NEW_TOKEN: Final = Disposition(request=RequestAction.RESEND, link=LinkAction.ROTATE, doubts_token=True)
_STOP: Final = Disposition(request=RequestAction.HOLD, link=LinkAction.REPLACE, app=AppAction.STOP, doubts_token=True)


def _fix(advice: str, wanted: Disposition = _REJECT) -> Disposition:
    return replace(wanted, advice=advice)


_OURS: Final = _fix("Clarion should never send this: please report it, with the log")

TABLE: Final[dict[tuple[int, str], Disposition]] = {
    (400, "BadCollapseId"): _fix("shorten `delivery.collapse` to 64 bytes"),
    (400, "BadDeviceToken"): _fix(
        "is it a token of the other environment? `apps.NAME.environment` in clarion.yaml says which one is sent to",
        replace(_REJECT, device=DeviceAction.RETIRE_IF_PROVED),
    ),
    (400, "BadExpirationDate"): _OURS,
    (400, "BadMessageId"): _OURS,
    (400, "BadPriority"): _fix("give the rule a `delivery.priority` that Apple takes for its type"),
    (400, "BadTopic"): _fix("`apps.NAME.bundle_id` in clarion.yaml is no bundle id that Apple knows"),
    (400, "DeviceTokenNotForTopic"): _fix("the token belongs to another app: register it under that one"),
    (400, "DuplicateHeaders"): _OURS,
    (400, "IdleTimeout"): _NEW_LINK,  # Apple names no reaction; the link is at its end, the request is not
    (400, "InvalidPushType"): _fix("give the rule a `delivery.type` that fits its payload"),
    (400, "MissingDeviceToken"): _OURS,
    (400, "MissingTopic"): _OURS,
    (400, "PayloadEmpty"): _OURS,
    (400, "TopicDisallowed"): _fix("the key or certificate of the app is not allowed to send to its bundle id"),
    (403, "BadCertificate"): _fix("Apple does not take the certificate in `auth.certificate_file`", _STOP),
    (403, "BadCertificateEnvironment"): _fix("the certificate is for the other environment", _STOP),
    (403, "BadEnvironmentKeyIdInToken"): _fix("the key is for the other environment", _STOP),
    (403, "ExpiredProviderToken"): _NEW_TOKEN,  # pushy found that such a connection does not recover
    (403, "Forbidden"): _fix("Apple forbids this: look at the key's and the app's rights at developer.apple.com"),
    (403, "InvalidProviderToken"): _fix("`key_id`, `team_id` and `key_file` do not belong together", _STOP),
    (403, "MissingProviderToken"): _fix("the app has no credentials for Apple: look at its `auth`", _STOP),
    (403, "UnrelatedKeyIdInToken"): _NEW_LINK,  # a connection is bound to the keys of its first request
    (404, "BadPath"): _OURS,
    (405, "MethodNotAllowed"): _OURS,
    (410, "ExpiredToken"): _RETIRE,
    (410, "Unregistered"): _RETIRE,
    (413, "PayloadTooLarge"): _fix("shorten the texts of the template: Apple takes 4,096 bytes, VoIP 5,120"),
    (429, "TooManyProviderTokenUpdates"): _NEW_LINK,  # keep the token: another one would make it worse
    (429, "TooManyRequests"): _RETRY,  # of one device: the link and the others go on
    (500, "InternalServerError"): _RETRY_LATER,
    (503, "ServiceUnavailable"): _RETRY_LATER,
    (503, "Shutdown"): _NEW_LINK,  # the server leaves, not the service: a new link is usual
}
_ADVICE: Final = {reason: wanted.advice for (_, reason), wanted in TABLE.items() if wanted.advice}


def advice(reason: str) -> str | None:
    """What someone has to put right so that a reason does not come again; None where nobody has to."""
    return _ADVICE.get(reason)


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
