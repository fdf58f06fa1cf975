"""One link at work: a reader that awaits nothing but the socket, a writer that sends all that is ready, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from scheduler.apns.link_laws import CloseReason, Ended, LinkLaws
from scheduler.domain.clock import Clock
from scheduler.transport.batches import LaneQueue
from scheduler.transport.counters import Counters
from scheduler.transport.dialing import Address
from scheduler.transport.tls import TlsStream

_CHUNK: Final = 512
"""Requests that are prepared before the writer writes: 100 to 200 KB as a rule."""
_LONGEST_REST: Final = 0.25
"""Seconds without a look at the buckets: their rates may be changed meanwhile."""
_TICK: Final = 1.0
_GOODBYE: Final = 1.0
WRITE_DEADLINE: Final = 15.0
"""Seconds that one write may take: as long as a link that is silent has before it is given up."""


class Link:
    """Takes requests from its queue for as long as its laws allow, and reports what has ended."""

    def __init__(
        self,
        stream: TlsStream,
        laws: LinkLaws,
        queue: LaneQueue,
        clock: Clock,
        counters: Counters,
        on_ended: Callable[[list[Ended]], None],
        on_retired: Callable[[Link], None],
        on_limit: Callable[[Link], None],
    ) -> None:
        """`on_retired` is called once, before anything that ends with or after the retirement is reported.

        `on_limit` is called when the stream limit has fallen under a half, and when it is whole again.
        """
        self.laws = laws
        self.ready = trio.Event()
        """The server's SETTINGS have come, or never will."""
        self.retired = trio.Event()
        """No more requests on this link; answers may still be awaited."""
        self._stream = stream
        self._queue = queue
        self._clock = clock
        self._counters = counters
        self._on_ended = on_ended
        self._on_retired = on_retired
        self._on_limit = on_limit
        self._slowed = False
        self._writing_since: float | None = None
        self._awake = trio.Event()
        self._rest_until = 0.0
        self._scope = trio.CancelScope()

    @property
    def address(self) -> Address:
        return self._stream.address

    def wake(self) -> None:
        """There is something new in the queue."""
        self._rest_until = 0.0
        self._awake.set()

    def retire(self, reason: CloseReason, detail: str = "") -> None:
        """Start nothing more; end once everything has been answered."""
        self.laws.retire(reason, detail)
        self._settle([])

    async def run(self) -> None:
        """Work until the link is over. Everything that was started has been reported by then."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._tick)
                    await self._write()
                    nursery.cancel_scope.cancel()
        finally:
            ended = self.laws.lose()
            self._settle(ended)
            with trio.move_on_after(0):
                await self._stream.aclose()

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive():
                self._settle(self.laws.receive(data, self._clock.monotonic()))
            self._lost("closed by the peer")
        except trio.BrokenResourceError as error:
            self._lost(str(error.__cause__ or error))

    async def _write(self) -> None:
        try:
            while True:
                nap = self._fill()
                output = self.laws.take_output()
                if output:
                    self._writing_since = self._clock.monotonic()
                    await self._stream.send_all(output)
                    self._writing_since = None
                elif self.laws.over:
                    break
                else:
                    with trio.move_on_after(nap):
                        await self._awake.wait()
                    self._awake = trio.Event()
            self.laws.close()
            with trio.move_on_after(_GOODBYE):
                await self._stream.send_all(self.laws.take_output())
        except trio.BrokenResourceError as error:
            self.retire(CloseReason.LOST, str(error.__cause__ or error))
            await trio.sleep_forever()  # answers may have come before: the reader ends the link, or else the clock

    async def _tick(self) -> None:
        """Time for the laws. A writer that is stuck in a dead connection is cut off here."""
        while True:
            await trio.sleep(_TICK)
            was_over = self.laws.over
            now = self._clock.monotonic()
            self._settle(self.laws.tick(now))
            if self._writing_since is not None and now - self._writing_since >= WRITE_DEADLINE:
                self.retire(CloseReason.NOT_READING, f"a write was not over in {WRITE_DEADLINE:.0f} s")
                was_over = True
            if was_over:
                self._scope.cancel()
            self._look_at_limit()

    def _look_at_limit(self) -> None:
        limit = self.laws.limit
        slowed = limit.limit < (limit.ceiling if self._slowed else limit.ceiling / 2)
        if slowed != self._slowed:
            self._slowed = slowed
            self._on_limit(self)

    def _fill(self) -> float:
        """Start what may be started. Seconds until it is worth another look without being woken.

        Once the tokens have run out it rests, whatever comes in: a start for every answer would be a write for each.
        """
        now = self._clock.monotonic()
        if now < self._rest_until:
            return self._rest_until - now
        started = 0
        while started < _CHUNK and (room := self.laws.room):
            picked = self._queue.pick(now)
            if picked is None:
                wait = self._queue.ready_in(now)
                if wait is None:
                    break
                self._rest_until = now + min(wait, _LONGEST_REST)
                return self._rest_until - now
            batch, allowed = picked
            count = self.laws.start(batch.headers, batch.next(min(allowed, room, _CHUNK)), now)
            self._queue.started(batch, count, now)
            started += count
            self._counters.requests += count
        return float("inf")

    def _lost(self, detail: str) -> None:
        self.laws.retire(CloseReason.LOST, detail)
        self._scope.cancel()

    def _settle(self, ended: list[Ended]) -> None:
        """Tell what has changed, the end of the link first: what is sent again must not come back to it."""
        if self.laws.retirement is not None and not self.retired.is_set():
            self.retired.set()
            self._on_retired(self)
        if self.laws.ready or self.retired.is_set():
            self.ready.set()
        if ended:
            self._on_ended(ended)
        self._awake.set()
