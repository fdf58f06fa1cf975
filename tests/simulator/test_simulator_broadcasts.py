"""Channels and broadcasts: each operation's answer, each reason, and one campaign's life over real TLS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import APNS_ID, DEVICE, KEY, NOW, TOPIC, provider_token, request_headers

from scheduler.simulator.broadcasts import CHANNEL_LIMIT, Channels, StoragePolicy, judge_broadcast
from scheduler.simulator.checks import Credentials, Request
from scheduler.simulator.client_certificates import ClientCertificate
from scheduler.simulator.faults import AnswerWith, Fault, Script
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenKey, TokenReader
from scheduler.simulator.reasons import Answer

CHANNELS, ALL_CHANNELS, BROADCASTS = (
    f"/1/apps/{TOPIC}/channels",
    f"/1/apps/{TOPIC}/all-channels",
    f"/4/broadcasts/apps/{TOPIC}",
)
WANTED = b'{"message-storage-policy":0,"push-type":"LiveActivity"}'
UPDATE = b'{"aps":{"event":"update"}}'
UNKNOWN = "dHN0LXNyY2gtY2hubA=="

Changes = dict[str, Any]


def headers(method: str, path: str, **changes: str | None) -> list[tuple[str, str]]:
    """The headers of a request about channels: none of those that a push to a device has, but `changes`."""
    bare = dict.fromkeys(("apns_topic", "apns_push_type", "apns_priority", "apns_id"))
    return request_headers(**{**bare, "method": method, "path": path, **changes})


def sending(channel: str | None, **changes: str | None) -> Changes:
    """The headers of a broadcast that is in order, but for `changes`."""
    usual = {"apns_push_type": "liveactivity", "apns_priority": "10", "apns_expiration": "0"}
    return {"apns_channel_id": channel, **usual, **changes}


def asked(
    channels: Channels, method: str, path: str, body: bytes = b"", *, by: Credentials | None = None, **changes: Any
) -> Answer:
    request = Request((name.encode(), value.encode()) for name, value in headers(method, path, **changes))
    request.extend(body)
    return judge_broadcast(channels, request, by or ConnectionTokens(TokenReader({})), NOW.timestamp())


def shop(policy: StoragePolicy = StoragePolicy.NOTHING) -> tuple[Channels, str]:
    """The channels of an app that has one, and its id."""
    channels = Channels()
    channel = channels.create(TOPIC, policy)
    assert channel is not None
    return channels, channel


_, CHANNEL = shop()

REFUSED: list[tuple[str, str, Changes, bytes, int, str]] = [
    ("GET", "/1/apps/", {}, b"", 404, "BadPath"),
    ("GET", f"{CHANNELS}/{CHANNEL}", {}, b"", 404, "BadPath"),
    ("POST", "/4/broadcasts/apps/", {}, UPDATE, 404, "BadPath"),
    ("PUT", CHANNELS, {}, WANTED, 405, "MethodNotAllowed"),
    ("POST", ALL_CHANNELS, {}, b"", 405, "MethodNotAllowed"),
    ("GET", BROADCASTS, {}, b"", 405, "MethodNotAllowed"),
    ("GET", ALL_CHANNELS, {"authorization": None}, b"", 403, "MissingProviderToken"),
    ("GET", ALL_CHANNELS, {"authorization": "bearer nonsense"}, b"", 403, "InvalidProviderToken"),
    ("GET", ALL_CHANNELS, {"authorization": f"bearer {provider_token(age=3601)}"}, b"", 403, "ExpiredProviderToken"),
    ("POST", f"{BROADCASTS}.push-type.liveactivity", sending(CHANNEL), UPDATE, 400, "TopicDisallowed"),
    ("GET", ALL_CHANNELS, {"apns_request_id": APNS_ID.upper()}, b"", 400, "BadMessageId"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_id="17"), UPDATE, 400, "BadMessageId"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_push_type=None), UPDATE, 400, "MissingPushType"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_push_type="alert"), UPDATE, 400, "InvalidPushType"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_priority=None), UPDATE, 400, "BadPriority"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_priority="7"), UPDATE, 400, "BadPriority"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_expiration=None), UPDATE, 400, "BadExpirationDate"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_expiration="soon"), UPDATE, 400, "BadExpirationDate"),
    ("POST", BROADCASTS, sending(CHANNEL, apns_expiration="1767225600"), UPDATE, 400, "BadExpirationDate"),
    ("POST", BROADCASTS, sending(None), UPDATE, 400, "MissingChannelId"),
    ("POST", BROADCASTS, sending("no base64!"), UPDATE, 400, "BadChannelId"),
    ("POST", BROADCASTS, sending("A" * 260), UPDATE, 400, "BadChannelId"),
    ("POST", BROADCASTS, sending(UNKNOWN), UPDATE, 400, "ChannelNotRegistered"),
    ("POST", BROADCASTS, sending(CHANNEL), b"", 400, "PayloadEmpty"),
    ("POST", BROADCASTS, sending(CHANNEL), b" " * 5121, 413, "PayloadTooLarge"),
    ("POST", BROADCASTS, sending(CHANNEL), b"{", 400, "BadRequestPayload"),
    ("GET", CHANNELS, {}, b"", 400, "MissingChannelId"),
    ("DELETE", CHANNELS, {"apns_channel_id": "="}, b"", 400, "BadChannelId"),
    ("DELETE", CHANNELS, {"apns_channel_id": UNKNOWN}, b"", 400, "ChannelNotRegistered"),
    ("GET", "/1/apps/com.example.other/channels", {"apns_channel_id": CHANNEL}, b"", 400, "ChannelNotRegistered"),
    ("POST", CHANNELS, {}, b"", 400, "PayloadEmpty"),
    ("POST", CHANNELS, {}, b"[]", 400, "BadRequestPayload"),
    ("POST", CHANNELS, {}, b'{"message-storage-policy":0,"push-type":"LiveActivity","x":1}', 400, "BadRequestParams"),
    ("POST", CHANNELS, {}, b'{"message-storage-policy":0}', 400, "MissingPushType"),
    ("POST", CHANNELS, {}, b'{"message-storage-policy":0,"push-type":"alert"}', 400, "InvalidPushType"),
    ("POST", CHANNELS, {}, b'{"push-type":"LiveActivity"}', 400, "BadRequestParams"),
    ("POST", CHANNELS, {}, b'{"message-storage-policy":2,"push-type":"LiveActivity"}', 400, "BadRequestParams"),
    ("POST", CHANNELS, {}, b'{"message-storage-policy":true,"push-type":"LiveActivity"}', 400, "BadRequestParams"),
]


@pytest.mark.parametrize(("method", "path", "changes", "body", "status", "reason"), REFUSED)
def test_a_defect_gets_apples_status_and_reason_and_changes_nothing(
    method: str, path: str, changes: Changes, body: bytes, status: int, reason: str
) -> None:
    channels, channel = shop()
    answer = asked(channels, method, path, body, **changes)
    assert (answer.status, json.loads(answer.body())) == (status, {"reason": reason})
    assert channels.ids(TOPIC) == [channel]


@pytest.mark.parametrize(
    ("policy", "changes", "body"),
    [
        (0, {}, UPDATE),
        (0, {}, UPDATE.ljust(5120)),
        (0, {"apns_push_type": "LiveActivity", "apns_priority": "5", "apns_topic": "nonsense/"}, UPDATE),
        (1, {"apns_priority": "1", "apns_expiration": "1767225600"}, UPDATE),
    ],
)
def test_a_broadcast_in_order_is_accepted(policy: int, changes: Changes, body: bytes) -> None:
    channels, channel = shop(StoragePolicy(policy))
    answer = asked(channels, "POST", BROADCASTS, body, **sending(channel, **changes))
    assert (answer.status, answer.body()) == (200, b"")


@given(st.lists(st.tuples(st.sampled_from(("create", "delete")), st.sampled_from(("com.a", "com.b")), st.booleans())))
def test_the_list_is_what_was_created_and_not_deleted_and_no_id_comes_twice(steps: list[tuple[str, str, bool]]) -> None:
    channels = Channels()
    alive: dict[str, list[str]] = {"com.a": [], "com.b": []}
    given_out: list[str] = []
    for step, app, stored in steps:
        path = f"/1/apps/{app}/channels"
        if step == "create":
            body = json.dumps({"message-storage-policy": int(stored), "push-type": "liveActivity"}).encode()
            answer = asked(channels, "POST", path, body)
            assert (answer.status, answer.body()) == (201, b"")
            assert answer.channel_id is not None
            alive[app].append(answer.channel_id)
            given_out.append(answer.channel_id)
            read = asked(channels, "GET", path, apns_channel_id=answer.channel_id)
            assert json.loads(read.body()) == {"message-storage-policy": int(stored), "push-type": "LiveActivity"}
        elif alive[app]:
            answer = asked(channels, "DELETE", path, apns_channel_id=alive[app].pop(0))
            assert (answer.status, answer.body()) == (204, b"")
    for app, ids in alive.items():
        assert json.loads(asked(channels, "GET", f"/1/apps/{app}/all-channels").body()) == {"channels": ids}
    assert len(set(given_out)) == len(given_out)


def test_an_app_has_ten_thousand_channels_and_another_one_when_one_is_deleted() -> None:
    channels = Channels()
    ids = [channels.create(TOPIC, StoragePolicy.NOTHING) for _ in range(CHANNEL_LIMIT)]
    assert len(set(ids)) == 10_000
    assert asked(channels, "POST", CHANNELS, WANTED).reason == "CannotCreateChannelConfig"
    assert asked(channels, "POST", "/1/apps/com.example.other/channels", WANTED).status == 201
    asked(channels, "DELETE", CHANNELS, apns_channel_id=ids[0])
    assert asked(channels, "POST", CHANNELS, WANTED).status == 201


def test_a_repeated_header_is_refused() -> None:
    channels, channel = shop()
    given = headers("POST", BROADCASTS, **sending(channel))
    request = Request((name.encode(), value.encode()) for name, value in [*given, ("apns-priority", "10")])
    request.extend(UPDATE)
    answer = judge_broadcast(channels, request, ConnectionTokens(TokenReader({})), NOW.timestamp())
    assert answer.reason == "DuplicateHeaders"


def test_credentials_are_for_their_apps_alone() -> None:
    channels = Channels()
    key = TokenKey("TEAM123456", KEY.public_key(), topics=frozenset({TOPIC}))
    certificate = ClientCertificate(frozenset(), TOPIC.encode(), frozenset())
    for credentials in (ConnectionTokens(TokenReader({"KEY1234567": key})), certificate):
        assert asked(channels, "GET", ALL_CHANNELS, by=credentials).status == 200
        answer = asked(channels, "GET", "/1/apps/com.example.other/all-channels", by=credentials)
        assert (answer.status, answer.reason) == (403, "TopicMismatch")
    assert asked(channels, "GET", ALL_CHANNELS, by=certificate, authorization=None).status == 200


async def test_a_channel_lives_over_all_connections_and_in_the_log(start: Any) -> None:
    simulator = await start(lint=True)
    async with simulator.connect() as client, simulator.connect() as other:
        created = await client.ask(headers("POST", CHANNELS, apns_request_id=APNS_ID), WANTED)
        channel = created.headers["apns-channel-id"]
        assert (created.status, created.headers["apns-request-id"], channel) == (201, APNS_ID, CHANNEL)
        sent = await other.ask(headers("POST", BROADCASTS, **sending(channel)), UPDATE)
        assert (sent.status, sent.body, len(sent.headers["apns-request-id"])) == (200, b"", 36)
        listed = await client.ask(headers("GET", ALL_CHANNELS), b"")
        assert (listed.json, listed.headers["content-type"]) == ({"channels": [channel]}, "application/json")
        deleted = await client.ask(headers("DELETE", CHANNELS, apns_channel_id=channel), b"")
        assert (deleted.status, deleted.body) == (204, b"")
        refused = await other.ask(headers("POST", BROADCASTS, **sending(channel)), UPDATE)
        assert (refused.status, refused.reason) == (400, "ChannelNotRegistered")
        pushed = await client.ask()
    assert not any("apns-id" in answer.headers for answer in (created, sent, listed, deleted, refused))
    assert pushed.headers["apns-id"] == APNS_ID
    assert ["lint" in line for line in simulator.log()] == [False] * 5 + [True]
    lines = [(line.get("broadcast"), line.get("channel"), line["token"], line["status"]) for line in simulator.log()]
    assert lines == [
        (f"POST {CHANNELS}", channel, None, 201),
        (f"POST {BROADCASTS}", channel, None, 200),
        (f"GET {ALL_CHANNELS}", None, None, 200),
        (f"DELETE {CHANNELS}", channel, None, 204),
        (f"POST {BROADCASTS}", channel, None, 400),
        (None, None, DEVICE, 200),
    ]


async def test_a_fault_answers_a_broadcast_too(start: Any) -> None:
    simulator = await start(faults=Script((Fault(request=1, action=AnswerWith(reason="Shutdown")),)))
    async with simulator.connect() as client:
        answer = await client.ask(headers("GET", ALL_CHANNELS, apns_request_id=APNS_ID), b"")
    assert (answer.status, answer.reason, answer.headers["apns-request-id"]) == (503, "Shutdown", APNS_ID)
