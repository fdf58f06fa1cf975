"""Values that may be missing: why, and what is said where something needs one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jinja2 import nodes

from scheduler.diagnostics.diagnostic import Diagnostic, error, note
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.paths import extent


class Why(StrEnum):
    """Why a value may be missing."""

    OPTIONAL = "optional"
    """The schema says so."""
    UNDECLARED = "undeclared"
    NO_EVENT = "no event"
    """The rule may be fired without one."""
    NO_USER = "no user"
    """The audience has devices of nobody."""
    UNSET = "unset"
    """A name that only some of the ways through the template set."""
    NO_ELSE = "no else"
    """`x if c` without `else`: an empty text, but nothing to calculate with."""


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """That a value may be missing: the name that has none, and where it is read (a part of a text)."""

    name: str
    why: Why
    text: ScalarNode
    part: nodes.Node


def absence(absent: Absent) -> Diagnostic:
    """The finding about what may be missing, with the ways out. It stands where the value is read: what needs it may
    be far away, in a macro that it is given to."""
    name = absent.name
    span = absent.text.span_of(*extent(absent.text.text, absent.part))
    match absent.why:
        case Why.OPTIONAL:
            return error("may-be-missing", f"'{name}' may be missing", span,
                         f"write `{name} | default(…)`, or ask `if {name} is defined`")  # fmt: skip
        case Why.UNDECLARED:
            return note("may-be-missing", f"'{name}' is not declared, so it may be missing", span,
                        "declare it in schema.yaml, or add `| default(…)`")  # fmt: skip
        case Why.NO_EVENT:
            return note("may-be-missing", f"'{name}' is missing when the rule is fired without an event", span,
                        "devices that miss it are suppressed; add `| default(…)` to send anyway")  # fmt: skip
        case Why.NO_USER:
            return note("may-be-missing", f"'{name}' is missing for devices without a user", span,
                        "they are suppressed; add `| default(…)` to send anyway")  # fmt: skip
        case Why.UNSET:
            return error("may-be-missing", f"'{name}' is not set on every way to here", span,
                         f"set it before, for every case, or write `{name} | default(…)`")  # fmt: skip
        case Why.NO_ELSE:
            return error("may-be-missing", "this `if` has no `else`, so there may be no value", span,
                         "add `else …`")  # fmt: skip
