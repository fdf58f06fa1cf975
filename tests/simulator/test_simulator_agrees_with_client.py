"""The client and the simulator were written apart, from the same pages: here they meet."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from simulator_client import KEY, TOPIC

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest, PushType
from scheduler.apns.results import Answer, Result
from scheduler.domain.ids import apns_ids
from scheduler.domain.lanes import Lane
from scheduler.simulator.provider_tokens import TokenKey
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint

DEVICES = 400
SINCE = 1767225600000


def _token(device: int) -> str:
    return f"{device:064x}"


def _expected(device: int) -> Answer:
    match device % 10:
        case 3:
            return Answer(410, "Unregistered", SINCE)
        case 6:
            return Answer(400, "DeviceTokenNotForTopic")
        case 9:
            return Answer(400, "BadDeviceToken")
        case _:
            return Answer(200)


def _known(device: int) -> dict[str, Any]:
    match device % 10:
        case 3:
            return {"token": _token(device), "state": "unregistered", "timestamp": SINCE}
        case 6:
            return {"token": _token(device), "topic": "com.example.other"}
        case _:
            return {"token": _token(device), "topic": TOPIC}


async def test_results_and_log_agree_line_by_line_over_two_links(start: Any, nursery: trio.Nursery) -> None:
    simulator = await start(
        devices=[_known(device) for device in range(DEVICES) if device % 10 != 9],
        keys={"KEY1234567": TokenKey("TEAM123456", KEY.public_key())},
        log_payloads=True,
    )
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    tokens = ProviderTokenSource(pem, team_id="TEAM123456", key_id="KEY1234567", clock=simulator.clock)
    results: dict[int, Result] = {}
    everything = trio.Event()

    def on_results(tag: object, ended: list[tuple[PushRequest, Result]]) -> None:
        results.update((request.device, result) for request, result in ended)
        if len(results) == DEVICES:
            everything.set()

    pool = Pool(
        Endpoint("localhost", simulator.port, simulator.ca_file),
        tokens,
        links=2,
        clock=simulator.clock,
        jitter=lambda: 0.5,
        on_results=on_results,
        name="test",
    )
    await nursery.start(pool.run)
    apns_id = apns_ids(UUID(int=1))
    requests = [
        PushRequest(device, _token(device), apns_id(device), b'{"aps":{"badge":%d}}' % device, expiration=SINCE // 1000)
        for device in range(DEVICES)
    ]
    make = partial(Batch, lane=Lane.NORMAL, buckets=())
    pool.submit(make(HeaderSet(TOPIC, PushType.ALERT, 10), requests[: DEVICES // 2], tag="alert"))
    pool.submit(make(HeaderSet(TOPIC, PushType.BACKGROUND, 5), requests[DEVICES // 2 :], tag="background"))
    await everything.wait()

    assert results == {device: _expected(device) for device in range(DEVICES)}
    lines = {line["apns_id"]: line for line in simulator.log()}
    assert len(lines) == len(simulator.log()) == DEVICES
    for request in requests:
        line, result = lines[request.apns_id], results[request.device]
        assert isinstance(result, Answer)
        assert (line["token"], line["payload"]) == (request.token, request.payload.decode())
        assert (line["status"], line["reason"]) == (result.status, result.reason)
        background = request.device >= DEVICES // 2
        assert (line["push_type"], line["priority"]) == (("background", 5) if background else ("alert", 10))
        assert (line["topic"], line["expiration"]) == (TOPIC, SINCE // 1000)
    assert simulator.statistics.connections == 2
    assert simulator.statistics.refused_streams == 0
