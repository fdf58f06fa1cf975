"""Links to nghttpd: everything is answered, whatever it sets for windows, tables, padding and streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from peer_servers import Certificate, nghttpd, sending_to
from support.sending import requests

from scheduler.apns.request import HeaderSet
from scheduler.apns.results import ACCEPTED_ANSWER, Answer
from scheduler.domain.push_types import PushType

pytestmark = pytest.mark.peer

COUNT = 400
OPTIONS = {
    "as it comes": [],
    "one stream": ["--max-concurrent-streams=1"],
    "seven streams": ["--max-concurrent-streams=7"],
    "no table": ["--header-table-size=0"],
    "a small table": ["--header-table-size=200"],
    "padding": ["--padding=200"],
    "small windows": ["--window-bits=7", "--connection-window-bits=16"],
    "early answers": ["--early-response"],
    "no table for answers": ["--encoder-header-table-size=0"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_every_request_is_accepted_once(certificate: Certificate, tmp_path: Path, options: list[str]) -> None:
    with nghttpd(certificate, tmp_path, "--echo-upload", *options) as server:
        async with sending_to(server, certificate) as sender:
            made = requests(range(COUNT))
            for request in made:
                request.payload = b'{"aps":{"alert":"%b"}}' % (b"x" * (request.device % 400))
            for first in range(0, COUNT, 10):
                headers = HeaderSet(f"com.example.app{first % 40}", PushType.ALERT, 10)
                sender.submit_requests(made[first : first + 10], tag=first, headers=headers)
            await sender.until_ended(COUNT)
            assert sender.counted() == {ACCEPTED_ANSWER: COUNT}
            assert sender.pool.counters.resent == 0
            assert sender.pool.connected == 1
        for number in range(4):
            assert f"apns-topic: com.example.app{number * 10}" in server.text()


async def test_an_answer_that_is_no_json_is_an_answer(certificate: Certificate, tmp_path: Path) -> None:
    with nghttpd(certificate, tmp_path, "--trailer=x-trailer: yes") as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(50))
            await sender.until_ended(50)
            assert sender.counted() == {Answer(404): 50}, "there is no such file"
            assert sender.pool.connected == 1
