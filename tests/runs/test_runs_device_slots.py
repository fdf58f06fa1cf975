"""A slot at each device's own time: every device once, when its own clock shows it, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.globe import Globe
from support.worlds import (
    APP,
    World,
    load_workspace,
    new_store,
    register,
    rule_text,
    settings_text,
    token_of,
    write_workspace,
)

from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import Run, RunState
from scheduler.runs.pausing import cancel, pause, pause_what_cannot_run, resume
from scheduler.runs.reports import Counts
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow

Make = Callable[..., Globe]
TEMPLATES = {"digest": 'aps: {alert: {title: "{{ today }}", body: "{{ slot }}"}}'}
WEEKLY = {"schedule": "0 9 * * mon", "time_zone": "device"}
ZONES = ("Pacific/Kiritimati", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", None)
ROUND = [
    (1, "29 19:00"),
    (2, "30 03:15"),
    (3, "30 08:00"),
    (5, "30 08:00"),
    (4, "30 14:00"),
]


def utc(text: str) -> datetime:
    """`30 08:00` is in November 2026."""
    day, clock = text.split()
    return datetime.fromisoformat(f"2026-11-{day}T{clock}").replace(tzinfo=UTC)


def ruled(trigger: Mapping[str, Any] | None = None, **keys: Any) -> str:
    """A weekly rule at each device's own time, or with another trigger."""
    whole = json.loads(rule_text(trigger={**WEEKLY, **(trigger or {})}, template="digest"))
    return json.dumps({**whole, **keys})


@pytest.fixture
def make_globe(tmp_path: Path) -> Make:
    """`make_globe(at, rules)`: devices 1 to 5 in the zones of ZONES, and nobody is up yet."""

    def make(at: str = "27 12:00", rules: dict[str, str] | None = None, *, limits: Any = None) -> Globe:
        more = {"limits": limits} if limits else {}
        settings = settings_text(defaults={"time_zone": "Europe/Berlin"}, **more)
        write_workspace(tmp_path, rules or {"digest": ruled()}, settings=settings, templates=TEMPLATES)
        store = new_store(tmp_path / "clarion.db")
        world = World(tmp_path, load_workspace(tmp_path), store, VirtualClock(utc(at)))
        register(store, [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(ZONES, 1)])
        made.append(world)
        return Globe(world)

    made: list[World] = []
    yield make
    for world in made:
        world.store.close()


def got(globe: Globe) -> list[tuple[int, str]]:
    return [(device, f"{at:%d %H:%M}") for device, _, at in globe.got]


def the_run(globe: Globe) -> Run:
    (run,) = globe.world.runs()
    return run


def counts(globe: Globe) -> Counts:
    return globe.world.report(the_run(globe)).counts


def test_a_slot_goes_round_the_world_as_one_run(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("29 18:59"))
    assert globe.world.runs() == []
    globe.run_until(utc("30 00:00"))
    run = the_run(globe)
    assert (run.state, run.occasion, run.due) == (RunState.WAITING, "2026-11-30T09:00", utc("29 19:00"))
    assert globe.driver is not None
    assert globe.driver.work.runs == {}
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert (the_run(globe).state, counts(globe).selected, counts(globe).accepted) == (RunState.FINISHED, 5, 5)


def test_restarts_between_two_zones_change_nothing(make_globe: Make) -> None:
    globe = make_globe()
    for moment in ("27 12:00", "29 18:30", "29 19:00", "30 03:14", "30 08:01", "30 13:00"):
        globe.run_until(utc(moment)) if globe.driver else None
        globe.down()
        globe.up(utc(moment))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert globe.world.misses() == []


@pytest.mark.parametrize(
    ("catch_up", "late"),
    [("last", [(3, "30 08:30"), (5, "30 08:30")]), ("all", [(3, "30 08:30"), (5, "30 08:30")]), ("skip", [])],
)
def test_zones_that_were_missed_go_by_grace_and_catch_up(
    make_globe: Make, catch_up: str, late: list[tuple[int, str]]
) -> None:
    globe = make_globe(rules={"digest": ruled({"catch_up": catch_up})})
    globe.up()
    globe.run_until(utc("30 01:00"))
    globe.down()
    globe.up(utc("30 08:30"))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [ROUND[0], *late, ROUND[4]]
    details = {detail for _, reason, detail, _ in globe.world.misses() if reason == "slot_missed"}
    assert "later than the grace, at UTC+5:45" in details
    assert ("came while the daemon was down, at UTC+1:00" in details) is (catch_up == "skip")
    assert the_run(globe).state is RunState.FINISHED


def test_a_daemon_that_comes_up_late_makes_the_run_of_the_zones_that_are_left(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.down()
    globe.up(utc("30 08:30"))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [(3, "30 08:30"), (5, "30 08:30"), (4, "30 14:00")]
    globe.down()
    globe.up()
    globe.run_until(utc("30 23:30"))
    assert len(globe.world.runs()) == 1


def test_a_slot_that_is_over_everywhere_is_missed_once(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.down()
    globe.up(datetime(2026, 12, 2, tzinfo=UTC))
    globe.run_until(datetime(2026, 12, 3, tzinfo=UTC))
    assert globe.got == []
    assert globe.world.misses() == [("digest", "slot_missed", "later than the grace", 1)]


def test_a_rule_that_is_new_comes_where_its_time_is_still_to_come(make_globe: Make) -> None:
    globe = make_globe("30 07:00")
    globe.up()
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND[2:]
    assert globe.world.misses() == []


@pytest.mark.parametrize("at", ["30 00:00", "30 12:00"])
def test_an_edit_gives_no_device_a_second_send_on_its_date(make_globe: Make, at: str) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc(at))
    globe.world.rewrite({"digest": ruled({"schedule": "0 21 * * *"})}, settings=_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(datetime(2026, 12, 2, 20, tzinfo=UTC))
    assert got(globe)[:5] == ROUND
    by_device = {device: [at for one, _, at in globe.got if one == device] for device in range(1, 6)}
    assert {device: f"{times[1]:%d %H:%M}" for device, times in by_device.items()} == {
        1: "01 07:00", 2: "01 15:15", 3: "01 20:00", 4: "02 02:00", 5: "01 20:00",
    }  # fmt: skip


def test_an_edit_late_in_the_day_gives_nobody_the_date_before_again(make_globe: Make) -> None:
    """The slot of Tuesday has begun in the east, so that its date is the last that ran; Monday is blocked too."""
    globe = make_globe(rules={"digest": ruled({"schedule": "0 9 * * *"})})
    globe.up(utc("29 00:00"))
    globe.run_until(utc("30 20:30"))
    before = len(globe.got)
    assert {run.occasion[:10] for run in globe.world.runs()} >= {"2026-11-30", "2026-12-01"}
    globe.world.rewrite({"digest": ruled({"schedule": "0 16 * * *"})}, settings=_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(datetime(2026, 12, 1, 18, tzinfo=UTC))
    assert {occasion for _, occasion, _ in globe.got[before:]} <= {"2026-12-01T09:00", "2026-12-02T16:00"}


def test_the_next_slot_begins_while_the_one_before_goes_on(make_globe: Make) -> None:
    globe = make_globe(rules={"digest": ruled({"schedule": "0 9 * * *"})})
    globe.up(utc("27 12:00"))
    globe.run_until(utc("30 23:00"))
    for device in range(1, 6):
        days = [occasion for one, occasion, _ in globe.got if one == device]
        assert days == sorted(set(days))
        assert len(days) in (3, 4)


def test_a_rename_takes_the_run_on_its_way_along(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    renamed = {"news": ruled(renamed_from=["digest"])}
    (globe.world.folder / "rules/digest.yaml").unlink()
    globe.world.rewrite(renamed, settings=_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert len(globe.world.runs()) == 1


def test_a_rule_that_is_disabled_pauses_before_its_next_zone_until_it_is_resumed(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    globe.world.rewrite({"digest": ruled(enabled=False)}, settings=_settings(), templates=TEMPLATES)
    globe.reload()
    assert globe.driver is not None
    pause_what_cannot_run(globe.world.store, globe.world.workspace, globe.driver.versions)
    globe.run_until(utc("30 09:00"))
    assert got(globe) == ROUND[:2]
    assert (the_run(globe).state, the_run(globe).note) == (RunState.PAUSED, "the rule is disabled or gone")
    resume(globe.world.store, the_run(globe).id.hex, globe.world.now, apps=[APP])
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [*ROUND[:2], (3, "30 09:00"), (5, "30 09:00"), ROUND[4]]


def test_a_report_says_when_the_next_zone_is_due_that_a_run_waits_for(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    assert the_run(globe).state is RunState.WAITING
    assert globe.world.report(the_run(globe)).next_due == the_run(globe).waits_until
    pause(globe.world.store, the_run(globe).id.hex, globe.world.now)
    assert globe.world.report(the_run(globe)).next_due is None


def test_what_came_while_a_run_was_paused_is_not_lost_in_a_restart(make_globe: Make) -> None:
    """It came while the daemon ran: `grace` has nothing to say about it, `max_age` has."""
    globe = make_globe(rules={"digest": ruled({"catch_up": "skip"})})
    globe.up()
    globe.run_until(utc("30 07:30"))
    pause(globe.world.store, the_run(globe).id.hex, globe.world.now)
    globe.run_until(utc("30 09:30"))
    globe.down()
    globe.up(utc("30 11:00"))
    resume(globe.world.store, the_run(globe).id.hex, globe.world.now, apps=[APP])
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [*ROUND[:2], (3, "30 11:00"), (5, "30 11:00"), ROUND[4]]


def test_a_cancelled_run_goes_no_further(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    cancel(globe.world.store, the_run(globe).id.hex, globe.world.now)
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND[:2]
    assert (the_run(globe).finished_at, counts(globe).selected) == (utc("30 05:00"), 2)


@pytest.mark.parametrize(
    ("there", "to", "at"),
    [
        ("America/New_York", "America/Los_Angeles", "30 17:00"),
        ("Europe/Berlin", "America/New_York", "30 08:00"),
        ("Asia/Kathmandu", "Europe/Berlin", "30 03:15"),
        ("America/New_York", "Europe/Berlin", None),
    ],
)
def test_who_moves_gets_it_once_at_most(make_globe: Make, there: str, to: str, at: str | None) -> None:
    globe = make_globe()
    register(globe.world.store, [DeviceChange(app=APP, token=token_of(6), time_zone=there)])
    globe.up()
    globe.run_until(utc("30 12:00" if at != "30 03:15" else "30 05:00"))
    globe.move(6, to)
    globe.run_until(utc("30 23:00"))
    assert [when for device, when in got(globe) if device == 6] == ([] if at is None else [at])
    assert counts(globe).selected == counts(globe).accepted == len(globe.got)


def test_who_moves_while_it_is_on_its_way_is_not_given_out_again(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 07:59"))
    globe.pass_to(utc("30 08:00"))
    globe.look()
    assert globe.driver is not None
    while globe.open_all():
        pass
    assert sorted(device for window in globe.driver.work.windows.values() for device in window.waiting) == [3, 5]
    globe.move(3, "America/New_York")
    globe.pass_to(utc("30 14:00"))
    globe.look()
    while globe.open_all():
        pass
    given = [device for window in globe.driver.work.windows.values() for device in window.waiting]
    assert sorted(given) == [3, 4, 5]
    globe.driver.accept_all()
    globe.driver.settle()
    assert (counts(globe).selected, counts(globe).accepted) == (5, 5)


@pytest.mark.parametrize("moves", [False, True])
def test_after_a_crash_the_unknown_are_those_that_were_given_out(make_globe: Make, moves: bool) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 07:59"))
    globe.pass_to(utc("30 08:00"))
    globe.look()
    while globe.open_all():
        pass
    if moves:
        globe.move(3, "America/New_York")
    globe.down()
    globe.up(utc("30 08:05"))
    assert globe.driver is not None
    assert globe.driver.recovered.resend == 2
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [*ROUND[:2], (3, "30 08:05"), (5, "30 08:05"), ROUND[4]]
    report = globe.world.report(the_run(globe))
    assert (report.counts.selected, report.counts.accepted, report.maybe_repeated) == (5, 5, 2)


def test_the_slot_of_conditions_and_of_what_is_too_old_is_the_devices_own(make_globe: Make) -> None:
    where = "slot >= '2026-11-30 09:00' and today == '2026-11-30'"
    rule = ruled(audience={"app": APP, "where": where}, delivery={"max_age": "20 minutes"})
    globe = make_globe(rules={"digest": rule})
    globe.up()
    globe.run_until(utc("30 07:59"))
    globe.down()
    globe.up(utc("30 08:21"))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [ROUND[0], ROUND[1], ROUND[4]]
    assert globe.world.report(the_run(globe)).reasons == {"suppressed": {"stale": 2}}


@pytest.mark.parametrize(
    ("ends", "sent"), [("2026-11-30", 5), ("2026-11-29", 0), ("2026-11-30 09:00", 5), ("2026-11-30T08:00:00Z", 4)]
)
def test_a_date_on_which_a_rule_ends_is_the_devices_own(make_globe: Make, ends: str, sent: int) -> None:
    globe = make_globe(rules={"digest": ruled({"schedule": "0 9 30 11 *"}, ends=ends)})
    globe.up()
    globe.run_until(utc("30 23:59"))
    assert len(got(globe)) == sent


def test_an_instant_at_which_a_rule_starts_is_one_for_all(make_globe: Make) -> None:
    globe = make_globe(rules={"digest": ruled(starts="2026-11-30T07:00:00Z")})
    globe.up()
    globe.run_until(utc("30 23:59"))
    assert got(globe) == ROUND[2:]


def test_an_audience_that_is_too_large_does_not_start_and_goes_round_once_resumed(make_globe: Make) -> None:
    globe = make_globe(limits={"audience_max": 4})
    globe.up()
    globe.run_until(utc("30 07:00"))
    run = the_run(globe)
    assert (run.state, globe.got) == (RunState.PAUSED, [])
    assert run.note is not None
    assert run.note.startswith("audience_max: more than 4 devices match, so it did not start")
    resume(globe.world.store, run.id.hex, globe.world.now, apps=[APP])
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [(1, "30 07:00"), (2, "30 07:00"), *ROUND[2:]]


def test_an_audience_of_nobody_is_over_at_once(make_globe: Make) -> None:
    globe = make_globe(rules={"digest": ruled(audience={"app": APP, "topics": ["{{ abort('no') }}"]})})
    globe.up()
    globe.run_until(utc("30 23:00"))
    assert the_run(globe).state is RunState.FINISHED
    assert globe.got == []


def test_what_is_fired_goes_to_everybody_at_once(make_globe: Make) -> None:
    from scheduler.runs.firing import fire, fired_occasion

    globe = make_globe(rules={"digest": ruled({"manual": True})})
    globe.up()
    campaign = globe.world.workspace.campaigns["digest"]
    occasion = fired_occasion(campaign, "now", None, globe.world.workspace.settings, globe.world.now)
    assert fire(globe.world.store, campaign, occasion, None, globe.world.now) is not None
    globe.run_until(utc("27 13:00"))
    assert got(globe) == [(device, "27 12:00") for device in range(1, 6)]


def test_a_held_device_is_held_by_its_own_slot(make_globe: Make) -> None:
    rule = ruled({"schedule": "30 23 * * mon"}, timing={"quiet_hours": {"from": "22:00", "to": "08:00"}})
    globe = make_globe(rules={"digest": rule})
    globe.up()
    globe.run_until(datetime(2026, 12, 2, tzinfo=UTC))
    assert [(device, f"{at:%d %H:%M}") for device, _, at in globe.got] == [
        (1, "30 18:00"), (2, "01 02:15"), (3, "01 07:00"), (5, "01 07:00"), (4, "01 13:00"),
    ]  # fmt: skip


def test_time_passes_between_the_zones_and_nothing_is_read(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("29 20:00"))
    before = globe.world.store.rows_written()
    globe.run_until(utc("29 20:00") + timedelta(seconds=1))
    assert globe.world.store.rows_written() == before


def _settings() -> str:
    return settings_text(defaults={"time_zone": "Europe/Berlin"})
