"""What a payload template makes of the names it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import has_errors
from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import Node
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.fusing import Texts, fuse
from scheduler.rendering.leaf_texts import LeafText
from scheduler.rendering.names import Names
from scheduler.rendering.paths import look_up
from scheduler.rendering.payload import PayloadTemplate, compile_payload
from scheduler.rendering.renderer import Renderer
from scheduler.rendering.results import Aborted, RenderFailure, TooLarge
from scheduler.rendering.with_values import read_with

ROOTS = frozenset({"event", "previous", "user", "device", "now", "today"})
NAMES = Names(Schema.undeclared(), "com.example.goal", ROOTS)


def tree(text: str) -> Node:
    file = read_yaml(Source("templates/x.yaml", text))
    assert file.root is not None, file.findings
    return file.root


def payload(base: str, *, with_: str = "{}", **overlays: str) -> PayloadTemplate:
    by_locale = {name.replace("_", "-"): tree(text) for name, text in overlays.items()}
    compiled, findings = compile_payload(tree(base), by_locale, read_with(tree(with_), NAMES, "en"), NAMES, "en")
    assert compiled is not None, as_text(findings)
    return compiled


def title(value: str) -> PayloadTemplate:
    return payload(json.dumps({"aps": {"alert": {"title": value}}}))


def rendered(template: PayloadTemplate, scope: Mapping[str, object], locale: str | None = None) -> object:
    result = template.render(locale, scope)
    assert isinstance(result, bytes), result
    return json.loads(result)


def text_of(value: str, **scope: object) -> object:
    content = rendered(title(value), scope)
    assert isinstance(content, dict)
    return content["aps"]["alert"]["title"]


def own(value: str, **scope: object) -> object:
    content = rendered(payload(json.dumps({"aps": {"alert": "A"}, "own": value})), scope)
    assert isinstance(content, dict)
    return content["own"]


def failure(template: PayloadTemplate, **scope: object) -> str:
    result = template.render(None, scope)
    assert isinstance(result, RenderFailure), result
    return str(result)


def test_keys_with_dots_are_no_paths() -> None:
    template = payload(json.dumps({"aps": {"alert": "A"}, "a.b": "{{ user.id }}", "a": {"b": "{{ user.id }}"}}))
    assert rendered(template, {"user": {"id": "u"}}) == {"aps": {"alert": "A"}, "a.b": "u", "a": {"b": "u"}}


def test_payload_is_compact_json_in_utf_8_without_html_escapes() -> None:
    result = title("{{ user.id }} & <b>").render(None, {"user": {"id": "Zoë"}})
    assert result == '{"aps":{"alert":{"title":"Zoë & <b>"}}}'.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.text('\\"\n{}%#,:[]', max_size=8))
def test_any_text_comes_out_as_it_went_in(name: str, more: str) -> None:
    template = payload('{aps: {alert: {title: "a {{ user.id }}", body: "{{ event.subject }}"}}, own: "{{ user.id }}"}')
    content = rendered(template, {"user": {"id": name}, "event": {"subject": more}})
    assert content == {"aps": {"alert": {"title": f"a {name}", "body": more}}, "own": name}


def test_missing_variable_fails_with_leaf_and_name() -> None:
    template = payload('{aps: {alert: {title: "{{ user.id }}", body: "Hi {{ user.attributes.first_name }}"}}}')
    result = template.render(None, {"user": {"id": "u", "attributes": {}}})
    assert result == RenderFailure(
        "aps.alert.body", "user.attributes.first_name is missing", "user.attributes.first_name"
    )


@pytest.mark.parametrize("user", [None, {}, {"attributes": None}, {"attributes": {"first_name": None}}])
def test_null_is_missing_and_missing_passes_through_dots(user: object) -> None:
    assert text_of("{{ user.attributes.first_name | default('Hey') }}", user=user) == "Hey"
    assert text_of("{{ 'no' if user.attributes.first_name is not defined else 'yes' }}", user=user) == "no"
    said = failure(title("{{ user.attributes.first_name }}"), user=user)
    assert said == "aps.alert.title: user.attributes.first_name is missing"


def test_default_with_true_catches_the_empty_text_too() -> None:
    assert text_of("{{ user.id | default('x', true) }}", user={"id": ""}) == "x"
    assert text_of("-{{ user.id | default('x') }}", user={"id": ""}) == "-"


def test_a_mapping_has_keys_and_no_methods() -> None:
    event = {"data": {"items": 3, "keys": "k"}}
    assert text_of("{{ event.data.items }}{{ event.data.keys }}", event=event) == "3k"
    assert failure(title("{{ event.data.values }}"), event=event) == "aps.alert.title: event.data.values is missing"


def test_null_inside_a_list_is_missing_too() -> None:
    event = {"data": {"list": [None, {"name": None}]}}
    looped = "{% for one in event.data.list %}{{ one.name | default('-') }}{% endfor %}"
    assert text_of(looped, event=event) == "--"
    said = failure(title("{% for one in event.data.list %}{{ one }}{% endfor %}"), event=event)
    assert said == "aps.alert.title: a value is missing"


@pytest.mark.parametrize("value", [3, 2.5, True, "text", "3", [1, {"a": None}], {"a": [1]}])
def test_own_leaf_of_one_expression_keeps_its_type(value: object) -> None:
    assert own("{{ event.data.x }}", event={"data": {"x": value}}) == value


def test_own_leaf_with_more_around_it_is_text_and_string_forces_text() -> None:
    event = {"data": {"x": 3}}
    assert own("{{ event.data.x }} ", event=event) == "3 "
    assert own("{{ event.data.x | string }}", event=event) == "3"


def test_aps_leaves_take_the_types_of_their_fields() -> None:
    template = payload(
        """
        aps:
          alert: {title: 2026, subtitle: no, loc-args: ["{{ event.data.n }}", 7]}
          badge: "{{ event.data.text }}"
          sound: {critical: 1, name: default, volume: 0.5}
          relevance-score: "{{ event.data.share }}"
          content-available: 1
        """
    )
    assert rendered(template, {"event": {"data": {"n": 3, "text": "12", "share": 0.25}}}) == {
        "aps": {
            "alert": {"title": "2026", "subtitle": "no", "loc-args": ["3", "7"]},
            "badge": 12,
            "sound": {"critical": 1, "name": "default", "volume": 0.5},
            "relevance-score": 0.25,
            "content-available": 1,
        }
    }


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ("badge", "aps.badge: must be a whole number from 0, not '-1'"),
        ("relevance-score", "aps.relevance-score: must be a number from 0 to 1, not '-1'"),
        ("mutable-content", "aps.mutable-content: must be the number 1, not '-1'"),
        (
            "interruption-level",
            "aps.interruption-level: must be passive, active, time-sensitive or critical, not '-1'",
        ),
    ],
)
def test_rendered_value_of_a_wrong_type_fails_with_its_leaf(leaf: str, said: str) -> None:
    template = payload(f'{{aps: {{alert: A, {leaf}: "{{{{ event.data.x }}}}"}}}}')
    assert failure(template, event={"data": {"x": -1}}) == said


def test_omit_leaves_out_the_key_of_an_empty_leaf() -> None:
    template = payload(
        """
        aps: {alert: {title: A, subtitle: "{{ user.id | omit }}", body: "{{ event.data.b | omit }}"}}
        first: "{{ event.data.none | omit }}"
        list: ["{{ event.data.none | omit }}", "{{ event.data.n | omit }}"]
        """
    )
    scope = {"user": {"id": ""}, "event": {"data": {"n": 0, "b": "x"}}}
    assert rendered(template, scope) == {"aps": {"alert": {"title": "A", "body": "x"}}, "list": [0]}


def test_abort_suppresses_with_its_reason() -> None:
    template = title("{% if event.data.minute > 90 %}{{ abort('too_late') }}{% endif %}Goal")
    assert template.render(None, {"event": {"data": {"minute": 91}}}) == Aborted("too_late")
    assert rendered(template, {"event": {"data": {"minute": 90}}}) == {"aps": {"alert": {"title": "Goal"}}}


def test_inline_if_without_else_is_the_empty_text() -> None:
    assert text_of("A{{ '!' if event.data.big is defined }}", event={"data": {}}) == "A"


def test_a_leaf_sets_names_for_itself_alone() -> None:
    template = payload(
        """
        aps:
          alert:
            title: "{% set x = 1 %}{{ x }}{% macro m(y) %}<{{ y }}{{ user.id }}>{% endmacro %}{{ m(2) }}"
            body: "{% set x = 'b' %}{% for x in [5] %}{{ x }}{% endfor %}{{ x }}"
        """
    )
    assert rendered(template, {"user": {"id": "u"}}) == {"aps": {"alert": {"title": "1<2u>", "body": "5b"}}}


def test_nul_in_a_value_cannot_shift_leaves() -> None:
    template = payload('{aps: {alert: {title: "{{ user.id }}", body: "{{ event.subject }}"}}}')
    said = failure(template, user={"id": "a\0b"}, event={"subject": "s"})
    assert said == "payload: a value contains a NUL character"


def test_half_a_surrogate_pair_fails_with_its_leaf() -> None:
    assert failure(title("{{ user.id }}"), user={"id": "a\ud800"}) == (
        "aps.alert.title: the text contains half of a surrogate pair"
    )


def test_locale_falls_back_step_by_step_to_the_base() -> None:
    template = payload(
        '{aps: {alert: {title: base, body: "{{ user.id }}"}, sound: default}, list: [1, 2]}',
        de="{aps: {alert: {title: de}}, list: [3]}",
        de_AT="{aps: {alert: {body: at}, sound: null}}",
    )
    scope = {"user": {"id": "u"}}
    base = {"aps": {"alert": {"title": "base", "body": "u"}, "sound": "default"}, "list": [1, 2]}
    german = {"aps": {"alert": {"title": "de", "body": "u"}, "sound": "default"}, "list": [3]}
    austrian = {"aps": {"alert": {"title": "de", "body": "at"}}, "list": [3]}
    for locale, expected in [(None, base), ("fr-FR", base), ("no locale!", base), ("de", german), ("de_CH", german),
                             ("de-AT", austrian), ("de-at-1996", austrian)]:  # fmt: skip
        assert rendered(template, scope, locale) == expected


def test_with_values_are_constants_localised_texts_or_templates() -> None:
    template = payload(
        """
        aps: {alert: {title: "{{ headline }} {{ who }}", body: "{{ link.path }}"}}
        score: "{{ score }}"
        """,
        with_="""
        headline: {en: "Goal!", de: "Tor!", de-AT: "Tooor, {{ event.data.home }}!"}
        who: "by {{ event.data.scorer }}"
        score: "{{ event.data.n + 1 }}"
        link: {path: /x}
        unused: "{{ event.data.nothing }}"
        """,
    )
    scope = {"event": {"data": {"scorer": "S", "n": 2, "home": "H"}}}
    for locale, headline in [("fr", "Goal!"), ("de", "Tor!"), ("de-AT", "Tooor, H!"), (None, "Goal!")]:
        expected = {"aps": {"alert": {"title": f"{headline} by S", "body": "/x"}}, "score": 3}
        assert rendered(template, scope, locale) == expected


def test_failure_in_a_with_value_names_it() -> None:
    template = payload('{aps: {alert: "{{ who }}"}}', with_='{who: "by {{ event.data.scorer }}"}')
    assert failure(template, event={"data": {}}) == "with.who: event.data.scorer is missing"


def test_variables_are_whole_paths_and_constants_are_none() -> None:
    template = payload(
        '{aps: {alert: "{{ headline }} {{ event.data.list[0].name }} {{ event.subject.upper() }}"}}',
        with_="{headline: {en: Goal, de: Tor}}",
    )
    assert template.variables == ("event.data.list.0.name", "event.subject")
    assert not template.is_personal
    assert title("{{ device.id }}").is_personal


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__ }}",
        "{{ event.data.x.__class__ }}",
        "{{ ('a' * 100000) }}",
        "{{ 'a'.ljust(100000) }}",
        "{{ 'a'.format() }}",
        "{{ '%099999d' % 1 }}",
        "{{ '%099999d' | format(1) }}",
        "{{ '%*d' | format(99999, 1) }}",
        "{{ range(100000) | list | length }}",
        "{{ 'aaaaaaaaaa' | replace('a', 'b' * 100) | replace('b', 'c' * 100) | replace('c', 'd' * 100) }}",
        "{% set x = 'a' * 1000 %}" + "{% set x = x ~ x %}" * 40 + "{{ x | length }}",
        "{% set x = 'a' * 1000 %}" + "{% set x = x + x %}" * 40 + "{{ x | length }}",
        "{% set x = 'a' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x | length }}",
        "{{ 10 * 99999999999999999 * 99999999999999999 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}",
        "{{ event.data.list.append(1) }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x | string }}",
        "{% set x = {} %}" + "{% set x = {'a': x, 'b': (x, x)} %}" * 40 + "{{ x | upper }}",
        "{{ 1 | round(9999999, 'ceil') }}",
    ],
)
def test_attack_ends_in_a_failure(attack: str) -> None:
    (fused,) = fuse([Texts((LeafText("aps.alert.title", attack),))])  # past `check`, which sees through some of them
    scope = {"event": {"data": {"x": "y", "list": []}}}
    result = fused.render({
        name: absent if (value := look_up(scope, path)) is None else value
        for name, path, absent in zip(fused.names, fused.paths, fused.absent, strict=True)
    })  # fmt: skip
    assert isinstance(result, RenderFailure), result
    assert result.leaf == "aps.alert.title"


def test_renderer_gives_what_single_renders_give() -> None:
    template = payload(
        '{aps: {alert: "{{ user.attributes.x | default(0) }}/{{ device.id }}"}, own: "{{ event.data.n }}"}',
        de='{aps: {alert: "{{ user.attributes.x }}"}}',
    )
    fixed = {"event": {"data": {"n": 1}}}
    values = [1, True, 1.0, "1", None, [1], {"a": 1}, "", 0, False]
    devices = [
        (locale, {"attributes": {"x": value}}, {"id": 7}) for value in values for locale in (None, "de", "de-AT", "fr")
    ]
    devices.append((None, None, {"id": 7}))
    expected = [template.render(locale, {**fixed, "user": u, "device": d}) for locale, u, d in devices]
    assert Renderer(template, fixed).render_many([(*device, None) for device in devices * 2]) == expected * 2


def test_today_is_the_date_of_each_device() -> None:
    template = title("{{ today }} {{ today | length }}")
    devices = [(None, None, None, "2026-11-24"), (None, {}, {}, "2026-11-25"), (None, None, None, None)]
    first, second, none = Renderer(template, {}).render_many(devices)
    assert first == b'{"aps":{"alert":{"title":"2026-11-24 10"}}}'
    assert second == b'{"aps":{"alert":{"title":"2026-11-25 10"}}}'
    assert none == RenderFailure("aps.alert.title", "today is missing", "today")


def test_devices_that_agree_share_one_render() -> None:
    first, second, other = Renderer(title("{{ user.id }}"), {}).render_many(
        [("en", {"id": "a" * 40}, None, None), (None, {"id": "a" * 40}, {}, None), (None, {"id": "b"}, None, None)]
    )
    assert first is second
    assert other != first


def test_payload_over_the_limit_is_too_large_with_its_size() -> None:
    renderer = Renderer(title("{{ user.id }}"), {}, limit=40)
    small, large = renderer.render_many([(None, {"id": one * 10}, None, None) for one in "aä"])
    assert isinstance(small, bytes)
    assert len(small) == 40
    assert large == TooLarge(50, 40)


def test_findings_point_into_folded_text() -> None:
    text = "aps:\n  alert:\n    title: >-\n      {{ event.subject }}\n      {{ nobody.id }}\n"
    compiled, findings = compile_payload(tree(text), {}, read_with(None, NAMES, "en"), NAMES, "en")
    assert compiled is None
    assert has_errors(findings)
    assert [(str(one.span), one.message) for one in findings] == [("templates/x.yaml:5:10", "there is no 'nobody'")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ event.data.a }}", ["event.data.a"]),
        ("{{ event.data.a | default(event.data.b) }}", ["event.data.b"]),
        ("{{ event.data.a if event.data.a is defined else event.data.b }}", ["event.data.b"]),
        ("{% if event.id is not defined %}{{ event.data.z }}{% else %}{{ event.id }}{% endif %}", ["event.data.z"]),
        ("{% if event.data.a is defined and event.data.a > 1 %}{{ event.data.a }}{% endif %}", []),
        ("{% if event.data.a is not defined or event.data.a > 1 %}x{% endif %}", []),
        ("{{ event.data.a | omit }}", []),
        ("{{ event.data.a.b | default(1) }}", []),
        ("{% if event.data.a.b is defined %}{{ event.data.a.c }}{% endif %}", ["event.data.a.c"]),
    ],
)  # fmt: skip
def test_undeclared_names_that_nobody_guards_are_notes(text: str, found: list[str]) -> None:
    _, findings = compile_payload(
        tree(json.dumps({"aps": {"alert": text}})), {}, read_with(None, NAMES, "en"), NAMES, "en"
    )
    assert [one.message for one in findings] == [f"'{name}' is not declared, so it may be missing" for name in found]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ event.id" + " | upper" * 300 + " }}", "the template is nested over 50 levels"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "the template is nested over 50 levels"),
        ("{% if 1 %}" * 120 + "{% endif %}" * 120, "the template is nested over 50 levels"),
        (
            "{% macro m(caller) %}{{ caller() }}{% endmacro %}",
            'when defining macros or call blocks the special "caller" argument must be omitted or be given a default',
        ),
    ],
)
def test_what_cannot_become_code_is_a_finding(text: str, said: str) -> None:
    leaves = {"aps": {"alert": {"title": "{{ event.subject }}", "body": text}}}
    compiled, findings = compile_payload(tree(json.dumps(leaves)), {}, read_with(None, NAMES, "en"), NAMES, "en")
    assert compiled is None
    assert [one.message.lower() for one in findings] == [said.lower()]


def test_numbers_round_as_in_jinja() -> None:
    assert (
        text_of("{{ 2.345 | round(2, 'floor') }} {{ 2.341 | round(2, 'ceil') }} {{ 2.7 | round | int }}")
        == "2.34 2.35 3"
    )
    assert text_of("{{ '%.2f' | format(9.5) }}") == "9.50"
