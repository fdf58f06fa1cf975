"""The guard of the one place that touches Jinja's privates: offsets in nodes, in errors and at run time."""

from __future__ import annotations

import jinja2
import pytest
from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scheduler.conditions.jinja_positions import (
    Extents,
    OffsetEnvironment,
    error_offset,
    offset_of,
    parse_expression,
    runtime_places,
)

ENVIRONMENT = OffsetEnvironment(undefined=jinja2.StrictUndefined)


class SandboxedOffsets(OffsetEnvironment, ImmutableSandboxedEnvironment):
    pass


def test_installed_jinja_is_the_one_that_the_offsets_were_tried_with() -> None:
    assert jinja2.__version__.startswith("3.1.")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a", "a"),
        ("  a.b . c  ", "a.b . c"),
        ("a.b == 'x'  and  c", "a.b == 'x'  and  c"),
        ("(a + b) > c.d", "a + b) > c.d"),
        ("x in ['p', 'q' ]", "x in ['p', 'q' ]"),
        ("x not in y", "x not in y"),
        ("not (x)", "not (x"),
        ("x | default(0)", "x | default(0)"),
        ("x | default( (1) , true ) ", "x | default( (1) , true )"),
        ("a.x is not defined", "a.x is not defined"),
        ("f('a', b)", "f('a', b)"),
        ("x['k ey']", "x['k ey']"),
        ("'a' 'b'", "'a' 'b'"),
        ("-1_000", "-1_000"),
        ("a < b <= c", "a < b <= c"),
        ("a or b or c or d", "a or b or c or d"),
        ("\n  a\n  == 1", "a\n  == 1"),
    ],
)
def test_extent_of_a_node_is_its_text(text: str, whole: str) -> None:
    start, end = Extents(ENVIRONMENT, text).of(parse_expression(ENVIRONMENT, text))
    assert text[start:end] == whole


def test_extent_of_every_inner_node_is_its_text() -> None:
    text = "event.data.n + 1 > (user.attributes.x | default(0)) and 'é' in device.topics"
    extents = Extents(ENVIRONMENT, text)
    tree = parse_expression(ENVIRONMENT, text)
    names = [text[slice(*extents.of(node))] for node in tree.find_all(nodes.Getattr)]
    assert set(names) == {
        "event.data", "event.data.n", "user.attributes", "user.attributes.x", "device.topics"
    }  # fmt: skip
    compared = [text[slice(*extents.of(node))] for node in tree.find_all(nodes.Compare)]
    assert compared == ["event.data.n + 1 > (user.attributes.x | default(0)", "'é' in device.topics"]


def test_first_character_has_offset_zero() -> None:
    assert offset_of(parse_expression(ENVIRONMENT, "a")) == 0


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a == ", 4, "unexpected 'end of template'"),
        ("a = 1", 2, "unexpected '='"),
        ("a && b", 2, "unexpected char '&' at 2"),
        ("a == 1)", 6, "unexpected ')'"),
        ("(a ==\n 1", 8, "unexpected end of template, expected ')'."),
        ("a b", 2, "unexpected 'b'"),
        ("a == 'x", 5, 'unexpected char "\'" at 5'),
    ],
)
def test_syntax_error_points_at_its_character(text: str, offset: int, message: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        parse_expression(ENVIRONMENT, text)
    assert (error_offset(caught.value), caught.value.message) == (offset, message)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("ab {{ c }} {{ d + }}", 18),
        ("ab {%- if x %}\n {{ y }} {% endfor %}", 27),
        ("{# open", 2),
        ("x {{ a ? b }}", 7),
        ("{% raw %}{{ {% endraw %}{{ ) }}", 27),
    ],
)
def test_syntax_error_in_a_template_points_at_its_character(text: str, offset: int) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        ENVIRONMENT.from_string(text)
    assert error_offset(caught.value) == offset


@pytest.mark.parametrize("environment", [ENVIRONMENT, SandboxedOffsets(undefined=jinja2.StrictUndefined)])
@pytest.mark.parametrize(
    ("text", "offset"),
    [("{{ a }} {{ b }}", 3), ("ok {{ 1 }}{{ b.c }}", 14), ("x\n {%- if n %}\n  {{ 1 }}\n{{ missing }}{% endif %}", 28)],
)
def test_runtime_error_points_at_the_output_that_failed(environment: OffsetEnvironment, text: str, offset: int) -> None:
    template = environment.from_string(text)
    with pytest.raises(jinja2.UndefinedError) as caught:
        template.render(n=1)
    assert runtime_places(caught.value)[-1] == offset
    assert template.root_render_func is not None
    with pytest.raises(jinja2.UndefinedError) as direct:
        "".join(template.root_render_func(template.new_context({"n": 1})))
    assert runtime_places(direct.value) == [offset]


def test_error_without_a_template_has_no_place() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 // 0
    assert runtime_places(caught.value) == []


def test_templates_render_as_with_stock_jinja() -> None:
    text = "a\r\n{%- for i in [1, 2] -%} {{ i }}\n{% raw %}{{ x }}{% endraw %}{# c #}{% endfor %}\n"
    assert ENVIRONMENT.from_string(text).render() == jinja2.Environment().from_string(text).render()


def test_depth_is_that_of_the_deepest_bracket() -> None:
    assert Extents(ENVIRONMENT, "(a) + [1, (2)]").depth() == (2, 10)
