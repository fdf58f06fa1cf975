"""Defects of payloads are named; nothing is refused for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator_client import TOPIC, request_headers

from scheduler.simulator.checks import Request
from scheduler.simulator.lint import defects_of

LIVE = {"timestamp": 1767225600, "event": "update", "content-state": {}}
START = {**LIVE, "event": "start", "attributes-type": "Match", "attributes": {}, "alert": {"title": "Kick-off"}}

CASES: list[tuple[str, Any, list[str]]] = [
    ("alert", {"alert": "hello"}, []),
    ("alert", {"alert": {"title": "hello"}, "badge": 1, "sound": "default", "mutable-content": 1}, []),
    ("alert", {}, ["`alert` without alert, badge or sound: nothing is shown"]),
    ("alert", {"alert": 3}, ["`alert` is neither a text nor an object"]),
    ("alert", {"badge": "1"}, ["`badge` is not a number"]),
    ("alert", {"badge": True}, ["`badge` is not a number"]),
    ("alert", {"sound": 1}, ["`sound` is neither a text nor an object"]),
    ("alert", {"alert": "x", "thread-id": 1}, ["`thread-id` is not a text"]),
    ("alert", {"alert": "x", "interruption-level": "loud"},
     ["`interruption-level` is none of passive, active, time-sensitive, critical"]),
    ("alert", {"alert": "x", "relevance-score": 2}, ["`relevance-score` is not a number from 0 to 1"]),
    ("alert", {"badge": 1, "mutable-content": 1}, ["`mutable-content` without an alert: the extension is not called"]),
    ("background", {"content-available": 1}, []),
    ("background", {}, ["`background` without `content-available: 1`: the app is not woken"]),
    ("background", {"content-available": 1, "sound": "x"}, ["`background` with alert, badge or sound"]),
    ("liveactivity", LIVE, []),
    ("liveactivity", {**LIVE, "relevance-score": 75}, []),
    ("liveactivity", {**LIVE, "event": "end", "dismissal-date": 1767225700}, []),
    ("liveactivity", START, []),
    ("liveactivity", {"content-state": {}},
     ["Live Activity: `event` is none of start, update, end", "Live Activity: `timestamp` (seconds) is missing"]),
    ("liveactivity", {**LIVE, "timestamp": 1767225600000}, ["Live Activity: `timestamp` is in milliseconds"]),
    ("liveactivity", {**LIVE, "content-state": []}, ["Live Activity: `content-state` is missing"]),
    ("liveactivity", {**LIVE, "event": "start"},
     [f"Live Activity: start without `{name}`" for name in ("attributes-type", "attributes", "alert")]),
    ("liveactivity", {**START, "event": "update"}, ["Live Activity: `attributes` belong to start alone"]),
    ("liveactivity", {**LIVE, "dismissal-date": 1}, ["Live Activity: `dismissal-date` belongs to end alone"]),
]  # fmt: skip


def defects(push_type: str, payload: bytes) -> list[str]:
    request = Request([(b"apns-push-type", push_type.encode())])
    request.extend(payload)
    return list(defects_of(request))


@pytest.mark.parametrize(("push_type", "aps", "expected"), CASES)
def test_each_defect_is_named(push_type: str, aps: Any, expected: list[str]) -> None:
    assert defects(push_type, json.dumps({"aps": aps}).encode()) == expected


@pytest.mark.parametrize(
    ("push_type", "payload", "expected"),
    [
        ("alert", b"", ["not JSON"]),
        ("alert", b"\xff", ["not JSON"]),
        ("alert", b"[1]", ["not a JSON object"]),
        ("alert", b"{}", ["`aps` is missing"]),
        ("alert", b'{"aps":1}', ["`aps` is not an object"]),
        ("mdm", b'{"mdm":"x"}', []),
    ],
)
def test_what_is_no_payload_at_all_is_named(push_type: str, payload: bytes, expected: list[str]) -> None:
    assert defects(push_type, payload) == expected


async def test_defects_are_in_the_log_and_the_verdict_and_the_request_is_accepted(start: Any) -> None:
    simulator = await start(lint=True)
    async with simulator.connect() as client:
        faulty = await client.ask(request_headers(apns_topic=TOPIC), b'{"aps":{"alert":3}}')
        sound = await client.ask(request_headers(apns_topic=TOPIC), b'{"aps":{"alert":"3"}}')
    assert (faulty.status, sound.status) == (200, 200)
    assert [line.get("lint") for line in simulator.log()] == [["`alert` is neither a text nor an object"], None]
    assert simulator.watch.verdict().lint == {"`alert` is neither a text nor an object": 1}
    assert "  payload: 1 x `alert` is neither a text nor an object" in str(simulator.watch.verdict())
