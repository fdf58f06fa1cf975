"""The section of docs/semantics.md about quiet hours does what it says: its settings are read, its rows decided."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.markdown_page import Row, Section, read_page
from support.worlds import load_workspace, rule_text, settings_text, write_workspace

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.outcomes import Outcome
from scheduler.domain.wall_times import zone_called
from scheduler.planning.decisions import DeferUntil, SendTerms, decide_quiet, decide_run
from scheduler.runs.context import terms_of

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
SECTIONS = [section for section in read_page(PAGE.read_text("utf-8")) if section.chapter == "Quiet hours"]
THE_RULE = "the rule's timing.quiet_hours"
CATEGORIES = {"in marketing": "marketing", "in news": "news", "in sports": "sports"}


def section(title: str) -> Section:
    (found,) = [one for one in SECTIONS if one.title == title]
    return found


def value_of(text: str) -> Any:
    root = read_yaml(Source("example", text)).root
    assert root is not None
    return core_value(root)


def terms(folder: Path, *, category: str = "marketing", quiet: str = "", **delivery: str) -> SendTerms:
    """What a rule says under the settings of the page."""
    (block,) = SECTIONS[0].blocks
    rule = json.loads(rule_text(category=category, delivery=delivery))
    if quiet:
        rule["timing"] = {"quiet_hours": value_of(f"it: {quiet}")["it"]}
    write_workspace(folder, {"rule": json.dumps(rule)}, settings=settings_text(**value_of(block.text)))
    workspace = load_workspace(folder)
    return terms_of(workspace.campaigns["rule"], workspace.settings)


def decided(found: SendTerms, zone: str, due: datetime) -> str:
    """What happens to a device of a zone, in the words of the page."""
    known = zone_called(zone)
    assert known is not None
    match decide_run(found, due=due, now=due) or decide_quiet(found, known, due=due, now=due):
        case None:
            return "sent"
        case DeferUntil(instant):
            return f"held until {instant:%Y-%m-%d %H:%M:%S} UTC"
        case Outcome(kind, reason):
            return reason or kind


def due_at(row: Row) -> datetime:
    return datetime.fromisoformat(row.cells["due at"].replace(" UTC", "+00:00"))


@pytest.mark.parametrize("row", SECTIONS[0].rows(THE_RULE), ids=lambda row: row.cells[THE_RULE])
@pytest.mark.parametrize("column", CATEGORIES)
def test_a_rule_has_the_quiet_hours_of_the_table(tmp_path: Path, row: Row, column: str) -> None:
    written = row.cells[THE_RULE].strip("`")
    found = terms(tmp_path, category=CATEGORIES[column], quiet="" if written == "not written" else written).quiet
    assert row.cells[column] == ("none" if found is None else f"{found.hours} {found.action}")


@pytest.mark.parametrize("row", section("Whose clock").rows("zone of the device"), ids=lambda row: f"line {row.line}")
def test_a_device_is_held_as_the_table_says(tmp_path: Path, row: Row) -> None:
    hours = row.cells.get("quiet hours", "22:00 to 08:00").split(" to ")
    found = terms(tmp_path, quiet=f"{{from: {hours[0]}, to: {hours[1]}}}")
    assert decided(found, row.cells["zone of the device"], due_at(row)) == row.cells["what happens"]


@pytest.mark.parametrize("row", section("What becomes of the held").rows("max_age"), ids=lambda row: f"line {row.line}")
def test_what_is_over_in_the_morning_is_over_at_once(tmp_path: Path, row: Row) -> None:
    delivery = {"expires_after": row.cells["expires_after"]}
    if row.cells["max_age"] != "not written":
        delivery["max_age"] = row.cells["max_age"]
    assert decided(terms(tmp_path, **delivery), "UTC", due_at(row)) == row.cells["what happens"]


def test_the_page_has_its_tables() -> None:
    assert len(SECTIONS[0].rows(THE_RULE)) == 5
    assert len(section("Whose clock").rows("zone of the device")) == 12
    assert len(section("What becomes of the held").rows("max_age")) == 6
