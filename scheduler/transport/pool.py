"""All links of one environment, team and key: which link gets what, when to connect again, what to send again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import trio

from scheduler.apns.link_laws import CloseReason, Ended, LinkLaws
from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.request import PushRequest
from scheduler.apns.results import Result, Unsent
from scheduler.delivery.retry_times import LONGEST_RECONNECT, reconnect_delay
from scheduler.domain.clock import Clock
from scheduler.domain.errors import Bug
from scheduler.http2.frames import DEFAULT_TABLE_SIZE
from scheduler.transport import link_log
from scheduler.transport.batches import Batch, LaneQueue
from scheduler.transport.counters import Counters, PoolState
from scheduler.transport.dialing import Dialer, LookUp, OnStep, look_up
from scheduler.transport.failures import ConnectFailed, FailureKind
from scheduler.transport.link import Link
from scheduler.transport.tls import CertificateFiles, Endpoint, TlsStream, client_context

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for TCP, TLS and the server's SETTINGS."""
SHORT_LIFE: Final = 10.0
"""Seconds: a link that ended sooner was no success, except the first such in a row."""
MAX_RESENDS: Final = 2

OnResults: TypeAlias = "Callable[[object, list[tuple[PushRequest, Result]]], None]"


@dataclass(slots=True)
class _Slot:
    """A place for one link. Its queue stays when links come and go."""

    number: int
    queue: LaneQueue = field(default_factory=LaneQueue)
    link: Link | None = None
    failures: int = 0
    """In a row: attempts to connect that failed, and links that ended within a minute and had proved nothing."""
    short_lives: int = 0
    """In a row: links that came up and ended soon, whatever they did meanwhile."""
    tried: bool = False
    """Its first attempt to connect is over. Until then it is as good as up: its devices wait a moment."""


@dataclass(slots=True)
class _Account:
    """What is open under one tag."""

    outstanding: int = 0
    withdrawn: bool = False


class Pool:
    """Sends batches over its links and reports each request exactly once, unless it was withdrawn before its start.

    Everything but `run` and `drain` is synchronous and cheap; call it from the Trio thread.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokens: ProviderTokenSource | None,
        certificate: CertificateFiles | None = None,
        *,
        links: int,
        clock: Clock,
        jitter: Callable[[], float],
        on_results: OnResults,
        name: str,
        look_up: LookUp = look_up,
    ) -> None:
        """One of `tokens` and `certificate` speaks for us. `jitter` gives floats in [0, 1). `on_results` gets a tag
        and what has ended under it, once per read. `name` is for the log. `look_up` gives the addresses of a name.
        """
        self.counters = Counters()
        self.stopped: str | None = None
        """The reason for which this app cannot send; only another pool, with other credentials, can."""
        self.without_link_since: float | None = clock.monotonic()
        """Monotonic; None while at least one link is up. It goes on behind links that were of no use."""
        self._useless_since: float | None = None
        """What `without_link_since` was before the links came up that have been of no use yet."""
        self.last_failure: str | None = None
        """Why the latest attempt to connect failed, or the latest link was closed."""
        self._endpoint = endpoint
        self._context = client_context(endpoint, certificate)
        self._dialer = Dialer(*endpoint.dialled, clock, look_up)
        self._tokens = tokens
        self._clock = clock
        self._jitter = jitter
        self._on_results = on_results
        self._name = name
        self._slots = [_Slot(number) for number in range(links)]
        self._links: set[Link] = set()
        self._accounts: dict[object, _Account] = {}
        self._draining = False
        self._link_ended = trio.Event()
        self._header_table_size = 0

    @property
    def connected(self) -> int:
        """Links that take requests."""
        return sum(slot.link is not None for slot in self._slots)

    @property
    def in_flight(self) -> int:
        """Requests that were started and have no result yet."""
        return sum(link.laws.in_flight for link in self._links)

    @property
    def waiting(self) -> int:
        """Requests that have not been started."""
        return sum(slot.queue.waiting for slot in self._slots)

    def state(self) -> PoolState:
        """How it is at present, and all that it has counted."""
        links = [slot.link for slot in self._slots if slot.link is not None]
        return PoolState(
            name=self._name,
            endpoint=str(self._endpoint),
            links=len(self._slots),
            connected=len(links),
            in_flight=self.in_flight,
            waiting=self.waiting,
            stream_limits=tuple(link.laws.limit.limit if link.laws.proved else 1 for link in links),
            addresses=tuple(str(link.address) for link in links),
            stopped=self.stopped,
            last_failure=self.last_failure,
            requests=self.counters.requests,
            resent=self.counters.resent,
            connects=self.counters.connects,
            failures=dict(self.counters.failures),
            closes=dict(self.counters.closes),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the links up until cancelled. What is in flight then is reported as unanswered."""
        try:
            async with trio.open_nursery() as nursery:
                for slot in self._slots:
                    nursery.start_soon(self._keep_connected, slot, nursery, name=f"{self._name} link {slot.number}")
                task_status.started()
                await trio.sleep_forever()
        finally:
            link_log.pool_ended(self.state())

    def submit(self, batch: Batch) -> None:
        """Queue it. Each device has its link, so that its requests keep their order; another one if that is down."""
        if not batch.requests:
            return
        account = self._accounts.setdefault(batch.tag, _Account())
        account.outstanding += len(batch.requests)
        account.withdrawn = False
        self._distribute(batch, batch.requests, LaneQueue.add)

    def unstarted(self) -> set[object]:
        """The tags under which something has not been started."""
        return {tag for slot in self._slots for tag in slot.queue.tags()}

    def withdraw(self, tag: object) -> list[PushRequest]:
        """Take back what has not been started under this tag: it gets no result. The rest still does."""
        taken: list[PushRequest] = []
        for slot in self._slots:
            taken += slot.queue.withdraw(lambda batch: batch.tag == tag)
        account = self._accounts.get(tag)
        if account is not None:
            account.withdrawn = True
            self._close_account(tag, account, len(taken))
        return taken

    async def drain(self) -> None:
        """Start nothing more, ever, and wait for what is in flight. The caller sets the limit of its patience."""
        self._draining = True
        for link in list(self._links):
            link.retire(CloseReason.CLOSED)
        while self._links:
            self._link_ended = trio.Event()
            await self._link_ended.wait()

    async def _keep_connected(self, slot: _Slot, nursery: trio.Nursery) -> None:
        while not self._draining and self.stopped is None:
            await trio.sleep(reconnect_delay(max(slot.failures, slot.short_lives - 1), self._jitter()))
            link = await self._attempt(slot, nursery)
            if link is None:
                continue
            up_at = self._clock.monotonic()
            await link.retired.wait()
            lived = self._clock.monotonic() - up_at
            slot.short_lives = slot.short_lives + 1 if lived < SHORT_LIFE else 0
            if link.laws.proved or lived >= LONGEST_RECONNECT:
                slot.failures = 0
                self._useless_since = None
            else:
                slot.failures += 1
                self._dialer.avoid(link.address)
                if self.without_link_since is not None and self._useless_since is not None:
                    self.without_link_since = self._useless_since

    async def _attempt(self, slot: _Slot, nursery: trio.Nursery) -> Link | None:
        """A link that is up, or None if none could be made."""
        step = FailureKind.NO_ADDRESS

        def on_step(kind: FailureKind) -> None:
            nonlocal step
            step = kind

        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                link = await self._connect(slot, nursery, on_step)
        except ConnectFailed as error:
            self._failed(slot, error.kind, str(error))
            return None
        except trio.TooSlowError:
            self._failed(slot, step, f"{self._endpoint} did not get ready in {CONNECT_TIMEOUT:.0f} s")
            return None
        if link.laws.retirement is None:
            self._up(slot, link)
        elif link.laws.retirement.reason is not CloseReason.CLOSED:
            self._dialer.avoid(link.address)
            self._failed(slot, step, f"{self._endpoint} ended the link at once: {link.laws.retirement}")
            return None
        return link

    async def _connect(self, slot: _Slot, nursery: trio.Nursery, on_step: OnStep) -> Link:
        stream = await TlsStream.connect(self._endpoint, self._context, self._dialer, on_step)
        on_step(FailureKind.NOT_READY)
        laws = LinkLaws(
            self._endpoint.authority,
            self._tokens,
            self._clock.monotonic(),
            header_table_size=self._header_table_size,
        )
        link = Link(
            stream,
            laws,
            slot.queue,
            self._clock,
            self.counters,
            on_ended=self._ended,
            on_retired=lambda link: self._retired(slot, link),
            on_limit=lambda link: link_log.limit_changed(self._name, slot.number, link),
        )
        self._links.add(link)
        if self._draining or self.stopped is not None:
            link.retire(CloseReason.CLOSED)
        nursery.start_soon(self._run, link)
        try:
            await link.ready.wait()
        except trio.Cancelled:
            link.retire(CloseReason.NOT_READY)
            raise
        return link

    async def _run(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            self._links.discard(link)
            self._link_ended.set()

    def _up(self, slot: _Slot, link: Link) -> None:
        slot.link = link
        slot.tried = True
        self.counters.connects += 1
        if self.without_link_since is not None:
            self._useless_since, self.without_link_since = self.without_link_since, None
        link_log.up(self._name, slot.number, self._endpoint, link)
        for other in self._slots:
            if other.link is None and other.failures:
                self._move(other)
        link.wake()

    def _retired(self, slot: _Slot, link: Link) -> None:
        """The link takes no more: what waits for it goes to others, and the slot connects anew."""
        retirement = link.laws.retirement
        if retirement is None:
            raise Bug("a link was retired without a reason")
        if slot.link is link:  # else it never came up, which is told as a failure to connect
            self.counters.closes[retirement.reason] += 1
            self.last_failure = str(retirement)
            link_log.closed(self._name, slot.number, retirement)
        if retirement.reason is CloseReason.TABLE_IGNORED:
            self._header_table_size = DEFAULT_TABLE_SIZE
        if slot.link is link:
            slot.link = None
            if not self.connected:
                self.without_link_since = self._clock.monotonic()
        slot.tried = True
        if slot.link is None:
            self._move(slot)
        if link.laws.stop_app is not None and self.stopped is None:
            self._stop(link.laws.stop_app)

    def _stop(self, reason: str) -> None:
        link_log.app_stopped(self._name, reason)
        self.stopped = reason
        for link in list(self._links):
            link.retire(CloseReason.CLOSED, reason)

    def _failed(self, slot: _Slot, kind: FailureKind, text: str) -> None:
        slot.failures += 1
        slot.tried = True
        self.counters.failures[kind] += 1
        self.last_failure = text
        link_log.failed(self._name, slot.number, slot.failures, kind, text)
        self._move(slot)

    def _move(self, slot: _Slot) -> None:
        """Give what waits at a slot without a link to the links that are up, if there are any."""
        if self.connected:
            for batch in slot.queue.take_all():
                self._distribute(batch, batch.next(batch.waiting), LaneQueue.add)

    def _distribute(self, batch: Batch, requests: list[PushRequest], add: Callable[[LaneQueue, Batch], None]) -> None:
        slots = self._slots
        usable = [slot.number for slot in slots if slot.link is not None or not slot.tried]
        usable = usable or [slot.number for slot in slots]
        known = set(usable)
        shares: dict[int, list[PushRequest]] = {}
        for request in requests:
            choice = request.device + request.attempt + request.resends
            number = choice % len(slots)
            if number not in known:
                number = usable[choice % len(usable)]
            shares.setdefault(number, []).append(request)
        for number, chosen in shares.items():
            share = batch.share(chosen)
            for request in chosen:
                request.context = share
            slot = slots[number]
            add(slot.queue, share)
            if slot.link is not None:
                slot.link.wake()

    def _ended(self, ended: list[Ended]) -> None:
        """Report by tag; what was not processed is sent again while that makes sense."""
        results: dict[object, list[Ended]] = {}
        again: dict[Batch, list[PushRequest]] = {}
        batch: Batch | None = None
        group: list[Ended] = []
        for pair in ended:
            request, result = pair
            if request.context is not batch:
                batch = _batch_of(request)
                group = results.setdefault(batch.tag, [])
            if type(result) is Unsent and batch is not None and self._may_resend(request, batch):
                request.resends += 1
                again.setdefault(batch, []).append(request)
            else:
                group.append(pair)
        for unsent_batch, requests in again.items():
            self.counters.resent += len(requests)
            self._distribute(unsent_batch, requests, LaneQueue.add_first)
        for tag, pairs in results.items():
            if pairs:
                self._close_account(tag, self._accounts[tag], len(pairs))
                self._on_results(tag, pairs)

    def _may_resend(self, request: PushRequest, batch: Batch) -> bool:
        if self._draining or self.stopped is not None or self._accounts[batch.tag].withdrawn:
            return False
        return request.resends < MAX_RESENDS

    def _close_account(self, tag: object, account: _Account, count: int) -> None:
        account.outstanding -= count
        if account.outstanding == 0:
            del self._accounts[tag]


def _batch_of(request: PushRequest) -> Batch:
    if not isinstance(request.context, Batch):
        raise Bug(f"device {request.device}: a result for a request that was never submitted")
    return request.context
