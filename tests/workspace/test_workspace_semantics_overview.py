"""docs/semantics.md as a page: its links lead somewhere, and its overview beside others leaves nothing open."""

from __future__ import annotations

import re
from pathlib import Path

from support.markdown_page import links_of, read_page

PAGE = (Path(__file__).parents[2] / "docs" / "semantics.md").read_text("utf-8")
SECTIONS = read_page(PAGE)
SYSTEMS = ("Clarion", "Braze", "OneSignal", "Airship", "Customer.io")


def anchor(title: str) -> str:
    """What GitHub makes of a heading."""
    return "#" + re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    headings = {anchor(section.title) for section in SECTIONS}
    assert [link for link in links_of(PAGE) if link.startswith("#") and link not in headings] == []


def test_the_overview_has_a_word_for_each_system_on_each_topic_and_a_link_to_its_section() -> None:
    (overview,) = [section for section in SECTIONS if section.title == "Beside others"]
    rows = overview.rows("topic", *SYSTEMS)
    assert len(rows) >= 11
    for row in rows:
        assert all(row.cells[system] for system in SYSTEMS), row
        assert links_of(row.cells["topic"]), row
    chapters = {section.chapter for section in SECTIONS} - {"", "Beside others"}
    unlisted = {"One device a user", "Rates of a run", "Audiences that are too large"}
    told = {link for row in rows for cell in row.cells.values() for link in links_of(cell)}
    assert {anchor(chapter) for chapter in chapters - unlisted} <= told
