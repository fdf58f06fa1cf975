"""The sections of docs/semantics.md about caps, re-entry and one device a user: their settings are read, their rows
happen."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.driving import Driver
from support.limits import capped, claims, ledger, limited, waiting
from support.markdown_page import Row, Section, read_page
from support.worlds import APP, GOAL, World, event, register, set_user, settings_text, token_of

from scheduler.apns.results import Answer, Unanswered
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.clock import VirtualClock
from scheduler.domain.outcomes import UnknownCause
from scheduler.domain.runs import Run
from scheduler.engine.active import OpenWindow
from scheduler.planning.caps import CalendarPeriod, Cap
from scheduler.rendering.results import Aborted
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.pausing import cancel
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow  # the page is played in make test
PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
ALL = read_page(PAGE.read_text("utf-8"))
LIFE = {"max_age": "399 days", "expires_after": "399 days"}


def section(title: str, chapter: str) -> Section:
    (found,) = [one for one in ALL if (one.title, one.chapter) == (title, chapter)]
    return found


CAPS, HELD = section("Caps", "Caps"), section("Dropped or held", "Caps")
KEPT, REENTRY = section("Taken and given back", "Caps"), section("Re-entry", "Re-entry")
LATEST = section("One device a user", "One device a user")


def value_of(text: str) -> Any:
    root = read_yaml(Source("example", text)).root
    assert root is not None
    return core_value(root)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" UTC", "+00:00"))


def by_line(row: Row) -> str:
    return f"line {row.line}"


def of_one(folder: Path, at: datetime, rule: str, settings: str) -> tuple[World, Driver]:
    """A user `ben` with one device, at an instant."""
    world = World.make(folder, {"goal": rule}, settings=settings)
    world.clock = VirtualClock(at)
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="ben")], now=at - timedelta(days=1))
    return world, Driver(world)


def happens(world: World, driver: Driver, at: datetime, **data: Any) -> str:
    """An event at this time, if it may be sent accepted: what happens, in the words of the page."""
    world.advance(max(0.0, (at - world.now).total_seconds()))
    name = f"e{len(world.runs())}"
    driver.adopt(world.ingest(event(name, at=at, user="ben", **data), room={APP: 9}).windows)
    driver.accept_all()
    driver.settle()
    run = world.runs()[-1].seq
    became = ledger(world).get((f"goal {run}", 1))
    if became is None:
        return f"held until {waiting(world)[1][1]:%Y-%m-%d %H:%M:%S} UTC"
    return "sent" if became == "accepted" else became


def test_the_settings_of_the_page_are_read_as_it_says(tmp_path: Path) -> None:
    (block,) = CAPS.blocks
    world = World.make(tmp_path, {"goal": limited(category="news")}, settings=settings_text(**value_of(block.text)))
    offers = Cap("offers-day", 1, CalendarPeriod.DAY, categories=frozenset({"marketing"}))
    hourly = Cap("all-hour", 3, timedelta(hours=1))
    settings = world.workspace.settings
    assert [settings.caps_of(name) for name in ("marketing", "news", "service")] == [(offers, hourly), (hourly,), ()]


@pytest.mark.parametrize("row", CAPS.rows("had one at"), ids=by_line)
def test_a_cap_counts_as_the_table_says(tmp_path: Path, row: Row) -> None:
    cap = {"name": "cap", "per": row.cells["per"], "window": row.cells["window"]}
    first, second = instant(row.cells["had one at"]), instant(row.cells["another at"])
    world, driver = of_one(tmp_path, first, limited(delivery=LIFE), capped(cap))
    zone = row.cells["zone of the person"]
    set_user(world.store, "ben", time_zone=None if zone == "none" else zone)
    assert happens(world, driver, first) == "sent"
    assert happens(world, driver, second).partition(" ")[0] == row.cells["what happens"]


@pytest.mark.parametrize("row", HELD.rows("max_age"), ids=by_line)
def test_a_cap_holds_as_the_table_says(tmp_path: Path, row: Row) -> None:
    first = instant("2026-11-26 12:00:00 UTC")
    rule = limited(delivery={"max_age": row.cells["max_age"], "expires_after": "9 days"})
    world, driver = of_one(tmp_path, first, rule, capped({"window": row.cells["window"], "then": "hold"}))
    assert happens(world, driver, first) == "sent"
    assert happens(world, driver, instant(row.cells["another at"])) == row.cells["what happens"]


def _fails(world: World, driver: Driver, window: OpenWindow, what: str) -> None:
    """What the row says becomes of the only device of a window."""
    reports = {
        "accepted": Answer(200),
        "`Unregistered`, and every other refusal for good": Answer(410, "Unregistered", 1),
        "a passing failure, until it is tried again": Answer(503, "ServiceUnavailable"),
        "`NoAnswer` with `on_unknown: drop`: unknown": Unanswered(UnknownCause.NO_ANSWER),
        "`render_error` or `abort`": Aborted("no"),
    }
    if what in reports:
        driver.report(window, [(1, reports[what])])
        driver.settle()
        return
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    run: Run = world.runs()[0]
    world.advance(15 * 60)
    match what:
        case "cancelled or superseded before it was sent":
            cancel(world.store, run.id.hex, world.now)
            clear_superseded(world.store, world.now)
            return
        case "opted out meanwhile":
            set_user(world.store, "ben", opt_outs=["sports"])
        case _:
            assert what == "held again by quiet hours when it is tried again"
    driver.wake()
    driver.take_up(driver.work.runs[run.seq])
    driver.settle()


@pytest.mark.parametrize("row", KEPT.rows("its place"), ids=by_line)
def test_a_place_is_kept_or_given_back_as_the_table_says(tmp_path: Path, row: Row) -> None:
    settings = capped({}).replace('"limits": {', '"limits": {"quiet_hours": {"from": "12:10", "to": "20:00"}, ')
    rule = limited(delivery={"on_unknown": "drop"})
    world, driver = of_one(tmp_path, instant("2026-11-26 12:00:00 UTC"), rule, settings)
    driver.adopt(world.ingest(event("a", at=world.now, user="ben"), room={APP: 9}).windows)
    (window,) = driver.work.windows.values()
    assert len(claims(world)) == 1
    _fails(world, driver, window, row.cells["what became of it"])
    assert ("kept" if claims(world) else "given back") == row.cells["its place"]


@pytest.mark.parametrize("row", REENTRY.rows("events at (hours)"), ids=by_line)
def test_a_person_enters_again_as_the_table_says(tmp_path: Path, row: Row) -> None:
    written = value_of(f"it: {row.cells['limits.reentry']}")["it"]
    start = instant("2026-11-26 12:00:00 UTC")
    world, driver = of_one(tmp_path, start, limited({"reentry": written}, delivery=LIFE), settings_text())
    found = []
    for word in row.cells["events at (hours)"].split(", "):
        hours, _, basket = word.partition(" ")
        found.append(happens(world, driver, start + timedelta(hours=int(hours)), basket_id=basket or None))
    assert ", ".join(found) == row.cells["what happens"]


def test_the_block_of_re_entry_is_a_part_of_a_rule(tmp_path: Path) -> None:
    (block,) = REENTRY.blocks
    world = World.make(tmp_path, {"goal": limited(value_of(block.text)["limits"], trigger={"event": GOAL})})
    assert world.workspace.campaigns["goal"].reentry_key is not None


def test_of_the_devices_of_a_user_one_gets_it_as_the_table_says(tmp_path: Path) -> None:
    rows = LATEST.rows("last seen")
    audience = {"everyone": True, "where": 'device.attributes.matches == "yes"'}
    world = World.make(tmp_path, {"goal": limited({"per_user": "latest"}, audience=audience)})
    for row in rows:
        user = None if row.cells["user"] == "–" else row.cells["user"]
        seen = datetime.fromisoformat(f"2026-11-19T{row.cells['last seen']}:00+00:00")
        attributes = {"matches": row.cells["matches"]}
        change = DeviceChange(app=APP, token=token_of(int(row.cells["device"])), user=user, attributes=attributes)
        register(world.store, [change], now=seen)
    world.ingest(event("a"))
    Driver(world).finish_everything()
    became = {device: reason for (_, device), reason in ledger(world).items()}
    words = {"accepted": "sent", None: "–"}
    for row in rows:
        found = became.get(int(row.cells["device"]))
        assert words.get(found, found) == row.cells["what happens"]


def test_the_page_has_its_tables() -> None:
    assert len(CAPS.rows("had one at")) == 11
    assert len(HELD.rows("max_age")) == 5
    assert len(KEPT.rows("its place")) == 8
    assert len(REENTRY.rows("events at (hours)")) == 6
    assert len(LATEST.rows("last seen")) == 6
