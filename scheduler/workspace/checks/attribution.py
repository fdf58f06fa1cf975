"""Whose findings are: a template that several rules use may be right for one of them and wrong for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.workspace.rule_loading import LoadedRule
from scheduler.workspace.templates import TemplateFiles


def findings_of_rules(rules: Sequence[LoadedRule], templates: TemplateFiles) -> Iterator[Diagnostic]:
    """The findings of rules, each once. One in a file that other rules use without it names the rules that have it."""
    users: dict[str, set[str]] = {}
    finders: dict[Diagnostic, list[str]] = {}
    for rule in rules:
        files = [templates.named(name) for name in rule.templates]
        for path in {*rule.macro_paths, *(path for one in files if one is not None for path in one.paths)}:
            users.setdefault(path, set()).add(rule.path)
        for finding in dict.fromkeys(rule.findings):
            finders.setdefault(finding, []).append(rule.path)
    for finding, paths in finders.items():
        others = users.get(finding.span.source.path, set()).difference(paths)
        yield replace(finding, message=f"{_as_used_by(paths)}, {finding.message}") if others else finding


def _as_used_by(paths: Sequence[str]) -> str:
    return f"as {paths[0]} uses it" if len(paths) == 1 else f"as {paths[0]} and {len(paths) - 1} more use it"
