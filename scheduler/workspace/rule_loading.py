"""One rule of a workspace: read, compiled with its templates, and checked. Rules know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from scheduler.apns.client_certificate import ClientCertificate
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.fusing import fuse
from scheduler.rendering.unfused import unfused
from scheduler.rules.compiler import compile_rule
from scheduler.rules.rule import EarlierName, Ignored, Rule
from scheduler.workspace.campaign import Campaign, Parts, Surroundings, compile_parts, is_refused, join
from scheduler.workspace.checks.caps import check_caps
from scheduler.workspace.checks.credentials import check_topic
from scheduler.workspace.checks.delays import check_delays
from scheduler.workspace.checks.names import check_names
from scheduler.workspace.checks.payloads import check_payloads
from scheduler.workspace.checks.quiet_hours import check_quiet_hours
from scheduler.workspace.checks.slots import check_slots, check_superseded_zones
from scheduler.workspace.folder import SCHEMA_PATH
from scheduler.workspace.settings import App, Settings
from scheduler.workspace.templates import TemplateFiles
from scheduler.workspace.versions import source_texts, version_of


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """What became of a rule's file: everything that is wrong, and what the rule uses and ignores, as far as it could
    be read. `campaign` is None if there is an error, or if the rule was only to be looked at."""

    path: str
    findings: tuple[Diagnostic, ...]
    templates: frozenset[str] = frozenset()
    macro_paths: frozenset[str] = frozenset()
    ignored: tuple[Ignored, ...] = ()
    renamed_from: tuple[EarlierName, ...] = ()
    campaign: Campaign | None = None


class RuleLoader:
    """Loads the rules of a workspace whose settings (None: with an error), types and templates are known.

    `to_run`: whether campaigns are wanted, whose templates are code. Else rules are looked at, which finds the same.
    """

    def __init__(
        self,
        settings: Settings | None,
        schema: Schema,
        templates: TemplateFiles,
        sources: Mapping[str, Source],
        certificates: Mapping[str, ClientCertificate],
        *,
        to_run: bool,
    ) -> None:
        self.settings = settings
        self.schema = schema
        self.templates = templates
        self.sources = sources
        self.certificates = certificates
        """By app, those that were looked into."""
        self.to_run = to_run

    def load(self, path: str) -> LoadedRule:
        """The rule of one file."""
        rule, findings = compile_rule(read_yaml(self.sources[path]), PurePosixPath(path).stem, self.schema)
        if rule is None:
            return LoadedRule(path, tuple(findings))
        named = frozenset(message.template for message in rule.messages)
        if self.settings is None:
            return LoadedRule(path, tuple(findings), named, ignored=rule.ignored, renamed_from=rule.renamed_from)
        app = _app(rule, self.settings, findings)
        _check_category(rule, self.settings, findings)
        findings.extend(check_quiet_hours(rule, self.settings))
        findings.extend(check_delays(rule, self.settings))
        findings.extend(check_caps(rule, self.settings))
        findings.extend(check_names(rule, self.sources))
        if app is not None:
            span = rule.message.template_node.span
            findings.extend(check_topic(rule, app, self.certificates.get(app.name), span))
        around = self._surroundings(self.settings, app, rule.category)
        findings.extend(check_slots(rule, around))
        parts, more = compile_parts(rule, around)
        if parts is not None:
            findings.extend(check_superseded_zones(rule, parts.supersede, around))
        findings = list(dict.fromkeys([*findings, *more]))  # variants may share what is wrong with a template
        if parts is None or app is None:
            return LoadedRule(path, tuple(findings), named, ignored=rule.ignored, renamed_from=rule.renamed_from)
        if not any(map(is_refused, more)):
            for message, payload in parts.payloads.items():
                files = self.templates.by_name[message.template]
                findings.extend(check_payloads(rule, message, payload, self.schema, files))
        campaign = self._campaign(path, rule, parts, around) if self.to_run else None
        macros = parts.macro_paths
        findings = list(dict.fromkeys(findings))
        return LoadedRule(path, tuple(findings), named, macros, rule.ignored, rule.renamed_from, campaign)

    def _surroundings(self, settings: Settings, app: App | None, category: str) -> Surroundings:
        name = app.name if app is not None else ""
        make = fuse if self.to_run else unfused
        return Surroundings(
            self.schema,
            self.templates,
            settings.locale,
            settings.time_zone,
            name,
            settings.holdout_of(category),
            make,
        )

    def _campaign(self, path: str, rule: Rule, parts: Parts, around: Surroundings) -> Campaign:
        used = [path for message in rule.messages for path in self.templates.by_name[message.template].paths]
        templates = {name: self.sources[name] for name in (*used, *parts.macro_paths)}
        texts = source_texts(self.sources[path], templates, self.sources.get(SCHEMA_PATH), around)
        return join(rule, parts, around, version_of(texts), texts)


Share: TypeAlias = Callable[[RuleLoader, Sequence[str]], Sequence[LoadedRule]]
"""How the rules at some paths are loaded: one after the other, or shared out."""


def one_by_one(loader: RuleLoader, paths: Sequence[str]) -> list[LoadedRule]:
    """Load the rules in this process."""
    return [loader.load(path) for path in paths]


def _app(rule: Rule, settings: Settings, findings: list[Diagnostic]) -> App | None:
    name, span = rule.audience.app, rule.audience.app_span
    if name is None:
        if settings.only_app is None:
            message, hint = "`audience.app` is missing, and there are several apps", ", ".join(settings.apps)
            findings.append(error("missing-key", message, span, f"one of {hint}"))
        return settings.only_app
    if name not in settings.apps:
        hint = did_you_mean(name, settings.apps) or f"its apps are {', '.join(settings.apps)}"
        findings.append(error("unknown-app", f"clarion.yaml has no app '{name}'", span, hint))
    return settings.apps.get(name)


def _check_category(rule: Rule, settings: Settings, findings: list[Diagnostic]) -> None:
    declared = settings.opt_outs
    if declared is not None and rule.category not in declared:
        hint = did_you_mean(rule.category, declared) or f"its categories are {', '.join(declared)}"
        message = f"clarion.yaml does not declare the category '{rule.category}'"
        findings.append(error("unknown-category", message, rule.category_node.span, hint))
