"""Texts → Workspace: compiled whole, all problems at once. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scheduler.apns.client_certificate import ClientCertificate
from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, Severity, error, has_errors, in_reading_order
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml, readable
from scheduler.domain.rule_names import RuleNames
from scheduler.rules.fields import root_mapping
from scheduler.rules.timing import ExitMatch
from scheduler.workspace.campaign import Campaign, is_refused
from scheduler.workspace.checks.attribution import findings_of_rules
from scheduler.workspace.checks.credentials import CredentialFiles, check_auth
from scheduler.workspace.checks.ignoring import ignore_lists, without_ignored
from scheduler.workspace.checks.links import check_links
from scheduler.workspace.checks.names import check_earlier_names
from scheduler.workspace.checks.overlays import check_overlays
from scheduler.workspace.checks.secrets import check_secrets
from scheduler.workspace.checks.unused import check_unread, check_unused
from scheduler.workspace.codes import CODES
from scheduler.workspace.folder import SCHEMA_PATH, SETTINGS_PATH, is_rule
from scheduler.workspace.rule_loading import LoadedRule, RuleLoader, Share, one_by_one
from scheduler.workspace.settings import Settings, read_settings
from scheduler.workspace.templates import read_templates


@dataclass(frozen=True, slots=True)
class Workspace:
    """Settings, types and campaigns that belong together. Immutable: a reload makes another one."""

    settings: Settings
    schema: Schema
    campaigns: Mapping[str, Campaign]
    """By rule name, disabled ones too."""
    sources: Mapping[str, Source]
    exit_types: frozenset[str]
    """The types of events (a final `*` stands for any rest) that any rule, enabled or not, asks for by their user."""
    _exact: Mapping[str, tuple[Campaign, ...]]
    _prefixes: Mapping[str, tuple[Campaign, ...]]
    """By what stands before the `*`."""
    _lengths: tuple[int, ...]
    """Of the prefixes, each once."""

    @property
    def names(self) -> RuleNames:
        """What its rules are and were called, disabled ones too."""
        return RuleNames(tuple(campaign.names_had for campaign in self.campaigns.values()))

    def is_enabled(self, rule: str) -> bool:
        """Whether a rule is there and enabled, by this name or by the one that it has now."""
        if rule in self.campaigns:
            return self.campaigns[rule].enabled
        return any(campaign.enabled and rule in campaign.renamed_from for campaign in self.campaigns.values())

    def campaigns_for(self, event_type: str) -> tuple[Campaign, ...]:
        """The enabled campaigns that listen to a type: a few look-ups, however many rules listen to others."""
        found = self._exact.get(event_type, ())
        for length in self._lengths:
            if length <= len(event_type):  # else the whole type would be looked up again
                found += self._prefixes.get(event_type[:length], ())
        return found


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The workspace, or None when a finding is an error; and all findings in reading order."""

    workspace: Workspace | None
    findings: tuple[Diagnostic, ...]

    @property
    def not_built(self) -> tuple[Diagnostic, ...]:
        """What would change a decision and is not built: whatever starts rules refuses to, with any of these."""
        return tuple(one for one in self.findings if one.severity is not Severity.ERROR and is_refused(one))


def load(
    sources: Mapping[str, Source], root: Path, environ: Mapping[str, str], credentials: CredentialFiles | None = None
) -> LoadResult:
    """The workspace that texts describe. Relative paths of settings are relative to `root`. Nothing is opened but
    `credentials`, for who wants to know whether they are good."""
    whole = _Whole(sources, root, environ, credentials, to_run=True)
    rules = one_by_one(whole.rules, whole.rule_paths)
    findings = whole.findings_with(rules)
    if whole.rules.settings is None or has_errors(findings):
        return LoadResult(None, findings)
    campaigns = {campaign.name: campaign for campaign in (rule.campaign for rule in rules) if campaign is not None}
    return LoadResult(workspace_of(whole.rules.settings, whole.rules.schema, campaigns, whole.sources), findings)


def findings_of(
    sources: Mapping[str, Source],
    root: Path,
    environ: Mapping[str, str],
    credentials: CredentialFiles | None = None,
    share: Share = one_by_one,
) -> tuple[Diagnostic, ...]:
    """The findings that `load` would have, without what only a run needs: campaigns, and code of most templates.
    `share` may let several processes look at the rules."""
    whole = _Whole(sources, root, environ, credentials, to_run=False)
    return whole.findings_with(share(whole.rules, whole.rule_paths))


class _Whole:
    """What the rules of a workspace have in common, and what can be said only of all of them."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        root: Path,
        environ: Mapping[str, str],
        credentials: CredentialFiles | None,
        *,
        to_run: bool,
    ) -> None:
        self._findings: list[Diagnostic] = []
        self.sources = {path: self._decoded(source) for path, source in sources.items()}
        self.rule_paths = sorted(path for path in self.sources if is_rule(path))
        settings, findings = read_settings(read_yaml(self._source(SETTINGS_PATH)), root, environ)
        self._findings.extend(findings)
        schema = self._schema()
        templates = read_templates(self.sources)
        self._findings.extend(templates.findings)
        certificates: dict[str, ClientCertificate] = {}
        if settings is not None:
            self._findings.extend(check_auth(settings.apps, credentials, certificates))
        self.rules = RuleLoader(settings, schema, templates, self.sources, certificates, to_run=to_run)

    def findings_with(self, rules: Sequence[LoadedRule]) -> tuple[Diagnostic, ...]:
        """All findings in reading order, without those that a rule ignores."""
        found = [*self._findings, *self._of_files(), *self._same_names()]
        found.extend(findings_of_rules(rules, self.rules.templates))
        found.extend(check_earlier_names(rule.renamed_from for rule in rules))
        if not has_errors(found):
            found.extend(check_unused(self.rules.templates, rules, self.sources))
        lists = ignore_lists(rules, self.rules.templates)
        return tuple(in_reading_order(without_ignored(dict.fromkeys(found), lists, CODES)))

    def _of_files(self) -> Iterator[Diagnostic]:
        yield from check_unread(self.sources)
        for source in self.sources.values():
            yield from check_secrets(source)
        for files in self.rules.templates.by_name.values():
            yield from check_overlays(files)
            for root in (files.base, *files.overlays.values()):
                yield from check_links(root)

    def _same_names(self) -> Iterator[Diagnostic]:
        first_path: dict[str, str] = {}
        for path in self.rule_paths:
            stem = PurePosixPath(path).stem
            first = first_path.setdefault(stem, path)
            if first != path:
                message = f"there are two rules called '{stem}'; the other is {first}"
                yield error("wrong-name", message, self.sources[path].span(0), "rename one")

    def _schema(self) -> Schema:
        if SCHEMA_PATH not in self.sources:
            return Schema.undeclared()
        root, reading = root_mapping(read_yaml(self.sources[SCHEMA_PATH]))
        self._findings.extend(reading)
        if root is None or has_errors(reading):
            return Schema.undeclared()  # one broken file is not a hundred unknown names
        schema, findings = read_schema(root)
        self._findings.extend(findings)
        return schema

    def _source(self, path: str) -> Source:
        return self.sources.get(path, Source(path, ""))

    def _decoded(self, source: Source) -> Source:
        shown, finding = readable(source)
        if finding is not None:
            self._findings.append(finding)
        return shown


def workspace_of(
    settings: Settings, schema: Schema, campaigns: Mapping[str, Campaign], sources: Mapping[str, Source]
) -> Workspace:
    """A workspace of campaigns, with the look-up by type of event."""
    exact: dict[str, tuple[Campaign, ...]] = {}
    prefixes: dict[str, tuple[Campaign, ...]] = {}
    for campaign in campaigns.values():
        if not campaign.enabled or campaign.event is None:
            continue
        is_prefix = campaign.event.endswith("*")
        by_type, key = (prefixes, campaign.event[:-1]) if is_prefix else (exact, campaign.event)
        by_type[key] = (*by_type.get(key, ()), campaign)
    exits = (one for campaign in campaigns.values() for one in campaign.exits)
    by_user = frozenset(one.event for one in exits if one.match is ExitMatch.USER)
    lengths = tuple(sorted({*map(len, prefixes)}))
    return Workspace(settings, schema, campaigns, sources, by_user, exact, prefixes, lengths)
