"""Apple's words for a refused request, and the bodies that carry them.

Sources: Apple, "Handling notification responses from APNs", table of `reason` values, and "Handling error responses
from Apple Push Notification service", its like for broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """What is wrong with a request. The value is Apple's own spelling; `status` is the HTTP status beside it."""

    BAD_CHANNEL_ID = "BadChannelId"
    BAD_COLLAPSE_ID = "BadCollapseId"
    BAD_DEVICE_TOKEN = "BadDeviceToken"
    BAD_EXPIRATION_DATE = "BadExpirationDate"
    BAD_MESSAGE_ID = "BadMessageId"
    BAD_PRIORITY = "BadPriority"
    BAD_REQUEST_PARAMS = "BadRequestParams"
    BAD_REQUEST_PAYLOAD = "BadRequestPayload"
    BAD_TOPIC = "BadTopic"
    BAD_CERTIFICATE = "BadCertificate"
    BAD_CERTIFICATE_ENVIRONMENT = "BadCertificateEnvironment"
    BAD_ENVIRONMENT_KEY_ID_IN_TOKEN = "BadEnvironmentKeyIdInToken"
    CANNOT_CREATE_CHANNEL_CONFIG = "CannotCreateChannelConfig"
    CHANNEL_NOT_REGISTERED = "ChannelNotRegistered"
    DEVICE_TOKEN_NOT_FOR_TOPIC = "DeviceTokenNotForTopic"
    DUPLICATE_HEADERS = "DuplicateHeaders"
    EXPIRED_TOKEN = "ExpiredToken"
    FORBIDDEN = "Forbidden"
    IDLE_TIMEOUT = "IdleTimeout"
    INTERNAL_SERVER_ERROR = "InternalServerError"
    INVALID_PUSH_TYPE = "InvalidPushType"
    MISSING_CHANNEL_ID = "MissingChannelId"
    MISSING_DEVICE_TOKEN = "MissingDeviceToken"
    MISSING_PUSH_TYPE = "MissingPushType"
    MISSING_TOPIC = "MissingTopic"
    PAYLOAD_EMPTY = "PayloadEmpty"
    EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"
    INVALID_PROVIDER_TOKEN = "InvalidProviderToken"
    MISSING_PROVIDER_TOKEN = "MissingProviderToken"
    BAD_PATH = "BadPath"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    UNREGISTERED = "Unregistered"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    SHUTDOWN = "Shutdown"
    TOPIC_DISALLOWED = "TopicDisallowed"
    TOPIC_MISMATCH = "TopicMismatch"
    UNRELATED_KEY_ID_IN_TOKEN = "UnrelatedKeyIdInToken"
    TOO_MANY_REQUESTS = "TooManyRequests"
    TOO_MANY_PROVIDER_TOKEN_UPDATES = "TooManyProviderTokenUpdates"

    @property
    def status(self) -> int:
        """The HTTP status that Apple sends with this reason."""
        return _STATUSES.get(self, 400)


_STATUSES = {
    Reason.BAD_CERTIFICATE: 403,
    Reason.BAD_CERTIFICATE_ENVIRONMENT: 403,
    Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN: 403,
    Reason.EXPIRED_PROVIDER_TOKEN: 403,
    Reason.FORBIDDEN: 403,
    Reason.INVALID_PROVIDER_TOKEN: 403,
    Reason.MISSING_PROVIDER_TOKEN: 403,
    Reason.TOPIC_MISMATCH: 403,
    Reason.UNRELATED_KEY_ID_IN_TOKEN: 403,
    Reason.BAD_PATH: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.EXPIRED_TOKEN: 410,
    Reason.UNREGISTERED: 410,
    Reason.PAYLOAD_TOO_LARGE: 413,
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: 429,
    Reason.TOO_MANY_REQUESTS: 429,
    Reason.INTERNAL_SERVER_ERROR: 500,
    Reason.SERVICE_UNAVAILABLE: 503,
    Reason.SHUTDOWN: 503,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the simulator says to one request: accepted if `reason` is None.

    `timestamp` goes with status 410 alone: milliseconds since 1970, when the token was found to be inactive.
    `given_status` is for answers that a fault makes up, where reason and status need not belong together, and for those
    that say yes with another status than 200. `content` (JSON) and `channel_id` answer what was asked about channels.
    """

    reason: str | None = None
    timestamp: int | None = None
    given_status: int | None = None
    content: bytes = b""
    channel_id: str | None = None

    @property
    def status(self) -> int:
        if self.given_status is not None:
            return self.given_status
        return 200 if self.reason is None else Reason(self.reason).status

    def body(self) -> bytes:
        """The JSON that Apple sends: `content` without a reason, else `{"reason": …}` and perhaps `timestamp`."""
        if self.reason is None:
            return self.content
        if self.timestamp is None:
            return msgspec.json.encode({"reason": self.reason})
        return msgspec.json.encode({"reason": self.reason, "timestamp": self.timestamp})


ACCEPTED = Answer()
