"""The pool when links are cut, refused, broken or never made: what is sent again, and what is reported."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
import trio.testing
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from pool_stage import Stage
from push_server import Asked, Certificates
from support.sending import LOST, START, RealClock, Sender

from scheduler.apns.link_laws import CloseReason
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Unsent, UnsentCause
from scheduler.domain.lanes import Lane
from scheduler.transport import pool as pool_module
from scheduler.transport.tls import Endpoint, TlsStream


async def test_a_link_that_is_cut_is_replaced_and_its_requests_are_unknown(stage: Stage) -> None:
    async with stage.sending() as sender:
        sender.submit(range(1))
        await sender.until_ended(1)
        stage.server.hold()
        sender.submit(range(1, 6))
        await stage.server.until(lambda: len(stage.server.asked) == 6)
        await stage.server.connections[0].cut()
        await sender.until_ended(6)
        stage.server.on_request = Asked.answer
        sender.submit(range(6, 9))
        await sender.until_ended(9)
        assert sender.counted() == {ACCEPTED_ANSWER: 4, LOST: 5}
        assert sender.pool.counters.closes == {CloseReason.LOST: 1}
        assert sender.pool.connected == 1
        assert sender.pool.without_link_since is None


async def test_a_write_that_fails_takes_no_answers_along(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server takes no more, and what it has answered is on its way: only the reader knows."""
    send_all = TlsStream.send_all

    async def fail_once(stream: TlsStream, data: bytes) -> None:
        monkeypatch.setattr(TlsStream, "send_all", send_all)
        raise trio.BrokenResourceError

    async with stage.sending() as sender:
        sender.submit(range(1))
        await sender.until_ended(1)
        stage.server.hold()
        sender.submit(range(1, 6))
        await stage.server.until(lambda: len(stage.server.asked) == 6)
        monkeypatch.setattr(TlsStream, "send_all", fail_once)
        sender.submit(range(6, 7))
        await sender.until(lambda: sender.pool.counters.closes == {CloseReason.LOST: 1})
        await stage.server.release()
        await stage.server.connections[0].cut()
        await sender.until_ended(7)
        assert sender.counted() == {ACCEPTED_ANSWER: 6, LOST: 1}


async def test_what_waits_at_a_lost_link_goes_to_another(stage: Stage) -> None:
    stage.server.streams = 1
    stage.server.hold()
    async with stage.sending(links=2) as sender:
        await stage.server.until(lambda: len(stage.server.connections) == 2)
        sender.submit(range(2))
        await stage.server.until(lambda: len(stage.server.asked) == 2)
        sender.submit(range(2, 20))
        stage.server.connections_allowed = 0
        first = next(asked for asked in stage.server.asked if asked.device == 0)
        stage.server.held.remove(first)
        await first.connection.cut()
        await sender.until_ended(1)
        assert sender.results == [("run", 0, LOST)]
        await stage.server.release()
        await sender.until_ended(20)
        assert sender.counted() == {ACCEPTED_ANSWER: 19, LOST: 1}
        assert sender.pool.connected == 1


async def test_goaway_sends_what_was_not_processed_again_on_a_new_link(stage: Stage) -> None:
    async with stage.sending() as sender:
        sender.submit(range(1))
        await sender.until_ended(1)
        stage.server.hold()
        sender.submit(range(1, 5))
        await stage.server.until(lambda: len(stage.server.asked) == 5)
        old = stage.server.connections[0]
        stage.server.held[0].answer()
        stage.server.held[1].answer()
        stage.server.held.clear()
        stage.server.on_request = Asked.answer
        old.h2.close_connection(last_stream_id=5, additional_data=b'{"reason":"Shutdown"}')
        await old.flush()
        await sender.until_ended(5)
        assert sender.counted() == {ACCEPTED_ANSWER: 5}
        assert sender.pool.counters.resent == 2
        assert sender.pool.last_failure == "goaway: Shutdown"
        await stage.server.until(lambda: old.terminated)


async def test_what_is_refused_again_and_again_is_reported_as_unsent(stage: Stage) -> None:
    def refuse(asked: Asked) -> None:
        asked.connection.h2.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)

    stage.server.on_request = refuse
    async with stage.sending() as sender:
        sender.submit(range(3))
        await sender.until_ended(3)
        assert sender.counted() == {Unsent(UnsentCause.REFUSED): 3}
        assert sender.pool.counters.requests == 9
        assert sender.pool.connected == 1


async def test_refused_credentials_stop_the_app_and_keep_its_requests(stage: Stage) -> None:
    stage.server.on_request = lambda asked: asked.answer(403, "InvalidProviderToken")
    async with stage.sending() as sender:
        sender.submit(range(10))
        await sender.until_ended(1)
        assert sender.counted() == {Answer(403, "InvalidProviderToken"): 1}
        assert sender.pool.stopped == "InvalidProviderToken"
        assert sender.pool.connected == 0
        assert sender.pool.without_link_since is not None
        assert len(sender.pool.withdraw("run")) == 9


async def test_a_server_that_uses_its_table_unasked_gets_a_link_with_one(stage: Stage) -> None:
    stage.server.ignores_table_size = True
    stage.server.on_request = lambda asked: asked.answer(410, "Unregistered")
    async with stage.sending() as sender:
        for first in range(0, 30, 10):
            sender.submit(range(first, first + 10))
        await sender.until_ended(30)
        counted = sender.counted()
        assert counted[Answer(410, "Unregistered")] + counted[LOST] == 30
        assert counted[LOST] < 30
        assert sender.pool.counters.closes == {CloseReason.TABLE_IGNORED: 1}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_every_request_ends_once_whatever_the_server_does(
    stage: Stage, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.0)
    chance = random.Random(seed)
    cuts: list[Asked] = []

    def misbehave(asked: Asked) -> None:
        server = asked.connection.h2
        if asked.connection in {cut.connection for cut in cuts} or asked.connection.terminating:
            return
        match chance.choices(range(7), [80, 10, 5, 3, 2, 1, 1])[0]:
            case 0:
                asked.answer()
            case 1:
                asked.answer(chance.choice([400, 410, 500]), "Whatever")
            case 2:
                server.reset_stream(asked.stream, ErrorCodes.REFUSED_STREAM)
            case 3:
                server.reset_stream(asked.stream, ErrorCodes.CANCEL)
            case 4:
                server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: chance.randint(1, 50)})
                asked.answer()
            case 5:
                asked.connection.terminating = True
                last = chance.randint(0, asked.stream // 2) * 2 + 1
                server.close_connection(last_stream_id=last, additional_data=b'{"reason":"Shutdown"}')
                cuts.append(asked)
            case _:
                cuts.append(asked)

    stage.server.on_request = misbehave
    async with stage.sending(links=3) as sender, trio.open_nursery() as nursery:

        async def cut() -> None:
            while True:
                await stage.server.until(lambda: bool(cuts))
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await cuts[0].connection.flush()
                await cuts.pop(0).connection.cut()

        nursery.start_soon(cut)
        for first in range(0, 2000, 100):
            sender.submit(range(first, first + 100), chance.choice(list(Lane)), tag=first)
        await sender.until_ended(2000)
        assert sender.counted().total() == 2000
        assert (sender.pool.in_flight, sender.pool.waiting) == (0, 0)
        nursery.cancel_scope.cancel()


async def test_devices_of_a_link_that_cannot_be_made_use_another(stage: Stage) -> None:
    stage.server.connections_allowed = 1
    async with stage.sending(links=2) as sender:
        sender.submit(range(20))
        await sender.until_ended(20)
        assert sender.counted() == {ACCEPTED_ANSWER: 20}
        assert sender.pool.connected == 1


async def test_without_any_link_requests_wait(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "reconnect_delay", lambda failures, jitter: 0.0)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    sender = Sender(Endpoint("localhost", port, certificates.ca_file), 1, RealClock(START))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(sender.pool.run)
            sender.submit(range(5))
            while sender.pool.counters.connect_failures < 3:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert sender.pool.without_link_since is not None
    assert sender.pool.last_failure is not None
    assert sender.pool.last_failure.startswith(f"cannot connect to localhost:{port}: ")
    assert sender.results == []
    assert len(sender.pool.withdraw("run")) == 5


async def test_a_server_that_never_gets_ready_counts_as_a_failure(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "CONNECT_TIMEOUT", 0.05)
    failed: Callable[[Sender], bool] = lambda sender: sender.pool.counters.connect_failures > 0  # noqa: E731

    async def silence(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(
                    trio.serve_tcp,
                    silence,
                    0,
                    host="127.0.0.1",
                )
            )
            port = listeners[0].socket.getsockname()[1]
            sender = Sender(Endpoint("localhost", port, certificates.ca_file), 1, RealClock(START))
            await nursery.start(sender.pool.run)
            while not failed(sender):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert sender.pool.last_failure == f"localhost:{port} did not get ready in 0 s"
