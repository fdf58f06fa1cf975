"""Rows of docs/rules.md about keys, traps and types: each example is read as the page says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pytest
from support.markdown_page import Row, read_page, without_links

from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema, ValueType
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rules.fields import Table
from scheduler.rules.rule_table import RULE_TABLE
from scheduler.workspace.checking import check
from scheduler.workspace.reference import REFERENCE_PATH
from scheduler.workspace.settings_table import SETTINGS_TABLE

PAGE = read_page((Path(__file__).parents[2] / REFERENCE_PATH).read_text("utf-8"))
TREE = dict[str, "str | TREE"]
FIRST = {
    path: block.text
    for one in PAGE if one.title == "A first campaign"
    for block in one.blocks
    for path in ("clarion.yaml", "schema.yaml") if block.text.startswith(f"# {path}\n")
}  # fmt: skip
PLAIN = {**FIRST, "templates/plain.yaml": "aps: {alert: Hi}\n"}
SMALLEST = {
    "category": "sports",
    "trigger.event": "com.example.*",
    "audience.app": "scores",
    "audience.everyone": "true",
    "message.template": "plain",
}
SETTINGS = {
    "apps.scores.environment": "sandbox",
    "apps.scores.auth.key_file": "k",
    "apps.scores.auth.key_id": "ABC123DEFG",
    "apps.scores.auth.team_id": "DEF123GHIJ",
    "categories.sports.opt_out": "true",
    "categories.marketing.opt_out": "true",
}
CHOSEN = {"apps": "scores", "categories": "sports", "testers": "team"}
"""By section, the name that stands in place of `*`."""
INSTEAD = {"audience.users": "audience.everyone", "audience.topics": "audience.everyone",
           "trigger.schedule": "trigger.event", "trigger.at": "trigger.event"}  # fmt: skip
"""By key, the one that it stands in place of."""
SCHEDULE = {"starts": "2026-11-27", "trigger.schedule": "0 9 * * mon"}
BESIDE = {
    "trigger.schedule": SCHEDULE,
    "trigger.time_zone": SCHEDULE,
    "trigger.grace": SCHEDULE,
    "trigger.catch_up": SCHEDULE,
    "timing.unless": {"timing.delay": "2 hours"},
    "timing.recheck": {"timing.delay": "2 hours", "audience.where": "device.attributes.unread > 3"},
}
"""By key, what it needs beside it."""
FILES: Mapping[str, Mapping[str, str]] = {
    "delivery.type": {"templates/plain.yaml": "aps: {content-available: 1}\n"},
    "message.template": {"templates/plain.yaml": "", "templates/goal-alert.yaml": "aps: {alert: Hi}\n"},
    "ignore": {"templates/plain.de.yaml": "aps: {sound: tor.caf}\n"},
}
"""By key, the files that it is about; an empty one is not there."""
VARIANT = {"templates/basket-short.yaml": "aps: {alert: Hello}\n"}


def rows(chapter: str, *heads: str) -> list[Row]:
    return [row for one in PAGE if one.chapter == chapter for row in one.rows(*heads)]


def examples(chapter: str) -> list[Row]:
    """The keys of a chapter that have an example."""
    return [row for row in rows(chapter, "key", "value", "example") if row.cells["example"]]


def by_key(one: Row | tuple[str, str]) -> str:
    return one.code("key") if isinstance(one, Row) else one[0]


def written(values: Mapping[str, str]) -> str:
    """The YAML of values by dotted path."""
    tree: TREE = {}
    for path, value in values.items():
        *outer, name = path.split(".")
        at = tree
        for word in outer:
            inner = at.setdefault(word, {})
            assert isinstance(inner, dict)
            at = inner
        at[name] = value
    return "".join(lines_of(tree, ""))


def lines_of(tree: TREE, indent: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:\n"
            yield from lines_of(value, f"{indent}  ")
        else:
            yield f"{indent}{name}: {value}\n"


def with_rule(key: str, value: str) -> dict[str, str]:
    """A workspace whose rule has one key more, or another value of it."""
    values = {**SMALLEST, **BESIDE.get(key, {}), key: value}
    for replaced in [INSTEAD[one] for one in values if one in INSTEAD]:
        values.pop(replaced, None)
    return {**PLAIN, "rules/flash-sale.yaml": written(values), **FILES.get(key, {})}


def with_settings(key: str, value: str) -> dict[str, str]:
    section = key.partition(".")[0]
    values = {**SETTINGS, key.replace("*", CHOSEN.get(section, "")): value}
    if key.endswith(".certificate_file"):
        values = {one: text for one, text in values.items() if not one.endswith(("key_id", "team_id"))}
    return {**PLAIN, "rules/flash-sale.yaml": written(SMALLEST), "clarion.yaml": written(values)}


def findings_of(files: Mapping[str, str]) -> dict[str, str]:
    found = check({path: Source(path, text) for path, text in files.items() if text}, Path(), {})
    return {one.code: as_text([one]) for one in found}


def mappings(chapter: str, table: Table) -> list[tuple[str, str]]:
    """The keys whose values are mappings, with one that has all the parts that the page shows."""
    parts = [row for row in rows(chapter, "key", "example") if "value" not in row.cells]
    found = []
    for key, inner in groupby(parts, key=lambda row: row.code("key").rpartition(".")[0]):
        shown = ", ".join(f"{row.code('key').rpartition('.')[2]}: {row.code('example')}" for row in inner)
        one = table.field(key)
        assert one is not None
        is_list = one.kind.json_schema.get("type") == "array"
        found.append((key, f"[{{{shown}}}]" if is_list else f"{{{shown}}}"))
    return found


@pytest.mark.parametrize("row", examples("A rule"), ids=by_key)
def test_example_of_a_rule_key_is_accepted(row: Row) -> None:
    findings = findings_of(with_rule(row.code("key"), row.code("example")))
    assert set(findings) <= {"not-yet"}, findings


@pytest.mark.parametrize("row", examples("clarion.yaml"), ids=by_key)
def test_example_of_a_setting_is_accepted(row: Row) -> None:
    findings = findings_of(with_settings(row.code("key"), row.code("example")))
    assert set(findings) <= {"not-yet"}, findings


@pytest.mark.parametrize("mapping", mappings("A rule", RULE_TABLE), ids=by_key)
def test_mapping_with_all_its_parts_is_accepted_in_a_rule(mapping: tuple[str, str]) -> None:
    variant = VARIANT if "basket-short" in mapping[1] else {}
    findings = findings_of({**with_rule(*mapping), **variant})
    assert set(findings) <= {"not-yet"}, findings


@pytest.mark.parametrize("mapping", mappings("clarion.yaml", SETTINGS_TABLE), ids=by_key)
def test_mapping_with_all_its_parts_is_accepted_in_settings(mapping: tuple[str, str]) -> None:
    findings = findings_of(with_settings(*mapping))
    assert set(findings) <= {"not-yet"}, findings


@pytest.mark.parametrize("row", rows("YAML", "value", "written", "as in"), ids=lambda row: row.cells["value"])
def test_value_can_be_written_as_the_page_says(row: Row) -> None:
    key = row.code("as in")
    for value in row.codes("written"):
        findings = findings_of(with_rule(key, value))
        assert set(findings) <= {"not-yet", "unused-key"}, findings  # quiet hours from 22:00 want an end


@pytest.mark.parametrize("row", rows("YAML", "wrong", "check says", "right"), ids=lambda row: row.code("wrong"))
def test_trap_has_its_message_and_the_mended_line_has_none(row: Row) -> None:
    key, value = (one.strip() for one in row.code("right").split(":", 1))
    (path,) = [one.path for one in RULE_TABLE.fields if one.path.rpartition(".")[2] == key]
    right = with_rule(path, value)
    assert set(findings_of(right)) <= {"not-yet"}
    wrong = right["rules/flash-sale.yaml"].replace(row.code("right"), row.code("wrong"))
    code = without_links(row.cells["check says"]).removeprefix("error ")
    assert code in findings_of({**right, "rules/flash-sale.yaml": wrong})


def schema_of(text: str) -> Schema:
    schema, findings = read_schema(read_yaml(Source("schema.yaml", text)).root)
    assert not findings
    return schema


@pytest.mark.parametrize("row", rows("schema.yaml", "type", "fits", "does not fit"), ids=lambda row: row.code("type"))
def test_value_fits_its_type_as_the_page_says(row: Row) -> None:
    declared = schema_of(f"users: {{attributes: {{x: {row.code('type')}}}}}").users.fields["x"]
    assert [declared.problem_of(json.loads(value)) for value in row.codes("fits")] == [None] * len(row.codes("fits"))
    assert None not in [declared.problem_of(json.loads(value)) for value in row.codes("does not fit")]


def test_every_type_is_on_the_page() -> None:
    shown = {row.code("type") for row in rows("schema.yaml", "type", "fits")}
    assert {"enum" if "enum" in word else word for word in shown} == {kind.value for kind in ValueType}


@pytest.mark.parametrize("row", rows("schema.yaml", "comes in", "for a new user"), ids=lambda row: row.code("comes in"))
def test_what_comes_in_is_checked_as_the_page_says(row: Row) -> None:
    schema, attributes = schema_of(FIRST["schema.yaml"]), json.loads(row.code("comes in"))
    for head, new in (("for a new user", True), ("for a known user", False)):
        assert ("; ".join(schema.check_user_attributes(attributes, new=new)) or "fine") == row.cells[head]
