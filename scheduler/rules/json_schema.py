"""The JSON Schema of a rule, for editors: `# yaml-language-server: $schema=../.clarion/rule.schema.json`."""

from __future__ import annotations

import json
from typing import TypeAlias

from scheduler.rules.fields import Field, Table
from scheduler.rules.rule_table import RULE_TABLE

JsonSchema: TypeAlias = dict[str, object]


def rule_json_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of rules/*.yaml, from the same table that reads them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Clarion rule",
        **_section(RULE_TABLE, ""),
    }


def rule_json_schema_text() -> str:
    """The content of .clarion/rule.schema.json."""
    return json.dumps(rule_json_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(table: Table, path: str) -> JsonSchema:
    properties: JsonSchema = {}
    required = []
    for key in table.children(path):
        below = f"{path}.{key}" if path else key
        found = table.field(below)
        properties[key] = _section(table, below) if found is None else _field(found)
        if _is_required(table, below):
            required.append(key)
    section: JsonSchema = {"type": "object", "additionalProperties": False, "properties": properties}
    return section | ({"required": required} if required else {})


def _is_required(table: Table, path: str) -> bool:
    """A field that is, or a section that has one."""
    return any(one.required for one in table.fields if one.path == path or one.path.startswith(f"{path}."))


def _field(found: Field) -> JsonSchema:
    meaning = found.meaning
    if found.reserved:
        return {"description": f"Reserved for a later version: {meaning}.", "not": {}}
    if not found.built:
        meaning = f"Not built yet. {meaning}"
    default = f" Default: {found.default}." if found.default else ""
    return {"description": meaning + default, **found.kind.json_schema}
