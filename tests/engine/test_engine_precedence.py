"""Lower lanes make way while a window is opened, and keep a quarter of the time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from support.driving import Driver
from support.worlds import NOW, World, event, register_many, rule_text

from scheduler.domain.clock import VirtualClock
from scheduler.domain.lanes import Lane
from scheduler.engine.precedence import AT_ONCE, SHARE, Precedence

LONGEST = 0.2
SPANS = st.floats(0, LONGEST)


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


@given(st.lists(st.tuples(SPANS, SPANS, st.sampled_from([Lane.URGENT, Lane.NORMAL])), max_size=40))
def test_in_no_stretch_of_time_do_lower_lanes_lose_more_than_their_share(
    spans: list[tuple[float, float, Lane]],
) -> None:
    """One opening may go over it: it began while there was credit."""
    clock = VirtualClock(NOW)
    precedence = Precedence(clock)
    ways: list[tuple[float, float]] = []
    for free, taken, lane in spans:
        clock.advance(free)
        began = clock.monotonic()
        with precedence.of(lane):
            made_way = precedence.lowest is not Lane.BULK
            clock.advance(taken)
        if made_way:
            ways.append((began, clock.monotonic()))
    for first, (start, _) in enumerate(ways):
        lost = 0.0
        for began, ended in ways[first:]:
            lost += ended - began
            assert lost <= (ended - start) * SHARE + (AT_ONCE + LONGEST) * (1 - SHARE) + 1e-6


def test_who_made_way_for_too_long_is_made_way_for_no_more_until_it_has_caught_up() -> None:
    clock = VirtualClock(NOW)
    precedence = Precedence(clock)
    with ExitStack() as stack:
        stack.enter_context(precedence.of(Lane.URGENT))
        clock.advance(0.7)
    with precedence.of(Lane.URGENT):
        assert precedence.allows(Lane.BULK)
    clock.advance(0.05)
    with precedence.of(Lane.URGENT):
        assert precedence.allows(Lane.BULK)
    clock.advance(0.05)
    with precedence.of(Lane.URGENT):
        assert not precedence.allows(Lane.BULK)


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
