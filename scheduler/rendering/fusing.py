"""Many small templates compiled into one function: the texts of all leaves of a payload in one go.

Each leaf is parsed alone, so a leaf cannot reach into another. The parsed bodies become one template whose output is
the leaves' texts with a NUL between them. Rewritten on the way:
- a path (`event.data.home`) becomes one plain variable, looked up before the template runs: faster than Jinja's chain
  of look-ups, and the values say which renders are equal;
- a constant of `message.with` becomes a literal, which Jinja's optimiser folds into the text around it;
- `~` becomes a bounded join; an inline `if` without `else` is the empty text, as in Jinja itself;
- imported macros and included files are put in (macros.py); loops, macro calls and filters count their steps.

Syntax nodes carry 1 + character offset in place of a line (see conditions/jinja_positions.py). Leaves are moved apart
by the length of their texts, so the place of a runtime error tells its leaf.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context

from scheduler.conditions.jinja_positions import runtime_places
from scheduler.domain.json_values import Json
from scheduler.rendering.builder import STEPS, Builder
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


@dataclass(frozen=True, slots=True)
class Fused:
    """One compiled function over the values of `paths`; `names[i]` is the variable of `paths[i]`."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    absent: tuple[object, ...]
    """What stands for a missing value of each path."""
    labels: tuple[str, ...]
    macro_texts: Mapping[str, str]
    """The macro files that are a part of it: their texts by path."""
    _starts: tuple[int, ...]
    _counts_steps: bool
    _template: Template

    def render(self, values: dict[str, object]) -> str | RenderFailure | Aborted:
        """The texts of the leaves, NUL between them. `values` has a value or `absent` for every name."""
        if self._counts_steps:
            values[STEPS] = Steps()
        context = Context(ENVIRONMENT, values, None, {})
        try:
            return joined(self._template.root_render_func(context))
        except Abort as stop:
            return Aborted(str(stop))
        except MissingVariable as problem:
            return self._failure(problem, str(problem), problem.variable)
        except (TemplateError, SecurityError) as problem:
            return self._failure(problem, problem.message or type(problem).__name__)
        except Exception as problem:  # a template is a program: whatever it does wrong is a finding about it
            return self._failure(problem, f"{type(problem).__name__}: {problem}")

    def _failure(self, problem: Exception, message: str, variable: str | None = None) -> RenderFailure:
        """The failure of the leaf that was running; of a macro the line too."""
        places = runtime_places(problem) or [0]
        label, inner = self._label(places[0]), self._label(places[-1])
        if inner != label:
            start = self._starts[self.labels.index(inner)]
            line = self.macro_texts[inner].count("\n", 0, places[-1] - start) + 1
            message = f"{message} ({inner}, line {line})"
        return RenderFailure(label, message, variable)

    def _label(self, place: int) -> str:
        return self.labels[bisect.bisect_right(self._starts, place) - 1]


class Uncompilable(Exception):
    """A text that is well-formed and still cannot become code; the message says why."""


def fuse(
    leaves: Sequence[LeafText],
    *,
    constants: Mapping[str, Json] | None = None,
    computed: Sequence[LeafText] = (),
    macros: MacroFiles = NO_MACROS,
) -> Fused:
    """Compile texts that `check_text` has no error for.

    `computed` are named texts (label `with.NAME`) that the leaves read as NAME; those that nobody reads are left out.
    Uncompilable when Jinja or Python cannot make code of them.
    """
    try:
        return _fuse(leaves, constants or {}, computed, macros)
    except TemplateSyntaxError as problem:
        raise Uncompilable((problem.message or "not valid Jinja").rstrip(".")) from problem
    except (SyntaxError, RecursionError, MemoryError) as problem:
        raise Uncompilable("the template is nested too deeply") from problem
    except MissingVariable as problem:  # Jinja calculates with constants already
        raise Uncompilable(str(problem)) from problem
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as problem:
        raise Uncompilable(f"a calculation with constants fails: {problem}") from problem


def _fuse(
    leaves: Sequence[LeafText], constants: Mapping[str, Json], computed: Sequence[LeafText], macros: MacroFiles
) -> Fused:
    builder = Builder(constants, {leaf.label.rpartition(".")[2] for leaf in computed}, macros)
    bodies = [builder.leaf(leaf) for leaf in leaves]
    assigned = [builder.assignment(leaf) for leaf in computed if leaf.label.rpartition(".")[2] in builder.read]
    separated: list[nodes.Node] = []
    for leaf, body in zip(leaves, bodies, strict=True):
        if separated:
            separated.append(nodes.Output([nodes.TemplateData(SEPARATOR)]))
        separated.extend([nodes.Scope(body)] if parsed(leaf.text).own else body)
    outputs, definitions = list(_merged(separated)), [*assigned, *builder.macro_definitions]
    # Inside a scope nothing is exported to the context, so one run of the template leaves no trace for the next.
    tree = nodes.Template([nodes.Scope([*definitions, *outputs])] if definitions else outputs, lineno=1)
    tree.set_environment(ENVIRONMENT)
    code = ENVIRONMENT.compile(tree, filename="<payload>")
    names = builder.names
    return Fused(
        paths=tuple(names),
        names=tuple(names.values()),
        absent=tuple(missing(dotted(path)) for path in names),
        labels=tuple(builder.labels),
        macro_texts=builder.macro_texts,
        _starts=tuple(builder.starts),
        _counts_steps=builder.counts_steps,
        _template=Template.from_code(ENVIRONMENT, code, {}),
    )


def _merged(statements: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
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
