"""The traps of YAML, each in words of its own: what, where, and the corrected text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml

ALIAS = "`*` at the beginning of a value stands for another value in YAML (an alias)"
TAG = "`!` begins a tag in YAML, and tags are not used here"
NO_TAG = "remove the tag: the field decides the type; if it belongs to a text, "
BLOCK_BEGINS = "`>` at the beginning of a value begins a block of text in YAML, on the next line"
INSTRUCTION = "a line that begins with `%` is an instruction to YAML, and none is needed"
QUOTE = "a value that begins with a quotation mark must end with it"
QUOTE_IN_QUOTES = "a quotation mark inside of quotes ends them: write "
BLOCK = "write it in a block: `>-`, and on the next line, indented: "
COLON = "`: ` inside of a value begins another key in YAML"
LESS_INDENTED = "the text below `|` or `>` ends before this line, because it is indented less"
TAB = "a tab cannot be used for indentation"
CHARACTER = "write the character itself; or write `\\\\` for a backslash"
COMMENT = "the value ends before `#`, which begins a comment in YAML"


def said(text: str) -> list[tuple[str, str, str | None]]:
    """Place, message and hint of each finding."""
    return [
        (one.span.source.text[one.span.start : one.span.end], one.message, one.hint)
        for one in read_yaml(Source("f.yaml", text)).findings
    ]


def check(text: str, place: str, message: str, hint: str) -> None:
    assert said(text) == [(place, message, hint)]
    for end in ("\r\n", "\r"):
        assert said(text.replace("\n", end)) == [(place.replace("\n", end), message, hint)]


@pytest.mark.parametrize(
    ("text", "place", "mended"),
    [
        ("a:\n  b: {{ x }}\n", "{{ x }}", '"{{ x }}"'),
        ("b: {{ x }}-{{ y }}\n", "{{ x }}-{{ y }}", '"{{ x }}-{{ y }}"'),
        ('b: {{ x | default("a") }}\n', '{{ x | default("a") }}', "'{{ x | default(\"a\") }}'"),
        ("b: {% if x %}y{% endif %}\n", "{% if x %}y{% endif %}", '"{% if x %}y{% endif %}"'),
        ("b: {# why #} y\n", "{# why #} y", '"{# why #} y"'),
        ("b: {{ x }\nc: 1\n", "{{ x }", '"{{ x }}"'),
        ("b: {{ x\nc: 1\n", "{{ x", '"{{ x }}"'),
        ("b: [a, {{ x }}]\n", "{{ x }}", '"{{ x }}"'),
        ("b: [team:{{ x.y }}]\n", "team:{{ x.y }}", '"team:{{ x.y }}"'),
        ("b: {c: Hi {{ x }}!, d: e}\n", "Hi {{ x }}!", '"Hi {{ x }}!"'),
        ("b: {c: a, {{ x }}!, d: e}\n", "{{ x }}!", '"{{ x }}!"'),
        ('b: ["{{ x }}", {{ y }}-z]\n', "{{ y }}-z", '"{{ y }}-z"'),
        ("b:\n  - {{ x }}\n", "{{ x }}", '"{{ x }}"'),
        ("{{ x }}: b\n", "{{ x }}", '"{{ x }}"'),
    ],
)
def test_braces_without_quotes_are_shown_with_them(text: str, place: str, mended: str) -> None:
    check(text, place, "braces without quotes are a YAML mapping, not a template", f"write {mended}")


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("schedule: */5 * * * *\n", "*/5 * * * *", ALIAS, 'put it in quotes: schedule: "*/5 * * * *"'),
        ("schedule: * * * * *\n", "* * * * *", ALIAS, 'put it in quotes: schedule: "* * * * *"'),
        ("a: *nope b\n", "*nope b", ALIAS, 'put it in quotes: a: "*nope b"'),
        ("a: **b** c\n", "**b** c", ALIAS, 'put it in quotes: a: "**b** c"'),
        ("a: [b, * c]\n", "* c", ALIAS, 'put it in quotes: "* c"'),
        ("a: [*nope]\n", "*nope",
         "`*` at the beginning of a value stands for the value called `&nope`, and there is none",
         'if it is a text, put it in quotes: "*nope"'),
        ("a: & b\n", "& b", "`&` at the beginning of a value gives it a name in YAML (an anchor)",
         'put it in quotes: a: "& b"'),
        ("a: %x\n", "%x", "a value without quotes cannot begin with `%` in YAML", 'put it in quotes: a: "%x"'),
        ("a: @x\n", "@x", "a value without quotes cannot begin with `@` in YAML", 'put it in quotes: a: "@x"'),
        ("- `x`\n", "`x`", "a value without quotes cannot begin with ` in YAML", 'put it in quotes: "`x`"'),
        ("a: [b, @x]\n", "@x", "a value without quotes cannot begin with `@` in YAML", 'put it in quotes: "@x"'),
        ("a: ]x\n", "]x", "a value without quotes cannot begin with `]` in YAML", 'put it in quotes: a: "]x"'),
        ("a: }\n", "}", "a value without quotes cannot begin with `}` in YAML", 'put it in quotes: a: "}"'),
        ("a: , b\n", ", b", "a value without quotes cannot begin with `,` in YAML", 'put it in quotes: a: ", b"'),
        ("a: - b\n", "- b", "`- ` begins an item of a list, and items stand on lines of their own",
         'write the item on the next line, indented; if it is a text, put it in quotes: a: "- b"'),
        ("a: ? b\n", "? b", "`? ` at the beginning of a value begins a key in YAML", 'put it in quotes: a: "? b"'),
        ("a: > 5\n", "> 5", BLOCK_BEGINS,
         'write a: > and the text on the next line, indented; if it is a text, put it in quotes: a: "> 5"'),
        ("where: > 5\n", "> 5", BLOCK_BEGINS, BLOCK + "> 5"),
        ("a: |x\n", "|x", "`|` at the beginning of a value begins a block of text in YAML, on the next line",
         'put it in quotes: a: "|x"'),
        ("where: !x\n", "!x", TAG, "write where: not x"),
        ("where: ! x == 1\n", "! x == 1", TAG, "write where: not x == 1"),
        ("a: !x\n", "!x", TAG, NO_TAG + 'put it in quotes: a: "!x"'),
        ("a: !!int 3\n", "!!int 3", TAG, NO_TAG + 'put it in quotes: a: "!!int 3"'),
        ("a: ! [1]\n", "! [", TAG, NO_TAG + 'put it in quotes: a: "! [1]"'),
        ("a: [b, !x c]\n", "!x c", TAG, NO_TAG + "put the text in quotes"),
        ("[!x]\n", "!x", "`!` at the beginning of a value begins a tag in YAML", 'put it in quotes: "!x"'),
        ("%YAML 1.2\na: 1\n", "%YAML 1.2", INSTRUCTION, "remove it"),
        ("%x\na: 1\n", "%x", INSTRUCTION, 'remove it; if it is a text, put it in quotes: "%x"'),
        ("a: 1\n...\nb: 2\n", "...", "`...` ends the file for YAML, and more follows", "remove it"),
    ],
)  # fmt: skip
def test_sign_that_means_something_to_yaml_is_named(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('where: "a" in x\n', '"a" in x', QUOTE, BLOCK + '"a" in x'),
        ("where: 'a' == x or y\n", "'a' == x or y", QUOTE, BLOCK + "'a' == x or y"),
        ('title: "Tor!" jetzt\n', '"Tor!" jetzt', QUOTE, "put it in quotes: title: '\"Tor!\" jetzt'"),
        ("title: 'it's here'\n", "'it's here'", QUOTE, QUOTE_IN_QUOTES + '"it\'s here"'),
        ('title: "say "hi""\n', '"say "hi""', QUOTE, QUOTE_IN_QUOTES + "'say \"hi\"'"),
        ('title: "a",\n', '"a",', QUOTE, 'no sign separates the lines of YAML: write title: "a"'),
        ('topics: "a", "b"\n', '"a", "b"', QUOTE, 'a list stands in brackets: write topics: ["a", "b"]'),
        ("title: 'a': b\n", "'a': b", QUOTE, "put it in quotes: title: \"'a': b\""),
        ('a: "x\nb: 2\n', '"', 'this `"` is never closed', 'add `"` where it ends'),
        ("a: 'x\n---\nb'\n", "'", "this `'` is never closed", "add `'` where it ends"),
        ('a: "b\\', '"', 'this `"` is never closed', 'add `"` where it ends'),
        ('a: "\\d"\n', "\\d", "`\\d` means nothing inside of double quotes",
         "write `\\\\d`, or put the text in single quotes"),
        ('a: "\\x4"\n', "\\x", "behind `\\x` stand the 2 hexadecimal digits of one character", CHARACTER),
        ('a: "\\ud83d"\n', "\\u", "behind `\\u` stand the 4 hexadecimal digits of one character", CHARACTER),
        ("where: [a, b] == x\n", "[a, b] == x", "a value that begins with `[` must end with its `]`",
         BLOCK + "[a, b] == x"),
        ("a: {b: 1}; \n", "{b: 1};", "a value that begins with `{` must end with its `}`",
         "no sign separates the lines of YAML: write a: {b: 1}"),
        ("a: {b: 1\nc: 2\n", "{", "this `{` is never closed", "add `}` where it ends"),
        ("a:\n  b: [1, 2\n", "[", "this `[` is never closed", "add `]` where it ends"),
        ("a: &x [b\n", "[", "this `[` is never closed", "add `]` where it ends"),
        ("a: [b, {c: d]\n", "]", "`{` is closed by `}`, not by `]`", "write `}`"),
        ('a: ["a, "b"]\n', "b", QUOTE, "put a comma behind the quotes, or the whole text inside of them"),
        ('a: {b: "string"?, c: d}\n', "?", QUOTE, "put a comma behind the quotes, or the whole text inside of them"),
        ("a: [b {c: d}]\n", "{", "there is something here that does not belong in `[ ]`",
         "put a comma between the values, and quotes around texts"),
        ("a: {b: c d: e}\n", ":", COLON, "put a comma before the key; or put the value in quotes"),
        ("a: [1,, 2]\n", ",", "there is no value before this comma", "write the value, or remove the comma"),
        ("{\n  a: 1\n  b: 2\n}\n", "b: 2", "a comma is missing before this, between `{` and `}`",
         "end the line above with a comma"),
    ],
)  # fmt: skip
def test_quotes_and_brackets_find_their_partner(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('where: x == "a: b"\n', ":", COLON, BLOCK + 'x == "a: b"'),
        ("title: Re: your order\n", ":", COLON, 'put it in quotes: title: "Re: your order"'),
        ("body: It's {{ x }}: {{ y }}\n", ":", COLON, 'put it in quotes: body: "It\'s {{ x }}: {{ y }}"'),
        ("category:sports\na: 1\n", "category:sports", "there is no space behind the colon", "write category: sports"),
        ("a: {b:1}\n", "b:1", "there is no space behind the colon", "write b: 1"),
        ("a: 1\nowner = x\n", "owner = x", "a key and its value are written with a colon, not with `=`",
         "write owner: x"),
        ("a: 1\nowner=x\nb: 2\n", "owner=x", "a key and its value are written with a colon, not with `=`",
         "write owner: x"),
        ("a: 1\nowner => x\n", "owner => x", "a key and its value are written with a colon, not with `=>`",
         "write owner: x"),
        ("a: 1\nowner： x\n", "owner： x", "a key and its value are written with a colon, not with `：`",
         "write owner: x"),
        ("a: 1\naudience\n  b: 1\n", "audience", "a key must have a colon", "write audience:"),
        ("trigger\n  event: a\n", "trigger", "a key must have a colon", "write trigger:"),
        ("a:\n  b\n  c: 1\n", "b", "a key must have a colon", "write b:"),
        ("a: 1\nthis is a text\nb: 2\n", "this is a text", "this line is no `key: value`",
         "if it goes on with the text above, indent it deeper than that key; if it is a comment, begin it with `#`"),
        ("// about\na: 1\n", "// about", "a comment begins with `#` in YAML", "write # about"),
        ("/* about */\na: 1\n", "/* about */", "a comment begins with `#` in YAML", "write # about"),
    ],
)  # fmt: skip
def test_key_and_value_want_a_colon_and_a_space(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("a:\n  b: 1\n   c: 2\n", "c: 2", "this key is indented below `b`, which has a value already",
         "indent it by 2, like `b`"),
        ("a: 1\n b: 2\n", "b: 2", "this key is indented below `a`, which has a value already",
         "do not indent it, like `a`"),
        ("a: text\n    more\n  b: 2\n", "b: 2", "this key is indented below `a`, which has a value already",
         "do not indent it, like `a`"),
        ("a: 'x'\n  b: 2\n", "b: 2", "this key is indented below `a`, which has a value already",
         "do not indent it, like `a`"),
        ("a:\n    b: 1\n  c: 2\n", "c: 2", "this key is indented by 2 spaces, and nothing above is",
         "indent it by 4, like `b`; or do not indent it, like `a`"),
        ("a:\n  - b: 1\n    c: 2\n   d: 3\n", "d: 3", "this key is indented by 3 spaces, and nothing above is",
         "indent it by 4, like `c`; or indent it by 2, like the items above"),
        (" a: 1\nb: 2\n", "b: 2", "this key is not indented, and those above are", "indent it by 1, like `a`"),
        ("a:\n  - 'b'\n   - 'c'\n", "- 'c'", "this item is indented by 3 spaces, and nothing above is",
         "indent it by 2, like the items above"),
        ("a:\n  - b\n- c\n", "- c", "this item of a list stands among keys", "indent it by 2, like the items above"),
        ("a: 1\n- b\n", "- b", "this item of a list stands among keys", "indent it below the key that it belongs to"),
        ("- a\nb: 1\n", "b: 1", "this key stands among the items of a list", "begin it with `- `, or indent it"),
        ("a:\n  - b: 1\n  c: 2\n", "c: 2", "this key stands among the items of a list", "indent it by 4, like `b`"),
        ("a: >\n  b\n c\nd: 1\n", "c", LESS_INDENTED, "indent it by 2"),
        ("a: >-\nb\nc: 1\n", "b", LESS_INDENTED, "indent it by 2"),
        ("a: |\n  'b' c\n d: 1\n", "d: 1", LESS_INDENTED, "indent it by 2"),
        ("a:\n\tb: 1\n", "\t", TAB, "indent with spaces"),
        ("a: 1\n\t\nb: 2\n", "\t", TAB, "indent with spaces"),
        ("a: 1\n\t# b\nc: 2\n", "\t", TAB, "indent with spaces"),
        ("a: |\n\tb\n", "\t", TAB, "indent with spaces"),
        ("-\ta\n", "\t", "a tab cannot stand behind the dash of an item", "write a space in its place"),
    ],
)  # fmt: skip
def test_indentation_is_compared_with_the_lines_above(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("```yaml\na: 1\n```\n", "```yaml", "this line belongs to Markdown, not to YAML", "remove it"),
        ("a: 1\n```\n", "```", "this line belongs to Markdown, not to YAML", "remove it"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n", "<<<<<<< HEAD",
         "git could not merge this file, and left both versions in it",
         "keep one of them, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`"),
        ("a: 1\n---\nb: 1\n", "---", "a second document begins here, and a file holds one",
         "put it in a file of its own, or remove this line"),
        ("a: x\x07\n", "\x07", "the file contains a control character (U+0007)", "remove it"),
        ("a: x\x85y\n", "\x85", "the file contains a control character (U+0085)", "remove it"),
        ("a: x\u2028y\n", "\u2028", "the file contains a line separator (U+2028)", "remove it"),
        ("a: x\u2029y\n", "\u2029", "the file contains a paragraph separator (U+2029)", "remove it"),
        ("{% if x %}\na: 1\n{% endif %}\n", "{% if x %}",
         "a template stands in a value; it cannot stand around keys",
         'write it in the value, in quotes: key: "{% if … %}…{% endif %}"'),
        ("a:\n  <<: 1\n", "<<", "`<<` merges mappings in other programs; it is not used here", "write the keys out"),
        ("? [a]\n: 1\n", "[a]", "a key must be a word", "write `key: value`, the key a single word"),
        ("a: 1\na: 2\n", "a", "'a' is here twice; the first is in line 1", "keep one of them"),
        ("a: &x [*x]\n", "*x", "an alias that contains itself", "write the value out"),
    ],
)  # fmt: skip
def test_what_comes_along_from_elsewhere_is_named(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ('where: x == "vip #1"\n', 'x == "vip', "the value is cut at `#`, which begins a comment in YAML",
         BLOCK + 'x == "vip #1"'),
        ("title: Hi {{ x #1 }}\n", "Hi {{ x", "the value is cut at `#`, which begins a comment in YAML",
         'put it in quotes: title: "Hi {{ x #1 }}"'),
        ("title: We are #1\n", "#1", COMMENT,
         'if it is a comment, write a space behind `#`; '
         'if it belongs to the value, put it in quotes: title: "We are #1"'),
        ("title: #1 fan\n", "#1 fan", COMMENT,
         'if it is a comment, write a space behind `#`; if it belongs to the value, put it in quotes: title: "#1 fan"'),
        ("a: &copy 2026\n", "&copy", "`&copy` names this value in YAML, and is no part of it; nothing uses the name",
         'remove it; if it belongs to the text, put it in quotes: a: "&copy 2026"'),
        ('a: {b: x == "c, d"}\n', 'x == "c',
         "the value is cut at the comma: quotation marks within a value are a part of it",
         "put the whole value in quotes, other ones than those in it"),
        ("a: [“b, c”]\n", "“b", "the value is cut at the comma: curly quotation marks are no quotes to YAML",
         'write straight ones: " before the text, and " behind it'),
        ("a:\n- b\n - c\n", "- c", "this line is a part of the text above, because it is indented deeper",
         "indent it like the items of the list it belongs to; if it is a part of the text, put the text in quotes"),
        ("a:\n  -b\n  -c\n", "-b", "there is no space behind the dash", "write - b"),
        ("a:\n  -b: 1\n", "-b", "there is no space behind the dash", "write - b: …"),
        ("a:\n  • b\n  • c\n", "• b", "the items of a list begin with `- `, not with `•`", "write - b"),
        ("a:\n  b:1\n  c:2\n", "b:1", "there is no space behind the colon", "write b: 1"),
    ],
)  # fmt: skip
def test_what_yaml_reads_and_nobody_meant_is_named(text: str, place: str, message: str, hint: str) -> None:
    check(text, place, message, hint)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a:\n\xa0\xa0b: 1\n", "no-break space (U+00A0)"),
        ("a: 1\nb:\xa0x\n", "no-break space (U+00A0)"),
        ("a:\xa0b\n", "no-break space (U+00A0)"),
        ("a:\n  -\xa0b\n", "no-break space (U+00A0)"),
        ("a: b\xa0\n", "no-break space (U+00A0)"),
        ("a\xa0: b\n", "no-break space (U+00A0)"),
        ("a: \u200bb\n", "zero width space (U+200B)"),
        ("a\u200bc: b\n", "zero width space (U+200B)"),
        ("a:\n\u3000b: 1\n", "ideographic space (U+3000)"),
        ("a: 1\n\ufeffb: 2\n", "zero width no-break space (U+FEFF)"),
    ],
)
def test_space_that_is_none_is_named(text: str, name: str) -> None:
    [(place, message, hint)] = said(text)
    assert not place.isascii()
    assert message == f"a {name} is here, which YAML takes for a letter"
    assert hint == "write a normal space in its place, or nothing"


def test_odd_spaces_around_a_value_are_no_part_of_it() -> None:
    root = read_yaml(Source("f.yaml", "a: \xa0lane\u200b\n\u200bb: 1\n")).root
    assert root is not None
    assert core_value(root) == {"a": "lane", "b": 1}


def test_braces_without_quotes_hide_no_other_problem() -> None:
    text = "a: {{ x }}\nb: {{ y }}\nb: 1\nc: 'z\n"
    assert [place for place, _, _ in said(text)] == ["{{ x }}", "{{ y }}", "b", "'"]


@pytest.mark.parametrize(
    "text",
    [
        "---\na: 1\n", "a: 1\n...\n", "%YAML 1.2\n---\na: 1\n", "? a\n: 1\n", "a: don't # it's a comment\n",
        "a: http://x.y\n", "a: &x 1\nb: *x\n", "a:\tb\n", "a: '[[[['\n", "a: “x”\n", "", "# a\n", "a: -5\n",
        "a:\n  -5\n", "a: x # y\n", "a: x#y\n", 'a: "x" #y\n', "a: [5\" or 6\", it's, rock 'n roll]\n", "a: b\xa0c\n",
        "a: 👩\u200d👩\u200d👧\n", "a: b\n  c - d\n", "a: |\n  - b\n  c:1\n", '{\n\t"a": 1,\n\t"b": [1, 2]\n}\n',
        "a: 5%\n", "a: b @ c\n", "a: {b, c}\n", "a:\n- b\n- c\n",
    ],
)  # fmt: skip
def test_what_is_no_trap_is_left_alone(text: str) -> None:
    assert said(text) == []


SIGNS = [
    "a", "b c", " ", "'", '"', "[", "]", "{", "}", "*", "&", "!", "%", "@", "`", "|", ">", "- ", "? ", ": ", "#", ",",
    "{{ x }}", "=", "\\", "\t", "é", "“", ":",
]  # fmt: skip


@given(st.lists(st.sampled_from(SIGNS), min_size=1, max_size=8).map("".join), st.sampled_from(["title", "where"]))
def test_corrected_text_is_read_as_what_was_written(value: str, key: str) -> None:
    for finding in read_yaml(Source("f.yaml", f"{key}: {value}\n")).findings:
        hint = finding.hint or ""
        block = re.search(r"write it in a block: `>-`, and on the next line, indented: (.*)", hint)
        quoted = re.search(r"put it in quotes: (title: .*)$", hint)
        mended = f"where: >-\n  {block[1]}\n" if block else f"{quoted[1]}\n" if quoted else None
        if mended is not None:
            root = read_yaml(Source("f.yaml", mended)).root
            assert root is not None
            assert core_value(root) == {key: value.strip()}


@given(st.lists(st.sampled_from([*SIGNS, "\n", "\n  ", "\n    ", "k: ", "\r\n"]), max_size=20).map("".join))
def test_every_failure_has_a_message_and_a_way_out_in_plain_words(text: str) -> None:
    for finding in read_yaml(Source("f.yaml", text)).findings:
        assert finding.hint
        assert not re.search("did not find|not allowed in this context|found character", finding.message)
