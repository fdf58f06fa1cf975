"""Every code has a meaning, a page, and examples that do what the page says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scheduler.diagnostics.diagnostic import Severity
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.check_pages import findings_of, index, page
from scheduler.workspace.codes import CODES
from scheduler.workspace.reference import CHECKS_PATH, checks, sound_workspace

REPOSITORY = Path(__file__).parents[2]
CHECKS = checks(REPOSITORY)
SOUND = sound_workspace(REPOSITORY)
EXAMPLES = [(code, number) for code, one in CHECKS.items() for number in range(len(one.examples))]
IGNORABLE = {
    "constant-key", "unused-anchor", "missing-hazard", "may-be-missing", "render-error", "overlay-texts", "no-scheme",
}  # fmt: skip
HOW = "run: python -m scheduler.workspace.reference"
PACKAGES = ("diagnostics", "conditions", "rules", "rendering", "workspace")
MAKERS = frozenset({"error", "warning", "note", "say", "report", "refuse", "error_in_last", "Diagnostic", "Misfit",
                    "Problem"})  # fmt: skip
"""What findings are made by, also with `_` before it. The code is the first argument that is one bare word."""
MAKES_FINDINGS = re.compile("Diagnostic|Misfit|Problem|Report")
BARE_WORD = re.compile(r"[a-z]+(-[a-z0-9]+)*")


def code_among(nodes: list[ast.expr]) -> list[str]:
    words = [one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return [word for word in words if BARE_WORD.fullmatch(word)][:1]


def codes_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
                if name.lstrip("_") in MAKERS:
                    yield from code_among([*args, *(word.value for word in keywords if word.arg == "code")])
            case ast.arguments(args=args, defaults=defaults) if defaults:
                pairs = zip(args[-len(defaults) :], defaults, strict=True)
                yield from code_among([default for argument, default in pairs if argument.arg == "code"])


def severities_of(code: str, files: Mapping[str, Source]) -> list[Severity]:
    return [one.severity for one in findings_of(files) if one.code == code]


def test_the_codes_are_those_that_the_source_can_emit() -> None:
    paths = [path for package in PACKAGES for path in (REPOSITORY / "scheduler" / package).rglob("*.py")]
    texts = [text for path in paths if MAKES_FINDINGS.search(text := path.read_text("utf-8"))]
    assert {code for text in texts for code in codes_in(ast.parse(text))} == set(CODES)


def test_every_code_has_an_example_and_every_example_a_code() -> None:
    assert set(CHECKS) == set(CODES)
    assert all(one.examples for one in CHECKS.values())


def test_the_workspace_of_the_examples_has_no_findings() -> None:
    assert as_text(findings_of(SOUND)) == ""


@pytest.mark.parametrize(("code", "number"), EXAMPLES)
def test_wrong_example_has_this_finding_and_no_other_error(code: str, number: int) -> None:
    example = CHECKS[code].examples[number]
    findings = findings_of(example.laid_over(SOUND, example.wrong))
    assert code in {one.code for one in findings}
    assert {one.code for one in findings if one.severity is Severity.ERROR} <= {code}


@pytest.mark.parametrize(("code", "number"), EXAMPLES)
def test_right_example_has_no_findings(code: str, number: int) -> None:
    example = CHECKS[code].examples[number]
    assert as_text(findings_of(example.laid_over(SOUND, example.right))) == ""


@pytest.mark.parametrize("code", CODES)
def test_page_of_a_code_is_fresh(code: str) -> None:
    assert (REPOSITORY / CHECKS_PATH / f"{code}.md").read_text("utf-8") == page(code, CHECKS[code], SOUND), HOW


def test_index_of_the_pages_is_fresh_and_there_is_no_page_without_a_code() -> None:
    assert (REPOSITORY / CHECKS_PATH / "README.md").read_text("utf-8") == index(), HOW
    assert {path.stem for path in (REPOSITORY / CHECKS_PATH).glob("*.md")} == {"README", *CODES}, HOW


def test_page_offers_to_ignore_what_a_rule_can_ignore() -> None:
    pages = {code: (REPOSITORY / CHECKS_PATH / f"{code}.md").read_text("utf-8") for code in CODES}
    assert {code for code, text in pages.items() if f"`ignore: [{{check: {code}, because: …}}]`" in text} == IGNORABLE


@pytest.mark.parametrize(("code", "number"), [one for one in EXAMPLES if one[0] in IGNORABLE])
def test_what_a_page_offers_to_ignore_is_silent_then(code: str, number: int) -> None:
    files = CHECKS[code].examples[number].laid_over(SOUND, CHECKS[code].examples[number].wrong)
    before = severities_of(code, files)
    rule = files["rules/goal-alert.yaml"]
    files[rule.path] = Source(rule.path, f"{rule.text}ignore: [{{check: {code}, because: seen}}]\n")
    assert severities_of(code, files) == [one for one in before if one is Severity.ERROR]


def test_page_shows_a_control_character_as_a_picture_of_it() -> None:
    shown = page("control-character", CHECKS["control-character"], SOUND)
    assert "\x0b" not in shown
    assert shown.count('title: "Tor␋ für') == 2
