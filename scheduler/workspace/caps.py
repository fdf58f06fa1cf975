"""The caps of clarion.yaml: `limits.caps`, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.yaml_nodes import ScalarNode, SequenceNode
from scheduler.domain.quantities import CalendarUnits
from scheduler.planning.caps import CalendarPeriod, Cap, CapAction
from scheduler.rules.fields import Values

_DAYS = {"day": 1, "week": 7}


def read_caps(entries: Sequence[Values], declared: Sequence[str]) -> tuple[tuple[Cap, ...], list[Diagnostic]]:
    """The caps that the entries of the list are, and what is wrong with them. `declared`: the workspace's categories;
    none, and any word goes."""
    findings: list[Diagnostic] = []
    caps: list[Cap] = []
    for entry in entries:
        findings.extend(_of_categories(entry, declared))
        name, most = entry.get("name", str, ""), entry.get("max", int, 1)
        if any(cap.name == name for cap in caps):
            findings.append(error("contradiction", f"there are two caps called '{name}'", entry.span("name"),
                                  "rename one: what was counted goes by the name"))  # fmt: skip
        if most < 1:
            findings.append(error("wrong-value", "a cap lets at least 1 through", entry.span("max"),
                                  "write 1 or more; `enabled: false` in a rule stops it"))  # fmt: skip
        period = _calendar(entry) if entry.get("window", str, "rolling") == "calendar" else _rolling(entry)
        if isinstance(period, Diagnostic):
            findings.append(period)
            continue
        action = CapAction(entry.get("then", str, CapAction.DROP.value))
        caps.append(Cap(name, most, period, action, _categories(entry)))
    return tuple(caps), findings


def _calendar(entry: Values) -> CalendarPeriod | Diagnostic:
    match entry.optional("per", object):
        case CalendarUnits(1, unit):
            return CalendarPeriod(unit)
    message = "a calendar cap is per 1 day, 1 week or 1 month"
    return error("wrong-value", message, entry.span("per"), "write one of these, or `window: rolling`")


def _rolling(entry: Values) -> timedelta | Diagnostic:
    match entry.optional("per", object):
        case timedelta() as duration if duration:
            return duration
        case CalendarUnits(count, unit) if unit in _DAYS:
            return timedelta(days=count * _DAYS[unit])
        case CalendarUnits():
            message, hint = "a rolling cap cannot be per month: months differ", "write 30 days, or `window: calendar`"
            return error("wrong-value", message, entry.span("per"), hint)
    return error("wrong-value", "a cap per no time at all limits nothing", entry.span("per"), "write 1 day")


def _of_categories(entry: Values, declared: Sequence[str]) -> Iterator[Diagnostic]:
    """A cap that counts a category which is not there would never count anything."""
    for one in _listed(entry) if declared else ():
        if one.text not in declared:
            message = f"clarion.yaml does not declare the category '{one.text}'"
            hint = did_you_mean(one.text, declared) or f"its categories are {', '.join(declared)}"
            yield error("unknown-category", message, one.span, hint)


def _categories(entry: Values) -> frozenset[str] | None:
    return frozenset(one.text for one in _listed(entry)) or None


def _listed(entry: Values) -> list[ScalarNode]:
    node = entry.node("categories")
    return [one for one in node.items if isinstance(one, ScalarNode)] if isinstance(node, SequenceNode) else []
