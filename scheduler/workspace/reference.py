"""What is generated: tables of docs/rules.md and docs/apns.md, the pages of docs/checks/, JSON Schemas for editors.

Run `python -m scheduler.workspace.reference` after a change of a table of fields, of a message or of an example.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scheduler.diagnostics.source import Source
from scheduler.rules.json_schema import json_schema_text
from scheduler.rules.reference import built_rows, contents, filled, markdown, part_rows, reserved_words, unbuilt_rows
from scheduler.rules.rule_table import RULE_TABLE
from scheduler.workspace import language_tables as language
from scheduler.workspace.apns_tables import push_type_rows, reason_rows
from scheduler.workspace.check_pages import Check, index, page, read_checks
from scheduler.workspace.folder import read_folder
from scheduler.workspace.settings_table import SETTINGS_TABLE

REFERENCE_PATH = Path("docs/rules.md")
APNS_PATH = Path("docs/apns.md")
CHECKS_PATH = Path("docs/checks")
_LANGUAGE = {
    "names": language.name_rows,
    "names-where": language.place_rows,
    "push-types": push_type_rows,
    "aps": language.aps_rows,
    "live-activity": language.live_activity_rows,
    "filters": language.filter_rows,
    "functions": language.function_rows,
    "methods": language.method_rows,
    "tests": language.asking_rows,
    "bounds": language.bound_rows,
}
"""By its name in docs/rules.md, how a table about names and templates is made."""


def json_schemas() -> Mapping[str, str]:
    """The JSON Schemas for editors: by path in the workspace, the text."""
    return {
        ".clarion/rule.schema.json": json_schema_text(RULE_TABLE, "A Clarion rule"),
        ".clarion/settings.schema.json": json_schema_text(SETTINGS_TABLE, "The settings of a Clarion workspace"),
    }


def reference(text: str) -> str:
    """The text of docs/rules.md with its tables made anew."""
    tables = {
        name: built_rows(RULE_TABLE, name)
        for name in ("trigger", "audience", "message", "delivery", "timing", "limits", "experiment")
    }
    for name in ("delivery", "timing", "limits", "experiment"):
        tables[f"{name}-parts"] = part_rows(RULE_TABLE, name)
    tables["identity"] = built_rows(RULE_TABLE, "")
    tables["reserved"] = reserved_words(RULE_TABLE)
    tables["settings"] = built_rows(SETTINGS_TABLE, "store", "apps", "categories", "limits", "api", "defaults", "")
    tables["settings-limits-parts"] = part_rows(SETTINGS_TABLE, "limits")
    tables["settings-unbuilt"] = unbuilt_rows(SETTINGS_TABLE)
    tables["settings-parts"] = part_rows(SETTINGS_TABLE)
    tables |= {name: markdown(rows()) for name, rows in _LANGUAGE.items()}
    tables["contents"] = contents(text)
    return filled(text, tables)


def apns_page(text: str) -> str:
    """The text of docs/apns.md with its tables made anew."""
    rows = {"push-types": push_type_rows, "reasons": reason_rows}
    return filled(text, {name: markdown(made()) for name, made in rows.items()})


def checks(root: Path) -> Mapping[str, Check]:
    """By code, what the repository at `root` says about it in docs/checks/examples/."""
    files = sorted((root / CHECKS_PATH / "examples").glob("*.yaml"))
    return read_checks(path.read_text("utf-8") for path in files)


def sound_workspace(root: Path) -> Mapping[str, Source]:
    """The workspace that the examples are laid over."""
    return read_folder(root / CHECKS_PATH / "workspace")


def check_pages(root: Path) -> Mapping[str, str]:
    """The pages of docs/checks/: by the name of the file, the text."""
    sound = sound_workspace(root)
    pages = {f"{code}.md": page(code, one, sound) for code, one in checks(root).items()}
    return {"README.md": index(), **pages}


def write(root: Path) -> None:
    """Make the generated files of the repository at `root` anew."""
    for page_path, made in ((REFERENCE_PATH, reference), (APNS_PATH, apns_page)):
        (root / page_path).write_text(made((root / page_path).read_text("utf-8")), "utf-8")
    for path, text in json_schemas().items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, "utf-8")
    pages = check_pages(root)
    for stale in {path.name for path in (root / CHECKS_PATH).glob("*.md")} - set(pages):
        (root / CHECKS_PATH / stale).unlink()
    for name, text in pages.items():
        (root / CHECKS_PATH / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path.cwd())
