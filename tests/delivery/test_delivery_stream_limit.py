"""Laws of the stream limit: bounds, what lowers it and what does not, recovery, and what it makes of a slow server."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.delivery.stream_limit import MEMORY, STEP, TOLERATED, StreamLimit

HIGHEST = 1000


@dataclass
class Link:
    """A link that is fed second by second with answers at a steady pace."""

    limit: StreamLimit = field(default_factory=lambda: StreamLimit(HIGHEST, 0.0))
    now: float = 0.0

    def probed(self, answer_time: float = 0.05) -> Link:
        """With its first request, alone on the link, behind it."""
        self.now += answer_time
        self.limit.passed(1, self.now)
        self.limit.answered(1, 0, 0, self.now)
        return self

    def second(self, in_flight: int, answers: int, troubled: int = 0) -> int:
        """A second in which so many requests were open all the time."""
        self.now += 1
        self.limit.passed(in_flight, self.now)
        self.limit.answered(answers, troubled, in_flight, self.now)
        return self.limit.limit

    def full(self, answer_time: float, share: float = 0.0) -> int:
        """A second with as much open as may be, answered after `answer_time`; a share of the answers is trouble."""
        in_flight = self.limit.limit
        answers = max(1, round(in_flight / answer_time))
        return self.second(in_flight, answers, round(answers * share))


seconds = st.tuples(st.integers(0, 2000), st.integers(0, 5000), st.floats(0, 1), st.integers(0, 2000))


@given(st.lists(seconds, max_size=40))
def test_the_limit_stays_between_one_and_what_the_server_and_we_allow(
    history: list[tuple[int, int, float, int]],
) -> None:
    link = Link()
    for in_flight, answers, share, ceiling in history:
        link.limit.allow(ceiling)
        link.second(in_flight, answers, int(answers * share))
        assert 1 <= link.limit.limit <= max(1, min(HIGHEST, ceiling))


@given(st.lists(seconds, max_size=20), st.integers(1, 1000), st.floats(0.0001, TOLERATED))
def test_a_second_without_trouble_never_lowers_it_and_twenty_restore_it(
    history: list[tuple[int, int, float, int]], in_flight: int, answer_time: float
) -> None:
    link = Link()
    for open_then, answers, share, _ in history:
        link.second(open_then, answers, int(answers * share))
    link.second(0, 1)  # the window with the rest of that history
    for _ in range(20):
        before = link.limit.limit
        assert link.second(in_flight, max(1, round(in_flight / answer_time) + 1)) >= before
    assert link.limit.limit == HIGHEST
    assert not link.limit.reduced


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0.0001, TOLERATED)), max_size=40))
def test_a_link_that_answers_within_a_quarter_of_a_second_is_never_held_back(rates: list[tuple[int, float]]) -> None:
    link = Link()
    for in_flight, answer_time in rates:
        assert link.second(in_flight, round(in_flight / answer_time) + 1) == HIGHEST


def test_an_outage_brings_it_to_one_in_eleven_seconds_and_no_lower() -> None:
    link = Link()
    fallen = [link.full(0.05, share=1.0) for _ in range(11)]
    assert fallen[:3] == [500, 250, 125]
    assert fallen[-1] == 1
    assert link.full(0.05, share=1.0) == 1
    assert link.full(0.05) == 1 + STEP


@pytest.mark.parametrize(("share", "at_least", "at_most"), [(0.001, 999, 1000), (0.05, 950, 1000), (0.5, 90, 110)])
def test_a_share_of_trouble_costs_in_proportion(share: float, at_least: int, at_most: int) -> None:
    link = Link()
    for _ in range(60):
        link.full(0.01, share)
    assert at_least <= link.limit.limit <= at_most


@given(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 1))
def test_more_trouble_never_leaves_more(answers: int, share: float, other: float) -> None:
    few, many = sorted((int(answers * share), int(answers * other)))
    assert Link().second(10, answers, many) <= Link().second(10, answers, few)


@given(st.integers(1, 400), st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_it_does_not_matter_in_how_many_groups_answers_come(in_flight: int, groups: list[int]) -> None:
    split, whole = Link().probed(1.0).limit, Link().probed(1.0).limit
    for number, group in enumerate(groups, 1):
        at = 1.0 + number / len(groups)
        split.passed(in_flight, at)
        split.answered(group, group // 2, in_flight, at)
    whole.passed(in_flight, 2.0)
    whole.answered(sum(groups), sum(group // 2 for group in groups), in_flight, 2.0)
    assert split.limit == whole.limit
    assert split.answer_time == pytest.approx(whole.answer_time)


def test_a_burst_on_a_link_that_was_idle_is_not_taken_for_slow_answers() -> None:
    limit = Link().probed().limit
    limit.passed(0, 5.0)  # 1,000 start at 5.0; the first ten are answered 200 ms later
    limit.passed(1000, 5.2)
    limit.answered(10, 0, 990, 5.2)
    assert limit.answer_time == pytest.approx(0.2)
    assert limit.limit == HIGHEST


def test_a_stall_is_slow_answers() -> None:
    limit = Link().probed().limit
    limit.passed(1000, 8.05)
    limit.answered(10, 0, 990, 8.05)
    assert limit.answer_time == pytest.approx(8.0)
    assert limit.limit == 1000 * 0.75 + STEP / 2


@pytest.mark.parametrize("capacity", [50, 400, 1000, 3000])
def test_a_server_at_its_capacity_keeps_it_while_the_queue_in_it_shrinks(capacity: int) -> None:
    """It answers `capacity` a second whatever is open, after 50 ms at least: more open only means a longer queue."""
    link = Link().probed()
    answered = []
    for _ in range(60):
        open_now = link.limit.limit
        answer_time = max(0.05, open_now / capacity)
        answered.append(min(capacity, open_now / 0.05))
        link.second(open_now, max(1, round(open_now / answer_time)))
    assert min(answered[-30:]) >= 0.9 * capacity
    queued = link.limit.limit / capacity
    assert queued < 3, "1,000 open requests would wait for up to 20 s"
    assert capacity < 400 or queued <= 2 * TOLERATED


def test_a_server_that_has_become_slow_for_good_is_used_in_full_again() -> None:
    link = Link().probed()
    for _ in range(30):
        link.full(2.0)
    assert link.limit.limit == 100, "slow answers alone cost no more than that"
    for _ in range(int(2 * MEMORY) + 30):
        link.full(2.0)
    assert link.limit.limit == HIGHEST


def test_nothing_is_judged_before_a_second_of_answers() -> None:
    limit = Link().probed().limit
    limit.passed(10, 0.9)
    limit.answered(10, 10, 0, 0.9)
    assert limit.limit == HIGHEST
    limit.passed(0, 500.0)
    limit.answered(0, 0, 0, 500.0)
    assert limit.limit == 500, "a silent time is the end of a window, not more trouble"


def test_a_decrease_begins_at_what_the_server_allows() -> None:
    link = Link()
    link.limit.allow(100)
    assert link.limit.limit == 100
    assert not link.limit.reduced
    assert link.full(0.05, share=1.0) == 50
    assert link.limit.reduced


def test_the_start_of_a_burst_is_no_measure_of_the_lowest_answer_time() -> None:
    """A far server answers after 2 s. The ages of what has just been started must not make that look slow later."""
    link = Link().probed(2.0)
    link.limit.passed(0, 5.0)
    link.limit.passed(1000, 5.5)
    link.limit.answered(1, 0, 999, 5.5)
    assert link.limit.answer_time == pytest.approx(0.5)
    link.now = 5.5
    for _ in range(3):
        link.full(2.2)
    assert link.limit.limit == HIGHEST
