"""Links through nghttpx, a proxy: its windows and streams, what it says when its backend is gone, how it shuts down."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from peer_servers import Certificate, PeerServer, nghttpd, nghttpx, sending_to

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.results import ACCEPTED_ANSWER, Answer
from scheduler.transport import pool as pool_module

pytestmark = pytest.mark.peer

COUNT = 400
OPTIONS = {
    "as it comes": [],
    "three streams": ["--frontend-http2-max-concurrent-streams=3"],
    "small windows": ["--frontend-http2-window-size=100", "--frontend-http2-connection-window-size=65535"],
    "no tables": ["--frontend-http2-encoder-dynamic-table-size=0", "--frontend-http2-decoder-dynamic-table-size=0"],
    "moving windows": ["--frontend-http2-optimize-window-size"],
}


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[PeerServer]:
    with nghttpd(None, tmp_path, "--echo-upload", "--max-concurrent-streams=1000") as server:
        yield server


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_every_request_is_accepted_once(
    certificate: Certificate, tmp_path: Path, backend: PeerServer, options: list[str]
) -> None:
    with nghttpx(certificate, tmp_path, backend.port, *options) as server:
        async with sending_to(server, certificate) as sender:
            for first in range(0, COUNT, 20):
                sender.submit(range(first, first + 20), tag=first)
            await sender.until_ended(COUNT)
            assert sender.counted() == {ACCEPTED_ANSWER: COUNT}
            assert sender.pool.connected == 1


async def test_a_proxy_whose_backend_is_gone_answers_502(
    certificate: Certificate, tmp_path: Path, backend: PeerServer
) -> None:
    with nghttpx(certificate, tmp_path, backend.port) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(10))
            await sender.until_ended(10)
            backend.process.kill()
            backend.process.wait()
            sender.submit(range(10, 20))
            await sender.until_ended(20)
            counted = sender.counted()
            assert counted[ACCEPTED_ANSWER] == 10
            assert counted[Answer(502)] + counted[Answer(503)] == 10
            assert sender.pool.connected == 1


async def test_a_proxy_that_shuts_down_gracefully_loses_nothing(
    certificate: Certificate, tmp_path: Path, backend: PeerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.05 if failures else 0.0)
    with nghttpx(certificate, tmp_path, backend.port) as server:
        async with sending_to(server, certificate) as sender:
            sender.submit(range(1))
            await sender.until_ended(1)
            sender.submit(range(1, 51))
            await sender.until_ended(2)
            server.process.send_signal(signal.SIGQUIT)
            await sender.until_ended(51)
            while not sender.pool.counters.closes:
                await trio.lowlevel.checkpoint()
            assert sender.counted() == {ACCEPTED_ANSWER: 51}
            assert sender.pool.counters.closes == {CloseReason.GOAWAY: 1}
