"""The tree is the one that PyYAML makes, for every text that both read; and neither reads what the other cannot."""

from __future__ import annotations

from typing import TypeAlias

import yaml
from hypothesis import given

from scheduler.diagnostics.diagnostic import has_errors
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_reader import read_yaml
from tests.diagnostics.yaml_texts import documents

Texts: TypeAlias = "str | list[Texts] | tuple[tuple[Texts, Texts], ...] | None"
"""A tree of which only the texts are left; a mapping is a tuple of pairs."""


def ours(node: Node | None) -> Texts:
    match node:
        case None:
            return None
        case ScalarNode():
            return node.text
        case SequenceNode():
            return [ours(item) for item in node.items]
        case MappingNode():
            return tuple((key.text, ours(value)) for key, value in node)


def theirs(node: yaml.Node | None) -> Texts:
    match node:
        case yaml.ScalarNode():
            return str(node.value)
        case yaml.SequenceNode():
            return [theirs(item) for item in node.value]
        case yaml.MappingNode():
            return tuple((theirs(key), theirs(value)) for key, value in node.value)
        case _:
            return None


def composed(text: str) -> tuple[yaml.Node | None, str]:
    """PyYAML's tree, or what it says against the text."""
    try:
        return yaml.compose(text, yaml.CSafeLoader), ""
    except yaml.MarkedYAMLError as problem:
        return None, problem.problem or ""


@given(documents)
def test_what_both_read_is_the_same_tree_and_what_pyyaml_refuses_is_an_error(text: str) -> None:
    file = read_yaml(Source("t.yaml", text))
    tree, refusal = composed(file.source.text)
    # An anchor that is there twice is YAML (1.2.2, section 3.2.2.2), and PyYAML refuses it all the same.
    if not has_errors(file.findings) and not refusal.startswith("second occurrence"):
        assert refusal == ""
        assert ours(file.root) == theirs(tree)


DELIBERATE = {
    "tag", "duplicate-key", "bad-key", "recursive-alias", "unquoted-template", "cut-at-comment", "unused-anchor",
    "yaml-syntax",
}  # fmt: skip
"""What is YAML and refused on purpose; the last for the texts of yaml_misreadings."""


@given(documents)
def test_what_pyyaml_reads_has_a_tree_and_no_finding_but_deliberate_ones(text: str) -> None:
    file = read_yaml(Source("t.yaml", text))
    tree, refusal = composed(file.source.text)
    if not refusal:
        assert (file.root is None) == (tree is None)
        assert {finding.code for finding in file.findings} <= DELIBERATE
