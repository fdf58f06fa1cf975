"""Many small templates compiled into one function: the texts of all leaves of a payload in one go.

Each leaf is parsed alone, so a leaf cannot reach into another. The parsed bodies become one template whose output is
the leaves' texts with a NUL behind each. Rewritten on the way:
- a path (`event.data.home`) becomes one plain variable, looked up before the template runs: faster than Jinja's chain
  of look-ups, and the values say which renders are equal;
- a constant of `message.with` becomes a literal, which Jinja's optimiser folds into the text around it;
- `~` becomes a bounded join; an inline `if` without `else` is the empty text, as in Jinja itself;
- imported macros and included files are put in (macros.py); loops, macro calls and filters count their steps.

The variants of a payload (one for each chain of locales) become one function too: what they share is compiled once,
and what belongs to some of them stands under `if`, with the variant's number as a variable.

Syntax nodes carry 1 + character offset in place of a line (see conditions/jinja_positions.py). Leaves are moved apart
by the length of their texts, so the place of a runtime error tells its leaf.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context

from scheduler.conditions.jinja_positions import runtime_places
from scheduler.domain.json_values import Json
from scheduler.rendering.builder import STEPS, Builder, Given
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macros import NO_MACROS, MacroFiles
from scheduler.rendering.paths import Path, dotted
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.sandbox import (
    ENVIRONMENT,
    Abort,
    MissingVariable,
    Steps,
    joined,
    missing,
)

SEPARATOR = "\0"
"""Stands behind the text of each leaf."""
VARIANT = "_variant"
"""The variable that holds the number of the variant."""


@dataclass(frozen=True, slots=True)
class Fused:
    """One variant of a compiled function, over the values of `paths`; `names[i]` is the variable of `paths[i]`."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    absent: tuple[object, ...]
    """What stands for a missing value of each path."""
    macro_texts: Mapping[str, str]
    """The macro files that are a part of the function: their texts by path."""
    _number: int
    _order: tuple[int, ...] | None
    """The text of leaf i is the part number order[i] of what is rendered; None when that is i."""
    _count: int
    _labels: tuple[str, ...]
    _starts: tuple[int, ...]
    _counts_steps: bool
    _template: Template

    def render(self, values: dict[str, object]) -> list[str] | RenderFailure | Aborted:
        """The texts of the leaves. `values` has a value or `absent` for every name."""
        values[VARIANT] = self._number
        if self._counts_steps:
            values[STEPS] = Steps()
        context = Context(ENVIRONMENT, values, None, {})
        try:
            parts = joined(self._template.root_render_func(context)).split(SEPARATOR)
        except Abort as stop:
            return Aborted(str(stop))
        except MissingVariable as problem:
            return self._failure(problem, str(problem), problem.variable)
        except (TemplateError, SecurityError) as problem:
            return self._failure(problem, problem.message or type(problem).__name__)
        except Exception as problem:  # a template is a program: whatever it does wrong is a finding about it
            message = str(problem) if isinstance(problem, ArithmeticError) else f"{type(problem).__name__}: {problem}"
            return self._failure(problem, message)
        if len(parts) != self._count + 1:
            return RenderFailure("payload", "a value contains a NUL character")
        if self._order is not None:
            return [parts[place] for place in self._order]
        del parts[-1]
        return parts

    def _failure(self, problem: Exception, message: str, variable: str | None = None) -> RenderFailure:
        """The failure of the leaf that was running; of a macro the line too."""
        places = runtime_places(problem) or [0]
        leaf, inner = self._text_at(places[0]), self._text_at(places[-1])
        if inner != leaf:
            path = self._labels[inner]
            line = self.macro_texts[path].count("\n", 0, places[-1] - self._starts[inner]) + 1
            message = f"{message} ({path}, line {line})"
        return RenderFailure(self._labels[leaf], message, variable)

    def _text_at(self, place: int) -> int:
        return bisect.bisect_right(self._starts, place) - 1


class Uncompilable(Exception):
    """A text that is well-formed and still cannot become code; the message says why."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one variant: its leaves, and the values of `with` that they may read (constants, or texts that are
    computed first)."""

    leaves: tuple[LeafText, ...]
    constants: Mapping[str, Json] = field(default_factory=dict)
    computed: Mapping[str, LeafText] = field(default_factory=dict)


def fuse(variants: Sequence[Texts], macros: MacroFiles = NO_MACROS) -> tuple[Fused, ...]:
    """Compile texts that `check_text` has no error for: all variants at once, each gets its view of the function.

    Uncompilable when Jinja or Python cannot make code of them.
    """
    try:
        return _Fusing(variants, macros).compiled()
    except TemplateSyntaxError as problem:
        raise Uncompilable((problem.message or "not valid Jinja").rstrip(".")) from problem
    except (SyntaxError, RecursionError, MemoryError) as problem:
        raise Uncompilable("the template is nested too deeply") from problem
    except MissingVariable as problem:  # Jinja calculates with constants already
        raise Uncompilable(str(problem)) from problem
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as problem:
        raise Uncompilable(f"a calculation with constants fails: {problem}") from problem


@dataclass(slots=True)
class _Shared:
    """A leaf, or a computed value, with the values of `with` that it sees, and the variants that have it so."""

    place: int
    leaf: LeafText
    seen: object
    """Equal where the values that it sees are."""
    constants: Mapping[str, Json]
    computed: Mapping[str, LeafText]
    variants: set[int]


class _Fusing:
    def __init__(self, variants: Sequence[Texts], macros: MacroFiles) -> None:
        self.everywhere = len(variants)
        self.builder = Builder(macros)
        self.leaves: dict[object, _Shared] = {}
        self.values: dict[int, _Shared] = {}
        """By the identity of its text, each computed value that some leaf reads."""
        self.places = [[self._place(number, leaf, texts) for leaf in texts.leaves]
                       for number, texts in enumerate(variants)]  # fmt: skip
        """By variant, the places of its leaves among all."""

    def compiled(self) -> tuple[Fused, ...]:
        outputs: list[nodes.Node] = []
        for variants, leaves in groupby(self.leaves.values(), lambda one: one.variants):
            outputs.extend(
                self._guarded(list(_merged(part for one in leaves for part in self._printed(one))), variants)
            )
        first: list[nodes.Node] = []
        for value in self.values.values():
            statement = self.builder.assignment(value.leaf, _variable(value), self._given(value))
            first.extend(self._guarded([statement], value.variants))
        for node, needed_by in self.builder.definitions():
            first.extend(self._guarded([node], needed_by))
        # Inside a scope nothing is exported to the context, so one run of the template leaves no trace for the next.
        tree = nodes.Template([nodes.Scope([*first, *outputs])] if first else outputs, lineno=1)
        tree.set_environment(ENVIRONMENT)
        template = Template.from_code(ENVIRONMENT, ENVIRONMENT.compile(tree, filename="<payload>"), {})
        return tuple(self._view(number, template) for number in range(self.everywhere))

    def _place(self, number: int, leaf: LeafText, texts: Texts) -> int:
        """Note that a variant has a leaf, once for all variants to which it is worth the same."""
        text = parsed(leaf.text)
        asked: Collection[str] = text.names
        if any(isinstance(part, nodes.Import | nodes.FromImport | nodes.Include) for part in text.parts):
            asked = {*texts.constants, *texts.computed}
        constants = {name: value for name, value in texts.constants.items() if name in asked}
        computed = {name: value for name, value in texts.computed.items() if name in asked}
        seen = tuple((name, id(value)) for name, value in (*constants.items(), *computed.items()))
        new = _Shared(len(self.leaves), leaf, seen, constants, computed, set())
        shared = self.leaves.setdefault((leaf, seen), new)
        shared.variants.add(number)
        for value in computed.values():
            read = self.values.setdefault(id(value), _Shared(len(self.values), value, (), {}, {}, set()))
            read.variants.add(number)
        return shared.place

    def _printed(self, one: _Shared) -> list[nodes.Node]:
        printed = [*self.builder.leaf(one.leaf, self._given(one)), nodes.Output([nodes.TemplateData(SEPARATOR)])]
        return [nodes.Scope(printed)] if parsed(one.leaf.text).own else printed

    def _given(self, one: _Shared) -> Given:
        computed = {name: _variable(self.values[id(value)]) for name, value in one.computed.items()}
        return Given(one.seen, one.constants, computed, frozenset(one.variants))

    def _guarded(self, statements: list[nodes.Node], variants: Collection[int]) -> list[nodes.Node]:
        """Statements that only some variants run."""
        if len(variants) == self.everywhere:
            return statements
        numbers = nodes.Const(tuple(sorted(variants)))
        test = nodes.Compare(nodes.Name(VARIANT, "load"), [nodes.Operand("in", numbers)])
        return [nodes.If(test, statements, [], [])]

    def _view(self, number: int, template: Template) -> Fused:
        builder, places = self.builder, self.places[number]
        paths = tuple(path for path in builder.names if number in builder.readers[path])
        printed = sorted(set(places))
        return Fused(
            paths=paths,
            names=tuple(builder.names[path] for path in paths),
            absent=tuple(missing(dotted(path)) for path in paths),
            macro_texts=builder.macro_texts,
            _number=number,
            _order=None if printed == places else tuple(printed.index(place) for place in places),
            _count=len(printed),
            _labels=tuple(builder.labels),
            _starts=tuple(builder.starts),
            _counts_steps=builder.counts_steps,
            _template=template,
        )


def _variable(value: _Shared) -> str:
    return f"_with_{value.place}"


def _merged(statements: Iterable[nodes.Node]) -> Iterator[nodes.Node]:
    """Outputs that follow each other become one: what is constant between two expressions is then one text."""
    pending: list[nodes.Expr] = []
    for statement in statements:
        if isinstance(statement, nodes.Output):
            pending.extend(statement.nodes)
            continue
        if pending:
            yield nodes.Output(pending)
            pending = []
        yield statement
    if pending:
        yield nodes.Output(pending)
