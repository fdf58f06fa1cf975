"""Rule versions: the hash of everything that shapes a rule's sends, and the texts to compile it again from.

A run is pinned to the version it began with. Its texts are stored, so that after an edit and a restart the bytes that
are sent stay the old version's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.errors import OperatorError
from scheduler.planning.experiments import Holdout
from scheduler.rules.compiler import compile_rule
from scheduler.workspace.campaign import Campaign, Surroundings, compile_parts, is_refused, join
from scheduler.workspace.folder import SCHEMA_PATH
from scheduler.workspace.templates import read_templates

SETTINGS_PATH = "settings.json"
"""Not a file of the workspace: the settings that shape a rule's sends, as one JSON object."""


def source_texts(
    rule: Source, templates: Mapping[str, Source], schema: Source | None, around: Surroundings
) -> dict[str, str]:
    """The texts of a version: by path the rule, the templates it uses, the schema; and the settings that matter."""
    settings: dict[str, object] = {"app": around.app, "locale": around.default_locale, "time_zone": around.time_zone}
    if around.holdout is not None:
        settings["holdout"] = {"share": around.holdout.share, "salt": around.holdout.salt}
    texts = {rule.path: rule.text, SETTINGS_PATH: json.dumps(settings, sort_keys=True)}
    texts.update((path, source.text) for path, source in templates.items())
    if schema is not None:
        texts[SCHEMA_PATH] = schema.text
    return dict(sorted(texts.items()))


def version_of(texts: Mapping[str, str]) -> str:
    """The name of a version: 32 hexadecimal digits."""
    canonical = json.dumps(sorted(texts.items()), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def campaign_from_sources(rule_name: str, sources: Mapping[str, str]) -> Campaign:
    """A stored version, compiled again. OperatorError when this Clarion no longer takes it, or would obey a part of it
    only: what is not built yet was never part of a version that ran."""
    files = {path: Source(path, text) for path, text in sources.items()}
    settings = json.loads(sources[SETTINGS_PATH])
    rule_path = next(path for path in sources if path.startswith("rules/"))
    schema = Schema.undeclared()
    if SCHEMA_PATH in files:
        schema, _ = read_schema(read_yaml(files[SCHEMA_PATH]).root)
    holdout = Holdout(**settings["holdout"]) if "holdout" in settings else None
    around = Surroundings(
        schema, read_templates(files), settings["locale"], settings["time_zone"], settings["app"], holdout
    )
    rule, findings = compile_rule(read_yaml(files[rule_path]), rule_name, schema)
    if rule is not None:
        parts, more = compile_parts(rule, around)
        findings = [*findings, *more]
        if parts is not None and not any(map(is_refused, findings)):
            return join(rule, parts, around, version_of(sources), dict(sources))
    raise OperatorError(
        f"the stored version of rule '{rule_name}' can no longer be compiled:\n"
        + as_text(filter(is_refused, findings)),
        hint="cancel its runs, or finish them with the Clarion that began them",
    )
