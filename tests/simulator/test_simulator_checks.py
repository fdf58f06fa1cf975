"""Each reason with its exact status and body, over real TLS; and the order in which requests are checked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import APNS_ID, DEVICE, NOW, TOPIC, provider_token, request_headers

from scheduler.simulator.checks import Request, World, judge
from scheduler.simulator.devices import Environment, parse_devices
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenReader

RETIRED, FOREIGN = "aa" * 32, "bb" * 32
DEVICES = [
    {"token": DEVICE, "topic": TOPIC},
    {"token": RETIRED, "topic": TOPIC, "state": "unregistered", "timestamp": 1767225600000},
    {"token": FOREIGN, "topic": "com.example.other"},
    {"token": "cc", "state": "unregistered"},
    {"token": "ce", "state": "expired", "timestamp": 1767225600001},
    {"token": "dd"},
    {"token": "ee", "environment": "production"},
]
BODY = b'{"aps":{"alert":"hello"}}'

REFUSED: list[tuple[dict[str, str | None], bytes, int, str]] = [
    ({"method": "GET"}, BODY, 405, "MethodNotAllowed"),
    ({"path": "/4/device/x"}, BODY, 404, "BadPath"),
    ({"path": "/3/device"}, BODY, 404, "BadPath"),
    ({"path": "/3/device/"}, BODY, 400, "MissingDeviceToken"),
    ({"authorization": None}, BODY, 403, "MissingProviderToken"),
    ({"authorization": "bearer "}, BODY, 403, "MissingProviderToken"),
    ({"authorization": "basic YTpi"}, BODY, 403, "MissingProviderToken"),
    ({"authorization": "bearer nonsense"}, BODY, 403, "InvalidProviderToken"),
    ({"authorization": "bearer a.b.c"}, BODY, 403, "InvalidProviderToken"),
    ({"authorization": f"bearer {provider_token(age=-3601)}"}, BODY, 403, "InvalidProviderToken"),
    ({"authorization": f"bearer {provider_token(age=3601)}"}, BODY, 403, "ExpiredProviderToken"),
    ({"apns_id": "17"}, BODY, 400, "BadMessageId"),
    ({"apns_id": APNS_ID.upper()}, BODY, 400, "BadMessageId"),
    ({"apns_topic": None}, BODY, 400, "MissingTopic"),
    ({"apns_topic": "com.example/shop"}, BODY, 400, "BadTopic"),
    ({"apns_push_type": "shout"}, BODY, 400, "InvalidPushType"),
    ({"apns_push_type": "voip"}, BODY, 400, "BadTopic"),
    ({"apns_topic": f"{TOPIC}.voip"}, BODY, 400, "BadTopic"),
    ({"apns_topic": f"{TOPIC}.voip", "apns_push_type": "liveactivity"}, BODY, 400, "BadTopic"),
    ({"apns_priority": "7"}, BODY, 400, "BadPriority"),
    ({"apns_priority": "high"}, BODY, 400, "BadPriority"),
    ({"apns_push_type": "background"}, BODY, 400, "BadPriority"),
    ({"apns_push_type": "background", "apns_priority": None}, BODY, 400, "BadPriority"),
    ({"apns_topic": f"{TOPIC}.push-type.liveactivity", "apns_push_type": "liveactivity", "apns_priority": "1"},
     BODY, 400, "BadPriority"),
    ({"apns_expiration": "tomorrow"}, BODY, 400, "BadExpirationDate"),
    ({"apns_expiration": "-1"}, BODY, 400, "BadExpirationDate"),
    ({"apns_collapse_id": "x" * 65}, BODY, 400, "BadCollapseId"),
    ({"apns_collapse_id": "ü" * 33}, BODY, 400, "BadCollapseId"),
    ({"path": "/3/device/not-hex"}, BODY, 400, "BadDeviceToken"),
    ({"path": "/3/device/abc"}, BODY, 400, "BadDeviceToken"),
    ({"path": f"/3/device/{'12' * 32}"}, BODY, 400, "BadDeviceToken"),
    ({"path": "/3/device/ee"}, BODY, 400, "BadDeviceToken"),
    ({"path": f"/3/device/{FOREIGN}"}, BODY, 400, "DeviceTokenNotForTopic"),
    ({}, b"", 400, "PayloadEmpty"),
    ({}, b"x" * 4097, 413, "PayloadTooLarge"),
]  # fmt: skip

ACCEPTED: list[tuple[dict[str, str | None], bytes]] = [
    ({}, BODY),
    ({}, b"x" * 4096),
    ({"path": f"/3/device/{DEVICE.upper()}"}, BODY),
    ({"apns_push_type": None, "apns_priority": None, "apns_id": None}, BODY),
    ({"apns_push_type": "background", "apns_priority": "5"}, BODY),
    ({"apns_priority": "1", "apns_expiration": "0", "apns_collapse_id": "x" * 64}, BODY),
    ({"apns_expiration": "1767225600"}, BODY),
    ({"authorization": f"Bearer {provider_token(age=3600)}"}, BODY),
    ({"apns_topic": "com.x.voip", "apns_push_type": "voip", "path": "/3/device/dd"}, b"x" * 5120),
    ({"apns_topic": "com.x.push-type.liveactivity", "apns_push_type": "liveactivity", "path": "/3/device/dd"}, BODY),
]


@pytest.mark.parametrize(("changes", "body", "status", "reason"), REFUSED)
async def test_a_defect_gets_apples_status_and_reason(
    start: Any, changes: dict[str, str | None], body: bytes, status: int, reason: str
) -> None:
    simulator = await start(devices=DEVICES, environment=Environment.SANDBOX)
    async with simulator.connect() as client:
        response = await client.ask(request_headers(**changes), body)
    assert (response.status, response.json) == (status, {"reason": reason})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("changes", "body"), ACCEPTED)
async def test_a_request_in_order_is_accepted_with_an_empty_body(
    start: Any, changes: dict[str, str | None], body: bytes
) -> None:
    simulator = await start(devices=DEVICES)
    async with simulator.connect() as client:
        response = await client.ask(request_headers(**changes), body)
    assert (response.status, response.body) == (200, b"")


async def test_unregistered_is_410_with_the_time_in_milliseconds(start: Any) -> None:
    simulator = await start(devices=DEVICES)
    async with simulator.connect() as client:
        known = await client.ask(request_headers(path=f"/3/device/{RETIRED}"))
        unknown_since = await client.ask(request_headers(path="/3/device/cc"))
        expired = await client.ask(request_headers(path="/3/device/ce"))
    assert (known.status, known.json) == (410, {"reason": "Unregistered", "timestamp": 1767225600000})
    assert (expired.status, expired.json) == (410, {"reason": "ExpiredToken", "timestamp": 1767225600001})
    assert unknown_since.json == {"reason": "Unregistered", "timestamp": int(NOW.timestamp()) * 1000}


async def test_a_repeated_header_is_refused(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        response = await client.ask([*request_headers(), ("apns-priority", "10")])
    assert (response.status, response.reason) == (400, "DuplicateHeaders")


async def test_without_a_device_file_every_well_formed_token_is_valid(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        assert (await client.ask(request_headers(path="/3/device/0123456789abcdef"))).status == 200
        assert (await client.ask(request_headers(path="/3/device/0123x"))).reason == "BadDeviceToken"


async def test_the_apns_id_is_echoed_or_made(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        echoed = await client.ask()
        made = await client.ask(request_headers(apns_id=None))
        replaced = await client.ask(request_headers(apns_id="17"))
    assert echoed.headers["apns-id"] == APNS_ID
    assert made.headers["apns-id"] != replaced.headers["apns-id"]
    assert [len(part) for part in replaced.headers["apns-id"].split("-")] == [8, 4, 4, 4, 12]


async def test_more_in_a_row_to_one_device_than_the_setting_are_too_many(start: Any) -> None:
    simulator = await start(in_a_row=2)
    one, other = (request_headers(path=f"/3/device/{token}") for token in ("aa", "bb"))
    async with simulator.connect() as client, simulator.connect() as second:
        answers = [await client.ask(one), await second.ask(one), await client.ask(one), await client.ask(other)]
        answers += [await client.ask(one), await client.ask(one), await client.ask(one)]
        simulator.clock.advance(60)
        answers.append(await client.ask(one))
    assert [answer.status for answer in answers] == [200, 200, 429, 200, 200, 200, 429, 200]
    assert answers[2].json == {"reason": "TooManyRequests"}


STAGES: list[tuple[dict[str, str | None], str]] = [
    ({"method": "PUT"}, "MethodNotAllowed"),
    ({"path": "/nowhere"}, "BadPath"),
    ({"authorization": None}, "MissingProviderToken"),
    ({"apns_id": "17"}, "BadMessageId"),
    ({"apns_topic": None}, "MissingTopic"),
    ({"apns_push_type": "shout"}, "InvalidPushType"),
    ({"apns_priority": "7"}, "BadPriority"),
    ({"apns_expiration": "soon"}, "BadExpirationDate"),
    ({"apns_collapse_id": "x" * 65}, "BadCollapseId"),
    ({"path": f"/3/device/{RETIRED}"}, "Unregistered"),
    ({"payload": ""}, "PayloadEmpty"),
]


@given(st.sets(st.integers(0, len(STAGES) - 1)))
def test_of_several_defects_the_first_in_order_answers(defects: set[int]) -> None:
    changes: dict[str, str | None] = {}
    for stage in sorted(defects, reverse=True):
        changes |= STAGES[stage][0]
    body = b"" if changes.pop("payload", "full") == "" else BODY
    request = Request([(name.encode(), value.encode()) for name, value in request_headers(**changes)])
    request.extend(body)
    lines = [f'{{"token": "{DEVICE}"}}'.encode(), f'{{"token": "{RETIRED}", "state": "unregistered"}}'.encode()]
    answer = judge(World(parse_devices(lines, "devices")), request, ConnectionTokens(TokenReader({})), NOW.timestamp())
    assert answer.reason == (STAGES[min(defects)][1] if defects else None)
