"""The law of slots at each device's own time: each (device, slot) once, when the clock on its wall shows it, or when
the daemon is up again; whatever restarts, crashes and clocks that are changed there are."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning.slot_oracle import Pattern, cron_pattern, expected_slots, transitions
from planning.test_planning_device_slots import HARD_ZONES
from support.globe import Globe
from support.worlds import (
    APP,
    World,
    load_workspace,
    new_store,
    register,
    rule_text,
    set_user,
    settings_text,
    token_of,
    write_workspace,
)

from scheduler.domain.clock import VirtualClock
from scheduler.domain.runs import RunState
from scheduler.planning.slots import Timetable, slots_between
from scheduler.rules.cron import parse_cron
from scheduler.store.registry_changes import DeviceChange

DAY = timedelta(days=1)
DEFAULT = "America/St_Johns"
PLACES: tuple[str | None, ...] = (*HARD_ZONES, "Pacific/Pago_Pago", "Asia/Kolkata", "UTC", None, "Mars/Olympus")
OF_USERS = ("Pacific/Marquesas", "Asia/Tokyo")
"""The zones of users whose devices have none."""
EXAMPLES = max(4, settings().max_examples // 20)
_downs = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 600), st.booleans()), max_size=5)
"""When the daemon goes down (a share of the time), for how many minutes, and whether it crashes with windows open."""


def make_globe(folder: Path, start: datetime, cron: str) -> Globe:
    trigger = {"schedule": cron, "time_zone": "device", "grace": "20 days", "catch_up": "all"}
    rule = rule_text(trigger=trigger, template="digest", delivery={"max_age": "20 days", "expires_after": "20 days"})
    write_workspace(
        folder,
        {"digest": rule},
        settings=settings_text(defaults={"time_zone": DEFAULT}),
        templates={"digest": 'aps: {alert: "{{ slot }}"}'},
    )
    store = new_store(folder / "clarion.db")
    register(store, [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(PLACES, 1)])
    for number, zone in enumerate(OF_USERS, len(PLACES) + 1):
        register(store, [DeviceChange(app=APP, token=token_of(number), user=zone)])
        set_user(store, zone, time_zone=zone)
    return Globe(World(folder, load_workspace(folder), store, VirtualClock(start)))


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_each_device_has_each_slot_once_when_its_clock_shows_it_or_the_daemon_is_up_again(data: st.DataObject) -> None:
    hard = data.draw(st.sampled_from(HARD_ZONES))
    moved = data.draw(st.sampled_from(transitions(hard) or (datetime(2026, 3, 29, tzinfo=UTC),)))
    minutes = data.draw(st.frozensets(st.integers(0, 59), min_size=1, max_size=2))
    hours = data.draw(st.frozensets(st.integers(0, 23), min_size=1, max_size=2))
    pattern = cron_pattern(minutes, hours, None, None)
    start, end = moved - DAY, moved + DAY
    downs = sorted((start + (end - start) * share, minutes, crash) for share, minutes, crash in data.draw(_downs))
    with tempfile.TemporaryDirectory() as folder:
        globe = make_globe(Path(folder), start, pattern.text)
        asleep = live(globe, downs, end)
        timetable = Timetable(parse_cron(pattern.text))
        for device, zone in enumerate([*(zone or DEFAULT for zone in PLACES), *OF_USERS], 1):
            name = DEFAULT if zone == "Mars/Olympus" else zone
            expected = slots_in(pattern, timetable, ZoneInfo(name), start, end)
            seen = [(at, occasion) for one, occasion, at in globe.got if one == device]
            assert sorted(key for _, key in seen) == sorted(key for _, key in expected), zone
            for at, key in expected:
                assert (awake_at(at, asleep), key) in seen, (zone, key, downs)
        assert globe.world.misses() == []
        for run in globe.world.runs():
            counts = globe.world.report(run).counts
            assert counts.selected == counts.accepted + counts.pending == counts.accepted
            assert run.state in (RunState.FINISHED, RunState.WAITING)
        globe.world.store.close()


def live(globe: Globe, downs: list[tuple[datetime, int, bool]], end: datetime) -> list[tuple[datetime, datetime]]:
    """Let the time pass; when the daemon was down, from and to."""
    asleep: list[tuple[datetime, datetime]] = []
    globe.up()
    for at, minutes, crash in downs:
        if at <= globe.world.now:
            continue
        globe.run_until(at.replace(microsecond=0))
        since = globe.world.now
        if crash and (due := globe.next_due()) is not None and due < end:
            globe.pass_to(due)
            globe.look()
            while globe.open_all():
                pass
            since = due
        globe.down()
        globe.up(globe.world.now + timedelta(minutes=minutes))
        asleep.append((since, globe.world.now))
    globe.run_until(max(end, globe.world.now))
    return asleep


def awake_at(at: datetime, asleep: list[tuple[datetime, datetime]]) -> datetime:
    """When what was due at an instant was sent: at once, or when the daemon was up again."""
    for since, until in asleep:
        if since <= at <= until:
            at = until
    return at


def slots_in(
    pattern: Pattern, timetable: Timetable, zone: ZoneInfo, start: datetime, end: datetime
) -> list[tuple[datetime, str]]:
    """(instant, key) by the clock on the wall; where that was moved just before, by the planner, which is held against
    it elsewhere."""
    if any(start - 2 * DAY < moved <= start for moved in transitions(zone.key)):
        return [(slot.at, slot.key) for slot in slots_between(timetable, zone, start, end)]
    return [(at, wall.isoformat(timespec="minutes")) for at, wall in expected_slots(pattern, zone, start, end)]
