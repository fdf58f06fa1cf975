"""The JSON Schema of a rule, for editors: `# yaml-language-server: $schema=../.clarion/rule.schema.json`."""

from __future__ import annotations

import json
from typing import TypeAlias

from scheduler.rules.rule_table import RULE_TABLE

JsonSchema: TypeAlias = dict[str, object]


def rule_json_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of rules/*.yaml, from the same table that reads them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Clarion rule",
        **RULE_TABLE.json_schema(),
    }


def rule_json_schema_text() -> str:
    """The content of .clarion/rule.schema.json."""
    return json.dumps(rule_json_schema(), indent=2, ensure_ascii=False) + "\n"
