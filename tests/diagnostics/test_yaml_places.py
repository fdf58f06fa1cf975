"""Laws of positions: each character of a value has its place in the file, in every scalar style."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.diagnostic import has_errors
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml

STYLES = [None, "'", '"', "|", ">"]
texts = st.text(alphabet="ab c\n\t'\"\\#:-é€😀{}x", min_size=1, max_size=60)


def scalar_in(text: str) -> ScalarNode:
    file = read_yaml(Source("t.yaml", text))
    assert not has_errors(file.findings)
    assert isinstance(file.root, MappingNode)
    node = file.root.get("key")
    assert isinstance(node, ScalarNode)
    return node


@given(texts, st.sampled_from(STYLES), st.integers(20, 200))
def test_every_visible_character_of_a_value_is_found_at_its_place(value: str, style: str | None, width: int) -> None:
    text = yaml.dump({"key": value}, default_style=style, allow_unicode=True, width=width)
    node = scalar_in(text)
    assert node.text == value
    assert len(node.places) == len(value) + 1
    assert list(node.places[:-1]) == sorted(node.places[:-1])
    for char, place in zip(value, node.places, strict=False):
        assert text[place] == char or char in " \n" or text[place] == "\\"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("key: one wrong two\n", "wrong"),
        ("key: 'it''s wrong'\n", "wrong"),
        ('key: "\\u00e9 \\"x\\" wrong"\n', "wrong"),
        ("key: >-\n  one\n  two wrong\n\n  three\n", "wrong"),
        ("key: |2-\n   one\n  wrong\n", "wrong"),
        ("key: &a one\n   folded wrong line\n", "wrong"),
        ("- x\n", "x"),
    ],
)
def test_a_caret_stands_under_the_word_it_means(text: str, word: str) -> None:
    if text.startswith("-"):
        text = f"key:\n  nested:\n    - >\n      one\n      {word}\n"
        root = read_yaml(Source("t.yaml", text)).root
        node = root.get("key").get("nested").items[0]  # type: ignore[union-attr]
    else:
        node = scalar_in(text)
    at = node.text.index(word)
    span = node.span_of(at, at + len(word))
    assert text[span.start : span.end] == word


# The law, by an independent writer: each piece is what stands in the file and the character that it means.
Piece = tuple[str, str]
VISIBLE = "ab:#-é€😀{}~"
plain_words = st.text("abé€😀~x", min_size=1, max_size=6)
ends = st.sampled_from(["\n", "\r\n"])


def pieces_of(text: str) -> list[Piece]:
    return [(char, char) for char in text]


def escapes() -> st.SearchStrategy[Piece]:
    named = [("\\n", "\n"), ("\\t", "\t"), ('\\"', '"'), ("\\\\", "\\"), ("\\/", "/"), ("\\x41", "A"), ("\\_", "\xa0")]
    return st.sampled_from([*named, ("\\u20ac", "€"), ("\\U0001F600", "😀"), ("\\e", "\x1b"), ("\\N", "\x85")])


def folded_lines(words: list[list[Piece]], blanks: list[int], end: str, indent: str) -> list[Piece]:
    """Words on lines of their own: one break is a space, each further one a line break."""
    pieces = list(words[0])
    for word, blank in zip(words[1:], blanks, strict=False):
        if blank:
            pieces += [(end, "")] + [(end, "\n")] * blank + [(indent, "")]
        else:
            pieces += [(end, " "), (indent, "")]
        pieces += word
    return pieces


def check_places(before: str, pieces: list[Piece], after: str) -> None:
    text = before + "".join(written for written, _ in pieces) + after
    value = "".join(meant for _, meant in pieces)
    at, places = len(before), []
    for written, meant in pieces:
        places += [at] * len(meant)
        at += len(written)
    node = scalar_in(text)
    assert node.text == value
    assert list(node.places[:-1]) == places


@given(
    st.sampled_from(["", "'", '"']), st.lists(plain_words, min_size=1, max_size=5),
    st.lists(st.integers(0, 2), min_size=5, max_size=5), st.lists(escapes(), max_size=4), ends, st.integers(1, 5),
)  # fmt: skip
def test_flow_scalars_have_every_character_at_its_place(
    quote: str, words: list[str], blanks: list[int], escaped: list[Piece], end: str, indent: int
) -> None:
    written = [pieces_of(word) for word in words]
    if quote == "'":
        written[-1] += [("''", "'"), ("y", "y")]
    if quote == '"':
        written[0] += [*escaped, ("y", "y"), (f"\\{end}   ", ""), ("z", "z")]
    check_places(f"# é{end}key: {quote}", folded_lines(written, blanks, end, " " * indent), quote + end)


@given(
    st.sampled_from("|>"), st.sampled_from(["", "-", "+"]), st.booleans(), st.integers(1, 9), ends,
    st.lists(st.tuples(st.integers(0, 3), st.text(VISIBLE, min_size=1, max_size=8)), min_size=1, max_size=5),
    st.integers(0, 3), st.sampled_from(["", " # a comment"]),
)  # fmt: skip
def test_block_scalars_have_every_character_at_its_place(
    style: str, chomping: str, indicated: bool, indent: int, end: str, lines: list[tuple[int, str]], rest: int,
    comment: str,
) -> None:  # fmt: skip
    if not indicated:
        lines = [(0, lines[0][1]), *lines[1:]]
    pieces: list[Piece] = []
    for number, (deeper, line) in enumerate(lines):
        pieces += [(" " * indent, ""), *pieces_of(" " * deeper + line)]
        last = number == len(lines) - 1
        folds = style == ">" and not last and deeper == 0 and lines[number + 1][0] == 0
        pieces.append((end, "" if last and chomping == "-" else " " if folds else "\n"))
    pieces += [(end, "\n" if chomping == "+" else "")] * rest
    check_places(f"key: {style}{indent if indicated else ''}{chomping}{comment}{end}", pieces, "")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("key:\n  - deep: |2\n       one\n      wrong\n", ("deep",)),
        ("key:\n- - |1\n     one\n    wrong\n", ()),
        ("key:\n  - &a >2-\n      one\n     wrong\n", ()),
        ("key:\n  - ? deep\n    : |2\n       one\n      wrong\n", ("deep",)),
    ],
)
def test_indicated_indentation_counts_from_the_section_around(text: str, path: tuple[str, ...]) -> None:
    root = read_yaml(Source("t.yaml", text)).root
    node = root.get("key")  # type: ignore[union-attr]
    while not isinstance(node, ScalarNode):
        node = node.get(path[0]) if isinstance(node, MappingNode) else node.items[0]  # type: ignore[union-attr]
    span = node.span_of(node.text.index("wrong"), node.text.index("wrong") + 5)
    assert text[span.start : span.end] == "wrong"
