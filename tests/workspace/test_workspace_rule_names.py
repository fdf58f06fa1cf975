"""The names of rules from their files alone are those of the compiled rules, and there are some where these are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.worlds import load_workspace, rule_text, write_workspace

from scheduler.diagnostics.source import Source
from scheduler.domain.rule_names import RuleNames
from scheduler.workspace.folder import read_folder
from scheduler.workspace.rule_names import names_in


def test_the_names_of_files_are_those_of_the_rules_that_they_become(tmp_path: Path) -> None:
    rules = {
        "a": rule_text(),
        "b": json.dumps(json.loads(rule_text()) | {"renamed_from": ["first", "second"]}),
        "c": json.dumps(json.loads(rule_text()) | {"renamed_from": ["third"], "enabled": False}),
    }
    write_workspace(tmp_path, rules)
    read, compiled = names_in(read_folder(tmp_path)), load_workspace(tmp_path).names
    assert sorted(read.had) == sorted(compiled.had) == [("a",), ("b", "first", "second"), ("c", "third")]


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("", ()),
        ("renamed_from: [old]\ncategory: Not a name\nnonsense: {}", ("old",)),
        ("renamed_from: [old, {a: b}, 2026]", ("old", "2026")),
        ("renamed_from: old", ()),
        ("- renamed_from: [old]", ()),
        ("renamed_from: [old", ()),
        ("# renamed_from: [old]\ncategory: sports", ()),
    ],
)
def test_a_file_with_errors_has_its_name_and_the_earlier_ones_that_can_be_read(
    text: str, earlier: tuple[str, ...]
) -> None:
    assert names_in({"rules/now.yaml": Source("rules/now.yaml", text)}) == RuleNames((("now", *earlier),))


def test_what_is_no_rule_has_no_name() -> None:
    paths = ("clarion.yaml", "templates/t.yaml", "rules/tests/x.yaml", "rules/note.j2")
    assert names_in({path: Source(path, "renamed_from: [old]") for path in paths}) == RuleNames()
