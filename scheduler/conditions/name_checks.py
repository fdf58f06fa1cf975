"""Which names are known where a condition stands, what type they have, and whether they may be missing there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jinja2 import nodes

from scheduler.conditions.expressions import Name
from scheduler.conditions.reporting import Report
from scheduler.conditions.type_rules import ANYTHING, Missing, Typed, type_of_field
from scheduler.conditions.types import FieldType, Schema, UnknownName
from scheduler.diagnostics.diagnostic import did_you_mean

ROOTS = frozenset({"event", "previous", "user", "device", "now"})
"""Every root that a condition can have somewhere."""

_LATER_ROOTS = frozenset({"exit", "today", "slot"})
_OTHER_LANGUAGES = {
    "null": "write `none`; to ask whether a value is there: `is defined`",
    "undefined": "to ask whether a value is there: `is defined`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
}


class NameChecker:
    """Names of one condition. Inside `vouched_for`, some of them are there for sure."""

    def __init__(self, report: Report, schema: Schema, names: frozenset[str], event_type: str | None) -> None:
        self._report = report
        self._schema = schema
        self._names = names
        self._event_type = event_type
        self._present: frozenset[str] = frozenset()

    def typed(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Typed:
        """A dotted name with its type; `ANYTHING` after a finding."""
        words: list[str] = []
        places: list[nodes.Expr] = []
        at: nodes.Expr = node
        while not isinstance(at, nodes.Name):
            match at:
                case (
                    nodes.Getattr(node=inner, attr=word)
                    | nodes.Getitem(node=inner, arg=nodes.Const(value=str() as word))
                ):
                    words.append(word)
                    places.append(at)
                    at = inner
                case nodes.Getitem(arg=argument):
                    self._report.error("not-in-language", "only a quoted key may stand in brackets", argument,
                                       "write `event.data[\"key\"]`, or `… in list`")  # fmt: skip
                    return ANYTHING
                case _:
                    self._report.error("not-in-language", "only a name can have a `.` behind it", at)
                    return ANYTHING
        return self._known((at.name, *reversed(words)), [at, *reversed(places)])

    @contextmanager
    def vouched_for(self, parts: list[nodes.Expr], *, conjunction: bool) -> Iterator[None]:
        """While the parts of one `and` (else `or`) are checked: `x is defined and …`, `x is not defined or …`."""
        outside = self._present
        self._present |= frozenset(_asked_for(parts, conjunction=conjunction))
        yield
        self._present = outside

    def _known(self, path: tuple[str, ...], places: list[nodes.Expr]) -> Typed:
        root = path[0]
        if root in _LATER_ROOTS:
            self._report.not_yet(f"`{root}`", places[0])
            return ANYTHING
        if root not in self._names:
            self._unknown_root(root, places[0])
            return ANYTHING
        field = self._schema.field(path, self._event_type)
        if isinstance(field, UnknownName):
            self._unknown_word(path, field, places[field.position])
            return ANYTHING
        kind = type_of_field(field, built_in=len(path) <= 2)
        missing: tuple[Missing, ...] = ()
        if field.optional and not self._is_present(path):
            missing = (Missing(".".join(path), *self._report.extent_of(places[-1]), field.declared),)
        return Typed(Name(root, path[1:]), kind, field.values, missing)

    def _is_present(self, path: tuple[str, ...]) -> bool:
        if ".".join(path) in self._present:
            return True
        if path[0] != "previous" or "previous" not in self._present:
            return False
        # There is an earlier event: it has what every event of its type has.
        field = self._schema.field(("event", *path[1:]), self._event_type)
        return isinstance(field, FieldType) and not field.optional

    def _unknown_root(self, root: str, node: nodes.Expr) -> None:
        here = ", ".join(sorted(self._names))
        if root in ROOTS:
            self._report.error("unknown-name", f"`{root}` cannot be used here", node, f"the names here are {here}")
            return
        hint = _OTHER_LANGUAGES.get(root) or did_you_mean(root, sorted(self._names))
        hint = hint or f"the names here are {here}; text stands in quotes"
        self._report.error("unknown-name", f"unknown name '{root}'", node, hint)

    def _unknown_word(self, path: tuple[str, ...], unknown: UnknownName, node: nodes.Expr) -> None:
        word, outer = path[unknown.position], ".".join(path[: unknown.position])
        hint = did_you_mean(word, unknown.known)
        if hint is None:
            hint = f"`{outer}` has {', '.join(unknown.known)}" if unknown.known else f"`{outer}` has no fields"
            if unknown.position == 2 and path[1] in ("data", "attributes"):
                hint += "; schema.yaml declares them"
        message = f"unknown name '{word}' in `{outer}`"
        if isinstance(node, nodes.Getitem):
            self._report.error("unknown-name", message, node.arg, hint)
        else:
            self._report.error_in_last("unknown-name", message, node, hint, characters=len(word))


def _asked_for(parts: list[nodes.Expr], *, conjunction: bool) -> Iterable[str]:
    """The names whose absence decides the whole, whatever the other parts are."""
    for part in parts:
        match part:
            case nodes.Test(name="defined") if conjunction:
                yield _dotted(part.node)
            case nodes.Not(node=nodes.Test(name="defined") as test) if not conjunction:
                yield _dotted(test.node)


def _dotted(node: nodes.Node) -> str:
    match node:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Getattr(node=inner, attr=word) | nodes.Getitem(node=inner, arg=nodes.Const(value=word)):
            return f"{_dotted(inner)}.{word}"
        case _:
            return ""
