"""Random templates over declared types, and random people to render them for."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import strategies as st

from scheduler.conditions.schema_file import read_schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.names import Names

SCHEMA, _ = read_schema(read_yaml(Source("schema.yaml", """
users: {attributes: {nick: "string?", plan: {enum: [free, pro]}}}
devices: {attributes: {unread: "integer?"}}
events: {e: {t: string, n: integer, f: number, b: boolean, l: list, o: object, t_: "string?", n_: "integer?",
             b_: "boolean?", l_: "list?"}}
""")).root)  # fmt: skip
NAMES = Names(SCHEMA, "e", frozenset({"event", "user", "device", "now"}))
INSTANT = datetime(2026, 11, 27, 9, tzinfo=UTC)
PATHS = {
    "text": ["event.data.t", "event.data.t_", "user.attributes.nick", "user.attributes.plan", "event.subject"],
    "number": ["event.data.n", "event.data.f", "event.data.n_", "device.attributes.unread"],
    "truth": ["event.data.b", "event.data.b_"],
    "list": ["event.data.l", "event.data.l_"],
    "other": ["event.data.o", "now", "event.time"],
}
ALL_PATHS = [path for paths in PATHS.values() for path in paths]
LITERALS = {"text": ["'x'", "''", "'free'"], "number": ["3", "0", "1.5"], "truth": ["true"], "list": ["['a']"],
            "other": ["[1, 2]", "{'a': 1}"]}  # fmt: skip
FORMS = {
    "text": [
        "({text}) | upper", "({any}) | string", "({text}) ~ ({number})", "({list}) | join('-')", "({text}).strip()",
        "({text}) | replace('a', 'b')", "({text}) + ({text})", "({text}) | truncate(5)", "({text}) * 2",
        "({text}) | default({text})", "({text}) | reverse", "({text}) | omit",
    ],
    "number": [
        "({text}) | length", "({list}) | length", "({number}) + ({number})", "({number}) | abs", "({any}) | int",
        "({number}) - ({number})", "({number}) | round", "-({number})", "({number}) | default({number})",
        "({text}) | wordcount",
    ],
    "truth": [
        "not ({any})", "({any}) is defined", "({text}) == ({text})", "({number}) < ({number})", "({any}) is string",
        "({number}) is even", "({text}) in ({text})", "({text}) in ({list})", "({truth}) and ({truth})",
        "({any}) or ({truth})", "({text}).startswith('x')", "({number}) == ({number})",
    ],
    "list": ["({list}) | list", "({text}).split('a')", "({list}) + ({list})", "({list}) | default({list})"],
    "other": [
        "({any}) + ({any})", "({any}) | length", "({any}) | upper", "({any}).strip()", "({any}) in ({any})",
        "({any}) and ({any})", "({any}) | default({any})", "({any}) < ({any})",
    ],
}  # fmt: skip
UNSURE_FORMS = ["({any}) | first", "({any}) | sum", "({any}) | max", "({any}).a", "({any})[0]", "({any})[:2]"]
KINDS = ["text", "text", "number", "number", "truth", "list", "other"]


@st.composite
def expressions(draw: st.DrawFn, kind: str | None = None, *, unsure: bool, depth: int = 2) -> str:
    """Mostly of fitting types. `unsure`: also what nobody knows the type of."""
    kind = draw(st.sampled_from(KINDS)) if kind is None else kind
    if depth == 0 or not draw(st.integers(0, 3)):
        return draw(st.sampled_from([*PATHS[kind], *LITERALS[kind]]))
    if not draw(st.integers(0, 5)):
        test = draw(expressions("truth", unsure=unsure, depth=depth - 1))
        first, second = (draw(expressions(kind, unsure=unsure, depth=depth - 1)) for _ in range(2))
        return f"(({first}) if ({test}){draw(st.sampled_from(['', f' else ({second})']))})"
    form = draw(st.sampled_from(FORMS[kind] + (UNSURE_FORMS if unsure and kind == "other" else [])))
    return PART.sub(
        lambda found: draw(expressions(None if found[1] == "any" else found[1], unsure=unsure, depth=depth - 1)), form
    )


PART = re.compile(r"\{(\w+)\}")


@st.composite
def templates(draw: st.DrawFn, *, unsure: bool, depth: int = 1) -> str:
    test, some_list = expressions(unsure=unsure), expressions("list", unsure=unsure)
    if depth == 0:
        return f"{{{{ {draw(test)} }}}}"
    inner = templates(unsure=unsure, depth=depth - 1)
    match draw(st.sampled_from(["print", "print", "if", "if-defined", "set", "for", "macro", "two", "abort"])):
        case "if":
            return f"{{% if {draw(test)} %}}{draw(inner)}{{% else %}}{draw(inner)}{{% endif %}}"
        case "if-defined":
            path = draw(st.sampled_from(PATHS["text"] + PATHS["number"]))
            return f"{{% if {path} is defined %}}{draw(inner)}{{{{ {path} }}}}{{% endif %}}"
        case "set":
            use = draw(st.sampled_from(["x | default('-') | string", "x | upper", "x"]))
            return f"{{% set x = {draw(test)} %}}{draw(inner)}{{{{ {use} }}}}"
        case "for":
            return f"{{% for x in {draw(some_list)} %}}{{{{ x | default('-') | string }}}}{draw(inner)}{{% endfor %}}"
        case "macro":
            body = draw(st.sampled_from(["{{ p | string }}", "{{ p | default(1) is even }}", "{{ p | upper }}"]))
            return f"{{% macro m(p) %}}{body}{{% endmacro %}}{{{{ m({draw(test)}) }}}}{draw(inner)}"
        case "two":
            return draw(inner) + draw(inner)
        case "abort":
            return f"{{{{ abort('a') if {draw(test)} }}}}{draw(inner)}"
    return f"{{{{ {draw(test)} }}}}"


texts = st.sampled_from(["", "a", "FCB", "12", "ß"])
integers = st.sampled_from([0, 1, -3, 7, 2**31])
values = {
    "t": texts, "n": integers, "f": st.sampled_from([0.5, -1.25, 3.0, 4]), "b": st.booleans(),
    "l": st.lists(texts, min_size=1, max_size=2), "o": st.just({"a": "x"}),
}  # fmt: skip
scopes = st.fixed_dictionaries({
    "event": st.fixed_dictionaries({
        "data": st.fixed_dictionaries(values, optional={
            "t_": texts, "n_": integers, "b_": st.booleans(), "l_": values["l"],
        }),
        "subject": texts.filter(bool), "time": st.just(INSTANT),
    }),
    "user": st.fixed_dictionaries({
        "attributes": st.fixed_dictionaries({"plan": st.sampled_from(["free", "pro"])}, optional={"nick": texts}),
    }),
    "device": st.fixed_dictionaries({"attributes": st.fixed_dictionaries({}, optional={"unread": integers})}),
    "now": st.just(INSTANT),
})  # fmt: skip
