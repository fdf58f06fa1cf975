"""The names of rules from their files alone: the kill switch has to follow a rename in a workspace with errors too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import MappingNode, ScalarNode, SequenceNode
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.rule_names import RuleNames
from scheduler.workspace.folder import is_rule

_FIELD = "renamed_from"


def names_in(sources: Mapping[str, Source]) -> RuleNames:
    """What the rules of these files are and were called, whatever else is wrong with them. The earlier names of a file
    that is no YAML are not known."""
    paths = sorted(path for path in sources if is_rule(path))
    return RuleNames(tuple((PurePosixPath(path).stem, *_earlier(sources[path])) for path in paths))


def _earlier(source: Source) -> tuple[str, ...]:
    if _FIELD not in source.text:
        return ()
    root = read_yaml(source).root
    listed = root.get(_FIELD) if isinstance(root, MappingNode) else None
    items = listed.items if isinstance(listed, SequenceNode) else ()
    return tuple(item.text for item in items if isinstance(item, ScalarNode))
