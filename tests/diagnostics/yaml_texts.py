"""Texts that may be YAML, made of what means something to YAML; and the scalars of a tree."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode

WORDS = ["a", "b", "key", "x y", "é", "€", "😀", "1", "null", "~", "{{ x }}", "<<"]
SIGNS = [
    "'",
    '"',
    "''",
    ": ",
    ":",
    "key: ",
    "- ",
    "? ",
    "# c",
    "#",
    ", ",
    ",",
    "[",
    "]",
    "{",
    "}",
    "%",
    "@",
    "---",
    "...",
]
BLOCKS = ["|", "|-", "|+", "|2", "|1-", ">", ">-", ">+", ">2", "> # c", ": |\n  "]
NAMES = ["&a ", "*a", "!t ", "! "]
WHITE = [" ", "  ", "    ", "\t", "\n", "\n", "\n ", "\n  ", "\n    ", "\n\n", "\r\n", "\r", "\xa0", "\u200b", "\ufeff"]
ESCAPES = [
    "\\",
    "\\n",
    "\\x41",
    "\\u00e9",
    "\\U0001F600",
    "\\\n",
    "\\\r\n",
    "\\t",
    "\\ ",
    "\\\t",
    "\\e",
    "\\_",
    "\\N",
    "\\L",
    "\\0",
]

documents = st.lists(st.sampled_from([*WORDS, *SIGNS, *BLOCKS, *NAMES, *WHITE, *ESCAPES]), max_size=20).map("".join)
"""About four in ten are YAML."""


def scalars_of(node: Node | None) -> Iterator[ScalarNode]:
    """Every key and value, in the order of the file."""
    match node:
        case ScalarNode():
            yield node
        case SequenceNode():
            for item in node.items:
                yield from scalars_of(item)
        case MappingNode():
            for key, value in node:
                yield key
                yield from scalars_of(value)
