"""Texts of templates and macro files, as the loader would hand them to the rendering package."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.macros import NO_MACROS, MacroFile, MacroFiles, read_macro_file
from scheduler.rendering.texts import TextTemplate, compile_texts


def one_leaf(text: str) -> ScalarNode:
    """A leaf whose characters stand in its file as they are."""
    source = Source("templates/x.yaml", text)
    return ScalarNode(text, source.span(0, len(text)), plain=False, places=range(len(text) + 1))


def macro_files(texts: Mapping[str, str]) -> dict[str, MacroFile]:
    """Macro files by the names that templates use."""
    found = {}
    for name, text in texts.items():
        file, findings = read_macro_file(name, Source(f"templates/{name}", text))
        assert file is not None, findings
        found[name] = file
    return found


def one_text(label: str, text: str, macros: MacroFiles = NO_MACROS) -> TextTemplate:
    """A text template, compiled alone."""
    return compile_texts({label: text}, macros)[label]
