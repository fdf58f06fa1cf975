"""What was meant by a template that cannot be parsed: what is never closed, and words of other template languages."""

from __future__ import annotations

import re

from jinja2 import TemplateSyntaxError

from scheduler.conditions.jinja_positions import error_offset
from scheduler.conditions.syntax_problems import way_out
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.rendering import other_languages

_STATEMENTS = (
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "macro", "endmacro", "call",
    "endcall", "filter", "endfilter", "from", "import", "include", "raw", "endraw",
)  # fmt: skip
_UNKNOWN = re.compile(r"unknown tag '(\w+)'")
_OPENED = re.compile(r"needs to be closed is '(\w+)'")
_OPENING = re.compile(r"\{[{%#]")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(r"\w[\w.]*|[=<>!&|]+|.", re.DOTALL)
_STATEMENT = re.compile(r"[-+]?\s*(\w+)\s*")
_FILTER = re.compile(r"\|\s*(\w+)\s*$")

Explanation = tuple[int, int, str, str | None]
"""The characters of the text that are wrong (start, end), the message and the way out."""


def explained(text: str, problem: TemplateSyntaxError) -> Explanation:
    """What is wrong with a text that Jinja cannot read."""
    message = problem.message or ""
    start = min(error_offset(problem), max(len(text) - 1, 0))
    unknown, opened = _UNKNOWN.search(message), _OPENED.search(message)
    if unknown is not None:
        return _unknown_statement(text, start, unknown[1], opened[1] if opened else None)
    if opened is not None or "raw directive" in message:
        return _statement_never_closed(text, opened[1] if opened else "raw")
    openings = [match for match in _OPENING.finditer(text) if match.start() <= start]
    if not openings:
        return start, start + 1, message, None
    at, opening = openings[-1].start(), openings[-1][0]
    if "end of template" in message or "end of comment" in message:
        return at, at + 2, f"this `{opening}` is never closed", f"add `{_CLOSING[opening]}` where it ends"
    return _inside(text, at, start, message)


def _unknown_statement(text: str, start: int, word: str, opened: str | None) -> Explanation:
    """`{% switch %}`, or an `{% endif %}` that is not expected where it stands."""
    end = start + len(word)
    hint = other_languages.STATEMENTS.get(word)
    if hint is None and word.startswith("end") and opened is not None:
        return start, end, f"`{word}` does not close `{opened}`, which is open here", f"write `{{% end{opened} %}}`"
    if hint is None and word in _STATEMENTS:
        begin = word.removeprefix("end") if word.startswith("end") else "if"
        message = f"there is no `{begin}` open that `{word}` could belong to"
        return start, end, message, f"remove it, or add `{{% {begin} … %}}` before it"
    hint = hint or did_you_mean(word, _STATEMENTS) or f"the statements are {', '.join(_STATEMENTS)}"
    return start, end, f"there is no statement '{word}'", hint


def _statement_never_closed(text: str, word: str) -> Explanation:
    """The innermost `{% if … %}` without its end."""
    closed = 0
    place = 0
    for match in reversed([*re.finditer(rf"\{{%[-+]?\s*((?:end)?{word})\b([^%]*)", text)]):
        if match[1] != word:
            closed += 1
        elif closed:
            closed -= 1
        elif word != "set" or "=" not in match[2]:
            place = match.start(1)
            break
    hint = f"add `{{% end{word} %}}` where it ends"
    hint = f"{other_languages.SHAPES[word]}; else {hint}" if word == "set" else hint
    return place, place + len(word), f"this `{word}` is never closed", hint


def _inside(text: str, at: int, start: int, message: str) -> Explanation:
    """Something between the braces that open at `at` is wrong at `start`."""
    opening = text[at : at + 2]
    closing = _CLOSING[opening]
    statement = _STATEMENT.match(text, at + 2) if opening == "{%" else None
    inner = statement.end() if statement else at + 2
    token = _TOKEN.match(text, start)
    assert token is not None
    if text.startswith("}", start) and "expected ':'" in message.replace("token ", ""):
        return at, at + 2, "there are braces inside of braces", "remove the inner ones: names stand alone in there"
    if text.startswith((closing, "-" + closing, "}"), start):
        bracket = _bracket_never_closed(text, inner, start)
        if bracket is not None:
            return (
                bracket,
                bracket + 1,
                f"this `{text[bracket]}` is never closed",
                (f"add `{_BRACKETS[text[bracket]]}` where it ends"),
            )
        if text.startswith((closing, "-" + closing), start):
            return _something_missing(text, at, start, statement[1] if statement else None)
        return start, start + 1, "unexpected '}'", f"`{opening}` is closed by `{closing}`"
    if token[0] in "\"'" and "unexpected char" in message:
        return start, start + 1, "this quotation mark is never closed", f"add `{token[0]}` where the text ends"
    if text.startswith(("||", "<>"), start - 1):  # Jinja knows the first sign of the two
        start, token = start - 1, _TOKEN.match(text, start - 1) or token
    hint = _hint(text[inner:start], token[0], text[token.end() :], statement[1] if statement else None)
    return start, token.end(), f"unexpected {token[0]!r}", hint


def _bracket_never_closed(text: str, start: int, end: int) -> int | None:
    """The innermost bracket that is open at `end`."""
    opened: list[int] = []
    for part in re.compile(r""""[^"]*"|'[^']*'|[()\[\]{}]""").finditer(text, start, end):
        if part[0] in _BRACKETS:
            opened.append(part.start())
        elif part[0] in ")]}" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _something_missing(text: str, at: int, start: int, statement: str | None) -> Explanation:
    words = text[at + 2 : start].strip().removeprefix("-").strip()
    if not words:
        message = "there is nothing in these braces"
        return at, start + 2, message, "write a name: `{{ event.data.home }}`, or remove them"
    end = at + 2 + len(text[at + 2 : start].rstrip())
    last = words.split()[-1]
    return end - len(last), end, f"something must stand behind `{last}`", other_languages.SHAPES.get(statement or "")


def _hint(before: str, token: str, after: str, statement: str | None) -> str | None:
    """What to write in place of `token`."""
    words = before.split()
    filtered = _FILTER.search(before)
    if statement == "else" and token == "if":
        return "write `elif`"
    if statement in other_languages.SHAPES and token not in ("=", "&&", "||", "!"):
        return other_languages.SHAPES[statement]
    if filtered is not None and (token == ":" or token[0].isalnum() or token in "\"'"):
        return f"the values of a filter stand in brackets: `{filtered[1]}(…)`"
    if not words and token in "#/^":
        return "statements stand in `{% %}`: `{% if … %}` and `{% endif %}`"
    if words[:1] and words[0] in _STATEMENTS and statement is None:
        return f"statements stand in `{{% %}}`: `{{% {words[0]} … %}}`"
    if token == "?":
        return "write `a if b else c`"
    if token in "$@":
        return "write the name alone"
    if statement is None and words and (token[0].isalnum() or token in "\"'"):
        return "texts and values are put together by `~`; a condition goes on with `and` or `or`"
    return way_out(before, token, after)
