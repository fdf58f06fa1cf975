"""JSON Schemas for editors: `# yaml-language-server: $schema=../.clarion/rule.schema.json`."""

from __future__ import annotations

import json
from typing import TypeAlias

from scheduler.rules.fields import Table
from scheduler.rules.rule_table import RULE_TABLE

JsonSchema: TypeAlias = dict[str, object]


def json_schema_of(table: Table, title: str) -> JsonSchema:
    """JSON Schema (draft 2020-12) of the files that a table reads."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **table.json_schema()}


def json_schema_text(table: Table, title: str) -> str:
    """The same as the content of a file."""
    return json.dumps(json_schema_of(table, title), indent=2, ensure_ascii=False) + "\n"


def rule_json_schema() -> JsonSchema:
    """JSON Schema of rules/*.yaml."""
    return json_schema_of(RULE_TABLE, "A Clarion rule")
