"""From events to runs: what starts one, what does not, and how many rows that costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support.worlds import APP, NOW, World, event, ids, register, rule_text, token_of

from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import LedgerEntry, RunState
from scheduler.runs.settling import Settlement, settle
from scheduler.store.registry_changes import DeviceChange

Make = Callable[..., World]
TO_ONE_USER = {"app": APP, "users": ["{{ event.data.user }}"]}


def test_an_event_is_known_by_source_and_id_within_a_batch_and_across_batches(make_world: Make) -> None:
    world = make_world()
    result = world.ingest(event("a"), event("b"), event("a", title="again"))
    assert (result.fresh, result.accepted, result.duplicates, result.runs) == ([True, True, False], 2, 1, 2)
    again = world.ingest(event("b"), event("c"))
    assert (again.fresh, again.runs) == ([False, True], 1)
    assert [run.event.id for run in world.runs() if run.event] == ["a", "b", "c"]


def test_a_rule_runs_once_for_a_key(make_world: Make) -> None:
    world = make_world(trigger={"event": "com.example.goal", "once_per": "{{ event.subject }}:{{ event.data.score }}"})
    assert world.ingest(event("a", subject="g", score="1-0"), event("b", subject="g", score="1-0")).runs == 1
    assert world.ingest(event("c", subject="g", score="1-0"), event("d", subject="g", score="2-0")).runs == 1
    assert [(run.event.id, run.occasion) for run in world.runs() if run.event] == [("a", "g:1-0"), ("d", "g:2-0")]


def test_rules_have_their_own_occasions(make_world: Make) -> None:
    trigger = {"event": "com.example.*", "once_per": "{{ event.subject }}"}
    world = make_world({"one": rule_text(trigger=trigger), "two": rule_text(trigger=trigger)})
    assert world.ingest(event("a", subject="x"), event("b", subject="x", type_="com.example.card")).runs == 2
    assert {(run.rule, run.occasion) for run in world.runs()} == {("one", "x"), ("two", "x")}


def test_a_false_condition_starts_nothing_and_an_unknown_one_is_counted_with_the_missing_name(
    make_world: Make,
) -> None:
    world = make_world(trigger={"event": "com.example.goal", "when": "event.data.minute > 10"})
    assert world.ingest(event("early", minute=3), event("late", minute=80), event("when"), event("ever")).runs == 1
    assert [run.event.id for run in world.runs() if run.event] == ["late"]
    world.ingest(event("whenever"))
    assert world.misses() == [("goal", "when_unknown", "event.data.minute", 3)]


def test_a_missing_part_of_the_key_is_no_run_and_is_counted(make_world: Make) -> None:
    world = make_world(trigger={"event": "com.example.goal", "once_per": "{{ event.data.score }}"})
    assert world.ingest(event("a")).runs == 0
    assert world.misses() == [("goal", "key_missing", "event.data.score", 1)]


def test_a_key_is_taken_only_after_the_condition_matched(make_world: Make) -> None:
    world = make_world(
        trigger={"event": "com.example.goal", "when": "event.data.minute > 10", "once_per": "{{ event.subject }}"}
    )
    assert world.ingest(event("a", subject="g", minute=1)).runs == 0
    assert world.ingest(event("b", subject="g", minute=11)).runs == 1


def test_previous_is_the_latest_event_before_of_the_same_type_and_subject(make_world: Make) -> None:
    world = make_world(
        trigger={"event": "com.example.*", "when": "event.data.n > (previous.data.n | default(0))"},
    )
    minute = timedelta(minutes=1)
    world.advance(3600)
    world.ingest(
        event("first", subject="x", n=1, at=NOW),
        event("third", subject="x", n=3, at=NOW + 3 * minute),  # arrives before the second, in the same batch
        event("second", subject="x", n=2, at=NOW + 2 * minute),
        event("other subject", subject="y", n=9, at=NOW + minute),
        event("other type", subject="x", type_="com.example.card", n=9, at=NOW + minute),
        event("same time", subject="x", n=1, at=NOW),
        event("no subject", n=5, at=NOW + minute),
        event("fewer", subject="x", n=1, at=NOW + 4 * minute),
    )
    world.ingest(event("fourth", subject="x", n=4, at=NOW + 5 * minute))
    previous = {run.event.id: run.previous.id if run.previous else None for run in world.runs() if run.event}
    assert previous == {
        "first": None,
        "third": "second",
        "second": "same time",  # of two at one time, the later arrival
        "other subject": None,
        "other type": None,
        "same time": None,
        "no subject": None,
        "fourth": "fewer",
    }


def test_an_event_is_due_at_its_time_but_never_after_its_arrival(make_world: Make) -> None:
    world = make_world()
    world.ingest(event("old", at=NOW - timedelta(minutes=5)), event("new", at=NOW + timedelta(minutes=5)))
    assert [run.due for run in world.runs()] == [NOW - timedelta(minutes=5), NOW]


def test_a_disabled_rule_starts_nothing(make_world: Make) -> None:
    text = rule_text().replace('"category"', '"enabled": false, "category"')
    assert make_world({"goal": text}).ingest(event("a")).runs == 0


def test_a_run_born_with_its_intent_costs_an_event_four_rows(make_world: Make) -> None:
    world = make_world(audience=TO_ONE_USER)
    register(world.store, (DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1, 101)))
    world.ingest(event("first", user="u1"))  # stores the rule version
    before = world.store.rows_written()
    result = world.ingest(*(event(f"e{n}", user=f"u{n}") for n in range(1, 101)), room={APP: 1000})
    assert [ids(window.recipients) for window in result.windows] == [[n] for n in range(1, 101)]
    settlement = Settlement(
        ledger=[
            LedgerEntry(window.context.run.seq, window.recipients[0].id, OutcomeKind.ACCEPTED, None, 1)
            for window in result.windows
        ],
        perhaps_over=[window.context.run.seq for window in result.windows],
    )
    assert len(settle(world.store, settlement, NOW, process="p").rest.over) == 100
    assert (world.store.rows_written() - before) / 100 <= 4
    assert len(world.runs(RunState.FINISHED)) == 100


def test_runs_are_opened_at_once_as_far_as_there_is_room(make_world: Make) -> None:
    world = make_world(audience=TO_ONE_USER)
    register(world.store, (DeviceChange(app=APP, token=token_of(n), user=f"u{n % 4}") for n in range(12)))
    result = world.ingest(*(event(f"e{n}", user=f"u{n}") for n in range(4)), room={APP: 7})
    assert [len(window.recipients) for window in result.windows] == [3, 3]
    assert [run.state for run in world.runs()] == ["running", "running", "pending", "pending"]
    assert world.ingest(event("no room", user="u1")).windows == []


def test_a_run_at_birth_decides_like_any_window(make_world: Make) -> None:
    world = make_world(audience={**TO_ONE_USER, "where": "device.attributes.alerts == 'all'"})
    for number, alerts in enumerate(("all", "none", "all"), start=1):
        change = DeviceChange(app=APP, token=token_of(number), user="ann", attributes={"alerts": alerts})
        register(world.store, [change])
    result = world.ingest(event("a", user="ann"), event("b", user="nobody"), room={APP: 100})
    assert [ids(window.recipients) for window in result.windows] == [[1, 3]]
    assert [(run.state, run.selected) for run in world.runs()] == [("running", 2), ("finished", 0)]


@pytest.mark.parametrize("room", [None, {APP: 100}])
def test_an_audience_that_renders_to_missing_ends_the_run_with_its_reason(
    make_world: Make, room: dict[str, int] | None
) -> None:
    world = make_world(audience=TO_ONE_USER)
    world.ingest(event("a"), room=room)
    (run,) = world.runs()
    if room is None:
        assert run.state is RunState.PENDING  # nobody has looked yet: see test_runs_opening.py
    else:
        assert (run.state, run.note) == ("finished", "audience_missing: every value of audience.users is missing")
