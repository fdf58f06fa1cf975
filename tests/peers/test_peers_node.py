"""Links to Node's http2: answers of all forms, resets, SETTINGS that change in the middle, GOAWAY, a cut."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from peer_servers import Certificate, node, sending_to
from support.sending import LOST, requests

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.request import HeaderSet
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Unanswered, Unsent, UnsentCause
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.push_types import PushType

pytestmark = pytest.mark.peer

COUNT = 1000


async def test_answers_of_every_form_are_understood(certificate: Certificate, tmp_path: Path) -> None:
    unregistered = {"reason": "Unregistered", "timestamp": 1508249865488}
    deeds = {
        1: {"status": 410, "body": unregistered},
        2: {"status": 410, "body": unregistered, "info": True, "trailers": True},
        3: {"status": 200, "long": 100_000},
        4: {"status": 500, "long": 100_000},
        5: {"info": True, "early": True},
        6: {"ping": True},
    }
    with node(certificate, tmp_path, deeds) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(8))
            await sender.until_ended(8)
            outcomes = {device: result for _, device, result in sender.results}
            gone = Answer(410, "Unregistered", 1508249865488)
            assert outcomes == {
                **dict.fromkeys((0, 3, 5, 6, 7), ACCEPTED_ANSWER),
                1: gone,
                2: gone,
                4: Answer(500),
            }
            sender.submit(range(8, 108))
            await sender.until_ended(108)
            assert sender.pool.counters.closes == {}
        assert "pong" in server.text()


@pytest.mark.parametrize(
    "settings",
    [
        {"headerTableSize": 0},
        {"maxConcurrentStreams": 2},
        {"initialWindowSize": 50},
        {"initialWindowSize": 0, "maxFrameSize": 2**24 - 1},
        {"enableConnectProtocol": True, "maxHeaderListSize": 8000},
    ],
    ids=str,
)
async def test_any_settings_let_every_request_through(
    certificate: Certificate, tmp_path: Path, settings: dict[str, int]
) -> None:
    opens = {0: {"early": True, "settings": {"initialWindowSize": 65_535}}}
    with node(certificate, tmp_path, opens, settings) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(COUNT))
            await sender.until_ended(COUNT)
            assert sender.counted() == {ACCEPTED_ANSWER: COUNT}
            assert sender.pool.counters.closes == {}


async def test_settings_that_change_in_the_middle_cost_nothing(certificate: Certificate, tmp_path: Path) -> None:
    changes = [
        {"headerTableSize": 0}, {"headerTableSize": 200}, {"maxConcurrentStreams": 1}, {"headerTableSize": 64},
        {"maxConcurrentStreams": 50}, {"initialWindowSize": 10}, {"headerTableSize": 4096},
        {"initialWindowSize": 70_000}, {"maxConcurrentStreams": 1000}, {"maxFrameSize": 20_000},
    ]  # fmt: skip
    deeds = {90 * number + 50: {"settings": change} for number, change in enumerate(changes)}
    with node(certificate, tmp_path, deeds) as server:
        async with sending_to(server, certificate) as sender:
            for first in range(0, COUNT, 5):
                headers = HeaderSet(f"com.example.app{first % 200}", PushType.ALERT, 10)
                sender.submit(range(first, first + 5), tag=first, headers=headers)
            await sender.until_ended(COUNT)
            assert sender.counted() == {ACCEPTED_ANSWER: COUNT}
            assert sender.pool.counters.closes == {}
        lines = [line.split() for line in server.text().splitlines() if line.startswith("request")]
        seen = {int(device): topic for _, device, topic, _ in lines}
        assert seen == {device: f"com.example.app{device // 5 * 5 % 200}" for device in range(COUNT)}


async def test_refused_streams_are_sent_again_and_other_resets_are_unknown(
    certificate: Certificate, tmp_path: Path
) -> None:
    deeds = {
        **{device: {"reset": 7, "once": True} for device in range(10, 20)},
        **{device: {"reset": 7} for device in range(20, 25)},
        **{device: {"reset": code} for code, device in enumerate(range(30, 37))},
    }
    with node(certificate, tmp_path, deeds) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(100))
            await sender.until_ended(100)
            assert sender.counted() == {
                ACCEPTED_ANSWER: 88,
                Unsent(UnsentCause.REFUSED): 5,
                Unanswered(UnknownCause.RESET): 7,
            }
            assert sender.pool.counters.closes == {}


async def test_goaway_in_the_middle_loses_nothing(certificate: Certificate, tmp_path: Path) -> None:
    deeds = {500: {"close": True, "once": True}, 800: {"close": True, "once": True}}
    with node(certificate, tmp_path, deeds) as server:
        async with sending_to(server, certificate) as sender:
            for first in range(0, COUNT, 100):
                sender.submit(range(first, first + 100), tag=first)
                await sender.until_ended(first + 100)
            assert sender.counted() == {ACCEPTED_ANSWER: COUNT}
            assert sender.pool.counters.closes[CloseReason.GOAWAY] == 2
        lines = server.text().splitlines()
        assert lines.count("session") == 3
        assert all(line == "goaway 0" for line in lines if line.startswith("goaway"))


async def test_what_is_above_goaways_last_stream_is_sent_again(certificate: Certificate, tmp_path: Path) -> None:
    deeds = {50: {"goaway": 1, "once": True, "early": True}}
    with node(certificate, tmp_path, deeds) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(1))
            await sender.until_ended(1)
            sender.submit(range(1, 200))
            await sender.until_ended(200)
            assert sender.counted() == {ACCEPTED_ANSWER: 200}
            assert sender.pool.last_failure == "goaway: Shutdown"
            assert sender.pool.counters.resent > 0


async def test_a_session_that_is_cut_is_replaced(certificate: Certificate, tmp_path: Path) -> None:
    with node(certificate, tmp_path, {50: {"destroy": True}}) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit_requests(requests(range(200)))
            await sender.until_ended(200)
            counted: Counter[object] = Counter(sender.counted())
            assert set(counted) <= {ACCEPTED_ANSWER, LOST}
            assert counted[LOST] >= 1
            assert sender.pool.counters.closes.total() == 1
            sender.submit(range(200, 300))
            await sender.until_ended(300)
            assert sender.counted()[ACCEPTED_ANSWER] == 300 - counted[LOST]
