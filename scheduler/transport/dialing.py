"""TCP connections to an endpoint: its name is looked up for each one, the links of a pool spread over its addresses.

Apple, "Sending notification requests to APNs": look the name up before each connection, without a cache. Of the
addresses, the one with the fewest links comes first, in the order of the system (RFC 6724); one that has failed in the
last minute comes last. Attempts race as in RFC 8305 §5: the next address joins in when one fails, or after 250 ms.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import trio

from scheduler.domain.clock import Clock
from scheduler.transport.failures import ConnectFailed, FailureKind

STAGGER: Final = 0.25
"""Seconds until the next address joins in (RFC 8305 §8 recommends 250 ms)."""
AVOIDED_FOR: Final = 60.0
"""Seconds for which an address that has failed comes last."""


@dataclass(frozen=True, slots=True)
class Address:
    """A family and what its sockets connect to; as text the bare IP address."""

    family: int
    target: tuple[str, int] | tuple[str, int, int, int]

    def __str__(self) -> str:
        return self.target[0]


LookUp: TypeAlias = "Callable[[str, int], Awaitable[Sequence[Address]]]"
OnStep: TypeAlias = "Callable[[FailureKind], None]"


async def look_up(host: str, port: int) -> list[Address]:
    """All addresses, in the system's order. OSError or UnicodeError if there are none.

    Not `trio.socket.getaddrinfo`: a thread that hangs in the resolver is counted among all others there, until nothing
    is left for the database.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await trio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
    return [Address(family, target) for family, _, _, _, target in found if isinstance(target[0], str)]


class Dialer:
    """Connects to one host and port. It knows which of its addresses are in use, and which have failed lately."""

    def __init__(self, host: str, port: int, clock: Clock, look_up: LookUp = look_up) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._look_up = look_up
        self._links: Counter[Address] = Counter()
        self._failed: dict[Address, float] = {}

    async def dial(self, on_step: OnStep = lambda kind: None) -> Connected:
        """A connection to the address that comes first and can be reached. ConnectFailed says what went wrong.

        `on_step` hears at each step what it would be that fails there, for who cancels this.
        """
        on_step(FailureKind.NO_ADDRESS)
        remaining = await self._addresses()
        on_step(FailureKind.NO_CONNECTION)
        won: list[Connected] = []
        reasons: list[str] = []

        async def attempt(address: Address, failed: trio.Event) -> None:
            try:
                won.append(Connected(await _connect(address), address, self))
                nursery.cancel_scope.cancel()
            except OSError as error:
                self.release(address)
                self.avoid(address)
                reasons.append(f"{address}: {_words(error)}")
                failed.set()
            except trio.Cancelled:
                self.release(address)
                if not won:
                    self.avoid(address)  # no word from it in all the time there was
                raise

        try:
            async with trio.open_nursery() as nursery:
                while remaining:
                    address = self.order(remaining)[0]
                    remaining.remove(address)
                    self._links[address] += 1  # at once: a link that is dialled meanwhile shall go elsewhere
                    failed = trio.Event()
                    nursery.start_soon(attempt, address, failed)
                    with trio.move_on_after(STAGGER):
                        await failed.wait()
        except BaseException:
            for connected in won:
                await connected.aclose()
            raise
        for late in won[1:]:
            await late.aclose()
        if not won:
            text = f"cannot connect to {self._host}:{self._port}: {'; '.join(reasons)}"
            raise ConnectFailed(FailureKind.NO_CONNECTION, text)
        return won[0]

    def order(self, addresses: Sequence[Address]) -> list[Address]:
        """The order in which they are tried."""
        now = self._clock.monotonic()
        self._failed = {address: at for address, at in self._failed.items() if now - at < AVOIDED_FOR}
        return sorted(addresses, key=lambda address: (address in self._failed, self._links[address]))

    def avoid(self, address: Address) -> None:
        """It has failed: others first for a while."""
        self._failed[address] = self._clock.monotonic()

    def release(self, address: Address) -> None:
        """A connection to it has ended."""
        self._links[address] -= 1
        if not self._links[address]:
            del self._links[address]

    async def _addresses(self) -> list[Address]:
        place = f"cannot connect to {self._host}:{self._port}"
        try:
            addresses = await self._look_up(self._host, self._port)
        except (OSError, UnicodeError) as error:
            text = f"{place}: the name cannot be looked up: {_words(error)}"
            raise ConnectFailed(FailureKind.NO_ADDRESS, text) from error
        if not addresses:
            raise ConnectFailed(FailureKind.NO_ADDRESS, f"{place}: the name has no address")
        return list(dict.fromkeys(addresses))


class Connected:
    """A TCP connection that a dialer has made, and the address that it is counted for until it is closed."""

    def __init__(self, socket: trio.SocketStream, address: Address, dialer: Dialer) -> None:
        self.socket = socket
        self.address = address
        self._dialer: Dialer | None = dialer

    async def aclose(self, *, failed: bool = False) -> None:
        """Close at once. `failed` if it was of no use: other addresses first for a while."""
        if self._dialer is not None:
            if failed:
                self._dialer.avoid(self.address)
            self._dialer.release(self.address)
            self._dialer = None
        await trio.aclose_forcefully(self.socket)


async def _connect(address: Address) -> trio.SocketStream:
    connection = trio.socket.socket(address.family, socket.SOCK_STREAM)
    try:
        await connection.connect(address.target)
    except BaseException:
        connection.close()
        raise
    return trio.SocketStream(connection)


def _words(error: OSError | UnicodeError) -> str:
    """What the system says, without the number of the error."""
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
