"""A slot at each device's own time: every device once, when its own clock shows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from support.digests import ROUND, TEMPLATES, counts, digest_settings, got, ruled, the_run, utc
from support.globe import Globe
from support.worlds import APP, register, set_user, token_of

from scheduler.domain.runs import RunState
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow

Make = Callable[..., Globe]


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
    lines = ["later than the grace, at UTC+5:45"]
    if catch_up == "skip":
        lines.insert(0, "came while the daemon was down, at UTC+1:00")
    assert globe.world.misses() == [("digest", "zones_missed", line, 1) for line in lines]
    assert the_run(globe).state is RunState.FINISHED


def test_a_daemon_that_comes_up_late_makes_the_run_of_the_zones_that_are_left(make_globe: Make) -> None:
    globe = make_globe()
    globe.up()
    globe.down()
    globe.up(utc("30 08:30"))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == [(3, "30 08:30"), (5, "30 08:30"), (4, "30 14:00")]
    missed = ("digest", "zones_missed", "later than the grace, at UTC+14:00 and UTC+5:45", 1)
    assert globe.world.misses() == [missed]
    globe.down()
    globe.up()
    globe.run_until(utc("30 23:30"))
    assert len(globe.world.runs()) == 1


def test_zones_in_which_nobody_is_are_not_missed(make_globe: Make) -> None:
    """The daemon is down while it is nine between Chatham, at UTC+13:45, and Pakistan, at UTC+5."""
    globe = make_globe()
    globe.up()
    globe.run_until(utc("29 19:05"))
    globe.down()
    globe.up(utc("30 03:10"))
    globe.run_until(utc("30 23:00"))
    assert got(globe) == ROUND
    assert globe.world.misses() == []


def test_a_user_without_a_zone_on_the_device_is_where_the_user_is(make_globe: Make) -> None:
    globe = make_globe()
    set_user(globe.world.store, "anna", time_zone="Asia/Tokyo")
    register(globe.world.store, [DeviceChange(app=APP, token=token_of(5), user="anna")])
    globe.up()
    globe.run_until(utc("29 19:05"))
    globe.down()
    globe.up(utc("30 03:10"))
    assert globe.world.misses() == [("digest", "zones_missed", "later than the grace, at UTC+9:00", 1)]


def test_a_slot_that_misses_many_zones_is_one_line(make_globe: Make) -> None:
    globe = make_globe()
    register(globe.world.store, [DeviceChange(app=APP, token=token_of(6), time_zone="Asia/Tokyo")])
    globe.up()
    globe.down()
    globe.up(utc("30 12:00"))
    globe.run_until(utc("30 12:01"))
    assert globe.world.misses() == [
        ("digest", "zones_missed", "later than the grace, in 4 zones from UTC+14:00 to UTC+1:00", 1)
    ]


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
    globe.world.rewrite({"digest": ruled({"schedule": "0 21 * * *"})}, settings=digest_settings(), templates=TEMPLATES)
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
    globe.world.rewrite({"digest": ruled({"schedule": "0 16 * * *"})}, settings=digest_settings(), templates=TEMPLATES)
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
