"""How a finding is shown: to people, to programs, to GitHub."""

from __future__ import annotations

import json

import pytest

from scheduler.diagnostics.diagnostic import error, note, warning
from scheduler.diagnostics.printers import LONGEST_LINE, as_github, as_json, as_text, excerpt
from scheduler.diagnostics.source import Source


def shown(line: str, start: int, end: int) -> list[str]:
    return excerpt(Source("f", f"first\n{line}\nlast").span(6 + start, 6 + end)).split("\n")


def test_a_finding_is_its_place_its_line_a_caret_and_a_hint() -> None:
    source = Source("rules/a.yaml", "a: 1\nb: two\n")
    findings = [error("x", "wrong", source.span(8, 11), "write 2"), note("y", "so so", source.span(0))]
    assert as_text(findings) == (
        "rules/a.yaml:2:4: error[x] wrong\n    b: two\n       ^^^\n  hint: write 2\n\n"
        "rules/a.yaml:1:1: note[y] so so\n    a: 1\n    ^"
    )


@pytest.mark.parametrize(
    ("line", "place", "expected"),
    [
        ("a: 1", (3, 4), ["    a: 1", "       ^"]),
        ("\ta: 1", (4, 5), ["    \ta: 1", "    \t   ^"]),
        ("a: 1", (3, 30), ["    a: 1", "       ^"]),
        ("a: 1", (4, 5), ["    a: 1", "        ^"]),
        ("", (0, 1), ["    ", "    ^"]),
        ("日本: 1", (4, 5), ["    日本: 1", "          ^"]),
        ("a: 😀😀", (3, 5), ["    a: 😀😀", "       ^^^^"]),
        ("a\u0301: 1", (2, 3), ["    a\u0301: 1", "     ^"]),
    ],
)
def test_carets_stand_under_the_characters_however_wide_they_are(
    line: str, place: tuple[int, int], expected: list[str]
) -> None:
    assert shown(line, *place) == expected


def test_of_a_long_line_what_is_around_the_place_is_shown() -> None:
    text, carets = shown("x" * 5_000 + "here" + "y" * 5_000, 5_000, 5_004)
    assert text.startswith("    …xxx")
    assert text.endswith("yyy…")
    assert len(text) == LONGEST_LINE + 6
    assert [text[at] for at, char in enumerate(carets) if char == "^"] == list("here")
    assert shown("x" * 5_000, 0, 1) == ["    " + "x" * LONGEST_LINE + "…", "    ^"]


def test_nothing_that_steers_a_terminal_is_printed() -> None:
    source = Source("f\udc80.yaml", "a: \x1b[2J\x00\x7f\x9b\u202e\n")
    findings = [error("x", "the value '\x1b[2J'", source.span(3), "write '\x07'")]
    assert as_text(findings) == (
        "f\ufffd.yaml:1:4: error[x] the value '␛[2J'\n    a: ␛[2J␀\ufffd\ufffd\ufffd\n       ^\n  hint: write '␇'"
    )
    assert json.loads(as_json(findings))[0]["message"] == "the value '\x1b[2J'"
    for text in (as_text(findings), as_json(findings), as_github(findings)):
        assert text.encode().decode() == text
        assert "\x1b" not in text


def test_github_reads_places_and_texts_whatever_is_in_them() -> None:
    source = Source("rules/50%, or: more.yaml", "a: 1\n")
    assert as_github([warning("x", "100% of\nit", source.span(3), "a, b: c")]) == (
        "::warning file=rules/50%25%2C or%3A more.yaml,line=1,col=4,title=x::100%25 of%0Ait%0Ahint: a, b: c"
    )
