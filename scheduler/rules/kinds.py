"""Kinds of values that a YAML field can hold: how each is read from a node, said in words, and put in JSON Schema.

A scalar is typed by its field: what stands there is text until a kind reads it (rule-language: `22:00` and `no` work
unquoted). A kind raises Misfit, which becomes a finding at the exact place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from scheduler.diagnostics.diagnostic import Diagnostic, Severity, did_you_mean
from scheduler.diagnostics.source import Span
from scheduler.diagnostics.yaml_misreadings import misread_value
from scheduler.diagnostics.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from scheduler.domain.quantities import Rate, parse_duration, parse_rate

Schema = Mapping[str, object]
E = TypeVar("E", bound=StrEnum)

_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_EVENT_TYPE = re.compile(r"[!-)+-~]+\*?|\*")
_GROUPED_OR_PERCENT = re.compile(r"[0-9]{1,3}([,._ ])[0-9]{3}(\1[0-9]{3})*|[0-9]{1,3}%")
"""A whole number with marks between its thousands, or with a `%` that does not belong there."""
_BARE_IN_BRACKETS = re.compile(r"[^\s,\[\]{}#:][^\n,\[\]{}#:]*|\"[^\n]*\"|'[^\n]*'")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_CURLY = "“”„‟‘’‚‛«»"


class Misfit(Exception):
    """A node does not hold what its field wants. Raised by kinds, turned into a finding by a table's reading."""

    def __init__(
        self,
        message: str,
        node: Node,
        hint: str | None = None,
        code: str = "wrong-value",
        span: Span | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.span = span or node.span
        self.hint = hint
        self.code = code


class Misfits(Exception):
    """Several things are wrong inside of one value: the findings say where and what."""

    def __init__(self, findings: Sequence[Diagnostic]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value. `words` completes "… must be"; `unbuilt` are values that are in the language but not built.

    `read` raises Misfit, or Misfits where a value has parts; `shape` is how such a value is written.
    """

    words: str
    read: Callable[[Node], object]
    json_schema: Schema
    unbuilt: frozenset[str] = field(default_factory=frozenset)
    shape: str = ""


def text_of(node: Node, words: str) -> str:
    """The text of a scalar that has one."""
    return scalar_of(node, words).text


def scalar_of(node: Node, words: str) -> ScalarNode:
    """A scalar with a text in it; the traps of YAML that make something else of a template have their own messages."""
    if not isinstance(node, ScalarNode):
        if isinstance(node, SequenceNode):
            raise Misfit(f"must be {words}, not a list", node, "write one value alone, without `[ ]` or `- `")
        raise Misfit(f"must be {words}, not a mapping", node)
    if node.is_null:
        raise Misfit(f"must be {words}; there is nothing here", node, "write a value, or remove the key")
    if node.plain:
        _refuse_misread(node)
        _refuse_curly_quotes(node)
    return node


def _refuse_misread(node: ScalarNode) -> None:
    """A value that YAML ends too early is not read any further: what is left of it is wrong for this reason alone."""
    wrong = [finding for finding in misread_value(node) if finding.severity is Severity.ERROR]
    if wrong:
        raise Misfits(wrong)


def _refuse_curly_quotes(node: ScalarNode) -> None:
    """Quotation marks as word processors make them: they would be a part of the text."""
    if len(node.text) > 1 and node.text[0] in _CURLY and node.text[-1] in _CURLY:
        raise Misfit("is in curly quotation marks, which are no quotes to YAML", node, f'write "{node.text[1:-1]}"')


def _matching(pattern: re.Pattern[str], words: str, nearest: Callable[[str], str] = str) -> Kind:
    """A text of this form. `nearest` makes what was most likely meant of one that has another."""

    def read(node: Node) -> object:
        text = text_of(node, words)
        if pattern.fullmatch(text) is None:
            meant = nearest(text)
            raise Misfit(f"must be {words}, not '{text}'", node, f"write {meant}" if pattern.fullmatch(meant) else None)
        return text

    return Kind(words, read, {"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


def _read_boolean(node: Node) -> object:
    text = text_of(node, "true or false")
    if text not in ("true", "false"):
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(text.lower(), text.lower())
        hint = f"write {meant}" if meant in ("true", "false") else None
        raise Misfit(f"must be true or false, not '{text}'", node, hint)
    return text == "true"


def parsed(words: str, parse: Callable[[str], object], json_schema: Schema | None = None) -> Kind:
    """A kind that `parse` makes of a text; its ValueError is a whole sentence, or what the value must be."""

    def read(node: Node) -> object:
        try:
            return parse(text_of(node, words))
        except ValueError as problem:
            raise Misfit(str(problem), node) from None

    return Kind(words, read, json_schema or {"type": "string"})


def _in_one_word(text: str) -> str:
    """`Sports News` → `Sports-News`, and `templates/goal.yaml` → `goal`."""
    return re.sub(r"\s+", "-", text.strip().removeprefix("templates/").removesuffix(".yaml"))


def _in_one_small_word(text: str) -> str:
    return _in_one_word(text).replace("_", "-").lower()


def _never_or_duration(text: str) -> object:
    if text in ("never", "none"):
        raise ValueError(f"{text!r} is not a duration; if Apple is to try once and store nothing, write never_store")
    return None if text == "never_store" else _some_time(text)


def _some_time(text: str) -> timedelta:
    duration = parse_duration(text)
    if not duration:
        raise ValueError(f"{text!r} is no time at all: nothing would ever be sent")
    return duration


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        bare = re.sub(r"[,._ ]|%$", "", text) if _GROUPED_OR_PERCENT.fullmatch(text) else None
        raise ValueError(f"must be a whole number, not '{text}'" + (f"; write {bare}" if bare else ""))
    return int(text)


def _percent(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%", text)
    if match is None or float(match[1]) > 100:
        raise ValueError(f"must be a share such as 5% or 0.5%, not '{text}'{_with_percent(text)}")
    return float(match[1]) / 100


def _with_percent(text: str) -> str:
    """The end of a message about a share without its sign: `0.05` is 5% to most people, and 0.05% to some."""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", text):
        return ""
    if 0 < float(text) < 1:
        return f"; write {float(text) * 100:g}%, or {text}% if that is what you mean"
    return f"; write {text}%"


def _read_texts(node: Node) -> object:
    words = "a list of texts"
    if not isinstance(node, SequenceNode):
        raise Misfit(f"must be {words}", node, in_brackets(node))
    if not node.items:
        raise Misfit(f"must be {words}; this one is empty", node, "leave the key out")
    return tuple(_one_text(item) for item in node.items)


def _one_text(item: Node) -> ScalarNode:
    """A text of a list. `- team: FCB` is a mapping to YAML."""
    try:
        return scalar_of(item, "a text")
    except Misfit as misfit:
        written = item.span.source.text[item.span.start : item.span.end].strip()
        if isinstance(item, MappingNode) and "\n" not in written and '"' not in written and written[:1] != "{":
            misfit.hint = f'put it in quotes: "{written}"'
        if misfit.message.startswith("must "):
            misfit.message = f"each of them {misfit.message}"
        raise


def in_brackets(node: Node) -> str:
    """A hint for one value where a list belongs."""
    written = node.span.source.text[node.span.start : node.span.end]
    if isinstance(node, ScalarNode) and not node.is_null and _BARE_IN_BRACKETS.fullmatch(written):
        return f"put it in brackets: [{written}]"
    return "put it in brackets, [ ], or begin each with `- `"


def _read_mapping(node: Node) -> object:
    if not isinstance(node, MappingNode):
        raise Misfit("must be a mapping", node, "write a name, a colon and a value: {headline: Goal!}")
    return node


def choice(values: Iterable[str], unbuilt: Iterable[str] = (), meant: Mapping[str, str] = _NOTHING) -> Kind:
    """One of some words; of those, `unbuilt` are known and refused as not built. `meant` are words that others use,
    with ours."""
    allowed, later = tuple(values), frozenset(unbuilt)
    words = " or ".join((", ".join(allowed[:-1]), allowed[-1])) if len(allowed) > 1 else allowed[0]

    def read(node: Node) -> object:
        text = text_of(node, words)
        if text not in allowed and text not in later:
            near = did_you_mean(text, (*allowed, *later))
            whole = next((word for word in allowed if len(text) > 1 and word.startswith(text.lower())), None)
            only = allowed[0] if len(allowed) == 1 and not later else None
            instead = meant.get(text.lower()) or whole or only
            hint = near if near and text.lower() not in meant else (f"write {instead}" if instead else None)
            raise Misfit(f"must be {words}, not '{text}'", node, hint)
        return text

    numbers = [int(text) for text in allowed if text.isdigit()]  # an editor reads 10 as a number
    return Kind(words, read, {"enum": [*allowed, *numbers, *sorted(later)]}, later)


def one_of(enum: type[E], meant: Mapping[str, str] = _NOTHING) -> Kind:
    """A member of an enum, by its value."""
    base = choice([member.value for member in enum], meant=meant)
    return Kind(base.words, lambda node: enum(str(base.read(node))), base.json_schema)


def _read_condition(node: Node) -> object:
    if isinstance(node, SequenceNode):
        raise Misfit("must be a condition, not a list", node, "write one condition: join its parts by `and` or `or`")
    if isinstance(node, MappingNode):
        hint = 'compare with a sign: `user.attributes.plan == "pro"`'
        raise Misfit("must be a condition, not a mapping", node, hint)
    return scalar_of(node, "a condition")


WORD = _matching(_WORD, "a word of lower-case letters, digits and `-`", _in_one_small_word)
NAME = _matching(_NAME, "a name of letters, digits, `-` and `_`", _in_one_word)
EVENT_TYPE = _matching(
    _EVENT_TYPE,
    "a type of event such as com.example.order.placed or com.example.*",
    lambda text: re.sub(r"\*.*", "*", text.strip()),
)
TEXT = Kind("a text", lambda node: text_of(node, "a text"), {"type": "string"})
BOOLEAN = Kind("true or false", _read_boolean, {"type": "boolean"})
CONDITION = Kind("a condition", _read_condition, {"type": ["string", "boolean"]})
TEMPLATE = Kind("a template", lambda node: scalar_of(node, "a template"), {"type": ["string", "number"]})
TEMPLATES = Kind("a list of templates", _read_texts, {"type": "array", "items": {"type": ["string", "number"]}})
MAPPING = Kind("a mapping", _read_mapping, {"type": "object"})
ANYTHING = Kind("a value", lambda node: node, {})
DURATION = parsed("a duration such as 15 minutes", parse_duration)
SOME_TIME = parsed("a duration such as 15 minutes", _some_time)
EXPIRY = parsed("a duration such as 15 minutes, or never_store", _never_or_duration)
PERCENT = parsed("a share such as 5%", _percent, {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?\s*%$"})
WHOLE_NUMBER = parsed("a whole number", _whole_number, {"type": "integer", "minimum": 0})
RATE = parsed("a rate such as 500/s", lambda text: Rate.of(parse_rate(text)))
