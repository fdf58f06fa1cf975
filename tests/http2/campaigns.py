"""Campaigns whose requests differ in topic, priority and names, and what a server has to understand of them."""

from __future__ import annotations

from http2_peer import AUTHORITY, Message

from scheduler.http2.header_encoder import BlockShape, SharedField

TABLE_SIZES = (0, 64, 200, 700, 1500, 4096, 65536)
CAMPAIGNS = 48
NAMES = ((b"apns-id",), (b"apns-id", b"apns-expiration"), (b"apns-id", b"apns-expiration", b"apns-collapse-id"), ())


class Campaigns:
    """Header sets that differ in topic and priority; a new token makes new shapes of all."""

    def __init__(self) -> None:
        self._token = 0
        self._shapes: dict[tuple[int, int], BlockShape] = {}

    def refresh_token(self) -> None:
        self._token += 1
        self._shapes.clear()

    def shape(self, campaign: int, names: int) -> BlockShape:
        key = campaign, names
        if key not in self._shapes:
            fields = (
                SharedField(b"authorization", b"bearer %d." % self._token + b"%x" * 60, indexed=campaign % 7 != 0),
                SharedField(b"apns-topic", b"com.example.%d" % campaign + b"x" * (campaign % 40)),
                SharedField(b"apns-push-type", b"alert" if campaign % 2 else b"background"),
                SharedField(b"apns-priority", b"%d" % (campaign % 11)),
            )
            self._shapes[key] = BlockShape(AUTHORITY, fields, NAMES[names])
        return self._shapes[key]


def meant(shape: BlockShape, message: Message) -> list[tuple[bytes, bytes]]:
    pseudo = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (shape.authority.name, shape.authority.value),
        (b":path", message.path),
    ]
    shared = [(each.name, each.value) for each in shape.fields]
    return [*pseudo, *shared, *zip(shape.names, message.values, strict=True)]
