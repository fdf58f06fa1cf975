"""Types of events that a rule names, held against schema.yaml."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.conditions.types import Schema, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.source import Span

_USER_TYPES = frozenset({ValueType.STRING, ValueType.INTEGER, ValueType.ENUM, ValueType.ANY})


def undeclared_type(event: str, schema: Schema, span: Span) -> Iterator[Diagnostic]:
    """The error about a type (a final `*` stands for any rest) that schema.yaml does not declare."""
    if schema.open_events:
        return
    prefix = event.removesuffix("*")
    known = any(name.startswith(prefix) for name in schema.events) if prefix != event else event in schema.events
    if not known:
        hint = did_you_mean(event, schema.events) or "declare it under `events`"
        yield error("unknown-event", f"schema.yaml does not declare '{event}'", span, hint)


def without_user(event: str, schema: Schema, span: Span) -> Iterator[Diagnostic]:
    """The error about events that are asked for by their user and have no `data.user_id` that is one."""
    section = schema.event_data(event)
    field = section.fields.get("user_id")
    if field is None and not section.open:
        yield error("unknown-name", f"events of '{event}' have no `user_id`, by which they would be found", span,
                    "declare `user_id: string` for them in schema.yaml, or write `match: subject`")  # fmt: skip
    elif field is not None and field.type not in _USER_TYPES:
        yield error("different-types", f"`user_id` of '{event}' is of type {field.type}, and users have texts", span,
                    "declare it as string or integer, or write `match: subject`")  # fmt: skip
