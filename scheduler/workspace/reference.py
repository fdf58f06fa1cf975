"""The tables of docs/rules.md. Run `python -m scheduler.workspace.reference` after a change of a table of fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scheduler.rules.json_schema import json_schema_text
from scheduler.rules.reference import built_rows, filled, reserved_words, unbuilt_rows
from scheduler.rules.rule_table import RULE_TABLE
from scheduler.workspace.settings_table import SETTINGS_TABLE

REFERENCE_PATH = Path("docs/rules.md")


def json_schemas() -> Mapping[str, str]:
    """The JSON Schemas for editors: by path in the workspace, the text."""
    return {
        ".clarion/rule.schema.json": json_schema_text(RULE_TABLE, "A Clarion rule"),
        ".clarion/settings.schema.json": json_schema_text(SETTINGS_TABLE, "The settings of a Clarion workspace"),
    }


def reference(text: str) -> str:
    """The text of docs/rules.md with its tables made anew."""
    tables = {name: built_rows(RULE_TABLE, name) for name in ("trigger", "audience", "message", "delivery")}
    tables["identity"] = built_rows(RULE_TABLE, "")
    tables["unbuilt"] = unbuilt_rows(RULE_TABLE)
    tables["reserved"] = reserved_words(RULE_TABLE)
    tables["settings"] = built_rows(SETTINGS_TABLE, "store", "apps", "categories", "api", "defaults", "")
    tables["settings-unbuilt"] = unbuilt_rows(SETTINGS_TABLE)
    return filled(text, tables)


def write(root: Path) -> None:
    """Make the generated files of the repository at `root` anew."""
    page = root / REFERENCE_PATH
    page.write_text(reference(page.read_text("utf-8")), "utf-8")
    for path, text in json_schemas().items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path.cwd())
