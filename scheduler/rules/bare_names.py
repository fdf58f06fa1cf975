"""Names that nobody put into braces: they would be taken as the text that they are.

Only `when` and `where` are bare expressions. A key (`once_per`, `collapse` …) that is the same for every event is an
error; a text that is sent to people as it stands is most likely a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.diagnostics.yaml_nodes import ScalarNode

_NAME_PATH = re.compile(r"(event|previous|user|device|now)(\.\w+)+")
_NAME = (
    r"(?:(?:event|previous)\.(?:id|source|type|subject|time|data\.\w+)"
    r"|(?:user|device)\.(?:id|locale|time_zone|app|attributes\.\w+))"
)
_NAMES_INSIDE = re.compile(rf"(?<![\w.])\{{?[ ]*({_NAME})(?![\w.])(?:[ ]*\}}{{1,2}})?")
"""A name, with the braces that are half there."""


def bare_name_in_key(node: ScalarNode, fields: Collection[str] = ()) -> Diagnostic | None:
    """The error about a key without braces that is a name or has names in it. `fields`: those of the event's data."""
    if node.text in fields:
        message = f"'{node.text}' is taken as this text, not as what the event has under this name"
        return error("constant-key", message, node.span, f'for its value write "{{{{ event.data.{node.text} }}}}"')
    if _NAME_PATH.fullmatch(node.text):
        message = f"'{node.text}' is taken as this text, not as a name"
        return error("constant-key", message, node.span, f'for its value write "{{{{ {node.text} }}}}"')
    mended = _mended(node.text)
    if mended is None:
        return None
    message = f"'{node.text}' is taken as this text, not as names"
    return error("constant-key", message, node.span, f'for their values write "{mended}"')


def bare_name_in_text(node: ScalarNode) -> Diagnostic | None:
    """The warning about a text of a message that has names in it, and no braces around them."""
    mended = _mended(node.text)
    if mended is None:
        return None
    return warning("constant-key", "this is sent as it stands, with the name in it and not its value", node.span,
                   f'for the value write "{mended}"')  # fmt: skip


def _mended(text: str) -> str | None:
    """The text with braces around its names; None if it has none, or templates of its own."""
    if "{{" in text or "{%" in text or not _NAMES_INSIDE.search(text):
        return None
    return _NAMES_INSIDE.sub(r"{{ \1 }}", text)
