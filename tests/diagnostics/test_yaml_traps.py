"""The traps of YAML, each in words of its own: what, where, and the corrected text."""

from __future__ import annotations

import pytest

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_reader import read_yaml

BRACES = "braces without quotes are a YAML mapping, not a template"
ALIAS = "`*` at the beginning of a value stands for another value in YAML (an alias)"
QUOTE = "a value that begins with a quotation mark must end with it"
TAG = "`!` begins a tag in YAML, and tags are not used here"
TAG_HINT = (
    "remove the tag: the field decides the type; if it means 'not' in a condition, write `not`; "
    "if it belongs to a text, put the text in quotes"
)
BLOCK = "write it in a block: `>-`, and on the next line, indented: "


def said(text: str) -> list[tuple[str, str, str | None]]:
    return [
        (one.span.source.text[one.span.start : one.span.end], one.message, one.hint)
        for one in read_yaml(Source("f.yaml", text)).findings
    ]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("a:\n  b: {{ x }}\n", "{{ x }}", BRACES, 'write "{{ x }}"'),
        ("b: {{ x }}-{{ y }}\n", "{{ x }}-{{ y }}", BRACES, 'write "{{ x }}-{{ y }}"'),
        ('b: {{ x | default("a") }}\n', '{{ x | default("a") }}', BRACES, "write '{{ x | default(\"a\") }}'"),
        ("b: {% if x %}y{% endif %}\n", "{% if x %}y{% endif %}", BRACES, 'write "{% if x %}y{% endif %}"'),
        ("b: [a, {{ x }}]\n", "{{ x }}", BRACES, 'write "{{ x }}"'),
        ("b: [team:{{ x.y }}]\n", "team:{{ x.y }}", BRACES, 'write "team:{{ x.y }}"'),
        ("b:\n  - {{ x }}\n", "{{ x }}", BRACES, 'write "{{ x }}"'),
        ('where: "a" in x\n', '"a" in x', QUOTE, BLOCK + '"a" in x'),
        ("title: 'it's here'\n", "'it's here'", QUOTE,
         'a quotation mark inside of quotes ends them: write "it\'s here"'),
        ('where: x == "a: b"\n', ":", "`: ` inside of a value begins another key in YAML", BLOCK + 'x == "a: b"'),
        ("schedule: */5 * * * *\n", "*/5 * * * *", ALIAS, 'put it in quotes: schedule: "*/5 * * * *"'),
        ("schedule: * * * * *\n", "* * * * *", ALIAS, 'put it in quotes: schedule: "* * * * *"'),
        ("a: *nope b\n", "*nope b", ALIAS, 'put it in quotes: a: "*nope b"'),
        ("a: [*nope]\n", "*nope",
         "`*` at the beginning of a value stands for the value called `&nope`, and there is none",
         'if it is a text, put it in quotes: "*nope"'),
        ("a: &copy 2026\n", "&copy",
         "`&copy` names this value in YAML, and is no part of it; nothing uses the name",
         "remove it; if it belongs to the text, put the text in quotes"),
        ("a: & b\n", "& b", "`&` at the beginning of a value gives it a name in YAML (an anchor)",
         'put it in quotes: a: "& b"'),
        ("a: %x\n", "%x", "a value without quotes cannot begin with `%` in YAML", 'put it in quotes: a: "%x"'),
        ("a: @x\n", "@x", "a value without quotes cannot begin with `@` in YAML", 'put it in quotes: a: "@x"'),
        ("- `x`\n", "`x`", "a value without quotes cannot begin with ` in YAML", 'put it in quotes: "`x`"'),
        ("a: > 5\n", "> 5", "`>` at the beginning of a value begins a block of text in YAML, on the next line",
         'put it in quotes: a: "> 5"'),
        ("where: !x\n", "!x", TAG, TAG_HINT),
        ("where: ! x\n", "! x", TAG, TAG_HINT),
        ("a: !!int 3\n", "!!int 3", TAG, TAG_HINT),
        ("a:\n\tb: 1\n", "\t", "a tab cannot be used for indentation", "indent with spaces"),
        ("a:\n  b: 1\n   c: 2\n", "c: 2", "this key is indented by 3 spaces, and no section above is",
         "indent it by 2, like the keys beside it"),
        ("a: 1\n b: 2\n", "b: 2", "this key is indented by 1 space, and no section above is",
         "do not indent it, like the keys beside it"),
        ("category:sports\na: 1\n", "category:sports", "there is no space behind the colon", "write category: sports"),
        ("a: 1\nowner = x\n", "owner = x", "a key and its value are written with a colon, not with `=`",
         "write owner: x"),
        ("a: 1\naudience\n  b: 1\n", "audience", "a key must have a colon", "write audience:"),
        ("a: 1\n---\nb: 1\n", "---", "a second document begins here, and a file holds one",
         "put it in a file of its own, or remove this line"),
        ("a: {b: 1\nc: 2\n", "{", "this `{` is never closed", "add `}` where it ends"),
        ("a:\n  b: [1, 2\n", "[", "this `[` is never closed", "add `]` where it ends"),
        ('a: "x\nb: 2\n', '"', 'this `"` is never closed', 'add `"` where it ends'),
        ('a: ["a, "b"]\n', "b", "there is something here that does not belong in `[ ]`",
         "put a comma between the values, and quotes around texts; or add `]` where it ends"),
        ('a: "\\d"\n', "\\d", "`\\d` means nothing inside of double quotes",
         "write `\\\\d`, or put the text in single quotes"),
        ("a:\n  <<: 1\n", "<<", "`<<` merges mappings in other programs; it is not used here", "write the keys out"),
        ("? [a]\n: 1\n", "[a]", "a key must be a word", "write `key: value`, the key a single word"),
        ("a: 1\na: 2\n", "a", "'a' is here twice; the first is in line 1", "keep one of them"),
        ("a: &x [*x]\n", "*x", "an alias that contains itself", "write the value out"),
        ("a:\n\xa0\xa0b: 1\n", "\xa0", "a non-breaking space (U+00A0) is here, which YAML takes for a letter",
         "write a normal space in its place"),
        ("a: 1\nb:\xa0x\n", "\xa0", "this space is no normal one (U+00A0): YAML takes it for a letter",
         "write a normal space in its place"),
        ("```yaml\na: 1\n```\n", "```yaml", "this line belongs to Markdown, not to YAML", "remove it"),
        ("a: x\x07\n", "\x07", "the file contains a control character (U+0007)", "remove it"),
        ("a: x\u2028y\n", "\u2028", "the file contains a line separator (U+2028)", "remove it"),
    ],
)  # fmt: skip
def test_trap_says_what_where_and_the_corrected_text(text: str, place: str, message: str, hint: str) -> None:
    assert said(text) == [(place, message, hint)]
    assert [one.replace("\n", "\r\n") for one, _, _ in said(text)] == [
        one for one, _, _ in said(text.replace("\n", "\r\n"))
    ]


def test_braces_without_quotes_hide_no_other_problem() -> None:
    assert [message for _, message, _ in said("a: {{ x }}\nb: {{ y }}\nb: 1\n")] == [
        BRACES, BRACES, "'b' is here twice; the first is in line 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "---\na: 1\n", "a: 1\n...\n", "%YAML 1.2\n---\na: 1\n", "? a\n: 1\n", "a: don't # it's a comment\n",
        "a: http://x.y\n", "a: &x 1\nb: *x\n", "a:\tb\n", "a: '[[[['\n", "a: “x”\n", "",
    ],
)  # fmt: skip
def test_what_is_no_trap_is_left_alone(text: str) -> None:
    assert said(text) == []
