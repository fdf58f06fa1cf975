"""What the reader refuses, by the text that its author sees."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_scalar, core_value
from scheduler.diagnostics.yaml_reader import read_yaml, readable


def findings_of(text: str) -> str:
    return as_text(read_yaml(Source("f.yaml", text)).findings)


DEEP = "more than 100 levels of nesting"


@pytest.mark.parametrize("levels", [101, 5_000, 100_000])
@pytest.mark.parametrize(
    "write",
    [
        lambda n: "[" * n + "]" * n,
        lambda n: "{a: " * n,
        lambda n: "- " * n + "x",
        lambda n: "a:\n  " + "- " * n + "x",
        lambda n: "- ? " * n + "x",
        lambda n: "? - " * n + "x",
        lambda n: "".join(" " * i + "a:\n" for i in range(min(n, 1_300))),
        lambda n: "".join(" " * i + "-\n" for i in range(min(n, 1_300))),
        lambda n: "".join("  " * i + "- a:\n" for i in range(min(n, 900))),
        lambda n: "a: &x0 [1]\n" + "".join(f"a{i}: &x{i} [*x{i - 1}]\n" for i in range(1, min(n, 900))),
    ],
)  # fmt: skip
def test_nesting_is_refused_however_it_is_written(write: Callable[[int], str], levels: int) -> None:
    findings = read_yaml(Source("f.yaml", write(levels))).findings
    assert [(one.code, one.message) for one in findings] == [("too-deep", DEEP)]


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100, "- " * 100 + "x", f"a: '{'[' * 5_000}'", f"# {'- ' * 500}"])
def test_what_only_looks_like_nesting_and_a_hundred_levels_are_read(text: str) -> None:
    assert read_yaml(Source("f.yaml", text)).findings == ()


def bomb(levels: int, times: int) -> str:
    """`times` aliases of what has `times` aliases of …"""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * times)}]" for i in range(1, levels)]
    return "\n".join(lines) + f"\nend: *a{levels - 1}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: [" + "*x, " * 1_001 + "]\n", "more than 1000 aliases"),
        (bomb(9, 9), "the aliases stand for more than 1 MB"),
        (bomb(40, 2), "the aliases stand for more than 1 MB"),
        (f"a: &x {'y' * 10_000}\nb: [{'*x, ' * 100}]\n", "the aliases stand for more than 1 MB"),
    ],
)
def test_aliases_that_stand_for_too_much_are_refused(text: str, message: str) -> None:
    findings = read_yaml(Source("f.yaml", text)).findings
    assert [(one.code, one.message) for one in findings] == [("too-many-aliases", message)]


def test_a_few_aliases_are_read() -> None:
    root = read_yaml(Source("f.yaml", "a: &x {b: 1}\nc: *x\nd: [*x, *x]\n")).root
    assert root is not None
    assert core_value(root) == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: \0\n", "f.yaml:1:4: error[control-character] the file contains a NUL character"),
        ("x" * 1_000_001, "f.yaml:1:1: error[too-large] the file is over 1 MB"),
        ("é" * 500_001, "f.yaml:1:1: error[too-large] the file is over 1 MB"),
        ("- \n" * 50_000, "f.yaml:50000:2: error[too-large] the file has more than 50,000 values"),
    ],
)
def test_a_bad_file_is_refused_with_its_place_and_reason(text: str, expected: str) -> None:
    assert expected in findings_of(text)


def test_a_file_with_a_thousand_problems_is_not_read_on() -> None:
    findings = read_yaml(Source("f.yaml", "- !x y\n" * 5_000)).findings
    assert len(findings) == 1_001
    assert str(findings[-1].span) == "f.yaml:1001:3"
    assert findings[-1].message == "there are more than 1,000 problems in this file; it is not read on"


@pytest.mark.parametrize(
    ("content", "expected", "text"),
    [
        (b"a: caf\xe9\n", "f.yaml:1:7: error[not-utf-8] byte 0xe9 is not UTF-8", "a: caf\ufffd\n"),
        (b"a: \x93x\x94\n", "f.yaml:1:4: error[not-utf-8] byte 0x93 is not UTF-8", "a: \ufffdx\ufffd\n"),
        (b"a: \xed\xa0\x80\n", "f.yaml:1:4: error[not-utf-8] byte 0xed is not UTF-8", "a: \ufffd\ufffd\ufffd\n"),
        (b"a: \xc3", "f.yaml:1:4: error[not-utf-8] byte 0xc3 is not UTF-8", "a: \ufffd"),
        ("a: é\n".encode("utf-16"), "f.yaml:1:1: error[not-utf-8] the file is UTF-16, not UTF-8", "a: é\n"),
        ("a: é\n".encode("utf-16-be"), "f.yaml:1:1: error[not-utf-8] the file is UTF-16, not UTF-8", "a: é\n"),
        ("a: é\n".encode("utf-16-le"), "f.yaml:1:1: error[not-utf-8] the file is UTF-16, not UTF-8", "a: é\n"),
        ("a: é\n".encode("utf-32"), "f.yaml:1:1: error[not-utf-8] the file is UTF-32, not UTF-8", "a: é\n"),
        ("a: é\n".encode(), None, "a: é\n"),
        ("a: é\n".encode("utf-8-sig"), None, "a: é\n"),
        (b"", None, ""),
    ],
)
def test_bytes_that_are_not_utf8_are_named(content: bytes, expected: str | None, text: str) -> None:
    source, finding = readable(Source("f.yaml", content.decode("utf-8", "surrogateescape")))
    assert source.text == text
    assert (as_text([finding]).splitlines()[0] if finding else None) == expected


def test_what_is_not_utf8_is_an_error_of_reading_too() -> None:
    assert findings_of("a: caf\udce9\n").startswith("f.yaml:1:7: error[not-utf-8] byte 0xe9 is not UTF-8")


def test_no_column_counts_a_byte_order_mark() -> None:
    assert findings_of("\ufeffa: 1\nb: @x\n").startswith("f.yaml:2:4: ")
    assert findings_of("\ufeffa: @x\n").startswith("f.yaml:1:4: ")


def test_lines_end_the_way_of_every_system() -> None:
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["a: 1", "b: 2", "a: 3"])
        assert findings_of(text).splitlines()[:2] == [
            "f.yaml:3:1: error[duplicate-key] 'a' is here twice; the first is in line 1", "    a: 3",
        ]  # fmt: skip


def test_the_line_is_shown_with_a_caret_and_the_way_out() -> None:
    assert findings_of("one: 1\nfew: 2\none: 3\n") == (
        "f.yaml:3:1: error[duplicate-key] 'one' is here twice; the first is in line 1\n"
        "    one: 3\n    ^^^\n  hint: keep one of them"
    )


def test_untyped_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    root = read_yaml(Source("f.yaml", "[no, 22:00, 1.10, '1', 0x10, null, 1_000, on]")).root
    assert root is not None
    assert core_value(root) == ["no", "22:00", 1.1, "1", 16, None, "1_000", "on"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345678901234567890", 12345678901234567890), ("-" + "9" * 400, -(10**400 - 1)), ("9" * 5_000, "9" * 5_000),
        ("1e999", float("inf")), ("-1e9999", float("-inf")), ("1e5", 1e5), (".5", 0.5), ("1.", 1.0), (".", "."),
        ("1e", "1e"), ("0777", 777), ("0o17", 15), ("0x1F", 31), ("-0x1", "-0x1"), (".inf", ".inf"),
        ("\u0663", "\u0663"), ("", None),
    ],
)  # fmt: skip
def test_number_keeps_its_digits(text: str, value: object) -> None:
    assert core_scalar(text) == value
    assert type(core_scalar(text)) is type(value)


@given(st.text(max_size=300))
def test_no_text_crashes_the_reader_and_every_finding_has_its_place(text: str) -> None:
    file = read_yaml(Source("f.yaml", text))
    assert all(0 <= finding.span.start <= len(text) for finding in file.findings)
    assert as_text(file.findings).count("error[") >= len(file.findings)


SIZE = 500_000


def filled(line: str, size: int = SIZE) -> str:
    """A line as often as it fits, numbered where it has `{}`."""
    return "".join(line.replace("{}", str(number)) for number in range(size // len(line)))


FRIENDLY = filled(
    "key{}:\n  title: Goal number {} of this evening, and what came before\n  topics: [winners, losers, others]\n"
    "  body: >-\n    A text of two lines, folded,\n    with twenty characters a value or more\n"
)
HOSTILE = {
    "open brackets": "[" * SIZE,
    "open braces": "{" * SIZE,
    "dashes": filled("- "),
    "questions": filled("? "),
    "items on one line": f"[{filled('x,')}]",
    "pairs on one line": f"[{filled('a: b,')}]",
    "quotes in items on one line": "[" + filled("x 'y, ") + "]",
    "keys on one line": f"{{{filled('k{}: 1, ')}}}",
    "empty items": filled("-\n"),
    "keys": filled("k{}: 1\n"),
    "the same key": filled("a: 1\n"),
    "one word a line": filled("a\n"),
    "no colons": filled("a = b\n"),
    "anchors": filled("- &a{} x\n"),
    "tags": filled("- !x y\n"),
    "templates": filled("- {{ x }}\n"),
    "odd spaces": filled("- \xa0x\n"),
    "comments": filled("- x #y\n"),
    "quotes that never end": 'a: "' + filled("x\n"),
    "a quote that ends early": 'a: "' + filled('\\"') + '" x',
    "doubled quotes": "a: '" + filled("''") + "' x",
    "escapes": 'a: "' + filled("\\x41") + '"',
    "joined lines": 'a: "' + filled("\\\n ") + '"',
    "white space": 'a: "' + filled(" \n") + '"',
    "a literal block": "a: |\n" + filled("  x\n"),
    "a folded block": "a: >\n" + filled("  x\n"),
    "a block of empty lines": "a: >\n" + filled(" \n") + "  x\n",
    "spaces before a sign": "a: x" + " " * SIZE + "@ : b: c",
    "braces in a list": "a: [" + filled(" {{x") + "] b",
    "an open bracket and many more": "a: [" + filled("[], ") + "\nb: c: d",
    "a mistake behind a million lines": filled("word\n") + "a: b: c",
    "a mistake behind indented lines": filled(" k{}: 1\n") + "  - b: c: d",
    "aliases of nothing": "[" + "*x, " * 900 + "]",
    "a bomb of aliases": bomb(9, 9),
}


def cpu_seconds(text: str) -> float:
    start = time.process_time()
    as_text(read_yaml(Source("f.yaml", text)).findings)
    return time.process_time() - start


@pytest.fixture(scope="module")
def friendly_seconds() -> float:
    """What a file of the same size costs that has nothing wrong: for 1 MB about half a second."""
    assert read_yaml(Source("f.yaml", FRIENDLY)).findings == ()
    return min(cpu_seconds(FRIENDLY) for _ in range(2))


@pytest.mark.slow
@pytest.mark.xdist_group("hostile")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_costs_at_most_four_times_what_a_friendly_one_does(kind: str, friendly_seconds: float) -> None:
    runs = (cpu_seconds(HOSTILE[kind]) for _ in range(5))
    assert any(run < 4 * friendly_seconds for run in runs)
