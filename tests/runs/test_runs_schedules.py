"""Slots become runs once each, and nothing that happens to a rule or the daemon brings a send that surprises."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.worlds import NOW, World, event, register_many, rule_text

from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import SuppressReason
from scheduler.domain.runs import RunState
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.firing import fired_occasion
from scheduler.runs.opening import start_runs
from scheduler.runs.schedules import OpenedSlots, open_due, watch
from scheduler.store import runs as run_rows

Make = Callable[..., World]
Begin = Callable[[dict[str, str], str], "Days"]
DAILY = "0 9 * * *"
TEMPLATES = {"digest": 'aps: {alert: {title: "{{ today }}", body: "at {{ slot }}"}}'}


def ruled(schedule: Any = DAILY, *, trigger: dict[str, Any] | None = None, **keys: Any) -> str:
    """A rule with a schedule, or with another trigger."""
    trigger = trigger or {"schedule": schedule}
    template = "goal" if "event" in trigger else "digest"
    return json.dumps({**json.loads(rule_text(trigger=trigger, template=template)), **keys})


@pytest.fixture
def make_days(make_world: Make) -> Begin:
    """`make_days(rules, first)`: the first look at rules that are new."""
    return lambda rules, first: Days(make_world(rules, files={"templates": TEMPLATES}), first)


class Days:
    """A daemon's looks at a world in UTC: `at("27 09:00")` is in November 2026."""

    def __init__(self, world: World, first: str) -> None:
        self.world = world
        self.awake_since = self._time(first)
        watch(world.store, world.workspace, self.awake_since)

    def at(self, *moments: str) -> OpenedSlots:
        """Look at these times, awake all the while."""
        opened = OpenedSlots(0, frozenset(), None, None)
        for moment in moments:
            opened = self._look(self._time(moment))
        return opened

    def restart(self, moment: str, rules: dict[str, str] | None = None) -> OpenedSlots:
        """The daemon was down until now; meanwhile the rules may have changed."""
        self.awake_since = self._time(moment)
        return self.reload(moment, rules)

    def reload(self, moment: str, rules: dict[str, str] | None = None) -> OpenedSlots:
        """The rules are read again."""
        if rules is not None:
            for old in (self.world.folder / "rules").glob("*.yaml"):
                old.unlink()
            self.world.rewrite(rules)
        watch(self.world.store, self.world.workspace, self._time(moment))
        return self._look(self._time(moment))

    @property
    def slots(self) -> list[str]:
        """The occasions that were had, by day and time."""
        return [run.occasion.removeprefix("2026-11-") for run in self.world.runs()]

    def _look(self, now: datetime) -> OpenedSlots:
        store = self.world.store
        return open_due(store, self.world.workspace, store.namespace(), now, awake_since=self.awake_since)

    @staticmethod
    def _time(moment: str) -> datetime:
        day, clock = moment.split()
        return datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=UTC)


def test_a_slot_is_a_run_that_is_due_at_the_slot(make_days: Begin) -> None:
    days = make_days({"digest": ruled()}, "20 12:00")
    assert days.at("20 12:01", "21 08:59").runs == 0
    assert days.at("21 09:00:01").runs == 1
    opened = days.at("21 09:00:02")
    assert (opened.runs, opened.next_at) == (0, datetime(2026, 11, 22, 9, tzinfo=UTC))
    (run,) = days.world.runs()
    assert (run.occasion, run.due) == ("2026-11-21T09:00", datetime(2026, 11, 21, 9, tzinfo=UTC))
    assert days.slots == ["21T09:00"]


def test_the_zone_is_the_rules_own_else_the_default(make_days: Begin) -> None:
    rules = {"a": ruled(trigger={"schedule": DAILY, "time_zone": "America/New_York"}), "b": ruled()}
    days = make_days(rules, "20 00:00")
    days.at("20 09:00", "20 14:00")
    assert [(run.rule, run.due.hour) for run in days.world.runs()] == [("b", 9), ("a", 14)]


def test_slots_of_before_a_rule_was_first_seen_are_not_had(make_days: Begin) -> None:
    days = make_days({"digest": ruled("0 * * * *")}, "20 12:30")
    days.at("20 12:31", "20 13:00")
    assert days.slots == ["20T13:00"]


@pytest.mark.parametrize(
    ("catch_up", "had", "missed"),
    [
        ("skip", ["20T13:00"], [("came while the daemon was down", 2), ("later than the grace", 1)]),
        ("last", ["20T13:00", "20T16:00"], [("came while the daemon was down", 1), ("later than the grace", 1)]),
        ("all", ["20T13:00", "20T15:00", "20T16:00"], [("later than the grace", 1)]),
    ],
)
def test_after_a_downtime_slots_within_the_grace_are_caught_up(
    make_days: Begin, catch_up: str, had: list[str], missed: list[tuple[str, int]]
) -> None:
    rule = ruled(trigger={"schedule": "0 * * * *", "grace": "2 hours", "catch_up": catch_up})
    days = make_days({"digest": rule}, "20 12:30")
    days.at("20 13:00")
    days.restart("20 16:30")
    assert days.slots == had
    assert [(detail, count) for _, _, detail, count in days.world.misses()] == missed
    assert {reason for _, reason, _, _ in days.world.misses()} == {"slot_missed"}


def test_a_downtime_of_years_costs_no_more_than_is_counted(make_days: Begin) -> None:
    days = make_days({"digest": ruled("* * * * *")}, "20 12:00")
    store, later = days.world.store, datetime(2036, 11, 20, 12, tzinfo=UTC)
    opened = open_due(store, days.world.workspace, store.namespace(), later, awake_since=later)
    assert (opened.runs, days.world.runs()[0].due) == (1, later)
    assert [count for *_, count in days.world.misses()] == [60, 10_000]


def test_a_crowd_of_slots_is_opened_in_portions(make_days: Begin) -> None:
    rule = ruled(trigger={"schedule": "* * * * *", "grace": "4 h", "catch_up": "all"})
    days = make_days({"digest": rule}, "20 12:00")
    first = days.restart("20 15:00")
    assert (first.runs, first.next_at) == (100, datetime(2026, 11, 20, 15, tzinfo=UTC))
    days.at("20 15:00")
    assert len(set(days.slots)) == len(days.slots) == 180
    assert days.world.misses() == []


@pytest.mark.parametrize("edited", ["0 8 * * *", "30 10 * * *", "0 12 * * *", "0 9,12 * * *", "0 9 * * 5,6"])
def test_an_edit_gives_no_second_send_on_a_date(make_days: Begin, edited: str) -> None:
    days = make_days({"digest": ruled()}, "19 12:00")
    days.at("20 09:00")
    days.reload("20 10:00", {"digest": ruled(edited)})
    days.at("20 10:30", "20 12:00", "20 23:00")
    assert days.slots == ["20T09:00"]
    days.at("21 08:00", "21 09:00", "21 10:30", "21 12:00")
    assert "21" in days.slots[-1]


def test_an_edit_of_what_had_several_on_a_date_may_add_to_them(make_days: Begin) -> None:
    days = make_days({"digest": ruled("0 9,18 * * *")}, "19 20:00")
    days.at("20 09:00")
    days.reload("20 10:00", {"digest": ruled("0 12 * * *")})
    days.at("20 12:00")
    assert days.slots == ["20T09:00", "20T12:00"]


def test_an_edit_to_an_earlier_time_brings_nothing_of_before(make_days: Begin) -> None:
    days = make_days({"digest": ruled("0 18 * * *")}, "19 20:00")
    days.reload("20 09:30", {"digest": ruled()})
    days.restart("20 09:31", {"digest": ruled("15 9 * * *")})
    assert days.slots == []


def test_an_edit_of_the_text_alone_changes_no_slot(make_days: Begin) -> None:
    days = make_days({"digest": ruled()}, "19 12:00")
    days.restart("20 09:30", {"digest": ruled(description="New words")})
    assert days.slots == ["20T09:00"]


def test_slots_of_while_a_rule_was_disabled_are_not_had(make_days: Begin) -> None:
    days = make_days({"digest": ruled("0 * * * *")}, "20 08:30")
    days.reload("20 08:40", {"digest": ruled("0 * * * *", enabled=False)})
    days.at("20 09:00", "20 10:00")
    days.reload("20 10:10", {"digest": ruled("0 * * * *")})
    assert days.slots == []
    days.at("20 11:00")
    assert days.slots == ["20T11:00"]


def test_a_rename_is_no_new_campaign(make_days: Begin) -> None:
    once = {"at": "2026-11-20 09:00"}
    days = make_days({"old": ruled(), "sale": ruled(trigger=once)}, "19 12:00")
    days.at("20 09:00")
    renamed = {
        "new": ruled(renamed_from=["old"]),
        "big-sale": ruled(trigger={"at": "2026-11-21 10:00"}, renamed_from=["sale"]),
    }
    days.restart("21 09:30", renamed)
    days.at("21 10:00")
    assert [(run.rule, run.occasion) for run in days.world.runs()] == [
        ("old", "2026-11-20T09:00"), ("sale", "once"), ("new", "2026-11-21T09:00"),
    ]  # fmt: skip
    assert days.world.workspace.is_enabled("old")


def test_one_time_is_had_once_whatever_it_is_changed_to(make_days: Begin) -> None:
    days = make_days({"sale": ruled(trigger={"at": "2026-11-20 09:00"})}, "19 12:00")
    assert days.at("20 09:00").next_at is None
    days.reload("20 10:00", {"sale": ruled(trigger={"at": "2026-11-22 09:00"})})
    days.at("22 09:00")
    assert days.slots == ["once"]


def test_an_event_that_was_had_under_an_earlier_name_is_not_had_again(make_world: Make) -> None:
    world = make_world({"old": rule_text(trigger={"event": "com.example.goal", "once_per": "{{ event.subject }}"})})
    world.ingest(event("a", subject="g"))
    (world.folder / "rules/old.yaml").unlink()
    trigger = {"event": "com.example.goal", "once_per": "{{ event.subject }}"}
    world.rewrite({"new": ruled(trigger=trigger, renamed_from=["old"])})
    world.ingest(event("b", subject="g"), event("c", subject="h"))
    assert [(run.rule, run.occasion) for run in world.runs()] == [("old", "g"), ("new", "h")]


def test_events_outside_of_starts_and_ends_start_nothing(make_world: Make) -> None:
    rule = ruled(trigger={"event": "com.example.goal"}, starts="2026-11-20 11:00", ends="2026-11-20 11:30")
    world = make_world({"goal": rule})
    hour = timedelta(hours=1)
    world.ingest(*(event(str(n), at=NOW - n * hour / 4) for n in range(6)))
    assert [run.occasion for run in world.runs()] == ["test\n2", "test\n3", "test\n4"]
    with pytest.raises(OperatorError, match="it is not the time between `starts` and `ends` of rule goal"):
        fired_occasion(world.workspace.campaigns["goal"], None, None, world.workspace.settings, NOW)


def test_what_is_unsent_when_a_rule_ends_is_suppressed_and_expirations_are_cut(make_days: Begin) -> None:
    days = make_days({"digest": ruled(ends="2026-11-20 09:30")}, "20 08:00")
    register_many(days.world.store, 2)
    days.at("20 09:00")
    (run,) = days.world.runs()
    context = context_of(run, days.world.workspace.campaigns["digest"], days.world.workspace.settings)
    assert isinstance(context, RunContext)
    started = start_runs(days.world.store, [(context, 10)], datetime(2026, 11, 20, 9, 31, tzinfo=UTC), room=10)
    assert started.windows[0].recipients == []
    assert days.world.report(run).reasons == {"suppressed": {SuppressReason.ENDED: 2}}


def test_slot_is_known_to_conditions_and_templates(make_days: Begin) -> None:
    rule = ruled(audience={"app": "scores", "where": "slot < ago('0 days') or today == '2026-11-20'"})
    days = make_days({"digest": rule}, "20 08:00")
    days.at("20 09:00:30")
    (run,) = days.world.runs()
    context = context_of(run, days.world.workspace.campaigns["digest"], days.world.workspace.settings)
    assert isinstance(context, RunContext)
    assert context.scope["slot"] == run.due == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert context.audience.where is None or context.audience.where.evaluate(dict(context.scope))


EXAMPLES = max(10, settings().max_examples // 10)
"""A database on disk for each, and a commit for each look."""
_moves = st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["look", "restart", "reload"])), max_size=20)


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(_moves)
def test_no_order_of_looks_restarts_and_reloads_has_a_slot_twice_or_never(moves: list[tuple[int, str]]) -> None:
    rule = ruled(trigger={"schedule": "*/20 * * * *", "grace": "3 h", "catch_up": "all"})
    with tempfile.TemporaryDirectory() as folder:
        world = World.make(Path(folder), {"digest": rule}, templates=TEMPLATES)
        minute = 0
        days = Days(world, "20 00:00")
        for step, move in moves:
            minute = min(minute + step, 23 * 60 + 59)
            getattr(days, {"look": "at", "restart": "restart", "reload": "reload"}[move])(
                f"20 {minute // 60:02}:{minute % 60:02}"
            )
        expected = [f"20T{one // 60:02}:{one % 60:02}" for one in range(20, minute + 1, 20)]
        assert days.slots == expected
        with world.store.read() as tx:
            assert run_rows.count_open(tx) == len(expected)
        world.store.close()


def test_newer_slot_supersedes_the_run_of_an_older_one(make_world: Make) -> None:
    world = make_world(
        trigger={"schedule": "0 9 * * *"},
        delivery={"supersede": "digest"},
        files={"templates": {"goal": "aps: {alert: digest}"}},
    )
    days = Days(world, "26 12:00")
    days.at("27 09:00")
    (older,) = world.runs()
    opened = days.at("28 09:00")
    assert (opened.runs, opened.superseded) == (1, {older.seq})
    assert [run.state for run in world.runs()] == [RunState.SUPERSEDED, RunState.PENDING]
