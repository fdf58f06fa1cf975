"""Files with one defect each, and exactly what `check` says about them; and files without any, as examples.

tests/rules_corpus/bad/AREA/NAME.yaml is the defect in an otherwise sound workspace, NAME.txt the text; in the area
`workspaces` NAME is a folder of files that are laid over the sound ones. tests/rules_corpus/good/AREA holds what has
no finding but `not-yet`. CLARION_WRITE_CORPUS=1 writes the texts anew: read every one of them then.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.codes import CODES
from scheduler.workspace.folder import read_folder
from scheduler.workspace.loading import load

CORPUS = Path(__file__).parents[1] / "rules_corpus"
EXAMPLES = {path: source.text for path, source in read_folder(CORPUS.parents[1]).items()}
SOUND = {path: source.text for path, source in read_folder(CORPUS / "sound").items()}
"""A workspace without findings: the rule `tested`, its template and overlay `tested`, a macro file."""
TESTED = {
    "rules": "rules/tested.yaml",
    "conditions": "rules/tested.yaml",
    "fields": "rules/tested.yaml",
    "bytes": "rules/tested.yaml",
    "templates": "templates/tested.yaml",
    "overlays": "templates/tested.de.yaml",
    "macros": "templates/money.j2",
    "settings": "clarion.yaml",
    "schema": "schema.yaml",
}
"""By area, the file that is the defect."""
NOT_SHOWN = {
    "too-large": "a file over 1 MB has no place in a repository; docs/checks/too-large.md makes one",
}
"""Codes without a case here, and why."""


def cases(kind: str) -> list[str]:
    """AREA/NAME of every case."""
    folders = [path for path in (CORPUS / kind / "workspaces").glob("*") if path.is_dir()]
    files = [path for path in (CORPUS / kind).glob("*/*") if path.is_file() and path.suffix != ".txt"]
    return sorted(f"{path.parent.name}/{path.stem if path.is_file() else path.name}" for path in (*files, *folders))


def files_of(kind: str, case: str) -> dict[str, Source]:
    """The workspace of a case."""
    area = case.partition("/")[0]
    if area == "workspaces":
        changes = {path: source.text for path, source in read_folder(CORPUS / kind / case).items()}
        texts = {**SOUND, **changes}
    else:
        tested = TESTED[area]
        suffix = Path(tested).suffix
        content = (CORPUS / kind / f"{case}{suffix}").read_bytes().decode("utf-8", "surrogateescape")
        texts = {**SOUND, tested: content}
    return {path: Source(path, text) for path, text in texts.items()}


def findings_of(files: dict[str, Source]) -> list[Diagnostic]:
    return check(files, Path("/w"), {})


@pytest.mark.parametrize("case", cases("bad"))
def test_defect_is_said_exactly(case: str) -> None:
    said = as_text(findings_of(files_of("bad", case))) + "\n"
    expected = CORPUS / "bad" / f"{case}.txt"
    if os.environ.get("CLARION_WRITE_CORPUS"):
        expected.write_text(said, "utf-8")
    assert said == expected.read_text("utf-8")


@pytest.mark.parametrize("case", cases("good"))
def test_good_file_has_no_finding_but_what_is_not_built(case: str) -> None:
    findings = findings_of(files_of("good", case))
    assert [finding for finding in findings if finding.code != "not-yet"] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bad", "good"])
def test_check_finds_without_making_code_what_loading_finds_that_makes_it(kind: str) -> None:
    for case in cases(kind):
        files = files_of(kind, case)
        assert as_text(findings_of(files)) == as_text(load(files, Path("/w"), {}).findings), case


def test_corpus_is_as_large_as_promised() -> None:
    assert len(cases("bad")) >= 150
    assert len(cases("good")) >= 50


def test_every_code_is_shown_by_a_defect() -> None:
    texts = [(CORPUS / "bad" / f"{case}.txt").read_text("utf-8") for case in cases("bad")]
    shown = {code for text in texts for code in re.findall(r"(?m): (?:error|warning|note)\[([a-z0-9-]+)\] ", text)}
    assert shown == set(CODES) - set(NOT_SHOWN)


def test_sound_workspace_of_the_corpus_has_no_findings() -> None:
    assert findings_of({path: Source(path, text) for path, text in SOUND.items()}) == []


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
    findings = findings_of({name: Source(name, content) for name, content in edited.items()})
    assert all(finding.message and finding.span.source.path in edited for finding in findings)
