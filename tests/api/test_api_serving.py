from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio
from api_store_intake import StoreIntake
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from trio.testing import MockClock

from scheduler.api.app import make_app
from scheduler.api.serving import serve_api
from scheduler.domain.errors import OperatorError
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store


@pytest.mark.slow
async def test_the_api_answers_on_a_real_socket_and_ends_when_told(intake: StoreIntake, key: str) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve_api, make_app(intake), "127.0.0.1:0", stop=stop))
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            assert (await client.get("/healthz")).text == "ok\n"
            assert (await client.get("/readyz")).status_code == 200
            intake.trouble = "the store is being upgraded"
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["detail"]) == (503, "the store is being upgraded")
            assert (await client.put("/v1/devices/scores/aabb", json={"locale": "de"})).status_code == 204
            event = {"id": "1", "source": "s", "type": "t"}
            for _ in range(2):
                answer = await client.post("/v1/events", json=event)
                assert answer.status_code == 202
            assert answer.json() == {"accepted": 0, "duplicates": 1}
            answer = await client.put("/v1/users/team%2Fanna", json={"opt_outs": ["sports"]})
            assert answer.status_code == 204
            assert "server" not in answer.headers
        stop.set()


@pytest.mark.slow
async def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(intake: StoreIntake, key: str) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve_api, make_app(intake), "127.0.0.1:0", stop=stop))
        host, _, port = url.removeprefix("http://").partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        head = (
            f"PUT /v1/devices/scores/aabb HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            "content-length: 100000000\r\n\r\n"
        )
        await stream.send_all(head.encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 413")
        await stream.aclose()
        stop.set()


@pytest.mark.slow
async def test_a_connection_that_breaks_the_protocol_fails_alone(
    intake: StoreIntake, caplog: pytest.LogCaptureFixture
) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve_api, make_app(intake), "127.0.0.1:0", stop=stop))
        host, _, port = url.removeprefix("http://").partition(":")
        async with httpx.AsyncClient(base_url=url) as client:
            for path in (b"/\xff", b"/healthz"):
                stream = await trio.open_tcp_stream(host, int(port))
                peer = H2Connection(H2Configuration(validate_outbound_headers=False, header_encoding=None))
                peer.initiate_connection()
                headers = [(b":method", b"GET"), (b":path", path), (b":scheme", b"http"), (b":authority", b"x")]
                peer.send_headers(1, headers, end_stream=True)
                await stream.send_all(peer.data_to_send())
                while data := await stream.receive_some():
                    if any(isinstance(event, DataReceived) for event in peer.receive_data(data)):
                        break
                await stream.aclose()
            stream = await trio.open_tcp_stream(host, int(port))
            await stream.send_all(b"\xff\x00\r\n\r\n")
            await stream.aclose()
            assert (await client.get("/healthz")).status_code == 200
        stop.set()
    assert [record.message for record in caplog.records] == ["api.connection_failed"]


async def test_a_taken_port_is_the_operators_error(intake: StoreIntake) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listen = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    with pytest.raises(OperatorError) as refused:
        await serve_api(make_app(intake), listen)
    assert str(refused.value) == (
        f"api.listen: the API cannot listen on {listen}: the port is taken\n"
        "  hint: is another 'clarion run' there? End it, or choose another port"
    )
    await listener.aclose()


@pytest.mark.parametrize("listen", ["127.0.0.1:http", "127.0.0.1:99999", "203.0.113.9:8080", "nowhere"])
async def test_an_address_that_cannot_be_had_is_the_operators_error(intake: StoreIntake, listen: str) -> None:
    with pytest.raises(OperatorError) as refused:
        await serve_api(make_app(intake), listen)
    assert str(refused.value).startswith(f"api.listen: the API cannot listen on {listen!r}: ")


class _Trusting(StoreIntake):
    """Knows everybody, and needs no thread for it: a virtual clock must not meet threads."""

    async def authenticate(self, key: str) -> frozenset[Scope]:
        return frozenset({Scope.ADMIN})


async def _post(store: Store, receive: Callable[[], Awaitable[dict[str, object]]]) -> tuple[object, str]:
    """Post to /v1/events with a body from `receive`: the status and the problem's detail."""
    sent: list[Any] = []

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/events",
        "headers": [(b"authorization", b"Bearer x")],
        "query_string": b"",
    }
    await make_app(_Trusting(store))(scope, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], json.loads(sent[1]["body"])["detail"]


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(store: Store, autojump_clock: MockClock) -> None:
    async def receive() -> dict[str, object]:
        await trio.sleep_forever()
        raise AssertionError

    assert await _post(store, receive) == (408, "the body was not there after 30 seconds")


async def test_a_body_without_an_end_is_cut_at_the_limit(store: Store) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b" " * 1_000_000, "more_body": True}

    assert await _post(store, receive) == (413, "the body is larger than 10000000 bytes")


async def test_a_sender_that_goes_away_leaves_nothing(store: Store) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    assert await _post(store, receive) == (400, "the connection was closed before the body was there")


@pytest.mark.slow
async def test_others_make_way_for_a_new_connection_and_for_each_of_its_requests(intake: StoreIntake, key: str) -> None:
    """Until the first request is there, and then while one is answered; not while a connection is silent."""
    held: list[int] = [0]
    log: list[str] = []

    @contextmanager
    def make_way() -> Iterator[None]:
        held[0] += 1
        log.append(f"enter {held[0]}")
        yield
        held[0] -= 1
        log.append(f"leave {held[0]}")

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        serve = partial(serve_api, make_app(intake), "127.0.0.1:0", stop=stop, make_way=make_way)
        [url] = await nursery.start(serve)
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
            for number in (1, 2):
                answer = await client.post("/v1/events", json={"id": str(number), "source": "s", "type": "t"})
                assert answer.status_code == 202
        stop.set()
    assert log == ["enter 1", "leave 0", "enter 1", "leave 0", "enter 1", "leave 0"]
