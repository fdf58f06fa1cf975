"""Texts → Workspace: compiled whole, all problems at once. Opens nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, Severity, did_you_mean, error, has_errors, in_reading_order
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml, readable
from scheduler.rules.compiler import compile_rule
from scheduler.rules.rule import Rule
from scheduler.workspace.campaign import Campaign, Parts, Surroundings, compile_parts, is_refused, join
from scheduler.workspace.checks.ignoring import IgnoreList, without_ignored
from scheduler.workspace.checks.links import check_links
from scheduler.workspace.checks.overlays import check_overlays
from scheduler.workspace.checks.payloads import check_payloads
from scheduler.workspace.checks.secrets import check_secrets
from scheduler.workspace.checks.unused import check_unread, check_unused
from scheduler.workspace.codes import CODES
from scheduler.workspace.folder import SCHEMA_PATH, SETTINGS_PATH
from scheduler.workspace.settings import App, Settings, read_settings
from scheduler.workspace.templates import NO_TEMPLATES, TemplateFiles, read_templates
from scheduler.workspace.versions import source_texts, version_of


@dataclass(frozen=True, slots=True)
class Workspace:
    """Settings, types and campaigns that belong together. Immutable: a reload makes another one."""

    settings: Settings
    schema: Schema
    campaigns: Mapping[str, Campaign]
    """By rule name, disabled ones too."""
    sources: Mapping[str, Source]
    _exact: Mapping[str, tuple[Campaign, ...]]
    _prefixes: tuple[tuple[str, Campaign], ...]

    def is_enabled(self, rule: str) -> bool:
        """Whether a rule is there and enabled."""
        return rule in self.campaigns and self.campaigns[rule].enabled

    def campaigns_for(self, event_type: str) -> tuple[Campaign, ...]:
        """The enabled campaigns that listen to a type: a look-up, however many rules listen to others."""
        found = self._exact.get(event_type, ())
        if not self._prefixes:
            return found
        return (*found, *(campaign for prefix, campaign in self._prefixes if event_type.startswith(prefix)))


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The workspace, or None when a finding is an error; and all findings in reading order."""

    workspace: Workspace | None
    findings: tuple[Diagnostic, ...]

    @property
    def not_built(self) -> tuple[Diagnostic, ...]:
        """What would change a decision and is not built: whatever starts rules refuses to, with any of these."""
        return tuple(one for one in self.findings if one.severity is not Severity.ERROR and is_refused(one))


def load(sources: Mapping[str, Source], root: Path, environ: Mapping[str, str]) -> LoadResult:
    """The workspace that texts describe. Relative paths of settings are relative to `root`; nothing is opened."""
    loader = _Loader(sources, root, environ)
    workspace = loader.workspace()
    # Rules that share a template find the same in it; samples and locales find the same once each.
    kept = without_ignored(dict.fromkeys(loader.findings), loader.ignore_lists(), CODES)
    findings = tuple(in_reading_order(kept))
    return LoadResult(None if has_errors(findings) else workspace, findings)


class _Loader:
    def __init__(self, sources: Mapping[str, Source], root: Path, environ: Mapping[str, str]) -> None:
        self.findings: list[Diagnostic] = []
        self.sources = {path: self._decoded(source) for path, source in sources.items()}
        self.root = root
        self.environ = environ
        self.rules: dict[str, Rule] = {}
        """By path, the rules that could be read."""
        self.parts: list[Parts] = []
        self.templates = NO_TEMPLATES

    def workspace(self) -> Workspace | None:
        settings = self._settings()
        schema = self._schema()
        templates = self.templates = read_templates(self.sources)
        self.findings.extend(templates.findings)
        self._check_files(templates)
        campaigns: dict[str, Campaign] = {}
        first_path: dict[str, str] = {}
        for path in self._rule_paths():
            stem = PurePosixPath(path).stem
            rule, findings = compile_rule(read_yaml(self.sources[path]), stem, schema)
            self.findings.extend(findings)
            if stem in first_path:
                message = f"there are two rules called '{stem}'; the other is {first_path[stem]}"
                self.findings.append(error("wrong-name", message, self.sources[path].span(0), "rename one"))
                continue
            first_path[stem] = path
            if rule is not None:
                self.rules[path] = rule
            if rule is not None and settings is not None:
                campaign = self._campaign(path, rule, settings, schema, templates)
                if campaign is not None:
                    campaigns[stem] = campaign
        if settings is None or has_errors(self.findings):
            return None
        self.findings.extend(check_unused(templates, self.rules.values(), self.parts, self.sources))
        return workspace_of(settings, schema, campaigns, self.sources)

    def ignore_lists(self) -> list[IgnoreList]:
        """What the rules ignore, in their own files and in those of templates that they alone use."""
        users: dict[str, list[str]] = {}
        for path, rule in self.rules.items():
            for message in {message.template: message for message in (rule.message, *rule.variants)}.values():
                users.setdefault(message.template, []).append(path)
        lists = []
        for path, rule in self.rules.items():
            own = [name for name, paths in users.items() if paths == [path]]
            files = [self.templates.named(name) for name in own]
            paths = frozenset(path for one in files if one is not None for path in one.paths)
            lists.append(IgnoreList(rule.ignored, paths | {path}))
        return lists

    def _check_files(self, templates: TemplateFiles) -> None:
        self.findings.extend(check_unread(self.sources))
        for source in self.sources.values():
            self.findings.extend(check_secrets(source))
        for files in templates.by_name.values():
            self.findings.extend(check_overlays(files))
            for root in (files.base, *files.overlays.values()):
                self.findings.extend(check_links(root))

    def _settings(self) -> Settings | None:
        source = self.sources.get(SETTINGS_PATH, Source(SETTINGS_PATH, ""))
        settings, findings = read_settings(read_yaml(source), self.root, self.environ)
        self.findings.extend(findings)
        return settings

    def _schema(self) -> Schema:
        if SCHEMA_PATH not in self.sources:
            return Schema.undeclared()
        file = read_yaml(self.sources[SCHEMA_PATH])
        self.findings.extend(file.findings)
        if has_errors(file.findings):
            return Schema.undeclared()  # one broken file is not a hundred unknown names
        schema, findings = read_schema(file.root)
        self.findings.extend(findings)
        return schema

    def _rule_paths(self) -> Iterable[str]:
        for path in sorted(self.sources):
            pure = PurePosixPath(path)
            if pure.parts[0] == "rules" and pure.suffix == ".yaml" and pure.parts[:2] != ("rules", "tests"):
                yield path

    def _campaign(
        self, path: str, rule: Rule, settings: Settings, schema: Schema, templates: TemplateFiles
    ) -> Campaign | None:
        app = self._app(path, rule, settings)
        self._check_category(rule, settings)
        around = Surroundings(schema, templates, settings.locale, settings.time_zone, app.name if app else "")
        parts, findings = compile_parts(rule, around)
        self.findings.extend(findings)
        files = templates.named(rule.message.template)
        if parts is None or app is None or files is None:
            return None
        self.parts.append(parts)
        texts = source_texts(
            self.sources[path],
            {name: self.sources[name] for name in (*files.paths, *parts.macro_paths)},
            self.sources.get(SCHEMA_PATH),
            locale=settings.locale,
            time_zone=settings.time_zone,
            app=app.name,
        )
        campaign = join(rule, parts, around, version_of(texts), texts)
        if not any(map(is_refused, findings)):
            self.findings.extend(check_payloads(campaign, schema, files, rule.message.template_node.span))
        return campaign

    def _app(self, path: str, rule: Rule, settings: Settings) -> App | None:
        name, node = rule.audience.app, rule.audience.app_node
        if name is None or node is None:
            if settings.only_app is None:
                message, hint = "`audience.app` is missing, and there are several apps", ", ".join(settings.apps)
                self.findings.append(error("missing-key", message, self.sources[path].span(0), f"one of {hint}"))
            return settings.only_app
        if name not in settings.apps:
            self.findings.append(error("unknown-app", f"clarion.yaml has no app '{name}'", node.span,
                                       did_you_mean(name, settings.apps)
                                       or f"its apps are {', '.join(settings.apps)}"))  # fmt: skip
        return settings.apps.get(name)

    def _check_category(self, rule: Rule, settings: Settings) -> None:
        declared = settings.opt_outs
        if declared is not None and rule.category not in declared:
            self.findings.append(error("unknown-category", f"clarion.yaml does not declare the category "
                                       f"'{rule.category}'", rule.category_node.span,
                                       did_you_mean(rule.category, declared)
                                       or f"its categories are {', '.join(declared)}"))  # fmt: skip

    def _decoded(self, source: Source) -> Source:
        shown, finding = readable(source)
        if finding is not None:
            self.findings.append(finding)
        return shown


def workspace_of(
    settings: Settings, schema: Schema, campaigns: Mapping[str, Campaign], sources: Mapping[str, Source]
) -> Workspace:
    """A workspace of campaigns, with the look-up by type of event."""
    exact: dict[str, tuple[Campaign, ...]] = {}
    prefixes = []
    for campaign in campaigns.values():
        if not campaign.enabled or campaign.event is None:
            continue
        if campaign.event.endswith("*"):
            prefixes.append((campaign.event[:-1], campaign))
        else:
            exact[campaign.event] = (*exact.get(campaign.event, ()), campaign)
    return Workspace(settings, schema, campaigns, sources, exact, tuple(prefixes))
