"""A pool before a server over real TLS on the loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from push_server import Certificates, PushServer, serving
from support.sending import START, RealClock, Sender

from scheduler.domain.clock import Clock


class Stage:
    def __init__(self, certificates: Certificates) -> None:
        self.server = PushServer()
        self.certificates = certificates

    @asynccontextmanager
    async def sending(self, links: int = 1, clock: Clock | None = None) -> AsyncIterator[Sender]:
        context = self.certificates.server_context()
        with trio.fail_after(10):
            async with (
                serving(self.server, context, self.certificates.ca_file) as endpoint,
                trio.open_nursery() as nursery,
            ):
                sender = Sender(endpoint, links, clock or RealClock(START))
                await nursery.start(sender.pool.run)
                yield sender
                nursery.cancel_scope.cancel()
