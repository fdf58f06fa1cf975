"""docs/semantics.md on experiments: its recomputation is run, and its tables are what comes of it and of Clarion."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.markdown_page import Block, read_page

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.planning.experiments import Experiment, Holdout, drawn_variants, held_out
from scheduler.workspace.loading import load

PAGE = (Path(__file__).parents[2] / "docs" / "semantics.md").read_text("utf-8")
SECTIONS = [one for one in read_page(PAGE) if one.chapter == "Experiments"]
ROWS = [row for one in SECTIONS for row in one.rows("person", "variant")]
MOVES = [row for one in SECTIONS for row in one.rows("from", "to", "who moves")]
SALT, WEIGHTS, COMPANY = "basket-reminder", {"short": 50, "long": 50}, "company-2026"
APPS = "apps: {shop: {environment: sandbox, auth: {key_file: key.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}}\n"


def _block(info: str, begins: str = "") -> str:
    blocks: list[Block] = [block for one in SECTIONS for block in one.blocks]
    (found,) = [block.text for block in blocks if block.info == info and block.text.startswith(begins)]
    return found


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The functions of the recomputation."""
    names: dict[str, Any] = {}
    exec(_block("python"), names)
    return names


def test_the_recomputation_has_ten_lines_and_says_what_clarion_does(page: dict[str, Any]) -> None:
    written = [line for line in _block("python").splitlines() if line and not line.startswith(("from", "import"))]
    assert len(written) <= 10
    persons = [f"user:{number}" for number in range(1_000)] + [f"device:{number}" for number in range(1_000)]
    for share in (0.0, 0.005, 0.05, 0.5, 1.0):
        recomputed = [page["is_held_out"](share, SALT, person) for person in persons]
        assert recomputed == held_out(Holdout(share, SALT), persons)
    for weights in (WEIGHTS, {"a": 1, "b": 2, "c": 0, "d": 7}):
        recomputed = [page["variant"](weights, SALT, person) for person in persons]
        assert recomputed == drawn_variants(SALT, weights, persons)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code("person"))
def test_a_person_of_the_page_is_where_the_page_says(page: dict[str, Any], row: Any) -> None:
    person = row.code("person")
    assert sha256(f"holdout/{SALT}/{person}".encode()).hexdigest()[:8] == row.code('number("holdout/…")')
    shares = {"held out at 5%": (0.05, SALT), "held out at 50%": (0.5, SALT), "by company-2026 at 2%": (0.02, COMPANY)}
    for head, (share, salt) in shares.items():
        assert (row.cells[head] == "yes") == page["is_held_out"](share, salt, person)
        assert (row.cells[head] == "yes") == held_out(Holdout(share, salt), [person])[0]
    assert row.code("variant") == page["variant"](WEIGHTS, SALT, person) == drawn_variants(SALT, WEIGHTS, [person])[0]


def test_the_shell_finds_what_the_page_says() -> None:
    text, first, end = re.findall(r"printf '([^']+)' \| sha256sum` begins with `(\w+)`, .*\n.*below `(\w+)`", PAGE)[0]
    assert sha256(text.encode()).hexdigest().startswith(first)
    assert int(end, 16) - 1 < 0.02 * 2**32 <= int(end, 16)


@pytest.mark.parametrize("row", MOVES, ids=lambda row: row.code("to"))
def test_as_many_move_as_the_page_says(row: Any) -> None:
    crowd = [f"user:{number}" for number in range(20_000)]

    def weights(head: str) -> dict[str, int]:
        root = read_yaml(Source(head, row.code(head))).root
        assert root is not None
        value = core_value(root)
        assert isinstance(value, dict)
        return {name: weight for name, weight in value.items() if isinstance(weight, int)}

    before, after = (drawn_variants(SALT, weights(head), crowd) for head in ("from", "to"))
    moved = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
    said = re.findall(r"([\d,]+) from `(\w+)` to `(\w+)`", row.cells["who moves"])
    assert {(old, new): int(count.replace(",", "")) for count, old, new in said} == moved


def test_the_files_of_the_page_are_read_as_it_says() -> None:
    files = {
        "clarion.yaml": APPS + _block("yaml", "# in clarion.yaml"),
        "rules/basket-reminder.yaml": _block("yaml", "# rules/basket-reminder.yaml"),
        "templates/basket-reminder.yaml": "aps: {alert: {title: Your basket, body: It is still there.}}\n",
        "templates/basket-short.yaml": "aps: {alert: Your basket}\n",
    }
    loaded = load({path: Source(path, text) for path, text in files.items()}, Path("/"), {})
    assert loaded.findings == ()
    assert loaded.workspace is not None
    assert loaded.workspace.campaigns[SALT].experiment == Experiment(
        (Holdout(0.02, COMPANY), Holdout(0.05, SALT)), SALT, WEIGHTS
    )
