"""Lower lanes make way while a window is opened, and keep a quarter of the time."""

from __future__ import annotations

import math
from contextlib import ExitStack
from datetime import datetime
from itertools import accumulate
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from support.driving import Driver
from support.worlds import NOW, World, event, load_workspace, new_store, register_many, rule_text, write_workspace
from trio.testing import MockClock

from scheduler.domain.clock import VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.engine.precedence import AT_ONCE, AT_ONCE_UNREAD, SHARE, SHARE_UNREAD, Precedence

TICK = 0.02


def test_lower_lanes_make_way_for_the_highest_of_those_at_work() -> None:
    precedence = Precedence(VirtualClock(NOW))
    freed: list[Lane] = []
    precedence.on_free(lambda: freed.append(precedence.lowest))
    assert all(precedence.allows(lane) for lane in Lane)
    with precedence.of(Lane.NORMAL):
        assert [precedence.allows(lane) for lane in Lane] == [True, True, False]
        with precedence.of(Lane.URGENT):
            assert [precedence.allows(lane) for lane in Lane] == [True, False, False]
        assert precedence.lowest is Lane.NORMAL
    assert freed == [Lane.NORMAL, Lane.BULK]


@given(st.lists(st.sampled_from(["", "window", "request", "window request"]), max_size=300))
def test_in_no_stretch_of_time_do_lower_lanes_lose_more_than_their_share(ticks: list[str]) -> None:
    """Each tick of time somebody opens a window, or reads a request, or both, or nobody does anything."""
    clock = VirtualClock(NOW)
    precedence = Precedence(clock)
    lost_to: dict[str, list[float]] = {"window": [], "request": []}
    for doing in ticks:
        with ExitStack() as stack:
            if "window" in doing:
                stack.enter_context(precedence.of(Lane.URGENT))
            if "request" in doing:
                stack.enter_context(precedence.of_unread())
            made_way = precedence.lowest is not Lane.BULK
            clock.advance(TICK)
        for what, lost in lost_to.items():
            lost.append(TICK if made_way and doing == what else 0.0)
    for what, share, at_once in (("window", SHARE, AT_ONCE), ("request", SHARE_UNREAD, AT_ONCE_UNREAD)):
        for first in range(len(ticks)):
            for last, sum_ in enumerate(accumulate(lost_to[what][first:]), first):
                stretch = (last - first + 1) * TICK
                assert sum_ <= stretch * share + at_once * (1 - share) + TICK + 1e-6


def test_who_makes_way_for_too_long_goes_on_until_it_has_caught_up() -> None:
    clock = VirtualClock(NOW)
    precedence = Precedence(clock)
    with precedence.of(Lane.URGENT):
        assert precedence.patience == pytest.approx(AT_ONCE)
        clock.advance(0.3)
        assert (precedence.allows(Lane.BULK), precedence.patience) == (False, pytest.approx(AT_ONCE - 0.3))
        clock.advance(0.3)
        assert (precedence.allows(Lane.BULK), precedence.patience) == (True, math.inf)
        clock.advance(0.1)
        assert not precedence.allows(Lane.BULK), "a tenth of a second gave credit for three"
    assert (precedence.allows(Lane.BULK), precedence.patience) == (True, math.inf)


def test_others_make_way_for_a_request_that_is_read_but_not_for_one_that_comes_slowly() -> None:
    clock = VirtualClock(NOW)
    precedence = Precedence(clock)
    freed: list[Lane] = []
    precedence.on_free(lambda: freed.append(precedence.lowest))
    with precedence.of_unread():
        assert [precedence.allows(lane) for lane in Lane] == [True, False, False]
    assert freed == [Lane.BULK]
    clock.advance(10)
    with precedence.of_unread():
        clock.advance(AT_ONCE_UNREAD / 2)
        assert precedence.patience == pytest.approx(AT_ONCE_UNREAD / 2)
        clock.advance(AT_ONCE_UNREAD)
        assert (precedence.allows(Lane.BULK), precedence.patience) == (True, math.inf)
        clock.advance(60)
        assert precedence.allows(Lane.BULK)
        with precedence.of_unread():
            assert not precedence.allows(Lane.NORMAL), "the next is made way for"


def test_lower_lanes_make_way_for_what_nobody_has_looked_at_until_it_is_seen() -> None:
    precedence = Precedence(VirtualClock(NOW))
    precedence.expect(Lane.BULK)
    assert precedence.allows(Lane.BULK)
    precedence.expect(Lane.URGENT)
    precedence.expect(Lane.BULK)
    assert not precedence.allows(Lane.NORMAL)
    with precedence.of(Lane.URGENT):
        pass
    assert not precedence.allows(Lane.NORMAL)
    precedence.seen(Lane.URGENT)
    assert precedence.allows(Lane.BULK)


async def test_outcomes_of_a_lower_lane_are_written_when_the_way_is_free(tmp_path: Path) -> None:
    world = World.make(tmp_path, {"sale": rule_text(delivery={"lane": "bulk"})})
    register_many(world.store, 3)
    world.ingest(event("sale"))
    driver = Driver(world)
    driver.start()

    def accepted() -> int:
        return world.report(world.runs()[0]).counts.accepted

    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.settler.run)
        with driver.precedence.of(Lane.NORMAL):
            driver.accept_all()
            await trio.testing.wait_all_tasks_blocked()
            assert accepted() == 0
            assert len(driver.work.windows) == 1
        with trio.fail_after(5):
            await driver.settler.settled()
        assert accepted() == 3
        nursery.cancel_scope.cancel()
    world.store.close()


class _TrioClock:
    """The seconds are Trio's, which the test moves; the calendar stands still, as threads ask it too."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return trio.current_time()


async def test_lower_lanes_go_on_by_themselves_when_they_have_made_way_for_long_enough(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    write_workspace(tmp_path, {"sale": rule_text(delivery={"lane": "bulk"})})
    world = World(tmp_path, load_workspace(tmp_path), new_store(tmp_path / "clarion.db"), _TrioClock())
    register_many(world.store, 3)
    world.ingest(event("sale"))
    driver = Driver(world)
    driver.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.settler.run)
        with driver.precedence.of(Lane.URGENT):
            driver.accept_all()
            await trio.testing.wait_all_tasks_blocked()
            assert world.report(world.runs()[0]).counts.accepted == 0
            mock_clock.jump(AT_ONCE + 0.01)
            await driver.settler.settled()
            assert world.report(world.runs()[0]).counts.accepted == 3
        nursery.cancel_scope.cancel()
    world.store.close()
