"""Laws of positions: each character of a value has its place in the file, in every scalar style."""

from __future__ import annotations

import itertools
import string
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.diagnostic import has_errors
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml
from tests.diagnostics.yaml_texts import documents, scalars_of

STYLES = [None, "'", '"', "|", ">"]
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def check_law(node: ScalarNode) -> None:
    """A character that is written as it is stands at its place, an escape begins there, a folded break is there; and
    no two characters have one place, so none was given up as vague."""
    text, places = node.span.source.text, list(node.places)
    assert len(places) == len(node.text) + 1
    assert all(one < behind for one, behind in itertools.pairwise(places))
    for char, place in zip(node.text, places, strict=False):
        assert text[place] in (char, "\\") or (char in " \n" and text[place] in "\r\n")


def last_scalar(text: str) -> ScalarNode:
    file = read_yaml(Source("t.yaml", text))
    assert not has_errors(file.findings)
    return list(scalars_of(file.root))[-1]


@given(documents)
def test_every_scalar_that_can_be_read_keeps_the_law(text: str) -> None:
    for node in scalars_of(read_yaml(Source("t.yaml", text)).root):
        check_law(node)


hard_texts = st.text(alphabet="ab c\n\t'\"\\#:-é€😀{}x\x85\u2028\xa0\0\x1b,[]&*!|>%@`", max_size=60)
data = st.recursive(
    hard_texts, lambda below: st.lists(below, min_size=1, max_size=3) | st.dictionaries(hard_texts, below, max_size=3)
)


@given(data, st.sampled_from(STYLES), st.sampled_from([True, False, None]), st.integers(10, 200), ENDS)
def test_what_pyyaml_writes_is_read_with_every_place(
    value: Any, style: str | None, flow: bool | None, width: int, end: str
) -> None:
    text = yaml.dump(
        value, default_style=style, default_flow_style=flow, allow_unicode=True, width=width, line_break=end
    )
    file = read_yaml(Source("t.yaml", text))
    for node in scalars_of(file.root):
        check_law(node)


@pytest.mark.parametrize(
    "text",
    [
        "key: one wrong two\n",
        "key: 'it''s wrong'\n",
        'key: "\\u00e9 \\"x\\" wrong"\n',
        "key: >-\n  one\n  two wrong\n\n  three\n",
        "key: |2-\n   one\n  wrong\n",
        "key: &a one\n   folded wrong line\n",
        "key:\n  nested:\n    - >\n      one\n      wrong\n",
        "key:\n  - deep: |2\n       one\n      wrong\n",
        "key:\n- - |1\n     one\n    wrong\n",
        "key:\n  - &a >2-\n      one\n     wrong\n",
        "key:\n  - ? deep\n    : |2\n       one\n      wrong\n",
        "key: |\n\n\n  wrong",
        "|1\n  one\n wrong\n",
        "\ufeffkey: wrong\n",
    ],
)
def test_a_caret_stands_under_the_word_it_means(text: str) -> None:
    node = last_scalar(text)
    at = node.text.index("wrong")
    span = node.span_of(at, at + 5)
    assert span.source.text[span.start : span.end] == "wrong"
    assert (
        span.column == next(line.index("wrong") for line in text.lstrip("\ufeff").splitlines() if "wrong" in line) + 1
    )


# The law once more, with the exact places, by an independent writer: what stands in the file, and what it means.


@dataclass(frozen=True)
class Piece:
    """Some characters of the file that mean one character of the value, or none."""

    written: str
    meant: str


def as_written(text: str) -> list[Piece]:
    return [Piece(char, char) for char in text]


def check_places(before: str, pieces: list[Piece], after: str) -> None:
    text, value, places = before, "", []
    for piece in pieces:
        places += [len(text)] * len(piece.meant)
        text += piece.written
        value += piece.meant
    node = last_scalar(text + after)
    assert node.text == value
    assert list(node.places[:-1]) == places
    check_law(node)


NAMED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
escapes = st.sampled_from([Piece(f"\\{sign}", char) for sign, char in NAMED.items()]) | st.one_of(
    st.characters(max_codepoint=0xFF).map(lambda char: Piece(f"\\x{ord(char):02x}", char)),
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]).map(lambda c: Piece(f"\\u{ord(c):04X}", c)),
    st.characters(exclude_categories=["Cs"]).map(lambda char: Piece(f"\\U{ord(char):08x}", char)),
)
words = st.text(string.ascii_letters + "é€😀~;.", min_size=1, max_size=6).map(as_written)
gaps = st.tuples(st.sampled_from(["", " ", "\t", " \t "]), st.integers(0, 3), st.sampled_from(["", " ", "  \t"]))
"""Between two words of a flow scalar: white space that is dropped, empty lines, more white space that is dropped."""


def folded(lines: list[list[Piece]], between: list[tuple[str, int, str]], end: str, indent: str) -> list[Piece]:
    """One break is a space, each further one a line break."""
    pieces = list(lines[0])
    for line, (trailing, blank, leading) in zip(lines[1:], between, strict=False):
        pieces += [Piece(trailing, ""), Piece(end, "" if blank else " ")]
        pieces += [Piece(end, "\n")] * blank
        pieces += [Piece(indent + leading, ""), *line]
    return pieces


@given(
    st.sampled_from(["", "'", '"']), st.sampled_from([("key: ", ""), ("- ", ""), ("key: [a, ", "]"), ("{a: ", "}")]),
    st.lists(words, min_size=1, max_size=5), st.lists(gaps, min_size=5, max_size=5), ENDS, st.integers(1, 5),
    st.lists(escapes, max_size=4), st.lists(gaps, max_size=2),
)  # fmt: skip
def test_flow_scalars_have_every_character_at_its_place(
    quote: str, around: tuple[str, str], lines: list[list[Piece]], between: list[tuple[str, int, str]], end: str,
    indent: int, escaped: list[Piece], joined: list[tuple[str, int, str]],
) -> None:  # fmt: skip
    before, after = around
    if quote == "'":
        lines[-1] += [Piece("''", "'"), *as_written("# y: ")]
    if quote == '"':
        lines[0] += [*escaped, *as_written("# y: ' \t y")]
        for white, blank, leading in joined:
            # A backslash before the break joins the lines, and keeps the white space before itself.
            lines[0] += [*as_written(white), Piece(f"\\{end}", "")]
            lines[0] += [Piece(end, "\n")] * blank + [Piece(" " * indent + leading, ""), *as_written("z")]
    check_places(f"# é{end}{before}{quote}", folded(lines, between, end, " " * indent), f"{quote}{after}{end}")


@dataclass(frozen=True)
class Line:
    """A line of a block scalar: empty lines before it (as many spaces in each), and its text."""

    empty: tuple[int, ...]
    text: str

    @property
    def is_deeper(self) -> bool:
        return self.text.startswith((" ", "\t"))


lines_of_blocks = st.builds(
    Line,
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
    st.tuples(st.sampled_from(["", "", " ", "   ", "\t"]), st.text("ab:#-é€😀{}~ \t'\"\\", max_size=8))
    .map("".join)
    .filter(bool),
)
PARENTS = [("key: ", 0), ("- ", 0), ("a:\n  - ", 2), ("- - ", 2), ("a:\n   key: ", 3), ("--- ", 0), ("- key: &a ", 2)]
"""What a block scalar stands behind, and the column that its indentation counts from."""


def block(lines: list[Line], style: str, chomping: str, indent: int, end: str, rest: int) -> list[Piece]:
    """The pieces of a block scalar below its header, as YAML 1.2.2, section 8.1 says."""
    pieces: list[Piece] = []
    before: Line | None = None
    for line in lines:
        empty = [[Piece(" " * min(spaces, indent), ""), Piece(end, "\n")] for spaces in line.empty]
        if before is not None:
            folds = style == ">" and not before.is_deeper and not line.is_deeper
            pieces.append(Piece(end, ("" if line.empty else " ") if folds else "\n"))
        pieces += [piece for one in empty for piece in one]
        pieces += [Piece(" " * indent, ""), *as_written(line.text)]
        before = line
    kept = {"-": "", "": "\n", "+": "\n"}[chomping]
    pieces.append(Piece(end, kept))
    return pieces + [Piece(end, "\n" if chomping == "+" else "")] * rest


@given(
    st.lists(lines_of_blocks, min_size=1, max_size=5), st.sampled_from("|>"), st.sampled_from(["", "-", "+"]),
    st.booleans(), st.integers(1, 9), st.sampled_from(PARENTS), ENDS, st.integers(0, 3),
    st.sampled_from(["", " ", " # a comment"]), st.booleans(),
)  # fmt: skip
def test_block_scalars_have_every_character_at_its_place(
    lines: list[Line], style: str, chomping: str, indicated: bool, indent: int, parent: tuple[str, int], end: str,
    rest: int, comment: str, is_cut: bool,
) -> None:  # fmt: skip
    before, column = parent
    if not indicated:
        lines[0] = Line(lines[0].empty, f"x{lines[0].text}")
    header = f"{style}{indent if indicated else ''}{chomping}{comment}{end}"
    pieces = block(lines, style, chomping, column + indent, end, 0 if is_cut else rest)
    if is_cut:
        pieces.pop()  # the file ends without a line break
    check_places(before.replace("\n", end) + header, pieces, "")


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize(
    "write", ["key: a{}b\n", "key: 'a{}b'\n", 'key: "a{}b"\n', "key: |\n  a{}b\n", "# {}\nkey: a\n"]
)
def test_what_only_yaml_1_1_takes_for_a_line_end_is_refused(char: str, write: str) -> None:
    text = write.format(char)
    [finding] = read_yaml(Source("t.yaml", text)).findings
    assert finding.code == "control-character"
    assert text[finding.span.start] == char


def test_a_value_without_characters_has_one_place() -> None:
    root = read_yaml(Source("t.yaml", "a: ''\nb:\nc: |\n\nd: \"\\\n\"\n")).root
    assert isinstance(root, MappingNode)
    assert [(value.text, len(value.places)) for _, value in root if isinstance(value, ScalarNode)] == [("", 1)] * 4
