"""`ignore` in a rule: warnings and notes that its author has seen and accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.diagnostics.diagnostic import Diagnostic, Severity, did_you_mean, error, warning
from scheduler.rules.rule import Ignored
from scheduler.workspace.rule_loading import LoadedRule
from scheduler.workspace.templates import TemplateFiles

NEVER_IGNORED = frozenset({"credentials", "not-yet", "unused-ignore", "unused-file"})
"""The first is about clarion.yaml, `run` refuses to start with the second, the third is about the list itself, and the
fourth about files of no rule."""


@dataclass(frozen=True, slots=True)
class IgnoreList:
    """The entries of one rule, and the files that they are about: its own, and those that it alone uses."""

    entries: tuple[Ignored, ...]
    paths: frozenset[str]


def ignore_lists(rules: Sequence[LoadedRule], templates: TemplateFiles) -> list[IgnoreList]:
    """What rules ignore, in their own files and in those of templates that they alone use."""
    users: dict[str, list[str]] = {}
    for rule in rules:
        for name in rule.templates:
            users.setdefault(name, []).append(rule.path)
    lists = []
    for rule in (rule for rule in rules if rule.ignored):
        files = [templates.named(name) for name in rule.templates if users[name] == [rule.path]]
        own = frozenset(path for one in files if one is not None for path in one.paths)
        lists.append(IgnoreList(rule.ignored, own | {rule.path}))
    return lists


def without_ignored(
    findings: Iterable[Diagnostic], lists: Sequence[IgnoreList], codes: Iterable[str]
) -> list[Diagnostic]:
    """The findings that nobody ignores, and what is wrong with the lists. `codes` are all that there are."""
    known = frozenset(codes)
    kept = list(findings)
    for one in lists:
        for entry in one.entries:
            before = kept
            kept = [finding for finding in before if not _is_ignored(finding, entry, one.paths)]
            kept.extend(_problems(entry, silenced=len(kept) < len(before), findings=before, known=known, of=one))
    return kept


def _is_ignored(finding: Diagnostic, entry: Ignored, paths: frozenset[str]) -> bool:
    return (
        finding.code == entry.check
        and finding.severity is not Severity.ERROR
        and finding.code not in NEVER_IGNORED
        and finding.span.source.path in paths
    )


def _problems(
    entry: Ignored, *, silenced: bool, findings: Sequence[Diagnostic], known: frozenset[str], of: IgnoreList
) -> Iterator[Diagnostic]:
    span = entry.span
    if silenced:
        return
    if entry.check not in known:
        hint = did_you_mean(entry.check, known) or "the word in brackets behind `warning` is the check"
        yield error("unknown-check", f"there is no check '{entry.check}'", span, hint)
    elif entry.check in NEVER_IGNORED:
        yield error("unknown-check", f"'{entry.check}' cannot be ignored", span, "remove the entry")
    elif any(one.code == entry.check and one.span.source.path in of.paths for one in findings):
        yield error("unknown-check", f"'{entry.check}' is an error here, and errors cannot be ignored", span,
                    "mend what it says")  # fmt: skip
    else:
        hint = "remove the entry"
        if any(one.code == entry.check and one.span.source.path.startswith("templates/") for one in findings):
            hint = "remove the entry; of the templates, it is about those that no other rule uses"
        yield warning("unused-ignore", f"there is no '{entry.check}' here that could be ignored", span, hint)
