"""The log and the counts agree with what was asked and answered."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from simulator_client import APNS_ID, DEVICE, NOW, TOPIC, connect, request_headers

from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import OperatorError
from scheduler.simulator.listening import Listen
from scheduler.simulator.records import RequestLog
from scheduler.simulator.server import SimulatorConfig, serve

BODY = '{"aps":{"alert":"Grüße"}}'.encode()


async def test_a_line_says_what_was_asked_and_answered(start: Any) -> None:
    simulator = await start()
    headers = request_headers(apns_expiration="1767225600", apns_collapse_id="match-1", apns_priority="5")
    async with simulator.connect() as client:
        await client.ask(headers, BODY)
    assert simulator.log() == [
        {
            "at": "2026-03-01T12:00:00.000+00:00",
            "apns_id": APNS_ID,
            "token": DEVICE,
            "topic": TOPIC,
            "push_type": "alert",
            "priority": 5,
            "expiration": 1767225600,
            "collapse_id": "match-1",
            "status": 200,
            "reason": None,
            "bytes": 27,
            "connection": 1,
            "stream": 1,
        }
    ]


async def test_what_is_missing_or_odd_is_logged_as_it_came(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        response = await client.ask(
            request_headers(path="/elsewhere", apns_topic=None, apns_push_type=None, apns_priority="high", apns_id=None)
        )
    (line,) = simulator.log()
    assert (line["token"], line["topic"], line["push_type"], line["priority"]) == (None, None, None, "high")
    assert (line["status"], line["reason"], line["apns_id"]) == (404, "BadPath", response.headers["apns-id"])


async def test_payloads_are_logged_where_asked_for(start: Any) -> None:
    simulator = await start(log_payloads=True)
    async with simulator.connect() as client:
        await client.ask(body=BODY)
    assert simulator.log()[0]["payload"] == BODY.decode()


async def test_the_line_is_in_the_file_when_the_answer_is_there(start: Any) -> None:
    simulator = await start()
    async with simulator.connect() as client:
        for asked in range(1, 4):
            await client.ask()
            assert len(simulator.log()) == asked


async def test_lines_and_counts_match_the_requests_of_all_connections(start: Any) -> None:
    simulator = await start(devices=[{"token": "aa"}, {"token": "bb", "state": "unregistered"}])
    wanted = ["aa", "bb", "cc", "aa", "bb", "aa"]
    for _ in range(2):
        async with simulator.connect() as client:
            await client.ask(request_headers(path="/3/device/aa"))
            simulator.clock.advance(1)
            await client.ask_all([(request_headers(path=f"/3/device/{token}"), BODY) for token in wanted])
    lines, counts = simulator.log(), simulator.statistics
    assert Counter(line["reason"] for line in lines) == {None: 8, "Unregistered": 4, "BadDeviceToken": 2}
    assert [line["token"] for line in lines] == ["aa", *wanted] * 2
    assert [(line["connection"], line["stream"]) for line in lines[:9]] == [
        *((1, stream) for stream in range(1, 15, 2)),
        (2, 1),
        (2, 3),
    ]
    assert (counts.requests, counts.accepted, counts.connections) == (14, 8, 2)
    assert counts.reasons == {"Unregistered": 4, "BadDeviceToken": 2}
    assert counts.first == NOW
    assert counts.last is not None
    assert (counts.last - NOW).total_seconds() == 2


async def test_the_log_is_complete_when_serve_was_cancelled(tmp_path: Path) -> None:
    log = tmp_path / "new folder" / "requests.ndjson"
    config = SimulatorConfig(Listen(tmp_path / "ca.pem", port=0), log_file=log)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, config, clock=VirtualClock(NOW)))
        async with connect(port, tmp_path / "ca.pem") as client:
            await client.ask()
            await client.ask_all([(request_headers(), BODY)] * 50)
            nursery.cancel_scope.cancel()
    assert [json.loads(line)["stream"] for line in log.read_text().splitlines()] == list(range(1, 103, 2))


def test_a_log_that_cannot_be_written_is_an_operator_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as error:
        RequestLog(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the request log cannot be written: Is a directory\n  hint: give another path"
    )
