"""Files with one defect each, and exactly what `check` says about them.

bad_rules, bad_templates, bad_settings: NAME.yaml is the defect in an otherwise sound workspace, NAME.txt the text.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.loading import read_folder

HERE = Path(__file__).parent
EXAMPLES = {path: source.text for path, source in read_folder(HERE.parents[1]).items()}
SOUND = {
    "clarion.yaml": """\
apps:
  scores: {environment: sandbox, auth: {key_file: k.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
  shop: {environment: sandbox, auth: {key_file: k.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
categories: {sports: {}, marketing: {}}
""",
    "schema.yaml": """\
users: {attributes: {first_name: "string?"}}
devices: {attributes: {alerts: {enum: [all, none]}}}
events: {com.example.goal: {home: string, away: string, minute: integer, scorer: "string?"}}
""",
    "templates/plain.yaml": "aps: {alert: {title: A}}\n",
    "templates/silent.yaml": "aps: {content-available: 1}\n",
}
SOUND_RULE = """\
category: sports
trigger: {event: com.example.goal}
audience: {app: scores, everyone: true}
message: {template: tested}
"""


def cases(folder: str) -> list[str]:
    return sorted(path.stem for path in (HERE / folder).glob("*.yaml"))


def said(files: dict[str, str]) -> str:
    return as_text(check({path: Source(path, text) for path, text in files.items()}, Path("/w"), {})) + "\n"


def expected(folder: str, name: str) -> str:
    return (HERE / folder / f"{name}.txt").read_text("utf-8")


def defect(folder: str, name: str) -> str:
    return (HERE / folder / f"{name}.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", cases("bad_rules"))
def test_defect_in_a_rule_is_said_exactly(name: str) -> None:
    assert said({**SOUND, f"rules/{name}.yaml": defect("bad_rules", name)}) == expected("bad_rules", name)


@pytest.mark.parametrize("name", cases("bad_templates"))
def test_defect_in_a_template_is_said_exactly(name: str) -> None:
    files = {**SOUND, "rules/tested.yaml": SOUND_RULE, "templates/tested.yaml": defect("bad_templates", name)}
    assert said(files) == expected("bad_templates", name)


@pytest.mark.parametrize("name", cases("bad_settings"))
def test_defect_in_settings_is_said_exactly(name: str) -> None:
    assert said({"clarion.yaml": defect("bad_settings", name)}) == expected("bad_settings", name)


def test_the_sound_workspace_of_this_corpus_has_no_findings() -> None:
    files = {**SOUND, "rules/tested.yaml": SOUND_RULE, "templates/tested.yaml": SOUND["templates/plain.yaml"]}
    assert said(files) == "\n"


@pytest.mark.slow
@given(
    st.sampled_from(sorted(EXAMPLES)),
    st.integers(0, 2_000),
    st.integers(0, 30),
    st.sampled_from(
        ["", "{{", "}}", "{%", "{", "[", ":", "\n", "  ", "- ", "null", '"', "*a", "&a ", "\0", "é", "1e999"]
    ),
)
def test_no_edit_of_a_file_crashes_check(path: str, at: int, length: int, inserted: str) -> None:
    text = EXAMPLES[path]
    at %= len(text)
    edited = {**EXAMPLES, path: text[:at] + inserted + text[at + length :]}
    findings = check({name: Source(name, content) for name, content in edited.items()}, Path("/w"), {})
    assert all(finding.message and finding.span.source.path in edited for finding in findings)
