"""Tables of the reference about names, templates and bounds, made from what checks and renders them.

A table is rows of Markdown cells, the first of them its head. What a filter gives is not written down but rendered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from scheduler.conditions import parse
from scheduler.conditions.types import FieldType, Schema, UnknownName
from scheduler.diagnostics import yaml_builder, yaml_reader
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.push_types import PushType
from scheduler.rendering import names as template_names
from scheduler.rendering import sandbox
from scheduler.rendering.aps import (
    ALERT,
    LIVE_ALERT,
    LOCALISED,
    SOUND,
    EitherOr,
    LeafType,
    ListOf,
    OwnFields,
    Shape,
    aps_fields,
)
from scheduler.rendering.expression_types import Kind, Type, named
from scheduler.rendering.filter_results import any_of, how_many
from scheduler.rendering.names import Names
from scheduler.rendering.payload import compile_payload
from scheduler.rendering.results import Aborted
from scheduler.rendering.signatures import (
    ANY_NUMBER,
    FILTERS,
    FUNCTIONS,
    METHODS,
    PATIENT_TESTS,
    TEST_ARGUMENTS,
    Signature,
)
from scheduler.rendering.with_values import NO_VALUES
from scheduler.rules.compiler import WHEN_ROOTS, WHERE_ROOTS, roots_of
from scheduler.rules.timing import EXIT_ROOTS
from scheduler.workspace.campaign import COLLAPSE_ROOTS, MESSAGE_ROOTS, OCCASION_ROOTS

Rows: TypeAlias = Iterator[tuple[str, ...]]

_NAMES: Mapping[str, str] = {
    "event": "the event that starts the rule",
    "event.id": "its id, as the sender gave it",
    "event.source": "who sent it",
    "event.type": "such as `com.example.order.placed`",
    "event.subject": "what it is about: a game, a basket. Counts as present",
    "event.time": "when it happened",
    "event.data": "what schema.yaml declares for its type: `event.data.home`",
    "previous": "of the events of the same type and subject, the latest before this one; the same parts as `event`",
    "exit": "the event that calls a delayed message off; the same parts as `event`",
    "user": "the human; devices may be nobody's",
    "user.id": "the id that your backend gives",
    "user.attributes": "what schema.yaml declares: `user.attributes.plan`",
    "user.locale": "such as `de-AT`",
    "user.time_zone": "such as `Europe/Vienna`",
    "device": "one installation of the app",
    "device.id": "Clarion's number of it",
    "device.app": "the app's name in clarion.yaml",
    "device.locale": "such as `de-AT`",
    "device.language": "the first part of the locale, `de`",
    "device.time_zone": "such as `Europe/Vienna`",
    "device.environment": "`sandbox` or `production`",
    "device.topics": "the topics that it joined",
    "device.attributes": "what schema.yaml declares: `device.attributes.alerts`",
    "device.registered_at": "when the app last registered",
    "device.last_seen_at": "when the app was last heard of",
    "now": "the time of the run, the same for all of its devices",
    "today": "the date of that in the person's zone",
    "slot": "the time that a schedule names",
}
"""What each name means, in the order of the reference."""

_EVENT_PLACES: Mapping[str, frozenset[str]] = {
    "`trigger.when`": WHEN_ROOTS,
    "`trigger.once_per`": OCCASION_ROOTS,
    "`timing.unless.where`": EXIT_ROOTS,
}
"""Where something is said about events. A rule with a schedule has none of these."""
_PLACES: Mapping[str, frozenset[str]] = {
    "`audience.where`": WHERE_ROOTS,
    "`audience.users`, `audience.topics`, `delivery.supersede`": OCCASION_ROOTS,
    "`message.with` and templates": MESSAGE_ROOTS,
    "`delivery.collapse`": COLLAPSE_ROOTS,
}

_FILTERS: Mapping[str, tuple[str, str]] = {
    "default": ("another value for what is missing; with `true` also for what is empty", "'' | default('you', true)"),
    "d": ("short for `default`", "none | d('you')"),
    "omit": ("leaves the key out where the value is missing or empty", "'' | omit"),
    "upper": ("large letters", "'zoë' | upper"),
    "lower": ("small letters", "'FCB' | lower"),
    "capitalize": ("the first letter large, the others small", "'zoë KANE' | capitalize"),
    "title": ("each word with a large letter", "'zoë kane' | title"),
    "trim": ("without white space, or other characters, at both ends", "' goal ' | trim"),
    "replace": ("other text in place of each occurrence", "'1-0' | replace('-', ':')"),
    "truncate": ("cut to a length at the end of a word, and `...`", "'Kane scores late in Dortmund' | truncate(12)"),
    "format": ("values put into a pattern of C's printf", "'%.2f €' | format(9.5)"),
    "string": ("as text; keeps a number from being one in a key of your own", "12 | string"),
    "urlencode": ("as a part of a link", "'FC Köln' | urlencode"),
    "wordcount": ("the number of words", "'what a game' | wordcount"),
    "int": ("text or number as a whole number; what is none is 0, or the value in brackets", "'12' | int"),
    "float": ("text as a number; what is none is 0.0, or the value in brackets", "'9.5' | float"),
    "round": ("to so many digits; `ceil` and `floor` as the second value", "9.567 | round(2)"),
    "abs": ("without its sign", "(-3) | abs"),
    "length": ("how many characters, items or keys", "'FCB' | length"),
    "count": ("the same as `length`", "[1, 2] | count"),
    "first": ("the first item or character", "['FCB', 'BVB'] | first"),
    "last": ("the last one", "['FCB', 'BVB'] | last"),
    "join": ("the items as one text", "['FCB', 'BVB'] | join(' – ')"),
    "list": ("as a list", "'abc' | list"),
    "sort": ("in order", "[3, 1, 2] | sort"),
    "reverse": ("from the end", "[1, 2, 3] | reverse | list"),
    "unique": ("each value once", "[1, 1, 2] | unique | list"),
    "min": ("the smallest", "[3, 1, 2] | min"),
    "max": ("the greatest", "[3, 1, 2] | max"),
    "sum": ("all of them together", "[3, 1, 2] | sum"),
    "map": ("a filter for each item, or one of its keys", "['a', 'b'] | map('upper') | join"),
    "select": ("the items for which a test is true", "[1, 2, 3] | select('odd') | list"),
    "reject": ("the others", "[1, 2, 3] | reject('odd') | list"),
    "items": ("the keys of a mapping with their values", "{'a': 1} | items | list"),
    "dictsort": ("the same in the order of the keys", "{'b': 2, 'a': 1} | dictsort"),
}
"""By filter, what it does and an expression, in the order of the reference."""
_FUNCTIONS: Mapping[str, tuple[str, str]] = {
    "range": ("whole numbers from the first (0) to before the last", "range(1, 4) | list"),
    "abort": ("suppresses this device, with this reason in the ledger", "abort('no news')"),
}
_Sections: TypeAlias = tuple[tuple[str, Mapping[str, Shape]], ...]
_SECTIONS: _Sections = (("aps", aps_fields(PushType.ALERT)), ("aps.alert", ALERT), ("aps.sound", SOUND))
_LIVE_SECTIONS: _Sections = (
    ("aps", aps_fields(PushType.LIVE_ACTIVITY)),
    ("aps.alert", LIVE_ALERT),
    ("aps.alert.title", LOCALISED),
)
_BOUNDS: tuple[tuple[str, str], ...] = (
    ("a YAML file", f"{yaml_reader.MAX_BYTES // 1_000_000} MB, {yaml_builder.MAX_VALUES:,} values, "
     f"{yaml_builder.MAX_NESTING} levels, {yaml_builder.MAX_ALIASES:,} aliases"),
    ("a condition", f"{parse.MAX_CHARACTERS:,} characters, {parse.MAX_LEVELS} levels"),
    ("a template: what stands inside of each other", f"{template_names.MAX_LEVELS} levels, of them "
     f"{template_names.MAX_LOOP_DEPTH} loops"),
    ("a value, and what one text prints", f"{sandbox.MAX_TEXT:,} characters; {sandbox.MAX_PIECES:,} pieces or items"),
    ("a repetition, `'-' * n`", f"{sandbox.MAX_REPEAT:,} characters"),
    ("`range`", f"{sandbox.MAX_RANGE:,} numbers"),
    ("the steps of one payload: a turn of a loop, a call of a macro, an item that a filter goes through",
     f"{sandbox.MAX_STEPS:,}"),
    ("a whole number", "64 bits"),
    ("a payload", f"{PushType.ALERT.payload_limit:,} bytes, as Apple says (VoIP {PushType.VOIP.payload_limit:,})"),
)  # fmt: skip


def name_rows() -> Rows:
    """Every name with its type."""
    yield "name", "type", "meaning"
    schema = Schema.undeclared()
    known = [path for root in _roots(schema) for path in (root, *(f"{root}.{part}" for part in _parts(schema, root)))]
    for path in sorted(known, key=list(_NAMES).index):
        found = schema.field(tuple(path.split(".")))
        assert isinstance(found, FieldType)
        yield f"`{path}`", f"{found.type}{', may be missing' if found.optional else ''}", _NAMES[path]


def place_rows() -> Rows:
    """Which names are known where."""
    yield "in", "names", "where a schedule or a time starts the rule"
    for place, roots in _EVENT_PLACES.items():
        yield place, _words(roots), "there is none"
    for place, roots in _PLACES.items():
        yield place, _words(roots), _words(roots_of(roots, scheduled=True))


def aps_rows() -> Rows:
    """The fields of `aps`."""
    return _field_rows(_SECTIONS)


def live_activity_rows() -> Rows:
    """The fields of `aps` in a push to a Live Activity."""
    return _field_rows(_LIVE_SECTIONS)


def _field_rows(sections: _Sections) -> Rows:
    """Fields of the same type together."""
    yield "field", "Apple wants"
    for section, fields in sections:
        by_type: dict[str, list[str]] = {}
        for name, shape in fields.items():
            by_type.setdefault(_wanted(shape), []).append(f"`{section}.{name}`")
        for wanted, same in by_type.items():
            yield ", ".join(same), wanted


def filter_rows() -> Rows:
    """The filters of templates."""
    yield "filter", "meaning", "takes", "in brackets", "makes", "template", "gives"
    for name in sorted(FILTERS, key=list(_FILTERS).index):
        takes, (meaning, expression) = FILTERS[name], _FILTERS[name]
        operand = any_of(takes.takes) if takes.takes else "anything"
        yield f"`{name}`", meaning, operand, _in_brackets(takes), _made(takes.gives), *_rendered(expression)


def function_rows() -> Rows:
    """The functions of templates."""
    yield "function", "meaning", "in brackets", "template", "gives"
    for name in sorted(FUNCTIONS, key=list(_FUNCTIONS).index):
        meaning, expression = _FUNCTIONS[name]
        yield f"`{name}`", meaning, _in_brackets(FUNCTIONS[name]), *_rendered(expression)


def method_rows() -> Rows:
    """What a text and an instant can do, by what it gives."""
    yield "of", "makes", "methods"
    for kind, methods in METHODS.items():
        by_result: dict[str, list[str]] = {}
        for name, signature in methods.items():
            inside = "…" if signature.most else ""
            by_result.setdefault(_made(signature.gives), []).append(f"`{name}({inside})`")
        for result, names in by_result.items():
            yield named(kind), result, ", ".join(names)


def asking_rows() -> Rows:
    """What can be asked by `is`."""
    yield "asked", "tests"
    every = frozenset(sandbox.ENVIRONMENT.tests)
    with_value = every.intersection(TEST_ARGUMENTS)
    yield "with an answer for what is missing", _words(every & PATIENT_TESTS)
    yield "about what is there", _words(every - PATIENT_TESTS - with_value)
    yield "with a value behind it, `is divisibleby 3`", _words(with_value)


def bound_rows() -> Rows:
    """How large things may be."""
    yield "what", "at most"
    yield from _BOUNDS


def _roots(schema: Schema) -> tuple[str, ...]:
    unknown = schema.field(("?",))
    assert isinstance(unknown, UnknownName)
    return unknown.known


def _parts(schema: Schema, root: str) -> Iterator[str]:
    """The parts of a name that the reference shows: not those that are the same as another's."""
    unknown = schema.field((root, "?"))
    if isinstance(unknown, UnknownName) and root not in ("previous", "exit"):
        yield from unknown.known


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))


def _wanted(shape: Shape) -> str:
    match shape:
        case LeafType(wanted=wanted):
            return wanted
        case ListOf(item=item):
            return f"a list; each is {item.wanted}"
        case OwnFields():
            return "a mapping of the app's own fields"
        case EitherOr(single=single):
            return f"{single.wanted}, or a mapping with the fields below"


def _made(found: Type) -> str:
    if Kind.ITERATOR in found.kinds:
        return "items to go through"
    return named(found)


def _in_brackets(signature: Signature) -> str:
    if signature.most == ANY_NUMBER:
        return "any values"
    if signature.least < signature.most == 1:
        return "1 value or none"
    return how_many(signature.least, signature.most) if signature.most else ""


def _rendered(expression: str) -> tuple[str, str]:
    """A template of this expression, and what a key of the payload's own is with it."""
    source = Source(expression, f'aps: {{}}\nkey: "{{{{ {expression} }}}}"\n')
    root = read_yaml(source).root
    assert root is not None
    payload, findings = compile_payload(root, {}, NO_VALUES, Names(Schema.undeclared(), None, frozenset()), "en")
    assert payload is not None, findings
    template, rendered = f"`{{{{ {expression} }}}}`", payload.render(None, {})
    if isinstance(rendered, Aborted):
        return template, f"suppressed: {rendered.reason}"
    assert isinstance(rendered, bytes), rendered
    content = json.loads(rendered)
    return template, f"`{json.dumps(content['key'], ensure_ascii=False)}`" if "key" in content else "no key"
