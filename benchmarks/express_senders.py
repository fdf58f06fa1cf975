"""One sender of `benchmarks/express.py`, in a process of its own: sends to a sink and prints what it cost.

    python benchmarks/express_senders.py aioapns --port 40123 --ca ca.pem --requests 8000

Prints `{"requests": …, "seconds": …, "cpu": …}`; the first requests of a link are sent before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import trio
from express_clarion import CAMPAIGNS, send_and_watch_memory, send_at_full_speed, send_evenly
from express_work import (
    KEY_ID,
    MESSAGE,
    PAYLOAD,
    PRIVATE_KEY,
    PRIVATE_KEY_PEM,
    TEAM,
    TOPIC,
    WARM_UP,
    Stopwatch,
    Target,
    apns_id,
    device_token,
)

PEER_STREAMS = 50
"""Requests that h2 keeps open, in aioapns and alone: it looks at every open stream for each new one, so more makes it
slower."""


async def send_with_aioapns(target: Target) -> None:
    """aioapns as it comes, on one connection.

    It finds a response's request by the `apns-id` that Apple sends back, and takes any DATA for a reason in JSON. The
    sinks send no ids, so each response event is given that of its stream before aioapns sees it, by a look-up in a
    dictionary; and nghttpd's empty DATA frames, of which Apple sends none, are dropped.
    """
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsProductionClientProtocol
    from h2.connection import H2Connection
    from h2.events import DataReceived, Event, ResponseReceived

    class Answered(H2Connection):
        request_streams: dict[int, str]

        def receive_data(self, data: Any) -> list[Event]:
            events = super().receive_data(data)
            for event in events:
                if isinstance(event, ResponseReceived):
                    event.headers.append((b"apns-id", self.request_streams.pop(event.stream_id).encode()))
            return [event for event in events if not isinstance(event, DataReceived) or event.data]

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


def _on_uvloop(target: Target) -> None:
    import uvloop

    uvloop.run(send_with_aioapns(target))


SENDERS: dict[str, Callable[[Target], object]] = {
    "clarion": lambda target: trio.run(send_at_full_speed, target),
    "clarion-40": lambda target: trio.run(send_at_full_speed, target, CAMPAIGNS),
    "clarion-memory": lambda target: trio.run(send_and_watch_memory, target),
    "aioapns": lambda target: asyncio.run(send_with_aioapns(target)),
    "aioapns-uvloop": _on_uvloop,
    "h2": lambda target: trio.run(send_with_h2, target),
}
"""By name; `express.py` compares them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sender", choices=SENDERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--rate", type=float, help="requests a second, for clarion alone; without it full speed")
    options = parser.parse_args()
    target = Target(options.port, options.ca, options.requests)
    if options.rate:
        trio.run(partial(send_evenly, target, options.rate))
    else:
        SENDERS[options.sender](target)


if __name__ == "__main__":
    main()
