"""Which names are known where a condition stands, what type they have, and whether they may be missing there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jinja2 import nodes

from scheduler.conditions import other_languages
from scheduler.conditions.expressions import Call, Expression, Function, LocalDate, Name
from scheduler.conditions.reporting import Report
from scheduler.conditions.type_rules import ANYTHING, Missing, Typed, type_of_field
from scheduler.conditions.types import FieldType, Schema, UnknownName, ValueType
from scheduler.diagnostics.diagnostic import did_you_mean

ROOTS = frozenset({"event", "previous", "exit", "user", "device", "now", "today", "slot"})
"""Every root that a condition can have somewhere."""
_KNOWN_IN = {
    "event": "only a rule that an event starts has one",
    "previous": "use it in `trigger.when`",
    "device": "use it in `audience.where`",
    "user": "use it in `audience.where`",
    "today": "use it in `audience.where`",
    "exit": "use it in the `where` of `timing.unless`",
    "slot": "only a rule with a schedule has one",
}
"""By root, where it is known."""


class NameChecker:
    """Names of one condition. Inside `vouched_for`, some of them are there for sure."""

    def __init__(
        self, report: Report, schema: Schema, names: frozenset[str], event_type: str | None, exit_type: str | None
    ) -> None:
        self._report = report
        self._schema = schema
        self._names = names
        self._event_type = event_type
        self._exit_type = exit_type
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
                case nodes.Getitem(node=inner, arg=argument):
                    hint = 'write `event.data["key"]`'
                    if isinstance(argument, nodes.Const):
                        hint = 'write `{0} | first`, or ask whether the list has a value: `"…" in {0}`'
                        hint = hint.format(self._report.text_of(inner))
                    self._report.error("not-in-language", "only a quoted key may stand in brackets", argument, hint)
                    return ANYTHING
                case _:
                    self._report.error("not-in-language", "only a name can have a `.` behind it", at)
                    return ANYTHING
        return self._known((at.name, *reversed(words)), [at, *reversed(places)])

    def is_data_field(self, words: tuple[str, ...], node: nodes.Expr) -> bool:
        """Whether events have this field in their data; a finding at `node` when they cannot have it."""
        field = self._schema.field(("event", "data", *words), self._event_type)
        if not isinstance(field, UnknownName):
            return True
        word = ("event", "data", *words)[field.position]
        hint = did_you_mean(word, field.known) or f"`event.data` has {', '.join(field.known)}"
        self._report.error("unknown-name", f"unknown name '{word}' in `event.data`", node, hint)
        return False

    def previous_event(self, place: tuple[int, int]) -> tuple[Missing, ...]:
        """What may be missing where the previous event is asked for at `place`."""
        return () if "previous" in self._present else (Missing("previous", *place, declared=True),)

    @contextmanager
    def vouched_for(self, parts: list[nodes.Expr], *, conjunction: bool) -> Iterator[None]:
        """While the parts of one `and` (else `or`) are checked: `x is defined and …`, `x is not defined or …`."""
        outside = self._present
        self._present |= frozenset(_asked_for(parts, conjunction=conjunction))
        yield
        self._present = outside

    def _known(self, path: tuple[str, ...], places: list[nodes.Expr]) -> Typed:
        root = path[0]
        if root not in self._names:
            self._unknown_root(path, places[0])
            return ANYTHING
        field = self._schema.field(path, self._exit_type if root == "exit" else self._event_type)
        if isinstance(field, UnknownName):
            self._unknown_word(path, field, places[field.position])
            return ANYTHING
        missing: tuple[Missing, ...] = ()
        if field.optional and not self._is_present(path):
            missing = (Missing(".".join(path), *self._report.extent_of(places[-1]), field.declared),)
        return Typed(self._expression(path, field), type_of_field(field), field.values, missing)

    def _expression(self, path: tuple[str, ...], field: FieldType) -> Expression:
        name = Name(path[0], path[1:])
        if path == ("today",):
            return LocalDate(Name("slot" if "slot" in self._names else "now"))
        if field.type is ValueType.INSTANT and len(path) > 2:  # JSON has no instants: it is text there
            return Call(Function.INSTANT, (name,))
        return name

    def _is_present(self, path: tuple[str, ...]) -> bool:
        if ".".join(path) in self._present:
            return True
        if path[0] != "previous" or "previous" not in self._present:
            return False
        # There is an earlier event: it has what every event of its type has.
        field = self._schema.field(("event", *path[1:]), self._event_type)
        return isinstance(field, FieldType) and not field.optional

    def _unknown_root(self, path: tuple[str, ...], node: nodes.Expr) -> None:
        root = path[0]
        here = f"the names here are {', '.join(sorted(self._names))}"
        if root in _KNOWN_IN:
            self._report.error("unknown-name", f"`{root}` cannot be used here", node, f"{_KNOWN_IN[root]}; {here}")
            return
        declared = self._declared(path[-1], ("event", "user", "device"))
        near = did_you_mean(root, sorted(self._names))
        hint = other_languages.NAMES.get(root) or ((declared or near) if len(path) == 1 else (near or declared))
        if hint is None:
            hint = f'if it is a text, put it in quotes: "{root}"; {here}' if len(path) == 1 else here
        self._report.error("unknown-name", f"unknown name '{root}'", node, hint)

    def _declared(self, word: str, roots: Iterable[str]) -> str | None:
        """A declared field of this name below one of the roots, for who left out what stands before it."""
        for root in roots:
            path = (root, "attributes" if root in ("user", "device") else "data", word)
            found = self._schema.field(path, self._exit_type if root == "exit" else self._event_type)
            if root in self._names and isinstance(found, FieldType) and found.declared:
                return f"did you mean `{'.'.join(path)}`?"
        return None

    def _unknown_word(self, path: tuple[str, ...], unknown: UnknownName, node: nodes.Expr) -> None:
        word, outer = path[unknown.position], ".".join(path[: unknown.position])
        hint = self._declared(word, path[:1]) if unknown.position == 1 else None
        hint = hint or did_you_mean(word, unknown.known)
        if not unknown.known and word in other_languages.METHODS:
            hint = other_languages.METHODS[word].format(outer)
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
