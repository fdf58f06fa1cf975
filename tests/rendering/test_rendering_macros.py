"""Macro files: what templates make of them, what they may see, and what is wrong with their use."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from support.template_texts import macro_files, one_text

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.macro_checks import check_macro_files
from scheduler.rendering.macros import MacroFile, read_macro_file
from scheduler.rendering.names import Names
from scheduler.rendering.payload import PayloadTemplate, compile_payload
from scheduler.rendering.results import RenderFailure
from scheduler.rendering.with_values import read_with

MONEY = """\
{% set sign = "€" %}
{% macro price(amount, currency=sign) %}{{ "%.2f" | format(amount) }} {{ currency }}{% endmacro %}
{% macro both(a, b) %}{{ price(a) }} / {{ price(b, "$") }}{% endmacro %}
{% macro greeting() %}Hello {{ user.attributes.first_name | default("you") }}{% endmacro %}
{% macro scorer() %}by {{ event.data.scorer }}{% endmacro %}
{% macro wrapped() %}<{{ caller() }}>{% endmacro %}
"""
FOOTER = "{{ event.data.home }}–{{ event.data.away | default('?') }}"
OF_X = "x is {{ x }}\n"
NESTED = '{% from "money.j2" import price %}{% macro total(a) %}Total {{ price(a) }}{% endmacro %}'
ROOTS = frozenset({"event", "previous", "user", "device", "now"})
SCHEMA = Schema(events={"goal": Section({
    "home": FieldType(ValueType.STRING), "n": FieldType(ValueType.NUMBER),
    "scorer": FieldType(ValueType.STRING, optional=True), "away": FieldType(ValueType.STRING, optional=True),
})})  # fmt: skip


def files(**texts: str) -> dict[str, MacroFile]:
    whole = {"money": MONEY, "footer": FOOTER, "of_x": OF_X, "nested": NESTED, **texts}
    return macro_files({f"{name}.j2": text for name, text in whole.items()})


def compiled(title: str, **texts: str) -> tuple[PayloadTemplate | None, list[Diagnostic]]:
    base = read_yaml(Source("templates/x.yaml", json.dumps({"aps": {"alert": {"title": title}}}))).root
    assert base is not None
    names = Names(SCHEMA, "goal", ROOTS, macros=files(**texts))
    with_ = read_yaml(Source("r", "{headline: Hey}")).root
    return compile_payload(base, {}, read_with(with_, names, "en"), names, "en")


SCOPE = {"event": {"data": {"home": "FCB", "n": 2.5}}, "user": {"attributes": {"first_name": "Zoë"}}}


def text_of(title: str, scope: Mapping[str, object] = SCOPE, **texts: str) -> str:
    payload, findings = compiled(title, **texts)
    assert payload is not None, findings
    result = payload.render(None, scope)
    assert isinstance(result, bytes), result
    return str(json.loads(result)["aps"]["alert"]["title"])


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("{% from 'money.j2' import price %}{{ price(event.data.n) }}", "2.50 €"),
        ("{% from 'money.j2' import price as p %}{{ p(1) }}, {{ p(2, currency='£') }}", "1.00 €, 2.00 £"),
        ("{% import 'money.j2' as money %}{{ money.both(1, 2) }}", "1.00 € / 2.00 $"),
        ("{% from 'money.j2' import greeting with context %}{{ greeting() }}", "Hello Zoë"),
        ("{% include 'footer.j2' %}!", "FCB–?!"),
        ("{% set x = 1 %}{% include 'of_x.j2' %}!", "x is 1!"),
        ("{% for x in [1, 2] %}{% include 'of_x.j2' %}, {% endfor %}", "x is 1, x is 2, "),
        ("{% from 'nested.j2' import total %}{{ total(3) }}", "Total 3.00 €"),
        ("{% from 'money.j2' import wrapped %}{% call wrapped() %}{{ event.data.home }}{% endcall %}", "<FCB>"),
        ("{% from 'money.j2' import price %}{% from 'nested.j2' import total %}{{ price(1) }} {{ total(1) }}",
         "1.00 € Total 1.00 €"),
        ("{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice(headline) }}", "HeyHey"),
        ("{% from 'money.j2' import sign %}{{ sign }}", "€"),
        ("{% if event.data.n > 2 %}{% from 'money.j2' import price %}{{ price(1) }}{% endif %}", "1.00 €"),
    ],
)  # fmt: skip
def test_macros_do_what_jinja_says(title: str, text: str) -> None:
    assert text_of(title) == text


def test_value_of_a_file_is_read_below_the_name_of_its_import() -> None:
    words = "{% set mark = '!' %}{% set limits = {'most': 3} %}{% macro loud(x) %}{{ x }}{{ mark }}{% endmacro %}"
    title = "{% import 'words.j2' as words %}{{ words.loud('Goal') }}{{ words.mark }}{{ words.limits.most + 1 }}"
    assert text_of(title, words=words) == "Goal!!4"


def test_what_a_macro_reads_is_among_the_paths_of_the_template() -> None:
    payload, _ = compiled("{% from 'money.j2' import greeting with context %}{{ greeting() }}")
    assert payload is not None
    assert payload.is_personal
    assert payload.variables == ("user.attributes.first_name",)
    assert payload.macro_paths == {"templates/money.j2"}


def test_files_that_are_imported_by_imports_belong_to_the_template() -> None:
    payload, _ = compiled("{% from 'nested.j2' import total %}{{ total(3) }}")
    assert payload is not None
    assert payload.macro_paths == {"templates/money.j2", "templates/nested.j2"}


def test_text_templates_may_import_too() -> None:
    text = "{% from 'money.j2' import price %}{{ price(event.data.n) }}"
    assert one_text("collapse", text, files()).render(SCOPE) == "2.50 €"


def test_failure_inside_of_a_macro_names_the_leaf_and_the_line() -> None:
    payload, findings = compiled("{% from 'bad.j2' import f %}{{ f(event.data.home) }}",
                                 bad="\n\n{% macro f(x) %}{{ x | int | round(99) }}{% endmacro %}")  # fmt: skip
    assert payload is not None, findings
    message = "`round` takes 0 to 15 digits and common, ceil or floor (templates/bad.j2, line 3)"
    assert payload.render(None, SCOPE) == RenderFailure("aps.alert.title", message)


@pytest.mark.parametrize(
    ("title", "code", "place", "message", "hint"),
    [
        ("{% from 'mony.j2' import price %}", "unknown-macro", "'mony.j2'", "there is no templates/mony.j2",
         "did you mean 'money.j2'?"),
        ("{% from 'money.j2' import prise %}", "unknown-macro", "'money.j2'", "money.j2 has no macro 'prise'",
         "did you mean 'price'?"),
        ("{% import 'money.j2' as m %}{{ m.prise(1) }}", "unknown-macro", "m.prise", "money.j2 has no macro 'prise'",
         "did you mean 'price'?"),
        ("{% include event.data.home %}", "unknown-macro", "event.data.home", "a file is named by a text in quotes",
         'write "money.j2"'),
        ("{% import 'money.j2' as money %}{{ money.cents }}", "unknown-macro", "money.cents",
         "money.j2 has no macro 'cents'", "its macros are price, both, greeting, scorer, wrapped"),
        ("{% from 'money.j2' import price %}{{ price() }}", "wrong-arguments", "price()", "'price' needs 'amount'",
         "write `price(amount, currency=…)`"),
        ("{% from 'money.j2' import price %}{{ price(1, 2, 3) }}", "wrong-arguments", "price(1, 2, 3)",
         "'price' takes 2 values, and this gives 3", "write `price(amount, currency=…)`"),
        ("{% from 'money.j2' import price %}{{ price(1, curency='x') }}", "wrong-arguments", "price(1, curency='x')",
         "'price' has no 'curency'", "did you mean 'currency'?"),
        ("{% from 'money.j2' import scorer with context %}{{ scorer() }}", "may-be-missing", "event.data.scorer",
         "'event.data.scorer' may be missing",
         "write `event.data.scorer | default(…)`, or ask `if event.data.scorer is defined`"),
        ("{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}", "template-syntax", "for",
         "a loop cannot call itself", "remove `recursive`"),
    ],
)  # fmt: skip
def test_wrong_import_says_what_where_and_the_way_out(
    title: str, code: str, place: str, message: str, hint: str
) -> None:
    payload, findings = compiled(title)
    errors = [one for one in findings if one.severity == "error"]
    said = [(one.code, one.span.source.text[one.span.start : one.span.end], one.message, one.hint) for one in errors]
    assert said == [(code, place, message, hint)]
    assert payload is None


def test_macro_without_context_that_reads_the_event_is_an_error_in_its_file() -> None:
    _, findings = compiled("{% from 'own.j2' import f %}{{ f() }}",
                           own="{% macro f() %}{{ event.data.home }}{% endmacro %}")  # fmt: skip
    assert [(str(one.span), one.message, one.hint) for one in findings] == [
        ("templates/own.j2:1:19", "'event.data.home' is not known here: a macro sees its arguments",
         'pass it as an argument, or import "own.j2" with context')
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "place", "message"),
    [
        ({"a": "{% import 'b.j2' as b %}", "b": "{% import 'a.j2' as a %}"}, "templates/a.j2:1:11",
         "'a.j2' imports 'b.j2', and that imports it"),
        ({"a": "{% macro f() %}{{ f() }}{% endmacro %}"}, "templates/a.j2:1:4", "the macro 'f' calls itself"),
        ({"a": "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}"}, "templates/a.j2:1:4",
         "the macro 'f' calls itself"),
    ],
)  # fmt: skip
def test_circles_are_refused(texts: dict[str, str], place: str, message: str) -> None:
    first = next(check_macro_files(files(**texts)))
    assert (first.code, str(first.span), first.message) == ("macro-circle", place, message)


def test_a_macro_of_a_text_does_not_call_itself_either() -> None:
    payload, findings = compiled("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}")
    assert payload is None
    assert [(one.code, one.message, one.hint) for one in findings] == [
        ("macro-circle", "the macro 'f' calls itself", "use a loop")
    ]


def test_syntax_error_stands_in_the_macro_file_also_with_windows_line_ends() -> None:
    file, findings = read_macro_file("x.j2", Source("templates/x.j2", "a\r\n{% macro f( %}"))
    assert file is None
    assert [(one.code, str(one.span)) for one in findings] == [("template-syntax", "templates/x.j2:2:11")]


@pytest.mark.parametrize(
    "title",
    [
        "{% from 'tree.j2' import a %}{{ a() }}",
        "{% set x = namespace(v='x') %}",
        "{% for a in range(200) %}{% for b in range(200) %}{% if a == b + 500 %}x{% endif %}{% endfor %}{% endfor %}",
        "{% for a in range(900) %}{{ ((range(900) | list) + [a]) | sort | first }}{% endfor %}",
        "{% for a in range(900) %}{{ ('x' * 900).upper() | length }}{% endfor %}",
    ],
)
def test_work_is_bounded_by_counting(title: str) -> None:
    tree = "".join(
        f"{{% macro {name}() %}}{{{{ {callee}() }}}}{{{{ {callee}() }}}}{{% endmacro %}}"
        for name, callee in zip("abcdefghijklmnopqrs", "bcdefghijklmnopqrst", strict=True)
    )
    payload, _ = compiled(title, tree=tree + "{% macro t() %}x{% endmacro %}")
    if payload is not None:
        assert isinstance(payload.render(None, SCOPE), RenderFailure)
