"""What other template languages have and Jinja has not: by the word that people try, what to write in its place."""

from __future__ import annotations

_DATE = "a time is written by `event.time.strftime('%d.%m.%Y %H:%M')`"
_SAME = {
    "upcase": "upper", "uppercase": "upper", "toUpperCase": "upper", "ucfirst": "capitalize", "downcase": "lower",
    "lowercase": "lower", "toLowerCase": "lower", "size": "length", "len": "length", "titlecase": "title",
    "trimmed": "trim", "substring": "truncate", "default_if_none": "default", "number": "float", "str": "string",
    "toString": "string", "url_encode": "urlencode",
}  # fmt: skip

FILTERS = {
    **{word: f"write `| {name}`" for word, name in _SAME.items()},
    **dict.fromkeys(("date", "strftime", "format_date", "dateformat", "time"), _DATE),
    **dict.fromkeys(
        ("currency", "money", "number_format", "format_number", "fixed"), 'write `"%.2f" | format(x)`, or a macro'
    ),
    **dict.fromkeys(("e", "escape", "safe", "raw"), "a payload is no HTML: leave it out"),
    **dict.fromkeys(("json", "tojson", "to_json"), "a leaf that is one expression keeps its type: leave it out"),
    **dict.fromkeys(("append", "concat", "prepend"), "texts are put together by `~`"),
    **dict.fromkeys(("plus", "minus", "times", "divided_by", "modulo"), "write `+`, `-`, `*`, `/` or `%`"),
    "pluralize": "write `'goal' if n == 1 else 'goals'`",
    "contains": "write `'…' in x`",
    "split": "write `x.split(',')`",
    "slice": "write `x[:10]`",
}
"""Behind `|`."""
FUNCTIONS = {
    **{word: f"write `x | {name}`" for word, name in _SAME.items()},
    **dict.fromkeys(("date", "strftime", "format_date", "dateformat"), _DATE),
    "now": "write `now`, without brackets",
    "today": "write `today`, without brackets",
    "print": "write `{{ … }}`",
    "echo": "write `{{ … }}`",
}
METHODS = {word: f"write `… | {name}`" for word, name in _SAME.items()}
TESTS = {
    **dict.fromkeys(("null", "nil", "missing", "present", "set"), "write `is defined`, or `is not defined`"),
    **dict.fromkeys(("blank", "empty"), "write `x | length == 0`"),
    "contains": "write `'…' in x`",
    "startswith": "write `x.startswith('…')`",
}
"""Behind `is`."""
STATEMENTS = {
    **dict.fromkeys(("assign", "let", "var", "capture"), "write `{% set name = … %}`"),
    **dict.fromkeys(("elsif", "elseif"), "write `{% elif … %}`"),
    **dict.fromkeys(("case", "switch", "when"), "write `{% if … %}`, `{% elif … %}` and `{% endif %}`"),
    **dict.fromkeys(("echo", "print", "output"), "write `{{ … }}`"),
    "unless": "write `{% if not … %}`",
    "foreach": "write `{% for x in … %}`",
    "comment": "write `{# … #}`",
}
SHAPES = {
    "for": "a loop is written `{% for x in … %}`",
    "from": 'macros are imported by `{% from "money.j2" import money %}`',
    "import": 'a file is imported by `{% import "money.j2" as money %}`',
    "include": 'a file is included by `{% include "footer.j2" %}`',
    "set": "a name is set by `{% set name = … %}`",
    "call": "a macro with a body is called by `{% call box() %}…{% endcall %}`",
    "macro": "a macro is written `{% macro money(amount) %}…{% endmacro %}`",
}
"""How statements are written."""
EXAMPLES = {
    "abort": "write `abort('no team')`: the reason is shown in reports",
    "range": "write `range(3)`",
    "replace": "write `replace('old', 'new')`",
    "strftime": "write `strftime('%d.%m.%Y')`",
    "startswith": "write `startswith('…')`",
    "endswith": "write `endswith('…')`",
}
"""How filters and functions that need values are called."""
