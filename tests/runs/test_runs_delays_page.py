"""The section of docs/semantics.md about delays and exit events does what it says: its examples are played."""

from __future__ import annotations

import json
import re
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.markdown_page import Row, Section, read_page
from support.worlds import APP, NOW, World, event, register, set_user, token_of

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.store.registry import delete_device
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow  # the page is played in make test
PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
SECTIONS = [section for section in read_page(PAGE.read_text("utf-8")) if section.chapter == "Delays"]
BASKET, ORDER = "com.example.basket.updated", "com.example.order.placed"
HANDS = "A device that changes hands"
HAPPENED = "what happened while it waited"
CHANGED, REMINDED = "baskets of one user changed at", "reminded at"


def section(title: str) -> Section:
    (found,) = [one for one in SECTIONS if one.title == title]
    return found


def value_of(text: str) -> Any:
    root = read_yaml(Source("example", text)).root
    assert root is not None
    return core_value(root)


def made(folder: Path, **changes: Any) -> World:
    """The rule of the page with other words; device 1 is ann's."""
    (block,) = section("Delays").blocks
    rule = value_of(block.text)
    rule["timing"] |= changes.pop("timing", {})
    rule["audience"] |= {"app": APP, **changes.pop("audience", {})}
    rule["audience"] = {key: value for key, value in rule["audience"].items() if value is not None}
    rule["message"] = {"template": "goal"}
    world = World.make(folder, {"basket-reminder": json.dumps(rule | changes)})
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
    set_user(world.store, "ann", attributes={"vip": True})
    return world


def at(text: str) -> datetime:
    return datetime.combine(NOW.date(), time.fromisoformat(text), NOW.tzinfo)


def basket(id_: str, when: datetime) -> Any:
    return event(id_, type_=BASKET, subject="s", at=when, user_id="ann", basket_id="b1")


def outcome(world: World) -> str:
    (run,) = world.runs()
    report = world.report(run)
    if not report.counts.selected:
        return "not selected"
    return "accepted" if report.counts.accepted else next(iter(report.reasons["suppressed"]))


def happen(world: World, what: str) -> None:
    for part in re.split(r", and (?:then )?", what):
        match part:
            case "nothing" | "does now":
                set_user(world.store, "ann", attributes={"vip": True})
            case "does not match where any more" | "does not match":
                set_user(world.store, "ann", attributes={"vip": False})
            case "does again":
                set_user(world.store, "ann", attributes={"vip": True})
            case "did not match when the event came":
                pass
            case "opted out":
                set_user(world.store, "ann", opt_outs=["marketing"])
            case "in again":
                set_user(world.store, "ann", opt_outs=[])
            case "registered another token":
                register(world.store, [DeviceChange(app=APP, token=token_of(9), replaces=token_of(1), user="ann")])
            case "logged out":
                register(world.store, [DeviceChange(app=APP, token=token_of(1), user=None)])
            case "somebody else logged in":
                register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ben")])
            case "the first again":
                register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ann")])
            case "uninstalled the app":
                with world.store.write() as tx:
                    delete_device(tx, APP, token_of(1))
            case _:
                raise AssertionError(part)


@pytest.mark.parametrize("row", section("Delays").rows(HAPPENED), ids=lambda row: row.cells[HAPPENED])
@pytest.mark.parametrize("recheck", [True, False])
def test_what_happened_meanwhile_has_the_outcome_of_the_table(tmp_path: Path, row: Row, recheck: bool) -> None:
    world = made(tmp_path, timing={"recheck": recheck}, audience={"where": "user.attributes.vip"})
    what = row.cells[HAPPENED].replace("`", "")
    if what.startswith("did not match"):
        set_user(world.store, "ann", attributes={"vip": False})
    world.ingest(basket("a", NOW), room={APP: 1})
    happen(world, what)
    Driver(world).finish_everything()
    (column,) = [head for head in row.cells if head.startswith(f"recheck: {str(recheck).lower()}")]
    assert outcome(world) == row.cells[column]


@pytest.mark.parametrize("row", section(HANDS).rows("when it is due"), ids=lambda row: f"line {row.line}")
def test_a_device_that_changes_hands_has_the_outcome_of_the_table(tmp_path: Path, row: Row) -> None:
    world = made(tmp_path, audience={"users": None, **value_of(f"it: {row.cells['audience'].strip('`')}")["it"]})
    world.ingest(basket("a", NOW))
    driver = Driver(world)
    driver.start()
    (waits,) = world.runs()
    assert world.report(waits).counts.pending == 1
    user = {"ben has it": "ben", "nobody has it": None}[row.cells["when it is due"]]
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user=user)])
    for name in ("ann", "ben"):
        if row.cells[f"an order of {name}'s"] == "yes":
            world.ingest(event(name, type_=ORDER, at=NOW, user_id=name))
    driver.finish_everything()
    assert outcome(world) == row.cells["what happens"]


@pytest.mark.parametrize("row", section("Exit events").rows("an order"), ids=lambda row: f"line {row.line}")
def test_an_order_calls_off_what_the_table_says(tmp_path: Path, row: Row) -> None:
    world = made(tmp_path, timing={"unless": value_of(f"it: {row.cells['unless'].strip('`')}")["it"]})
    words = re.fullmatch(r"by (the same|another) user, at (\S{5})(, of another basket)?", row.cells["an order"])
    assert words is not None
    user, number = "ann" if words[1] == "the same" else "ben", "b2" if words[3] else "b1"
    order = event("o", type_=ORDER, subject="s", at=at(words[2]), user_id=user, basket_id=number)
    arrives, trigger = at(row.cells["arrives at"]), basket("a", NOW)
    if arrives <= NOW:
        world.ingest(order)
        world.ingest(trigger)
    else:
        world.ingest(trigger)
        world.advance((arrives - NOW).total_seconds())
        if arrives > NOW + timedelta(hours=2):
            Driver(world).finish_everything()
        world.ingest(order)
    Driver(world).finish_everything()
    assert outcome(world) == row.cells["what happens"]


@pytest.mark.parametrize("row", section("Exit events").rows(CHANGED), ids=lambda row: row.cells[CHANGED])
def test_a_reminder_comes_after_the_last_change(tmp_path: Path, row: Row) -> None:
    world = made(tmp_path, timing={"unless": {"event": BASKET}})
    reminded = []
    changes = [at(text) for text in row.cells[CHANGED].split(", ")]
    moments = {*changes, *(change + timedelta(hours=2) for change in changes)}
    for number, moment in enumerate(sorted(moments)):
        world.advance((moment - world.now).total_seconds())
        if moment in changes:
            world.ingest(basket(str(number), moment))
        before = accepted(world)
        send_due(world)
        if accepted(world) > before:
            reminded.append(moment)
    assert reminded == [at(text) for text in row.cells[REMINDED].split(", ")]


def send_due(world: World) -> None:
    """Send what is due now, and let no time pass."""
    driver = Driver(world)
    driver.wake()
    for run in list(driver.work.runs.values()):
        if run.work_due is not None and run.work_due <= world.now:
            driver.take_up(run)
    driver.accept_all()
    driver.settle()


def accepted(world: World) -> int:
    return sum(world.report(run).counts.accepted for run in world.runs())


def test_the_page_has_its_tables() -> None:
    assert len(section("Delays").rows(HAPPENED)) == 11
    assert len(section(HANDS).rows("when it is due")) == 6
    assert len(section("Exit events").rows("an order")) == 11
    assert len(section("Exit events").rows(CHANGED)) == 4
