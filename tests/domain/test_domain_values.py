"""Laws of ids, quantities, outcomes, clocks and errors: what every other package relies on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import Bug, ClarionError, OperatorError, RemoteError
from scheduler.domain.ids import apns_ids, run_id
from scheduler.domain.lanes import Lane
from scheduler.domain.outcomes import ACCEPTED, Outcome, OutcomeKind
from scheduler.domain.quantities import Rate, format_duration, parse_duration, parse_rate

UUIDS = st.uuids()
DEVICES = st.integers(-(2**63), 2**63 - 1)
CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@given(UUIDS, DEVICES)
def test_an_apns_id_is_a_lower_case_canonical_uuid_of_version_5(run: UUID, device: int) -> None:
    made = apns_ids(run)(device)
    assert CANONICAL.fullmatch(made)
    assert (UUID(made).version, UUID(made).variant) == (5, RFC_4122)


@given(UUIDS, st.lists(DEVICES, unique=True, max_size=20))
def test_apns_ids_are_the_same_after_a_restart_and_distinct_by_device(run: UUID, devices: list[int]) -> None:
    ids = [apns_ids(run)(device) for device in devices]
    make = apns_ids(run)
    assert [make(device) for device in reversed(devices)] == ids[::-1]
    assert len(set(ids)) == len(devices)


@given(UUIDS, UUIDS, DEVICES)
def test_apns_ids_are_distinct_by_run_and_by_step(run: UUID, other: UUID, device: int) -> None:
    assert (apns_ids(run)(device) == apns_ids(other)(device)) == (run == other)
    assert apns_ids(run)(device) != apns_ids(run, "second")(device)


NAMES = st.text("abcdefgh-", min_size=1, max_size=8)


@given(UUIDS, NAMES, st.text(max_size=20), NAMES, st.text(max_size=20))
def test_a_run_id_is_the_occasions_and_nobody_elses(
    namespace: UUID, rule: str, key: str, other: str, key2: str
) -> None:
    mine = run_id(namespace, rule, key)
    assert mine.version == 5
    assert (mine == run_id(namespace, other, key2)) == ((rule, key) == (other, key2))


def test_a_run_id_depends_on_the_databases_namespace() -> None:
    assert run_id(UUID(int=1), "sale", "a") != run_id(UUID(int=2), "sale", "a")


@given(st.integers(0, 400 * 86400))
def test_a_duration_survives_being_written_and_read(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    written = format_duration(duration)
    assert parse_duration(written) == duration
    assert written[0] == "0" or int(written.split()[0]) > 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15 minutes", 900), ("1 minute", 60), ("15min", 900), (" 30 s ", 30), ("24 h", 86400), ("2 days", 172800),
     ("1 week", 604800), ("0 s", 0)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "15", "minutes", "1.5 h", "-1 h", "6 hrs", "1 month", "1 H", "1 h 30 min", "٣ s x"]
)
def test_what_is_no_duration_is_told_with_the_units(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(text)
    assert str(raised.value) == (
        f"{text!r} is not a duration; write a whole number and s, min, h, day or week: '15 minutes'"
    )


@pytest.mark.parametrize("text", ["401 days", "9601 h", "58 weeks", "34560001 s", "999999999 weeks", "9" * 20 + " s"])
def test_a_duration_is_not_longer_than_400_days(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(text)
    assert str(raised.value) == f"{text!r} is longer than 400 days"
    assert parse_duration("400 days") == timedelta(days=400)


@pytest.mark.parametrize("text", ["1000001/s", "1000000.1/s", "60000001/min", "999999999/s", "9" * 20 + "/s"])
def test_a_rate_is_not_above_a_million_a_second(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_rate(text)
    assert str(raised.value) == f"{text!r} is above 1000000/s"
    assert parse_rate("1000000/s") == parse_rate("60000000/min") == 1_000_000


@given(st.integers(1, 1_000_000))
def test_a_rate_is_read_per_second(number: int) -> None:
    assert parse_rate(f"{number}/s") == number
    assert parse_rate(f"{number} / min") == number / 60


@pytest.mark.parametrize("text", ["", "500", "0/s", "0.0/min", "-1/s", "5/h", "/s", "1e3/s", "5 per s"])
def test_what_is_no_rate_is_told_with_its_form(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_rate(text)
    assert str(raised.value) == f"{text!r} is not a rate; write a number above 0 and /s or /min: '500/s'"


@pytest.mark.parametrize(("per_second", "burst"), [(9000.0, 900), (10.0, 1), (9.99, 1), (0.5, 1), (25.0, 2)])
def test_the_default_burst_is_a_tenth_of_a_second_and_at_least_one(per_second: float, burst: int) -> None:
    assert Rate.of(per_second) == Rate(per_second, burst)
    assert Rate.of(per_second, 7) == Rate(per_second, 7)


def test_the_outcomes_are_the_words_of_the_report() -> None:
    assert [kind.value for kind in OutcomeKind] == ["accepted", "rejected", "suppressed", "expired", "unknown"]
    assert Outcome(OutcomeKind.ACCEPTED) == ACCEPTED
    assert ACCEPTED.reason is None


def test_urgent_goes_before_normal_and_normal_before_bulk() -> None:
    assert sorted(Lane, key=lambda lane: lane.rank) == [Lane.URGENT, Lane.NORMAL, Lane.BULK]


@given(st.lists(st.floats(0, 1e6)))
def test_a_virtual_clock_moves_both_hands_and_only_when_told(steps: list[float]) -> None:
    start = datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))
    clock = VirtualClock(start)
    assert (clock.now(), clock.now().tzinfo, clock.monotonic()) == (start, UTC, 0.0)
    for step in steps:
        before, ticked = clock.now(), clock.monotonic()
        clock.advance(step)
        assert clock.now() - before == timedelta(seconds=step)
        assert clock.monotonic() == ticked + step
    assert clock.now() == clock.now()


def test_a_virtual_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError) as raised:
        VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)).advance(-1)
    assert str(raised.value) == "time does not run backwards"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OperatorError("no such app"), "no such app"),
        (OperatorError("no such app", where="rules/a.yaml:3:1"), "rules/a.yaml:3:1: no such app"),
        (OperatorError("no such app", where="a", hint="name one"), "a: no such app\n  hint: name one"),
        (OperatorError("no such app", hint="name one"), "no such app\n  hint: name one"),
    ],
)
def test_an_operators_error_says_where_what_and_what_next(error: OperatorError, text: str) -> None:
    assert str(error) == text
    assert error.what == "no such app"


def test_errors_are_told_apart_by_blame() -> None:
    kinds = (OperatorError, RemoteError, Bug)
    assert all(issubclass(kind, ClarionError) for kind in kinds)
    assert not any(issubclass(kind, other) for kind in kinds for other in kinds if kind is not other)
