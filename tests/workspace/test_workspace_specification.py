"""The examples of the language's specification, word for word; and the JSON Schemas that editors check files with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.json_values import Json
from scheduler.rules.fields import Field, Table
from scheduler.rules.json_schema import json_schema_of
from scheduler.rules.rule_table import RULE_TABLE
from scheduler.workspace.checking import check
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import load
from scheduler.workspace.settings_table import SETTINGS_TABLE

TESTS = Path(__file__).parents[1]
SPECIFICATION = TESTS / "rules" / "specification"
CORPUS = TESTS / "rules_corpus"
RULES = Draft202012Validator(json_schema_of(RULE_TABLE, "rule"))
SETTINGS = Draft202012Validator(json_schema_of(SETTINGS_TABLE, "settings"))
GOOD_RULES = [
    *TESTS.parent.glob("rules/*.yaml"),
    *SPECIFICATION.glob("rules/*.yaml"),
    *CORPUS.glob("good/rules/*.yaml"),
    *CORPUS.glob("sound/rules/*.yaml"),
]
GOOD_SETTINGS = [TESTS.parent / "clarion.yaml", SPECIFICATION / "clarion.yaml", CORPUS / "sound" / "clarion.yaml",
                 *CORPUS.glob("good/settings/*.yaml")]  # fmt: skip
REFUSED = re.compile(r"error\[(unknown-key|missing-key|not-yet)\] `?(?!nothing)")
"""What a JSON Schema can say too: which keys there are."""


def value_of(path: Path) -> Json:
    root = read_yaml(Source(path.name, path.read_text("utf-8"))).root
    assert root is not None
    return core_value(root)


def problems(validator: Draft202012Validator, value: Json) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(value)]


def test_examples_of_the_specification_have_no_finding_but_what_is_not_built() -> None:
    findings = check(read_folder(SPECIFICATION), SPECIFICATION, {})
    assert {one.code for one in findings} <= {"not-yet"}
    assert as_text(findings) == as_text(load(read_folder(SPECIFICATION), SPECIFICATION, {}).findings)


@pytest.mark.parametrize("path", GOOD_RULES, ids=str)
def test_editors_accept_what_is_a_good_rule(path: Path) -> None:
    assert problems(RULES, value_of(path)) == []


@pytest.mark.parametrize("path", GOOD_SETTINGS, ids=str)
def test_editors_accept_what_are_good_settings(path: Path) -> None:
    assert problems(SETTINGS, value_of(path)) == []


@pytest.mark.parametrize("area", ["rules", "settings"])
def test_editors_refuse_the_keys_that_check_refuses(area: str) -> None:
    validator = RULES if area == "rules" else SETTINGS
    refused = [
        path for path in (CORPUS / "bad" / area).glob("*.yaml") if REFUSED.search(path.with_suffix(".txt").read_text())
    ]
    accepted = [path.stem for path in refused if not problems(validator, value_of(path))]
    # Whether a key is needed can depend on another file or on another key.
    assert set(accepted) <= {"app-left-out", "nothing-starts-it", "no-auth", "no-team", "no-apps"}


def fields_of(table: Table) -> list[Field]:
    return [one for one in table.fields if not one.reserved]


@pytest.mark.parametrize("one", [*fields_of(RULE_TABLE), *fields_of(SETTINGS_TABLE)], ids=lambda one: one.path)
def test_every_key_has_a_meaning_and_an_example_that_its_own_schema_accepts(one: Field) -> None:
    assert one.meaning
    schema = one.json_schema()
    Draft202012Validator.check_schema(schema)
    assert problems(Draft202012Validator(schema), core_value(one.example_node())) == []


@pytest.mark.parametrize("table", [RULE_TABLE, SETTINGS_TABLE])
def test_every_object_of_a_schema_says_which_keys_it_has_and_what_they_mean(table: Table) -> None:
    def walk(schema: object, path: str) -> list[str]:
        if isinstance(schema, list):
            return [found for one in schema for found in walk(one, path)]
        if not isinstance(schema, dict):
            return []
        found = []
        for name, below in schema.get("properties", {}).items():
            is_section = "properties" in below or "additionalProperties" in below
            found += [] if "description" in below or is_section else [f"{path}.{name}"]
            found += walk(below, f"{path}.{name}")
        if "properties" in schema and schema.get("additionalProperties") is not False:
            found.append(f"{path} takes any key")
        return found + [one for key in ("items", "oneOf", "anyOf") for one in walk(schema.get(key), path)]

    assert walk(table.json_schema(), "") == []
