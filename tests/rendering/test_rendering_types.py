"""What `check` says about the expressions of a template before anything is rendered: types, and what may be missing."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from support.template_texts import macro_files, one_leaf

from scheduler.conditions.schema_file import read_schema
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.expression_types import Kind
from scheduler.rendering.names import Names, check_text
from scheduler.rendering.sandbox import AS_JSON, BOUNDED, COUNTED, ENVIRONMENT, JOINED
from scheduler.rendering.signatures import FILTERS, FUNCTIONS, METHODS, NUMBER_TESTS, PATIENT_TESTS, TEST_ARGUMENTS
from scheduler.rendering.with_values import read_with

SCHEMA_TEXT = """
users: {attributes: {first_name: "string?", plan: {enum: [free, pro]}, spend: number, born: "date?"}}
devices: {attributes: {unread: "integer?", alerts: {enum: [all, goals, none]}}}
events:
  goal: {home: string, away: string, minute: integer, scorer: "string?", price: number, live: boolean, tags: list,
         more: object, at: instant, url: "string?", goals: "integer?"}
"""
SCHEMA, _ = read_schema(read_yaml(Source("schema.yaml", SCHEMA_TEXT)).root)
ROOTS = frozenset({"event", "previous", "user", "device", "now", "today"})
NAMES = Names(SCHEMA, "goal", ROOTS)


def findings(text: str, names: Names = NAMES, *, keeps_type: bool = False) -> list[Diagnostic]:
    return list(dict.fromkeys(check_text(one_leaf(text), names, keeps_type=keeps_type)))


def said(text: str, names: Names = NAMES, *, keeps_type: bool = False) -> list[str]:
    """`severity[code] "the characters it is about" message`."""
    return [
        f"{one.severity}[{one.code}] {one.span.source.text[one.span.start : one.span.end]!r} {one.message}"
        for one in findings(text, names, keeps_type=keeps_type)
    ]


RIGHT = [
    "{{ event.data.home }} {{ event.data.minute + 1 }} {{ event.data.price * 2 }} {{ event.data.live }} {{ now }}",
    "{{ event.data.scorer | default('a goal') }}",
    "{{ event.data.scorer | default('a goal') | upper }}",
    "{{ event.data.scorer | d(event.data.home) }}",
    "{{ event.data.scorer | omit }}",
    "{{ event.data.scorer if event.data.scorer is defined else 'a goal' }}",
    "{{ event.data.scorer if event.data.scorer is defined }}",
    "{{ 'a goal' if event.data.scorer is undefined else event.data.scorer }}",
    "{{ 'a goal' if event.data.scorer is not defined else event.data.scorer }}",
    "{% if event.data.scorer is defined %}{{ event.data.scorer }}{% else %}a goal{% endif %}",
    "{% if event.data.scorer is not defined %}a goal{% else %}{{ event.data.scorer }}{% endif %}",
    "{% if event.data.scorer is defined and event.data.scorer | length > 3 %}{{ event.data.scorer }}{% endif %}",
    "{% if event.data.scorer is undefined or event.data.scorer == 'own' %}x{% endif %}",
    "{% if event.data.scorer | default('') %}{{ event.data.scorer }}{% endif %}",
    "{% if event.data.scorer | default('') != '' %}{{ event.data.scorer }}{% endif %}",
    "{% if event.data.scorer | default('') | length > 0 %}x{% endif %}",
    "{% if (event.data.goals | default(0)) > 0 %}{{ event.data.goals + 1 }}{% endif %}",
    "{% if event.data.scorer is undefined %}{{ abort('nobody') }}{% endif %}{{ event.data.scorer }}",
    "{{ abort('nobody') if event.data.scorer is undefined }}{{ event.data.scorer }}",
    "{% set who = event.data.scorer | default('a goal') %}{{ who | upper }}",
    "{% set who = event.data.scorer %}{{ who | default('a goal') }}",
    "{% set who %}{{ event.data.home }}!{% endset %}{{ who.strip() }}",
    "{% set a, b = event.data.home, event.data.away %}{{ a }}{{ b }}",
    "{% if event.data.live %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x + 1 }}",
    "{% for tag in event.data.tags %}{{ loop.index }}: {{ tag }}{% else %}none{% endfor %}",
    "{% for n in range(3) %}{{ n + 1 }}{% endfor %}",
    "{% for key, value in event.data.more | items %}{{ key }}={{ value | default('-') }}{% endfor %}",
    "{% for letter in event.data.home if letter != 'a' %}{{ letter | upper }}{% endfor %}",
    "{% with name = event.data.scorer | default('x') %}{{ name | upper }}{% endwith %}",
    "{% filter upper %}{{ event.data.home }}{% endfilter %}",
    "{% macro hi(name) %}{{ name | default('Hey') }}{% endmacro %}{{ hi(event.data.scorer) }}",
    "{% macro hi(name, sign='!') %}{{ name ~ sign }}{% endmacro %}{{ hi(event.data.home, sign='?') }}",
    "{% macro box() %}[{{ caller() }}]{% endmacro %}{% call box() %}{{ event.data.home }}{% endcall %}",
    "{{ event.data.tags | join(', ') }} {{ event.data.tags | length }} {{ event.data.tags | first }}",
    "{{ event.data.tags | map('upper') | join(' ') }}",
    "{{ event.data.tags[0] }} {{ event.data.home[0] }} {{ event.data.home[:3] | upper }}",
    "{{ event.data.more | length }}",
    "{{ '%.2f' | format(event.data.price) }} {{ event.data.price | round(2) }} {{ event.data.price | int }}",
    "{{ event.data.minute ~ event.data.home }} {{ 'a' * 3 }} {{ event.data.home + '!' }}",
    "{{ event.data.home.upper() }} {{ event.data.home.split(' ') | first }} {{ event.data.home.startswith('F') }}",
    "{{ event.time.strftime('%H:%M') }} {{ now.isoformat() }} {{ (now - event.time).days }}",
    "{{ event.data.at }} {{ today }} {{ event.data.at > '2026-11-27' }}",
    "{{ {'free': 1, 'pro': 2}[user.attributes.plan] }}",
    "{{ user.attributes.plan == 'free' }} {{ user.attributes.plan in ['free', 'pro'] }}",
    "{{ 'goal' in event.data.home }}",
    "{{ 'FCB' in device.topics }} {{ event.data.minute in [1, 2] }}",
    "{{ previous.data.home if previous is defined else 'nobody' }}",
    "{{ previous.data.home | default('nobody') }}",
    "{% if previous is defined %}{{ previous.data.minute + 1 }}{% endif %}",
    "{% if previous.data.home is defined %}{{ previous.data.minute + 1 }}{% endif %}",
    "{{ event.subject }} {{ event.id }} {{ event.type | upper }}",
    "{{ 1 if event.data.live else 2 }}",
    "{{ event.data.minute is divisibleby(3) }} {{ event.data.home is string }}",
    "{{ (device.attributes.unread | default(0)) + 1 }}",
    "{{ not event.data.live }} {{ -event.data.minute }} {{ 7 // 2 }} {{ 7 % 2 }}",
    "{{ [event.data.home, event.data.away] | join(' - ') }}",
    "{# a comment #}plain",
    "{% raw %}{{ no.such.thing }}{% endraw %}",
]  # fmt: skip


@pytest.mark.parametrize("text", RIGHT)
def test_right_template_has_no_finding(text: str) -> None:
    assert said(text) == []


MISSING = [
    ("{{ event.data.scorer }}", "event.data.scorer"),
    ("{{ event.data.scorer | upper }}", "event.data.scorer"),
    ("{{ event.data.scorer ~ '!' }}", "event.data.scorer"),
    ("{{ event.data.goals + 1 }}", "event.data.goals"),
    ("{{ event.data.scorer.upper() }}", "event.data.scorer"),
    ("{{ event.data.scorer == 'x' }}", "event.data.scorer"),
    ("{% if event.data.scorer %}x{% endif %}", "event.data.scorer"),
    ("{{ event.data.scorer or 'x' }}", "event.data.scorer"),
    ("{% for letter in event.data.scorer %}x{% endfor %}", "event.data.scorer"),
    ("{{ event.data.home | replace('x', event.data.scorer) }}", "event.data.scorer"),
    ("{% if event.data.scorer is defined %}x{% endif %}{{ event.data.scorer }}", "event.data.scorer"),
    ("{% if event.data.scorer is defined or event.data.live %}{{ event.data.scorer }}{% endif %}", "event.data.scorer"),
    ("{% if event.data.scorer | default('x') %}{{ event.data.scorer }}{% endif %}", "event.data.scorer"),
    ("{% set who = event.data.scorer %}{{ who }}", "event.data.scorer"),
    ("{% set who = event.data.scorer %}{{ who }}{{ who }}", "event.data.scorer"),
    ("{{ event.data.home | default(event.data.url) ~ event.data.url }}", "event.data.url"),
    ("{{ event.data.scorer | default(event.data.url) }}", "event.data.url"),
    ("{{ previous.data.home }}", "previous.data.home"),
    ("{% if previous is defined %}{{ previous.data.scorer }}{% endif %}", "previous.data.scorer"),
    ("{{ user.locale }}", "user.locale"),
    ("{{ [event.data.scorer | upper] | join }}", "event.data.scorer"),
    ("{% macro hi(name) %}{{ name }}{% endmacro %}{{ hi(event.data.scorer) }}", "event.data.scorer"),
    ("{% macro hi(name) %}{{ name | upper }}{% endmacro %}{{ hi(name=event.data.scorer) }}", "event.data.scorer"),
    ("{% with name = event.data.scorer %}{{ name }}{% endwith %}", "event.data.scorer"),
]


@pytest.mark.parametrize(("text", "name"), MISSING)
def test_what_may_be_missing_is_an_error_where_it_is_read(text: str, name: str) -> None:
    assert said(text) == [f"error[may-be-missing] {name!r} '{name}' may be missing"]


WRONG = [
    ("{{ event.data.minute + event.data.home }}", "different-types", "event.data.minute + event.data.home",
     "`+` does not work with an integer and a text"),
    ("{{ event.data.home * event.data.away }}", "different-types", "event.data.home * event.data.away",
     "`*` does not work with a text"),
    ("{{ event.data.home - 1 }}", "different-types", "event.data.home - 1",
     "`-` does not work with a text and an integer"),
    ("{{ event.data.minute > '45' }}", "different-types", "event.data.minute > '45'",
     "`>` compares an integer with a text"),
    ("{{ event.data.home > 3 }}", "different-types", "event.data.home > 3", "`>` compares a text with an integer"),
    ("{{ event.data.home == 3 }}", "different-types", "event.data.home == 3", "`==` compares a text with an integer"),
    ("{{ now > '2026-11-27' }}", "different-types", "now > '2026-11-27'", "`>` compares an instant with a text"),
    ("{{ event.data.tags }}", "wrong-type", "event.data.tags", "a list is no text"),
    ("{{ event.data.more }}", "wrong-type", "event.data.more", "a mapping is no text"),
    ("{{ event.data.tags | map('upper') }}", "wrong-type", "event.data.tags | map('upper')",
     "what this gives is no text"),
    ("{{ event.data.home | abs }}", "wrong-type", "event.data.home | abs", "`abs` takes a number, not a text"),
    ("{{ event.data.minute | length }}", "wrong-type", "event.data.minute | length",
     "`length` takes a list or a mapping or a text, not an integer"),
    ("{{ event.data.minute | join }}", "wrong-type", "event.data.minute | join",
     "`join` takes a list or a mapping or a text, not an integer"),
    ("{{ event.data.home | round }}", "wrong-type", "event.data.home | round", "`round` takes a number, not a text"),
    ("{% for n in event.data.minute %}x{% endfor %}", "wrong-type", "event.data.minute",
     "a loop goes through a list, not through an integer"),
    ("{{ event.data.minute.upper() }}", "wrong-type", "event.data.minute.upper()", "an integer has no 'upper()'"),
    ("{{ event.data.home.uper() }}", "unknown-name", "event.data.home.uper()", "a text has no 'uper()'"),
    ("{{ event.data.home.split(1, 2, 3) | first }}", "wrong-arguments", "event.data.home.split(1, 2, 3)",
     "`split` takes 0 to 2 values, and this gives 3"),
    ("{{ event.data.home | replace('a') }}", "wrong-arguments", "event.data.home | replace('a')",
     "`replace` takes 2 values, and this gives 1"),
    ("{{ event.data.home | upper(1) }}", "wrong-arguments", "event.data.home | upper(1)",
     "`upper` takes no value, and this gives 1"),
    ("{{ event.data.home | truncate(lenght=3) }}", "wrong-arguments", "event.data.home | truncate(lenght=3)",
     "`truncate` has no 'lenght'"),
    ("{{ range() | join }}", "wrong-arguments", "range()", "`range` takes 1 to 3 values, and this gives 0"),
    ("{{ abort() }}", "wrong-arguments", "abort()", "`abort` takes 1 value, and this gives 0"),
    ("{{ event.data.minute is divisibleby }}", "wrong-arguments", "event.data.minute is divisibleby",
     "the test 'divisibleby' takes 1 value, and this gives 0"),
    ("{{ event.data.home is even }}", "wrong-type", "event.data.home is even",
     "'even' asks about a number, not a text"),
    ("{{ user.attributes.plan == 'fre' }}", "enum-value", "'fre'",
     "'fre' is never equal: the values are 'free', 'pro'"),
    ("{{ 1 / 0 }}", "wrong-type", "1 / 0", "this divides by zero"),
    ("{{ '%s' % event.data.home }}", "wrong-type", "'%s' % event.data.home", "`%` formats no text here"),
    ("{{ 3 in event.data.home }}", "different-types", "3 in event.data.home",
     "`in` looks for a text in a text, not for an integer"),
    ("{{ 'a' in event.data.minute }}", "wrong-type", "'a' in event.data.minute",
     "`in` looks into a text or a list, not into an integer"),
    ("{{ (event.data.scorer | default(0)) + 1 }}", "different-types", "(event.data.scorer | default(0)) + 1",
     "`+` does not work with a text and an integer"),
    ("{% set x = event.data.home %}{{ x + 1 }}", "different-types", "x + 1",
     "`+` does not work with a text and an integer"),
    ("{% macro m(x) %}{{ x + 1 }}{% endmacro %}{{ m(event.data.home) }}", "different-types", "x + 1",
     "`+` does not work with a text and an integer"),
    ("{% if event.data.live %}{% set x = 1 %}{% endif %}{{ x }}", "may-be-missing", "x",
     "'x' is not set on every way to here"),
    ("{{ (1 if event.data.live) + 1 }}", "may-be-missing", "1 if event.data.live",
     "this `if` has no `else`, so there may be no value"),
    ("{{ event.data.scroer }}", "unknown-name", "scroer", "there is no 'scroer' in 'event.data'"),
    ("{{ evnt.data.home }}", "unknown-name", "evnt", "there is no 'evnt'"),
    ("{{ event.data.home.length }}", "unknown-name", "length",
     "there is no 'length' in 'event.data.home'"),
    ("{{ [1, 2].a and 1 }}", "unknown-name", "[1, 2].a", "a list has no 'a'"),
    ("{{ event.data.home.upper().first }}", "unknown-name", "event.data.home.upper().first", "a text has no 'first'"),
    ("{{ now.upper() }}", "unknown-name", "now.upper()", "an instant has no 'upper()'"),
    ("{{ event.data.tags.upper() }}", "wrong-type", "event.data.tags.upper()", "a list has no 'upper()'"),
    ("{% set x = 1 %}{{ x() }}", "wrong-type", "x()", "'x' is an integer and cannot be called"),
    ("{{ event.data.minute[0] }}", "wrong-type", "event.data.minute[0]", "an integer has no parts"),
    ("{% for x in event.data.tags %}{% set n = x %}{% endfor %}{{ n }}", "unknown-name", "n", "there is no 'n' here"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "about", "message"), WRONG)
def test_what_cannot_be_right_is_an_error(text: str, code: str, about: str, message: str) -> None:
    assert said(text) == [f"error[{code}] {about!r} {message}"]


@pytest.mark.parametrize("text", ["{{ event.data.tags }}", "{{ event.data.more }}", "{{ event.data.tags | list }}"])
def test_expression_that_keeps_its_type_may_be_a_list_or_a_mapping(text: str) -> None:
    assert said(text, keeps_type=True) == []
    assert [one.code for one in findings(f"{text}!", keeps_type=True)] == ["wrong-type"]


def test_name_that_ended_with_its_loop_says_so() -> None:
    (found,) = findings("{% for x in event.data.tags %}{% set n = x %}{% endfor %}{{ n }}")
    assert found.hint == "it is set elsewhere in this text: what a loop, a `with` or a macro sets ends with it"


def test_what_nobody_declared_is_a_note_once_something_needs_it() -> None:
    names = Names(Schema.undeclared(), "goal", ROOTS)
    assert said("{{ event.data.x + 1 }}{{ event.data.y | default(1) }}", names) == [
        "note[may-be-missing] 'event.data.x' 'event.data.x' is not declared, so it may be missing"
    ]


def test_event_of_a_rule_that_people_start_may_be_missing() -> None:
    names = Names(SCHEMA, None, ROOTS)
    assert said("{{ event.data.home }}", names) == [
        "note[may-be-missing] 'event.data.home' 'event.data.home' is missing when the rule is fired without an event"
    ]
    assert said("{% if event is defined %}{{ event.id }}{% endif %}", names) == []


def test_user_of_a_device_of_nobody_is_missing() -> None:
    names = Names(SCHEMA, "goal", ROOTS, has_user=False)
    assert said("{{ user.attributes.plan }}", names) == [
        "note[may-be-missing] 'user.attributes.plan' 'user.attributes.plan' is missing for devices without a user"
    ]
    assert said("{% if user is defined %}{{ user.attributes.plan }}{% endif %}", names) == []


def test_key_has_an_answer_to_a_missing_value_but_not_to_a_name_that_is_not_set() -> None:
    names = Names(SCHEMA, "goal", ROOTS, missing_is_expected=True)
    assert said("{{ event.data.scorer }}", names) == []
    assert [one.code for one in findings("{% if event.data.live %}{% set x = 1 %}{% endif %}{{ x }}", names)] == [
        "may-be-missing"
    ]


def in_template(text: str, with_: Mapping[str, object]) -> list[str]:
    node = read_yaml(Source("rules/x.yaml", json.dumps(with_))).root
    values = read_with(node, NAMES, "en")
    assert values.findings == ()
    return said(text, Names(SCHEMA, "goal", ROOTS, with_types=values.types))


def test_values_of_with_have_the_types_that_the_rule_gives_them() -> None:
    assert in_template("{{ n + 1 }} {{ text | upper }} {{ who | upper }}",
                       {"n": 3, "text": {"en": "a", "de": "b"}, "who": "{{ event.data.home }}"}) == []  # fmt: skip
    assert in_template("{{ text + 1 }}", {"text": {"en": "a", "de": "b"}}) == [
        "error[different-types] 'text + 1' `+` does not work with a text and an integer"
    ]
    assert in_template("{{ list }}", {"list": ["a"]}) == ["error[wrong-type] 'list' a list is no text"]
    assert in_template("{{ map.b }}", {"map": {"aaaa": 1}}) == [
        "note[may-be-missing] 'map.b' 'map.b' is not declared, so it may be missing"
    ]


def test_value_of_with_that_may_be_missing_is_a_matter_of_who_reads_it() -> None:
    who = {"who": "{{ event.data.scorer }}"}
    assert in_template("{{ who | default('x') }}", who) == []
    assert in_template("{{ who }}", who) == [
        "error[may-be-missing] 'event.data.scorer' 'event.data.scorer' may be missing"
    ]


FILES = {
    "money.j2": "{% macro price(amount, sign='€') %}{{ '%.2f' | format(amount) }} {{ sign }}{% endmacro %}"
    "{% macro next(n) %}{{ n + 1 }}{% endmacro %}{% set unit = 'EUR' %}",
    "greet.j2": "{% macro hi() %}{{ user.attributes.first_name }}{% endmacro %}",
    "part.j2": "{{ event.data.scorer }}",
    "of_x.j2": "{% macro of_x() %}{{ x }}{% endmacro %}{{ x + 1 }}",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{% from "money.j2" import price %}{{ price(event.data.price) }}', []),
        ('{% from "money.j2" import unit %}{{ unit | upper }}', []),
        ('{% import "money.j2" as money %}{{ money.price(event.data.price, sign="$") }}', []),
        ('{% from "money.j2" import next %}{{ next(event.data.home) }}',
         ["error[different-types] 'n + 1' `+` does not work with a text and an integer"]),
        ('{% import "money.j2" as m %}{{ m.next(event.data.goals) }}',
         ["error[may-be-missing] 'event.data.goals' 'event.data.goals' may be missing"]),
        ('{% from "greet.j2" import hi with context %}{{ hi() }}',
         ["error[may-be-missing] 'user.attributes.first_name' 'user.attributes.first_name' may be missing"]),
        ('{% set x = 1 %}{% include "of_x.j2" %}', []),
        ('{% set x = "1" %}{% include "of_x.j2" %}',
         ["error[different-types] 'x + 1' `+` does not work with a text and an integer"]),
        ('{% set x = 1 %}{% from "of_x.j2" import of_x with context %}{{ of_x() }}',
         ["error[unknown-name] 'x' there is no 'x'"]),
        ('{% include "part.j2" %}', ["error[may-be-missing] 'event.data.scorer' 'event.data.scorer' may be missing"]),
    ],
)  # fmt: skip
def test_macro_is_checked_with_what_it_is_given(text: str, found: list[str]) -> None:
    assert said(text, Names(SCHEMA, "goal", ROOTS, macros=macro_files(FILES))) == found


def test_macros_that_call_macros_without_end_are_gone_into_so_often_and_no_more() -> None:
    chain = "".join(
        f"{{% macro m{n}() %}}{{{{ m{n - 1}() }}}}{{{{ m{n - 1}() }}}}{{% endmacro %}}" for n in range(1, 40)
    )
    text = "{% macro m0() %}x{% endmacro %}" + chain + "{{ m39() }}"
    assert said(text) == []


def test_every_filter_test_function_and_method_of_the_sandbox_has_a_signature() -> None:
    hidden = {AS_JSON, BOUNDED, COUNTED, JOINED}
    assert set(FILTERS) == set(ENVIRONMENT.filters) - hidden
    assert set(FUNCTIONS) == set(ENVIRONMENT.functions)
    assert set(TEST_ARGUMENTS) | NUMBER_TESTS | PATIENT_TESTS <= set(ENVIRONMENT.tests)
    assert set(METHODS[Kind.TEXT]) == {name for name in dir(str) if ENVIRONMENT.is_safe_attribute("", name, None)}
