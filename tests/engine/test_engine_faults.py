"""Everything that a server can do to a client: each device ends in one outcome, and what Clarion calls accepted the
server has accepted, once. What the server accepted besides is counted unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from h2.errors import ErrorCodes
from sqlalchemy import select
from support.daemons import Place, place
from support.worlds import event, register_many, rule_text

from scheduler.domain.runs import RunState
from scheduler.engine.daemon import Ending
from scheduler.simulator.chaos import chaos_script
from scheduler.simulator.fault_script import script_text
from scheduler.simulator.faults import (
    Action,
    AnswerWith,
    ChangeSettings,
    CloseWindow,
    Cut,
    CutBy,
    Delay,
    Drain,
    Fault,
    GoAway,
    IgnoreTableSize,
    Informational,
    Ping,
    Refuse,
    Reset,
    Script,
    Stall,
    Stalled,
    Streams,
    Trailers,
    UnknownFrame,
    UnknownSetting,
)
from scheduler.store.tables import DEVICES, LEDGER

pytestmark = pytest.mark.slow
DEVICES_SENT_TO = 60
RULE = rule_text(delivery={"on_unknown": "drop"})
OF_REQUESTS: list[Action] = [
    Refuse(),
    *(Reset(code) for code in (*ErrorCodes, 0xFACE) if code is not ErrorCodes.REFUSED_STREAM),
    Delay(0.1),
    Delay(),
    *(AnswerWith(reason=reason) for reason in (
        "BadDeviceToken", "Unregistered", "TooManyRequests", "InternalServerError", "ServiceUnavailable", "Shutdown",
        "IdleTimeout", "UnrelatedKeyIdInToken", "TooManyProviderTokenUpdates", "PayloadTooLarge",
    )),
    AnswerWith(status=418, reason="NeverHeardOf"),
    AnswerWith(status=502),
    Informational(),
    Trailers(),
]  # fmt: skip
OF_CONNECTIONS: list[Action] = [
    Streams(limit=1, seconds=0.3),
    Streams(limit=0, seconds=0.3),
    GoAway(),
    GoAway(reason="Shutdown", unprocessed=3),
    GoAway(debug="Maximum active streams violated for this endpoint.", error=ErrorCodes.REFUSED_STREAM),
    GoAway(debug="\x00{", error=0xFACE, unprocessed=50),
    Drain(),
    Drain(reason="IdleTimeout"),
    Stall(Stalled.READING, seconds=0.2),
    Stall(Stalled.ANSWERING, seconds=0.2),
    Stall(Stalled.ANSWERING),
    *(Cut(how) for how in CutBy),
    *(ChangeSettings(header_table_size=size) for size in (0, 64, 200, 65_536)),
    ChangeSettings(initial_window_size=0),
    ChangeSettings(initial_window_size=10, max_frame_size=16_385),
    CloseWindow(seconds=0.2),
    CloseWindow(),
    IgnoreTableSize(),
    Ping(),
    UnknownFrame(),
    UnknownSetting(),
]
NO_BREACH = ("stream-limit", "pseudo-headers", "protocol", "token-changes")


def by_words(action: Action) -> str:
    return repr(action).replace("'", "")


@asynccontextmanager
async def time_that_passes_when_nothing_happens(at: Place) -> AsyncIterator[None]:
    """Deadlines are half a minute and more: where no request came for a while, the clock jumps."""

    async def push() -> None:
        while True:
            before = at.statistics.accepted, len(at.log())
            await trio.sleep(0.15)
            if before == (at.statistics.accepted, len(at.log())):
                at.clock.shift += 16

    async with trio.open_nursery() as nursery:
        nursery.start_soon(push)
        yield
        nursery.cancel_scope.cancel()


async def send_all(at: Place) -> None:
    """Send one event to everybody, with as many daemons one after the other as it takes."""
    register_many(at.world.store, DEVICES_SENT_TO)
    at.world.ingest(event("a", at=at.clock.now() - timedelta(seconds=1)))
    async with time_that_passes_when_nothing_happens(at):
        for _ in range(20):
            with trio.fail_after(60):
                ended = await at.daemon().run(until_idle=True)
            assert ended.ending in (Ending.IDLE, Ending.NO_LINK)
            if at.world.runs()[0].state is RunState.FINISHED:
                return
            at.clock.shift += 900  # what is left is due after a quarter of an hour
    raise AssertionError(f"not finished: {at.world.report(at.world.runs()[0])}")


def outcomes(at: Place) -> dict[str, set[int]]:
    """By outcome, the numbers in the tokens of the devices."""
    query = select(LEDGER.c.outcome, DEVICES.c.token).join(DEVICES, DEVICES.c.id == LEDGER.c.device)
    found: dict[str, set[int]] = {}
    with at.world.store.read() as tx:
        rows = tx.execute(query).all()
    assert len(rows) == len({token for _, token in rows}) == DEVICES_SENT_TO, "one outcome for each device"
    for outcome, token in rows:
        found.setdefault(outcome, set()).add(int(token, 16))
    return found


def check(at: Place) -> None:
    """Clarion's ledger against the simulator's log, and the simulator's verdict."""
    found = outcomes(at)
    accepted_by = Counter(int(line["token"], 16) for line in at.log() if line["status"] == 200)
    accepted, unknown = found.get("accepted", set()), found.get("unknown", set())
    assert accepted <= set(accepted_by), "accepted is what the server accepted"
    assert set(accepted_by) <= accepted | unknown, "and what it accepted besides is unknown"
    assert not [number for number, times in accepted_by.items() if times > 1], "nothing is sent twice"
    assert set(found) <= {"accepted", "unknown", "rejected"}
    breaches = [finding for finding in at.watch.verdict().findings if finding.rule in NO_BREACH]
    assert breaches == []


@pytest.mark.parametrize("action", OF_REQUESTS, ids=by_words)
async def test_fault_of_a_request_is_survived(nursery: trio.Nursery, tmp_path: Path, action: Action) -> None:
    script = Script((Fault(action=action, request=5, times=3),))
    async with place(nursery, tmp_path, {"goal": RULE}, faults=script) as at:
        await send_all(at)
        check(at)


@pytest.mark.parametrize("action", OF_CONNECTIONS, ids=by_words)
async def test_fault_of_a_connection_is_survived(nursery: trio.Nursery, tmp_path: Path, action: Action) -> None:
    script = Script((Fault(action=action, request=5, connection=1), Fault(action=action, request=20, connection=2)))
    async with place(nursery, tmp_path, {"goal": RULE}, faults=script) as at:
        await send_all(at)
        check(at)


@pytest.mark.parametrize("seed", range(50))
async def test_chaos_is_survived(nursery: trio.Nursery, tmp_path: Path, seed: int) -> None:
    script = chaos_script(seed, requests=DEVICES_SENT_TO, seconds=1.0, faults=8)
    print(script_text(script))  # shown where the test fails
    async with place(nursery, tmp_path, {"goal": RULE}, faults=script) as at:
        await send_all(at)
        check(at)
