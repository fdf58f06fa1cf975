"""What the reader refuses, by the text that its author sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import MAX_ALIASES, decode, read_yaml


def findings_of(text: str) -> str:
    return as_text(read_yaml(Source("f.yaml", text)).findings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: error[duplicate-key] 'a' is here twice; the first is in line 1"),
        ("a: !!int 3\n", "f.yaml:1:4: error[tag] YAML tags are not used here"),
        ("a: {{ x }}\n", "f.yaml:1:5: error[bad-key] a key must be a word"),
        ("a: *nope\n", "error[yaml-syntax] found undefined alias"),
        ("a: */5 * * * *\n", "hint: a plain value cannot begin with `*` or `&`: put it in quotes"),
        ('a: "x" in y\n', "hint: a value that begins with a quotation mark must end with it: use a block (`>-`)"),
        ("a: b: c\n", "error[yaml-syntax] mapping values are not allowed in this context"),
        ("a:\n\t- b\n", "error[yaml-syntax] a tab cannot be used for indentation"),
        ("a: &x [*x]\n", "error[recursive-alias] an alias that contains itself"),
        ("a: \0\n", "f.yaml:1:4: error[control-character] the file contains a NUL character"),
        ("a: " + "[" * 5000 + "]" * 5000, "error[too-deep] more than 100 levels of nesting"),
        ("- " * 5000 + "x", "f.yaml:1:1: error[too-deep] more than 100 levels of nesting"),
        ("a: &x 1\nb: [" + "*x, " * (MAX_ALIASES + 1) + "]\n", "error[too-many-aliases] more than 1000 aliases"),
        ("x" * 1_000_001, "f.yaml:1:1: error[too-large] the file is over 1 MB"),
    ],
)
def test_a_bad_file_is_refused_with_its_place_and_reason(text: str, expected: str) -> None:
    assert expected in findings_of(text)


def test_bytes_that_are_not_utf8_are_named() -> None:
    _, finding = decode("f.yaml", b"a: caf\xe9\n")
    assert finding is not None
    assert "f.yaml:1:7: error[not-utf-8] byte 0xe9 is not UTF-8" in as_text([finding])


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    source, finding = decode("f.yaml", b"\xef\xbb\xbfa: 1\n")
    assert (source.text, finding) == ("a: 1\n", None)


def test_the_line_is_shown_with_a_caret_and_the_way_out() -> None:
    assert findings_of("one: 1\nfew: 2\none: 3\n") == (
        "f.yaml:3:1: error[duplicate-key] 'one' is here twice; the first is in line 1\n"
        "    one: 3\n    ^^^\n  hint: keep one of them"
    )


def test_untyped_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    root = read_yaml(Source("f.yaml", "[no, 22:00, 1.10, '1', 0x10, null, 1_000, on]")).root
    assert root is not None
    assert core_value(root) == ["no", "22:00", 1.1, "1", 16, None, "1_000", "on"]


@given(st.text(max_size=300))
def test_no_text_crashes_the_reader_and_every_finding_has_its_place(text: str) -> None:
    file = read_yaml(Source("f.yaml", text))
    assert all(0 <= finding.span.start <= len(text) for finding in file.findings)
    assert as_text(file.findings).count("error[") >= len(file.findings)
