"""A run on its way round the world: restarts, crashes, hands, other rules and devices that move change nothing for the
zones that are still to come, and nobody is given out twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.digests import ROUND, TEMPLATES, counts, digest_settings, got, ruled, the_run, utc
from support.globe import Globe
from support.worlds import APP, register, token_of

from scheduler.domain.runs import RunState
from scheduler.runs.pausing import cancel, pause, pause_what_cannot_run, resume
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow

Make = Callable[..., Globe]


def test_restarts_between_two_zones_change_nothing(make_globe: Make) -> None:
    globe = make_globe()
    for moment in ("27 12:00", "29 18:30", "29 19:00", "30 03:14", "30 08:01", "30 13:00"):
        globe.run_until(utc(moment)) if globe.driver else None
        globe.down()
        globe.up(utc(moment))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert globe.world.misses() == []


def test_a_rename_takes_the_run_on_its_way_along(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    renamed = {"news": ruled(renamed_from=["digest"])}
    (globe.world.folder / "rules/digest.yaml").unlink()
    globe.world.rewrite(renamed, settings=digest_settings(), templates=TEMPLATES)
    globe.reload()
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert len(globe.world.runs()) == 1


def test_a_rule_that_is_disabled_pauses_before_its_next_zone_until_it_is_resumed(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.run_until(utc("30 05:00"))
    globe.world.rewrite({"digest": ruled(enabled=False)}, settings=digest_settings(), templates=TEMPLATES)
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
