"""Templates that cannot be parsed: what is said, where, and the way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError

from scheduler.rendering.sandbox import ENVIRONMENT
from scheduler.rendering.syntax_problems import Explanation, explained

PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", " ", "if", "endif", "for", "in", "set", "end", "else", "a", ".", "|", "'",
          '"', "(", ")", "[", "]", "{", "}", "=", "1", "-", "\n", "é", "macro", "raw"]  # fmt: skip


def explanation_of(text: str) -> Explanation | None:
    try:
        ENVIRONMENT.parse(text)
    except TemplateSyntaxError as problem:
        return explained(text, problem)
    return None


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("Goal by {{ event.data.home", "{{", "this `{{` is never closed", "add `}}` where it ends"),
        ("{{ a }} {% for x in y %}{{ x }}{% endfor", "{%", "this `{%` is never closed", "add `%}` where it ends"),
        ("{# to do", "{#", "this `{#` is never closed", "add `#}` where it ends"),
        ("{{ a }", "}", "unexpected '}'", "`{{` is closed by `}}`"),
        ("{{ (a }}", "(", "this `(` is never closed", "add `)` where it ends"),
        ("{{ '(' ~ a) }}", ")", "unexpected ')'", "no bracket was opened for it: remove it, or add `(`"),
        ("{{ 'x }}", "'", "this quotation mark is never closed", "add `'` where the text ends"),
        ("{% if a %}Late", "if", "this `if` is never closed", "add `{% endif %}` where it ends"),
        ("{% raw %}x", "raw", "this `raw` is never closed", "add `{% endraw %}` where it ends"),
        ("{% set x = 1 %}{% set y %}a", "set", "this `set` is never closed",
         "a name is set by `{% set name = … %}`; else add `{% endset %}` where it ends"),
        ("{% if a %}x{% end if %}", "end", "`end` does not close `if`, which is open here", "write `{% endif %}`"),
        ("Late{% endfor %}", "endfor", "there is no `for` open that `endfor` could belong to",
         "remove it, or add `{% for … %}` before it"),
        ("{% else %}", "else", "there is no `if` open that `else` could belong to",
         "remove it, or add `{% if … %}` before it"),
        ("{% unless a %}", "unless", "there is no statement 'unless'", "write `{% if not … %}`"),
        ("{% inclde 'x.j2' %}", "inclde", "there is no statement 'inclde'", "did you mean 'include'?"),
        ("{% import 'm.j2' %}", "'m.j2'", "something must stand behind `'m.j2'`",
         'a file is imported by `{% import "money.j2" as money %}`'),
        ("{{ a + }}", "+", "something must stand behind `+`", None),
        ("{{ }}", "{{ }}", "there is nothing in these braces",
         "write a name: `{{ event.data.home }}`, or remove them"),
        ("{{ {{ a }} }}", "{{", "there are braces inside of braces",
         "remove the inner ones: names stand alone in there"),
        ("{{ a | default: 'x' }}", ":", "unexpected ':'",
         "the values of a filter stand in brackets: `default(…)`"),
        ("{{ a <> b }}", "<>", "unexpected '<>'", "write `!=`"),
        ("{{ a || b }}", "||", "unexpected '||'", "write `or`; a single `|` is for `default`"),
        ("{{ a ? b : c }}", "?", "unexpected '?'", "write `a if b else c`"),
        ("{{ $a }}", "$", "unexpected '$'", "write the name alone"),
        ("{{ “a” }}", "“", "unexpected '“'", "use straight quotes"),
    ],
)  # fmt: skip
def test_text_that_is_no_template_says_what_where_and_the_way_out(
    text: str, place: str, message: str, hint: str | None
) -> None:
    found = explanation_of(text)
    assert found is not None
    start, end, *said = found
    assert (text[start:end], said) == (place, [message, hint])


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_whatever_is_no_template_is_explained_at_characters_of_its_own(text: str) -> None:
    found = explanation_of(text)
    if found is not None:
        start, end, message, hint = found
        assert 0 <= start < end <= len(text)
        assert message
        assert hint != ""
