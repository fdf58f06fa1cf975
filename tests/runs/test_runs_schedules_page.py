"""The section of docs/semantics.md about schedules does what it says: its tables are played on a virtual clock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.globe import Globe
from support.markdown_page import Row, Section, read_page
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

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.clock import VirtualClock
from scheduler.store.registry_changes import DeviceChange
from scheduler.workspace.planned import Planned

pytestmark = pytest.mark.slow  # the page is played in make test
PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
SECTIONS = [section for section in read_page(PAGE.read_text("utf-8")) if section.chapter == "Schedules"]
TEMPLATES = {"digest": "aps: {alert: digest}"}
NEXT = "the next slots after 2026-11-27 00:00:00 UTC"
HOURS = ("13:00", "14:00", "15:00", "16:00", "17:00")
SLOT = "2026-11-30T09:00"


def section(title: str) -> Section:
    (found,) = [one for one in SECTIONS if one.title == title]
    return found


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)


def on(moment: str) -> datetime:
    """`20 09:00` is in November 2026."""
    return utc(f"2026-11-{moment.replace(' ', 'T')}")


def value_of(text: str) -> Any:
    root = read_yaml(Source("example", text)).root
    assert root is not None
    return core_value(root)


def ruled(trigger: dict[str, Any], **keys: Any) -> str:
    return json.dumps({**json.loads(rule_text(trigger=trigger, template="digest")), **keys})


def trigger_of(schedule: str) -> dict[str, Any]:
    """What stands in a table as a schedule: a cron, a mapping, or a time."""
    if schedule.startswith("{"):
        return {"schedule": {**(said := value_of(f"it: {schedule}")["it"]), "time": str(said["time"])}}
    return {"at" if re.match(r"\d{4}-", schedule) else "schedule": schedule}


def planned(folder: Path, schedule: str, zone: str, starts: str) -> Planned:
    keys = {"starts": starts} if starts else {}
    rule = ruled({**trigger_of(schedule), "time_zone": zone}, **keys)
    write_workspace(folder, {"rule": rule}, templates=TEMPLATES)
    found = load_workspace(folder).campaigns["rule"].planned
    assert found is not None
    return found


@pytest.mark.parametrize("row", SECTIONS[0].rows(NEXT), ids=lambda row: row.code("schedule or at"))
def test_a_schedule_names_the_slots_of_the_table(tmp_path: Path, row: Row) -> None:
    found = planned(tmp_path, row.code("schedule or at"), row.cells["zone"], row.cells["starts"])
    expected = row.cells[NEXT].removesuffix(" UTC").split(", ")
    slots = list(islice(found.slots_after(utc("2026-11-27")), 3))
    assert [f"{slot.at:%Y-%m-%d %H:%M}" for slot in slots] == expected


@pytest.mark.parametrize("row", section("When a clock is changed").rows("comes at"), ids=lambda row: f"line {row.line}")
def test_a_slot_comes_when_the_table_says(tmp_path: Path, row: Row) -> None:
    found = planned(tmp_path, row.code("schedule"), row.cells["zone"], "")
    at = utc(row.cells["comes at"])
    slots = list(found.slots_between(at - timedelta(hours=1), at + timedelta(hours=1)))
    assert [(slot.key, slot.at) for slot in slots if slot.key == row.cells["the slot"]] == [(row.cells["the slot"], at)]
    if "one slot" in row.cells["why"]:
        assert [slot.at for slot in slots].count(at) == 1


class Played:
    """A rule that a daemon lives by, which may be down meanwhile."""

    def __init__(self, folder: Path, at: datetime, rule: str, **settings: Any) -> None:
        self.settings = settings_text(**settings)
        write_workspace(folder, {"rule": rule}, settings=self.settings, templates=TEMPLATES)
        self.world = World(folder, load_workspace(folder), new_store(folder / "clarion.db"), VirtualClock(at))
        self.globe = Globe(self.world)

    def edit(self, rule: str) -> None:
        self.world.rewrite({"rule": rule}, settings=self.settings, templates=TEMPLATES)
        self.globe.reload()


@pytest.fixture
def played() -> Iterator[list[Played]]:
    """What is put in is closed at the end."""
    made: list[Played] = []
    yield made
    for one in made:
        one.world.store.close()


@pytest.mark.parametrize("row", section("What was missed").rows("catch_up"), ids=lambda row: row.code("catch_up"))
def test_what_was_missed_is_caught_up_as_the_table_says(tmp_path: Path, played: list[Played], row: Row) -> None:
    trigger = {"schedule": "0 * * * *", "grace": "2 hours", "catch_up": row.code("catch_up")}
    play = Played(tmp_path, on("20 12:30"), ruled(trigger))
    played.append(play)
    play.globe.up()
    play.globe.run_until(on("20 13:30"))
    play.globe.down()
    play.globe.up(on("20 16:30"))
    play.globe.run_until(on("20 17:30"))
    ran = {run.occasion[-5:] for run in play.world.runs()}
    assert ran == {hour for hour in HOURS if row.cells[hour] == "runs"}
    missed = [row.cells[hour].removeprefix("missed: ") for hour in HOURS if row.cells[hour] != "runs"]
    assert sorted(missed) == sorted(detail for _, _, detail, count in play.world.misses() for _ in range(count))


@pytest.mark.parametrize("row", section("Edits").rows("is edited at"), ids=lambda row: f"line {row.line}")
def test_an_edit_goes_on_with_the_slot_of_the_table(tmp_path: Path, played: list[Played], row: Row) -> None:
    ran, edited, following = (on(row.cells[name]) for name in ("ran at", "is edited at", "the next slot"))
    play = Played(tmp_path, ran - timedelta(minutes=1), ruled(trigger_of(row.code("the schedule"))))
    played.append(play)
    play.globe.up()
    play.globe.run_until(edited)
    assert [run.due for run in play.world.runs()] == [ran]
    play.edit(ruled(trigger_of(row.code("to"))))
    play.globe.run_until(following)
    assert [run.due for run in play.world.runs()] == [ran, following]


def round_the_world(folder: Path, zones: list[str], up: str) -> Played:
    """The rule of the page, and a device in each of these zones."""
    block = SECTIONS[0].blocks[0]
    trigger = value_of(block.text)["trigger"]
    play = Played(folder, utc(up), ruled(trigger), defaults={"time_zone": "Europe/Berlin"})
    places = [None if zone == "none" else zone for zone in zones]
    register(play.world.store, [DeviceChange(app=APP, token=token_of(n), time_zone=z) for n, z in enumerate(places, 1)])
    play.globe.up()
    return play


def got(play: Played, count: int) -> list[datetime | None]:
    """When each device got the slot of the page."""
    times = {device: at for device, occasion, at in play.globe.got if occasion == SLOT}
    assert len(times) == len(play.globe.got)
    return [times.get(device) for device in range(1, count + 1)]


def test_a_slot_comes_to_each_zone_when_the_table_says(tmp_path: Path, played: list[Played]) -> None:
    rows = section("Each device at its own time").rows("zone of the device")
    rows = [row for row in rows if "what happens" not in row.cells]
    play = round_the_world(tmp_path, [row.cells["zone of the device"] for row in rows], "2026-11-27")
    played.append(play)
    play.globe.run_until(utc("2026-12-01"))
    assert got(play, len(rows)) == [utc(row.cells["comes at"]) for row in rows]
    assert len(play.world.runs()) == 1


def test_zones_that_come_while_the_daemon_is_down_do_as_the_table_says(tmp_path: Path, played: list[Played]) -> None:
    rows = section("Each device at its own time").rows("what happens")
    play = round_the_world(tmp_path, [row.cells["zone of the device"] for row in rows], "2026-11-27")
    played.append(play)
    play.globe.run_until(utc("2026-11-30T02:00"))
    play.globe.down()
    play.globe.up(utc("2026-11-30T10:00"))
    play.globe.run_until(utc("2026-12-01"))
    for row, at in zip(rows, got(play, len(rows)), strict=True):
        said = row.cells["what happens"]
        assert said == ("missed" if at is None else f"runs at {at:%H:%M}")
    (line,) = [block.text for block in section("Each device at its own time").blocks]
    assert [f"{reason}, {detail}" for _, reason, detail, _ in play.world.misses()] == [line.strip().split(": ")[2]]


@pytest.mark.parametrize(
    "row", section("Each device at its own time").rows("gets it at"), ids=lambda row: f"line {row.line}"
)
def test_who_moves_gets_it_as_the_table_says(tmp_path: Path, played: list[Played], row: Row) -> None:
    play = round_the_world(tmp_path, [row.cells["a device that at 00:00 UTC is in"]], "2026-11-27")
    played.append(play)
    play.globe.run_until(utc("2026-11-30T12:00"))
    play.globe.move(1, row.cells["and at 12:00 UTC moves to"])
    play.globe.run_until(utc("2026-12-01"))
    (at,) = got(play, 1)
    said = row.cells["gets it at"]
    assert said.startswith("never") if at is None else utc(said) == at


def test_the_page_has_its_tables() -> None:
    assert len(SECTIONS[0].rows(NEXT)) == 8
    assert len(section("When a clock is changed").rows("comes at")) == 6
    assert len(section("What was missed").rows("catch_up")) == 3
    assert len(section("Edits").rows("is edited at")) == 4
    assert len(section("Each device at its own time").rows("zone of the device")) == 15
    assert len(section("Each device at its own time").rows("gets it at")) == 4
