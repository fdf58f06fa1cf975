"""What `check` works out without code is what the code gives, and what it takes for plain becomes code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.random_templates import expressions, scopes, templates

from scheduler.rendering import unfused as unfused_module
from scheduler.rendering.fusing import Fused, Texts, Uncompilable, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.paths import look_up
from scheduler.rendering.plain import FILTERS
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.unfused import Unfused, unfused

SCOPE = {
    "event": {"data": {"t": "FCB", "n": 7, "f": 1.5, "b": True, "l": ["a", "b"], "o": {"a": 1}}, "subject": "s"},
    "user": {"attributes": {"plan": "free"}},
}
PLAIN = {
    "{{ event.data.t }}–{{ event.data.n }}": "FCB–7",
    "{{ user.attributes.nick | default('Hey') }}!": "Hey!",
    "{{ (device.attributes.unread | default(0)) + 1 }}": "1",
    "{{ event.data.t | upper | replace('F', 'x') }}": "xCB",
    "{{ event.data.l[0] }}": "a",
    "{{ 'x' if event.data.n > 3 and not event.data.b }}": "",
    "{{ event.data.t in ['FCB'] or 3 < event.data.n < 5 }}": "True",
    "{{ event.data.t ~ event.data.n }}": "FCB7",
    "{{ -event.data.n % 4 }}": "1",
    "{{ event.data.n is even }}": "False",
    "{% if event.data.x is defined %}a{% elif event.data.b %}b{{ event.data.n }}{% else %}c{% endif %}": "b7",
    "{{ '%.2f' | format(event.data.f) }}": "1.50",
    "{{ headline }} {{ greeting }}": "Goal! Hello FCB",
    "{{ headline if greeting == 'x' else event.data.f }}": "1.5",
}
FOR_CODE = [
    "{{ event.data.l | join('-') }}",
    "{{ event.data.t.strip() }}",
    "{{ 1 + 2 }}",
    "{{ headline | upper }}",
    "{% set x = event.data.t %}{{ x }}",
    "{% for x in event.data.l %}{{ x }}{% endfor %}",
    "{{ abort('a') if event.data.b }}",
    "{{ " + "(" * 30 + "event.data.n" + " + 1)" * 30 + " }}",
    "{{ [event.data.n] }}",
    "{{ 1e999 if event.data.b else 1 }}",
    "{% if event.data.b %}" + "{% elif event.data.n == 1 %}x" * 30 + "{% endif %}",
]
"""What only code can say, or what may not become code."""
WITH = {"headline": "Goal!"}
COMPUTED = {"greeting": LeafText("with.greeting", "Hello {{ event.data.t }}")}


def one(text: str, *, as_json: bool = False) -> Texts:
    return Texts((LeafText("x", text, as_json),), WITH, COMPUTED)


def values_for(function: Fused | Unfused, scope: Mapping[str, object]) -> dict[str, object]:
    return {
        name: absent if (value := look_up(scope, path)) is None else value
        for name, path, absent in zip(function.names, function.paths, function.absent, strict=True)
    }


def rendered(function: Fused | Unfused, scope: Mapping[str, object]) -> list[str] | RenderFailure | Aborted:
    return function.render(values_for(function, scope))


@pytest.mark.parametrize(("text", "expected"), PLAIN.items())
def test_plain_text_is_worked_out(text: str, expected: str) -> None:
    (function,) = unfused([one(text)])
    assert isinstance(function, Unfused)
    assert function.worked_out(values_for(function, SCOPE)) == [expected]
    assert rendered(fuse([one(text)])[0], SCOPE) == [expected]


@pytest.mark.parametrize("text", FOR_CODE)
def test_other_text_is_fused_at_once(text: str) -> None:
    assert isinstance(unfused([one(text)])[0], Fused)


def test_plain_text_is_not_compiled_before_something_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfused_module, "fuse", lambda *_: pytest.fail("code was made"))
    (function,) = unfused([one("{{ event.data.t }}")])
    assert rendered(function, SCOPE) == ["FCB"]


@pytest.mark.parametrize("text", ["{{ event.data.missing }}", "{{ event.data.t + 1 }}", "{{ event.data.l }}"])
def test_failure_is_the_one_of_the_code(text: str) -> None:
    (function,), (fused,) = unfused([one(text)]), fuse([one(text)])
    assert isinstance(function, Unfused)
    assert isinstance(rendered(function, SCOPE), RenderFailure)
    assert rendered(function, SCOPE) == rendered(fused, SCOPE)


@pytest.mark.parametrize("value", ["a\0b", "x" * 65_536])
def test_what_is_bounded_in_code_is_bounded_without(value: str) -> None:
    scope = {"event": {"data": {"t": value}}}
    (function,), (fused,) = unfused([one("{{ event.data.t }}")]), fuse([one("{{ event.data.t }}")])
    assert isinstance(rendered(function, scope), RenderFailure)
    assert rendered(function, scope) == rendered(fused, scope)


def test_steps_are_counted_without_code_too() -> None:
    text = "{{ event.data.t | upper | length }}" * 11
    scope = {"event": {"data": {"t": "x" * 65_000}}}
    (function,), (fused,) = unfused([one(text)]), fuse([one(text)])
    assert rendered(function, scope) == rendered(fused, scope)
    assert isinstance(rendered(function, scope), RenderFailure)


def test_text_that_cannot_become_code_is_refused_as_before() -> None:
    with pytest.raises(Uncompilable):
        unfused([one("{{ event.data.t }}{{ {}.a and 1 }}")])


OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "not in", "+", "-", "*", "/", "//", "%", "~", "and", "or"]
PAIRS: list[tuple[object, object]] = [
    (1, 2), (2, 2), (2, 1), (0, 7), (-7, 2), (1.5, 1.5), ("a", "ba"), ("ba", "a"), ("", "x"), (True, False), (3, "ab"),
    (["a"], ["a", "b"]), ("a", ["a"]), ([], {}), (None, 1), ("Ab c", None),
]  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    [
        *(f"event.data.a {one} event.data.b" for one in OPERATORS),
        *(f"event.data.a | {one}" for one in sorted(FILTERS)),
        *(f"event.data.a | {one}(event.data.b)" for one in sorted(FILTERS)),
        *(f"event.data.a is {one}" for one in sorted(ENVIRONMENT.tests) if one.isalpha()),
        *(f"event.data.a is {one}(event.data.b)" for one in sorted(ENVIRONMENT.tests) if one.isalpha()),
        "not event.data.a",
        "-event.data.a",
        "event.data.a if event.data.b else 'x'",
        "event.data.a < event.data.b < 3",
    ],
)
def test_each_operator_filter_and_test_does_what_it_does_in_code(expression: str) -> None:
    (function,), (fused,) = (make([one(f"{{{{ {expression} }}}}", as_json=True)]) for make in (unfused, fuse))
    assert isinstance(function, Unfused)
    for first, second in PAIRS:
        scope = {"event": {"data": {"a": first, "b": second}}}
        texts = function.worked_out(values_for(function, scope))
        expected = rendered(fused, scope)
        assert texts == (expected if isinstance(expected, list) else None), (first, second)


leaves = st.one_of(
    templates(unsure=True), expressions(unsure=True).map("{{{{ {} }}}}".format), st.sampled_from([*PLAIN])
)


@st.composite
def variants(draw: st.DrawFn) -> list[Texts]:
    """One to three variants that share some leaves, with constant and computed values of `with`."""
    pool = draw(st.lists(leaves, min_size=1, max_size=3))
    constants = st.sampled_from(["Goal!", "", 3, 1.5, True, None, ["a"], {"a": "b"}])
    return [
        Texts(
            tuple(
                LeafText(f"leaf[{number}]", text, parsed(text).expression is not None and draw(st.booleans()))
                for number, text in enumerate(draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3)))
            ),
            {"headline": draw(constants)},
            {"greeting": LeafText("with.greeting", draw(leaves))} if draw(st.booleans()) else {},
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


@given(variants(), st.lists(scopes, min_size=1, max_size=3))
def test_what_is_worked_out_is_what_the_code_gives(texts: list[Texts], people: list[dict[str, Any]]) -> None:
    try:
        functions = unfused(texts)
    except Uncompilable:
        event("not compilable")
        return
    for function, fused in zip(functions, fuse(texts), strict=True):
        assert set(function.paths) == set(fused.paths)
        for scope in people:
            if isinstance(function, Unfused):
                event("worked out" if function.worked_out(values_for(function, scope)) else "plain, and failed")
            assert rendered(function, scope) == rendered(fused, scope)
