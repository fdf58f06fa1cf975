"""One sender of `benchmarks/express.py`, in a process of its own: sends to a sink and prints what it cost.

    python benchmarks/express_senders.py aioapns --port 40123 --ca ca.pem --requests 8000

Prints `{"requests": …, "seconds": …, "cpu": …}`; the first requests of a link are sent before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sink_process import WallClock

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import HeaderSet, PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Result
from scheduler.domain.lanes import Lane
from scheduler.domain.push_types import PushType
from scheduler.transport.batches import Batch
from scheduler.transport.pool import Pool
from scheduler.transport.tls import Endpoint

TOPIC, KEY_ID, TEAM = "com.example.shop", "KEY1234567", "TEAM123456"
PAYLOAD_BYTES = 250
WARM_UP = 500
PEER_STREAMS = 50
"""Requests that a peer keeps open: h2 looks at every open stream for each new one, so more makes it slower."""

WINDOW, WINDOWS = 1000, 4
"""Devices of a window, and windows that Clarion has open at once."""

PRIVATE_KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEY_PEM = PRIVATE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True)
class Target:
    """Where to send, and how many."""

    port: int
    ca_file: str
    requests: int

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.set_alpn_protocols(["h2"])
        return context


class Stopwatch:
    """Wall time and CPU time of this process from `start` on."""

    def start(self) -> None:
        self._seconds, self._cpu = time.perf_counter(), _cpu()

    def report(self, requests: int) -> None:
        seconds, cpu = time.perf_counter() - self._seconds, _cpu() - self._cpu
        print(json.dumps({"requests": requests, "seconds": seconds, "cpu": cpu}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _message(body: str) -> dict[str, object]:
    return {"aps": {"alert": {"title": "The sale is on", "body": body}, "sound": "default"}}


MESSAGE = _message("x" * (PAYLOAD_BYTES - len(json.dumps(_message("")))))
PAYLOAD = json.dumps(MESSAGE).encode()


def device_token(number: int) -> str:
    return f"{number:064x}"


def apns_id(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


async def send_with_aioapns(target: Target) -> None:
    """aioapns as it comes, on one connection.

    It finds a response's request by the `apns-id` that Apple sends back. The sink reads no headers and sends none,
    so each response event is given the id of its stream before aioapns sees it: a look-up in a dictionary.
    """
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsProductionClientProtocol
    from h2.connection import H2Connection
    from h2.events import Event, ResponseReceived

    class Answered(H2Connection):
        request_streams: dict[int, str]

        def receive_data(self, data: Any) -> list[Event]:
            events = super().receive_data(data)
            for event in events:
                if isinstance(event, ResponseReceived):
                    event.headers.append((b"apns-id", self.request_streams.pop(event.stream_id).encode()))
            return events

    class Protocol(APNsProductionClientProtocol):
        APNS_SERVER, APNS_PORT = "localhost", target.port

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.conn = Answered()
            self.conn.request_streams = self.request_streams

    logging.getLogger("aioapns").setLevel(logging.CRITICAL)
    client = APNs(
        key=PRIVATE_KEY_PEM, key_id=KEY_ID, team_id=TEAM, topic=TOPIC, max_connections=1, ssl_context=target.tls()
    )
    client.pool.protocol_class = Protocol
    numbers = count()

    async def send(until: int) -> None:
        while (number := next(numbers)) < until:
            result = await client.send_notification(
                NotificationRequest(
                    device_token=device_token(number),
                    notification_id=apns_id(number),
                    message=MESSAGE,
                    priority=10,
                    push_type=PushType.ALERT,
                )
            )
            assert result.is_successful

    async def send_all(until: int) -> None:
        await asyncio.gather(*(send(until) for _ in range(PEER_STREAMS)))

    stopwatch = Stopwatch()
    await send_all(WARM_UP)
    numbers = count(WARM_UP)
    stopwatch.start()
    await send_all(WARM_UP + target.requests)
    stopwatch.report(target.requests)
    client.pool.close()


async def send_with_h2(target: Target) -> None:
    """The least that Trio and h2 need: one task, requests in batches, h2's settings as they come."""
    import jwt
    from h2.connection import H2Connection
    from h2.events import ResponseReceived, StreamEnded

    token = jwt.encode({"iss": TEAM, "iat": int(time.time())}, PRIVATE_KEY, algorithm="ES256", headers={"kid": KEY_ID})
    connection = H2Connection()
    connection.initiate_connection()

    def put(number: int) -> None:
        stream = connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", f"/3/device/{device_token(number)}"),
            ("authorization", f"bearer {token}"),
            ("apns-topic", TOPIC),
            ("apns-push-type", "alert"),
            ("apns-priority", "10"),
            ("apns-id", apns_id(number)),
        ]
        connection.send_headers(stream, headers)
        connection.send_data(stream, PAYLOAD, end_stream=True)

    async def send(stream: trio.SSLStream[trio.SocketStream], first: int, until: int) -> None:
        number, done = first, first
        while done < until:
            while number < until and number - done < PEER_STREAMS:
                put(number)
                number += 1
            await stream.send_all(connection.data_to_send())
            for event in connection.receive_data(await stream.receive_some(65536)):
                if isinstance(event, ResponseReceived):
                    assert event.headers[0][1] == b"200"
                elif isinstance(event, StreamEnded):
                    done += 1

    socket = await trio.open_tcp_stream("localhost", target.port)
    async with trio.SSLStream(socket, target.tls(), server_hostname="localhost", https_compatible=True) as stream:
        stopwatch = Stopwatch()
        await send(stream, 0, WARM_UP)
        stopwatch.start()
        await send(stream, WARM_UP, WARM_UP + target.requests)
        stopwatch.report(target.requests)


async def send_with_clarion(target: Target) -> None:
    """The pool with one link, fed with windows as the engine does: four of 1,000 devices are open."""
    clock = WallClock()
    tokens = ProviderTokenSource(PRIVATE_KEY_PEM.encode(), team_id=TEAM, key_id=KEY_ID, clock=clock)
    headers = HeaderSet(TOPIC, PushType.ALERT, 10)
    total = WARM_UP + target.requests
    open_windows = trio.Semaphore(WINDOWS)
    remaining: dict[object, int] = {}
    accepted = 0

    def on_results(window: object, results: list[tuple[PushRequest, Result]]) -> None:
        nonlocal accepted
        accepted += sum(result == ACCEPTED_ANSWER for _, result in results)
        remaining[window] -= len(results)
        if not remaining[window]:
            open_windows.release()

    async def send(first: int, until: int) -> None:
        for start in range(first, until, WINDOW):
            await open_windows.acquire()
            numbers = range(start, min(start + WINDOW, until))
            requests = [PushRequest(number, device_token(number), apns_id(number), PAYLOAD) for number in numbers]
            remaining[start] = len(requests)
            pool.submit(Batch(headers, requests, lane=Lane.NORMAL, buckets=(), tag=start))
        for _ in range(WINDOWS):
            await open_windows.acquire()
        for _ in range(WINDOWS):
            open_windows.release()

    endpoint = Endpoint("localhost", target.port, Path(target.ca_file))
    pool = Pool(endpoint, tokens, links=1, clock=clock, jitter=lambda: 0.5, on_results=on_results, name="benchmark")
    stopwatch = Stopwatch()
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        await send(0, WARM_UP)
        stopwatch.start()
        await send(WARM_UP, total)
        stopwatch.report(target.requests)
        nursery.cancel_scope.cancel()
    assert accepted == total, f"{accepted} of {total} accepted; {pool.last_failure}"


def _on_uvloop(target: Target) -> None:
    import uvloop

    uvloop.run(send_with_aioapns(target))


SENDERS: dict[str, Callable[[Target], object]] = {
    "clarion": lambda target: trio.run(send_with_clarion, target),
    "aioapns": lambda target: asyncio.run(send_with_aioapns(target)),
    "aioapns-uvloop": _on_uvloop,
    "h2": lambda target: trio.run(send_with_h2, target),
}
"""What `express.py` compares, by name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sender", choices=SENDERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--requests", type=int, required=True)
    options = parser.parse_args()
    SENDERS[options.sender](Target(options.port, options.ca, options.requests))


if __name__ == "__main__":
    main()
