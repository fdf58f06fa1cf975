"""Files that nobody uses, and files that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.source import Source
from scheduler.workspace.rule_loading import LoadedRule
from scheduler.workspace.templates import TemplateFiles


def check_unused(
    templates: TemplateFiles, rules: Sequence[LoadedRule], sources: Mapping[str, Source]
) -> Iterator[Diagnostic]:
    """A warning for each template that no rule names, and each macro file that no template imports.

    `rules` are all rules of the workspace, none of them with an error.
    """
    named = {name for rule in rules for name in rule.templates}
    for name, files in templates.by_name.items():
        if name not in named:
            yield warning("unused-file", f"no rule uses the template '{name}'", sources[files.paths[0]].span(0),
                          "remove it, or name it in a rule: `message: {template: " + name + "}`")  # fmt: skip
    imported = {path for rule in rules for path in rule.macro_paths}
    for file in templates.macros.values():
        path = file.node.span.source.path
        if path not in imported:
            yield warning("unused-file", f"no template imports '{file.name}'", sources[path].span(0),
                          "remove it, or import it: `{% from \"" + file.name + "\" import … %}`")  # fmt: skip


def check_unread(sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """An error for each file in `rules` and `templates` that is not read for its name or its place."""
    for path, source in sources.items():
        pure = PurePosixPath(path)
        if pure.parts[0] == "rules" and pure.suffix != ".yaml":
            yield error("unread-file", "this file is not read: a rule is NAME.yaml", source.span(0),
                        f"rename it to {pure.stem}.yaml")  # fmt: skip
        elif pure.parts[0] == "templates" and pure.suffix not in (".yaml", ".j2"):
            ending = ".j2" if pure.suffix.startswith(".jinja") else ".yaml"
            yield error("unread-file", "this file is not read: a template is NAME.yaml, macros are NAME.j2",
                        source.span(0), f"rename it to {pure.stem}{ending}")  # fmt: skip
        elif pure.parts[0] == "templates" and len(pure.parts) > 2:
            yield error("unread-file", "this file is not read: templates stand directly in templates/",
                        source.span(0), f"move it to templates/{pure.name}")  # fmt: skip
