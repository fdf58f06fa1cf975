"""What was meant by a condition that cannot be parsed: signs and words of other languages, and what is missing."""

from __future__ import annotations

import re

from jinja2 import TemplateSyntaxError

from scheduler.conditions.jinja_positions import error_offset

_TOKEN = re.compile(r"\w[\w.]*|[=<>!&|]+|.", re.DOTALL)
_BRACKET = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[()\[\]{}]""")
"""A bracket, or a text with all brackets in it."""
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_PERCENT = re.compile(r"\d\s?%\s*(?:(?:and|or)\s)?$")
_NO_PERCENT = "leave `%` out"
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_STARTS = 'write `startswith({}, "…")`'
_HAS = 'write `"…" in {}`'
_SIGNS = {
    "=": "compare with `==`",
    "=>": "write `>=`",
    "=<": "write `<=`",
    "&": "write `and`",
    "&&": "write `and`",
    "|": "write `or`; a single `|` is for `default`",
    "||": "write `or`; a single `|` is for `default`",
    "<>": "write `!=`",
    "!": "write `not`",
    "?": "write it with `and` and `or`",
    "“": "use straight quotes",
    "”": "use straight quotes",
    "„": "use straight quotes",
    "‘": "use straight quotes",
    "’": "use straight quotes",
    "≠": "write `!=`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    ")": "no bracket was opened for it: remove it, or add `(`",
    "]": "no bracket was opened for it: remove it, or add `[`",
}
_WORDS = {
    "contains": _HAS,
    "includes": _HAS,
    "has": _HAS,
    "like": _STARTS,
    "matches": _STARTS,
    "starts": _STARTS,
    "startswith": _STARTS,
    "equals": "compare with `==`",
    "eq": "compare with `==`",
    "ne": "compare with `!=`",
    "gt": "compare with `>`",
    "lt": "compare with `<`",
    "between": "write `5 < {} < 10`",
    "exists": "write `{} is defined`",
}
_BEHIND = {
    "is": "compare with `==`",
    "is not": "compare with `!=`",
    "if": "leave `if` out",
    "and and": "write `and` once",
    "or or": "write `or` once",
}
"""By the word or the two words that stand before the place where the parser stopped."""


def explained(text: str, problem: TemplateSyntaxError) -> tuple[int, int, str, str | None]:
    """The characters of the text that are wrong (start, end), the message and the way out."""
    last = len(text.rstrip()) - 1
    start = error_offset(problem)
    if start > last:
        opened = _never_closed(text)
        if opened is not None:
            bracket = text[opened]
            return opened, opened + 1, f"this `{bracket}` is never closed", f"add `{_BRACKETS[bracket]}` where it ends"
        return last, last + 1, "the condition ends too early", _what_is_missing(text)
    for whole in ("||", "<>"):
        if text.startswith(whole, start - 1):  # Jinja knows the first sign of the two
            start -= 1
    token = _TOKEN.match(text, start)
    assert token is not None
    begins = text[:start].strip()
    if begins in ("and", "or"):  # Jinja takes it for a name
        at = text.index(begins)
        return at, at + len(begins), f"unexpected {begins!r}", f"something must stand before `{begins}`"
    if re.search(r"\bNOT$", text[:start].rstrip()):
        at = text.rindex("NOT", 0, start)
        return at, at + 3, "unexpected 'NOT'", "write `not`"
    if token[0] in "\"'" and "unexpected char" in (problem.message or ""):
        return start, start + 1, "this quotation mark is never closed", f"add `{token[0]}` where the text ends"
    return start, token.end(), f"unexpected {token[0]!r}", way_out(text[:start], token[0], text[token.end() :])


def _never_closed(text: str) -> int | None:
    """The offset of the innermost bracket that is open at the end of a text."""
    opened: list[int] = []
    for part in _BRACKET.finditer(text):
        if part[0] in _BRACKETS:
            opened.append(part.start())
        elif part[0] in ")]}" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _what_is_missing(text: str) -> str:
    behind = text.split()[-1]
    return _NO_PERCENT if _PERCENT.search(text) else f"something must stand behind `{behind}`"


def way_out(before: str, token: str, after: str) -> str | None:
    """What to write in place of `token`, by itself or by its neighbours."""
    words = before.split()
    known = _BEHIND.get(" ".join(words[-2:])) or _BEHIND.get(" ".join(words[-1:])) or _SIGNS.get(token)
    if known is not None:
        return known
    if _PERCENT.search(before):
        return _NO_PERCENT
    if token == ",":
        is_number = before[-1:].isdigit() and after[:1].isdigit()
        return "write a point: `50.5`" if is_number else 'a list stands in brackets: `in ["a", "b"]`'
    if not words:
        return f"a name must stand before `{token}`"
    if token.lower() in ("and", "or", "not") and not token.islower():
        return f"write `{token.lower()}`"
    if token.lower() in _WORDS:
        return _WORDS[token.lower()].format(words[-1] if _NAME.fullmatch(words[-1]) else "name")
    return "two conditions are joined by `and` or `or`" if token[0].isalnum() else None
