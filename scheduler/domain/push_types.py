"""Apple's push types, and what is tied to each: topic, priorities, sizes.

Source: Apple, "Sending notification requests to APNs", and for Live Activities "Starting and updating Live Activities
with ActivityKit push notifications".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PushType(StrEnum):
    """`apns-push-type`."""

    ALERT = "alert"
    BACKGROUND = "background"
    LIVE_ACTIVITY = "liveactivity"
    VOIP = "voip"
    COMPLICATION = "complication"
    FILE_PROVIDER = "fileprovider"
    MDM = "mdm"
    LOCATION = "location"
    PUSH_TO_TALK = "pushtotalk"
    WIDGETS = "widgets"
    CONTROLS = "controls"

    @property
    def topic_suffix(self) -> str:
        """What follows the bundle id in `apns-topic`. (An MDM topic is the UID of the push certificate, and whole.)"""
        return _SUFFIXES.get(self, "")

    @property
    def priorities(self) -> tuple[int, ...]:
        """What `apns-priority` may be, the default first: 10 is now, 5 with regard to power, 1 power first.

        Apple counts 10 as an error of a background push, and names 5 and 10 for Live Activities. That file provider
        pushes say 5 is custom.
        """
        return _PRIORITIES.get(self, (10, 5, 1))

    @property
    def payload_limit(self) -> int:
        """Bytes."""
        return 5120 if self is PushType.VOIP else 4096


_SUFFIXES: Final = {
    PushType.LIVE_ACTIVITY: ".push-type.liveactivity",
    PushType.VOIP: ".voip",
    PushType.COMPLICATION: ".complication",
    PushType.FILE_PROVIDER: ".pushkit.fileprovider",
    PushType.LOCATION: ".location-query",
    PushType.PUSH_TO_TALK: ".voip-ptt",
    PushType.WIDGETS: ".push-type.widgets",
    PushType.CONTROLS: ".push-type.controls",
}
_PRIORITIES: Final = {
    PushType.BACKGROUND: (5, 1),
    PushType.LIVE_ACTIVITY: (10, 5),
    PushType.FILE_PROVIDER: (5, 10, 1),
}
