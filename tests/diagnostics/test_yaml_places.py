"""Laws of positions: each character of a value has its place in the file, in every scalar style."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml

STYLES = [None, "'", '"', "|", ">"]
texts = st.text(alphabet="ab c\n\t'\"\\#:-é€😀{}x", min_size=1, max_size=60)


def scalar_in(text: str) -> ScalarNode:
    file = read_yaml(Source("t.yaml", text))
    assert not file.findings
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
