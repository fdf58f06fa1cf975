"""What other languages have and conditions have not: by the word that people try, what to write in its place."""

from __future__ import annotations

FILTERS = {
    "d": "write `default(…)`",
    "count": "write `length`",
    "len": "write `length`",
    "size": "write `length`",
    "lowercase": "write `lower`",
    "uppercase": "write `upper`",
    "contains": 'write `"…" in name`',
    "string": "text and numbers are joined by `~`",
    "trim": "conditions compare text as it is; `lower` and `upper` are known",
    "round": "write `int`, which cuts off what is behind the point",
    "abs": "compare with both limits: `-5 < x < 5`",
}
FUNCTIONS = {
    "len": "write `name | length`",
    "length": "write `name | length`",
    "size": "write `name | length`",
    "count": "write `name | length`",
    "lower": "write `name | lower`",
    "upper": "write `name | upper`",
    "int": "write `name | int`",
    "float": "write `name | float`",
    "default": "write `name | default(…)`",
    "contains": 'write `"…" in name`',
    "now": "write `now`, without brackets",
    "today": "write `today`, without brackets",
    "defined": "write `name is defined`",
    "exists": "write `name is defined`",
    "date": 'a date is written in quotes: `"2026-11-27"`',
    "datetime": 'a time is written in quotes: `"2026-11-27 09:00"`',
    "datediff": "write `days_between(a, b)`",
    "startsWith": 'write `startswith(name, "…")`',
    "starts_with": 'write `startswith(name, "…")`',
    "endswith": 'only the beginning can be asked for: `startswith(name, "…")`',
    "not": "write `not …`",
}
METHODS = {
    "lower": "write `{0} | lower`",
    "upper": "write `{0} | upper`",
    "startswith": 'write `startswith({0}, "…")`',
    "startsWith": 'write `startswith({0}, "…")`',
    "contains": 'write `"…" in {0}`',
    "includes": 'write `"…" in {0}`',
    "length": "write `{0} | length`",
    "count": "write `{0} | length`",
    "get": 'write `{0}["key"]`',
}
"""`{0}` is what stands before the dot."""
TESTS = {
    **dict.fromkeys(("null", "none", "undefined", "missing", "nil", "set", "blank", "present"),
                    "write `{0} is defined`, or `{0} is not defined`"),
    "empty": "write `{0} | length == 0`",
    "true": "write `{0}`, or `not {0}`",
    "false": "write `{0}`, or `not {0}`",
    "in": "write `{0} in …`",
}  # fmt: skip
"""Behind `is`; `{0}` is what stands before it."""
NAMES = {
    "null": "to ask whether a value is there: `is defined`",
    "None": "to ask whether a value is there: `is defined`",
    "undefined": "to ask whether a value is there: `is defined`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
    "yes": "write `true`",
    "no": "write `false`",
}
